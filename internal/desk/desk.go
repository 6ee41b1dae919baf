// Package desk is where the cards are: it knows readers, simulated cards and
// tokens, finds the selected one, waits for it, and gives one Line to it that
// can be released, resumed and compared. What a card is and what is done with
// it is left to families and workflows. Nothing here prints or asks.
package desk

import (
	"context"
	"crypto"
	"io"
	"time"

	"github.com/cardctl/cardctl/internal/advice"
	"github.com/cardctl/cardctl/internal/cardsim"
	"github.com/cardctl/cardctl/internal/iso7816"
	"github.com/cardctl/cardctl/internal/p11"
	"github.com/cardctl/cardctl/internal/pcsc"
	"github.com/cardctl/cardctl/internal/pin"
	"github.com/cardctl/cardctl/internal/runner"
	"github.com/cardctl/cardctl/internal/secret"
)

// Readers is what a desk needs of PC/SC.
type Readers interface {
	Readers(context.Context) ([]pcsc.Reader, error)
	Connect(ctx context.Context, reader string) (iso7816.Connection, error)
	WaitForCard(ctx context.Context, want func(pcsc.Reader) bool) (pcsc.Reader, error)
	Close() error
}

// OpenReaders reaches PC/SC.
type OpenReaders func(context.Context, pcsc.Options) (Readers, error)

// Modules are the PKCS#11 modules that the program has loaded.
type Modules = p11.Modules

// NewModules has no module loaded.
func NewModules() *Modules { return p11.NewModules() }

// OpenPCSC reaches the PC/SC daemon.
func OpenPCSC(ctx context.Context, o pcsc.Options) (Readers, error) { return pcsc.Open(ctx, o) }

// WithLastWords has words said when a module takes the process down.
func WithLastWords(ctx context.Context, words func(module string) (text []byte, status int)) context.Context {
	return p11.WithLastWords(ctx, words)
}

// Desk is the world of cards around a command. It is not changed by what is
// done with it, so that several lines can be open at once.
type Desk struct {
	// OpenReaders reaches PC/SC.
	OpenReaders OpenReaders
	// Simulated are the simulated cards.
	Simulated Simulated
	// Modules are the PKCS#11 modules that are loaded.
	Modules *Modules
	// Timeout is how long a card that another program holds is waited for; 0
	// for the usual time.
	Timeout time.Duration
	// Kept may have a line that Open gives, before it looks for a card; nil for
	// none. Keep has a line to a card put there when it is closed.
	Kept *Kept
	Keep bool
	// Meant is which card or token the user means.
	Meant Selection
	// Identify tells the serials of the card on a line, for Selection.Serial.
	Identify func(ctx context.Context, line *Line) (serials []string, err error)
	// Trace is where every APDU is written to; nil for nowhere.
	Trace io.Writer
	// ChildEnv is the environment of other programs, without secrets.
	ChildEnv []string
	// RunProgram runs a program of OpenSC; nil for a child process.
	RunProgram runner.Func
	// StateDir is where things are remembered between runs.
	StateDir func() (string, error)
	// Seen takes the names of what is there; nil takes none.
	Seen *Names
	// Detail is told what those want to know who asked for more; nil tells nobody.
	Detail func(format string, args ...any)
	// Recorder keeps what is done to the card; nil for a command that changes none, or
	// where nothing is kept.
	Recorder Recorder
	// NotLetGo is told why a card was not let go after the work on it was done;
	// where it is nil, that is an error of the work.
	NotLetGo func(error)
}

// Simulated are simulated cards by name.
type Simulated interface {
	Connect(ctx context.Context, name string) (iso7816.Connection, error)
	List() ([]cardsim.Info, error)
}

// Selection is which card or token is meant. What is empty leaves it open.
type Selection struct {
	// Reader is an index, a unique part of a reader's name, or sim:NAME.
	Reader string
	// Serial is a serial, or the ending of one.
	Serial string
	// Module is a path or a name of a PKCS#11 module; ModuleTyped says that it
	// was typed for this command, ReaderTyped and AppTyped the same of Reader and App.
	Module                             string
	ModuleTyped, ReaderTyped, AppTyped bool
	// App is --app, Token the label or URI of a token.
	App, Token string
}

// SimulatedPrefix is what the names of simulated cards' readers begin with.
const SimulatedPrefix = "sim:"

// Access is what a workflow needs of the person who started it.
type Access struct {
	Ask secret.Asker
	// Confirm asks before something is lost; nil is yes, an error ends the work.
	Confirm Confirm
	// AllowLastTry permits a PIN to be sent when one try is left,
	// AllowUnknownTries when nothing tells how many are.
	AllowLastTry, AllowUnknownTries bool
	Now                             func() time.Time
	// Notify tells the user that the card waits: for a touch, for a key
	// generation.
	Notify func(message string)
	// PublicKey is the public half of the key, for a card that does not report it; nil
	// for none.
	PublicKey crypto.PublicKey
	// Expected is what the public half has to be, where everything that the key signs is
	// verified with it: a card is not asked for it then. nil for whatever it is.
	Expected crypto.PublicKey
	// Sent is what became of the PINs of a card that is reached several times; nil for one
	// that is reached once.
	Sent *pin.Memory
}

// Question is what a person confirms.
type Question struct {
	advice.Question
	// Waiting is called before somebody is asked who takes time; nil for nobody.
	Waiting func() error
	// Named is the question once more, after Waiting, which may have found out what
	// the card is called; nil where Question is all there is.
	Named func() advice.Question
}

// Asked is the question as it is shown after Waiting.
func (q Question) Asked() advice.Question {
	if q.Named == nil {
		return q.Question
	}
	return q.Named()
}

// Confirm asks before something is lost; nil is yes, an error ends the work.
type Confirm func(ctx context.Context, q Question) error

// Ask confirms a question that knows what the card is called.
func (c Confirm) Ask(ctx context.Context, q advice.Question) error {
	return c(ctx, Question{Question: q})
}

// Tell is for those who asked for more.
func (d *Desk) Tell(format string, args ...any) {
	if d.Detail != nil {
		d.Detail(format, args...)
	}
}
