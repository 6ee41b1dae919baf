package record

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/cardctl/cardctl/internal/advice"
	"github.com/cardctl/cardctl/internal/ledger"
	"github.com/cardctl/cardctl/internal/problem"
)

// Marked is a card that a person said something of.
type Marked struct {
	Serial string       `json:"serial"`
	Person string       `json:"person,omitempty"`
	Was    ledger.State `json:"was"`
	State  ledger.State `json:"state"`
	// Certificates are those that are to be revoked, or whose hold is over.
	Certificates []MarkedCertificate `json:"certificates"`
}

// MarkedCertificate is a certificate that is to be revoked.
type MarkedCertificate struct {
	Ref          string `json:"ref"`
	Subject      string `json:"subject,omitempty"`
	SerialNumber string `json:"serialNumber"`
	Issuer       string `json:"issuer,omitempty"`
	// Reason is a name of RFC 5280; removeFromCRL for the end of a hold.
	Reason string `json:"reason"`
	Done   bool   `json:"revoked"`
}

// EndOfHold is the reason with which a certificate is valid again (RFC 5280, 5.3.1).
const EndOfHold = "removeFromCRL"

// Revoke has an issuer revoke a certificate, for a reason.
type Revoke func(ctx context.Context, k *ledger.Credential, reason string) error

// Choose is the one of the cards that can get into a state.
func Choose(cards []ledger.Card, to ledger.State) (*ledger.Card, error) {
	able := slices.DeleteFunc(slices.Clone(cards), func(c ledger.Card) bool { return !c.State.CanBecome(to) && !handedOut(c.State, to) })
	// The same command again means the same card, whose issuer did not answer.
	pending := slices.DeleteFunc(slices.Clone(cards), func(c ledger.Card) bool { return c.State != to || !unfinished(&c) })
	switch {
	case len(able) == 0 && len(pending) == 1:
		return &pending[0], nil
	case len(able) > 0 && len(pending) > 0:
		return nil, several(append(able, pending...), to)
	case len(able) == 1:
		return &able[0], nil
	case len(cards) == 1:
		return &cards[0], nil // the ledger says why it cannot
	case len(able) == 0:
		return nil, problem.New(problem.Refused, "none of the cards can become %s", to).
			Because("The cards are %s.", listed(cards)).Advise(advice.Do(advice.ListCards))
	}
	return nil, several(able, to)
}

func several(cards []ledger.Card, to ledger.State) error {
	return problem.New(problem.NotFound, "the person has several cards that can become %s", to).
		Because("The cards are %s. Name one by its serial.", listed(cards)).Advise(advice.Do(advice.ListCards))
}

// unfinished reports whether certificates of a card are not what its state asks for.
func unfinished(c *ledger.Card) bool {
	pending, _ := c.Revocations(c.State)
	return len(pending) > 0
}

func listed(cards []ledger.Card) string {
	var parts []string
	for i := range cards {
		parts = append(parts, fmt.Sprintf("%s (%s)", cards[i].Serial, cards[i].State))
	}
	return strings.Join(parts, ", ")
}

// begin records the state. A card in stock that is somebody's is issued on the way.
func begin(ctx context.Context, l *ledger.Ledger, c *ledger.Card, to ledger.State, person *ledger.Person) (*ledger.Entry, error) {
	change := ledger.Change{Command: "ledger mark", Serial: c.Serial, State: to, Person: person}
	if !handedOut(c.State, to) {
		return l.Begin(ctx, change)
	}
	change.State = ledger.Issuing
	entry, err := l.Begin(ctx, change)
	if err != nil {
		return nil, err
	}
	return entry, entry.State(ctx, to)
}

// handedOut reports whether a card goes from stock to somebody.
func handedOut(from, to ledger.State) bool { return from == ledger.Stock && to == ledger.Active }

// Mark records the state that a card is in, and has its certificates revoked; without
// revoke, it tells which should be.
func Mark(ctx context.Context, l *ledger.Ledger, c *ledger.Card, to ledger.State, person *ledger.Person, revoke Revoke) (Marked, error) {
	m := Marked{Serial: c.Serial, Was: c.State, State: to, Certificates: []MarkedCertificate{}}
	switch {
	case person != nil:
		m.Person = person.ID
	case c.Person != nil:
		m.Person = c.Person.ID
	}
	if to == ledger.Stock || to == ledger.Issuing {
		return m, problem.New(problem.Refused, "card %s: nobody can say that it is %s", c.Serial, to).
			Because("A card becomes so by what is done with it.").Advise(advice.Do(advice.ListCards))
	}
	if handedOut(c.State, to) && person == nil && c.Person == nil {
		return m, problem.New(problem.Refused, "card %s: it is in stock, and nobody's", c.Serial).
			Because("A card that is active has a person.").Advise(advice.Repeat(advice.Fill(advice.Person)))
	}
	entry, err := begin(ctx, l, c, to, person)
	if err != nil {
		return m, err
	}
	credentials, reason := c.Revocations(to)
	var failed error
	for i := range credentials {
		k := &credentials[i]
		one := MarkedCertificate{Ref: k.Ref, Subject: k.Subject, SerialNumber: k.SerialNumber, Issuer: k.Issuer, Reason: reason}
		if reason == "" {
			one.Reason = EndOfHold
		}
		if revoke != nil {
			err := revoke(ctx, k, one.Reason)
			if err == nil {
				one.Done, err = true, entry.Revoked(ctx, k.SerialNumber, reason)
			}
			failed = errors.Join(failed, err)
		}
		m.Certificates = append(m.Certificates, one)
	}
	return m, errors.Join(failed, entry.End(ctx, failed))
}
