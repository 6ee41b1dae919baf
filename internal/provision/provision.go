// Package provision brings cards to what a plan says they shall be: one card, or one after
// the other in several readers side by side. It looks what is on a card, does what is
// missing in one session, and writes down before and after it what it does. It never works
// on the card of an issuer, nor on that of another person. What each step means on a kind
// of card is left to its family, and what was done to whom to the ledger.
package provision

import (
	"context"
	"time"

	"github.com/cardctl/cardctl/internal/desk"
	"github.com/cardctl/cardctl/internal/ledger"
	"github.com/cardctl/cardctl/internal/plan"
	"github.com/cardctl/cardctl/internal/record"
	"github.com/cardctl/cardctl/internal/secret"
)

// Options are what the caller knows and decides.
type Options struct {
	Plan *plan.Plan
	// Rows are those of the table; nil for a plan without columns, which is for one card.
	Rows []plan.Row
	// Readers are where the cards are, as they are typed; All is all readers. Without
	// them it is the card that is meant.
	Readers []string
	All     bool

	// DryRun tells what would be done.
	DryRun bool
	// Renew has certificates renewed that end within Expiring, and nothing else done.
	Renew    bool
	Expiring time.Duration
	// Replaces is the serial of a card whose person gets another one.
	Replaces string

	Ledger *ledger.Ledger
	// Unseal opens what is sealed in the ledger; nil where nobody can.
	Unseal func(ctx context.Context, sealed []byte) (*secret.Bytes, error)
	// UI is how plugins of age reach a person.
	UI ledger.UI
	// Secret gets what a source of the plan gives; children says what a command gets.
	Secret func(ctx context.Context, q secret.Request, from plan.Source, children Children) (*secret.Bytes, error)
	// Warn is told what a person should think about before the first card; nil tells nobody.
	Warn func(sentence string)
	// Tell is told what happens; nil tells nobody. It is called by one at a time.
	Tell func(Event)
	// Issuers is the desk where the cards of issuers are.
	Issuers *desk.Desk
}

// Children are what child processes have in addition, and which sources are not for them.
type Children struct {
	Environ  []string
	Withheld []secret.Source
}

// Event is something that happened in a reader.
type Event struct {
	Reader string `json:"reader"`
	Row    int    `json:"row,omitempty"`
	Person string `json:"person,omitempty"`
	Serial string `json:"serial,omitempty"`
	// Step is what is done now, or was; Result is empty while it is done.
	Step   string `json:"step"`
	Result string `json:"result,omitempty"`
	Detail string `json:"detail,omitempty"`
	// Left is how many rows have no card yet.
	Left int `json:"left"`
}

// The steps of an event that are none of a card.
const (
	StepInsert = "insert a card"
	StepRemove = "remove the card"
	StepDone   = "done"
)

// Report is what was done.
type Report struct {
	Rows []Row `json:"rows"`
	// LeftOut are readers with cards that are never provisioned, and why.
	LeftOut []LeftOut `json:"leftOut,omitempty"`
	DryRun  bool      `json:"dryRun,omitempty"`
	// Warnings are sentences.
	Warnings []string `json:"warnings,omitempty"`
	// Replaced is the card that another one takes the place of, and what of it should be
	// revoked.
	Replaced *record.Marked `json:"replaced,omitempty"`
}

// LeftOut is a reader that was not used.
type LeftOut struct {
	Reader string `json:"reader"`
	Serial string `json:"serial,omitempty"`
	Why    string `json:"reason"`
}

// Row is what became of a row of the table, or of a card that no row is for.
type Row struct {
	// Row counts from 1; 0 for no row.
	Row    int    `json:"row"`
	Person string `json:"person,omitempty"`
	Serial string `json:"serial,omitempty"`
	Reader string `json:"reader,omitempty"`
	Steps  []Step `json:"steps"`
	Passed bool   `json:"passed"`
	// Error is why it did not pass.
	Error string `json:"error,omitempty"`

	err error
}

// Step is a step of a card.
type Step struct {
	Name   string `json:"name"`
	Result Result `json:"result"`
	Detail string `json:"detail,omitempty"`
	// APDUs is how many commands the card got.
	APDUs int `json:"apdus"`
}

// Result is how a step ended.
type Result string

// The results.
const (
	Done    Result = "done"
	Already Result = "already"
	Would   Result = "would"
	Failed  Result = "failed"
	Skipped Result = "skipped"
)
