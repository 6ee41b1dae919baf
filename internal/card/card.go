// Package card is the contract between workflows and families: what a kind of
// card is, and what every card can be asked or told. It decides nothing and
// sends nothing: that is left to families and workflows.
package card

import (
	"cmp"
	"context"
	"errors"
	"slices"

	"github.com/cardctl/cardctl/internal/advice"
	"github.com/cardctl/cardctl/internal/desk"
	"github.com/cardctl/cardctl/internal/iso7816"
	"github.com/cardctl/cardctl/internal/key"
	"github.com/cardctl/cardctl/internal/pin"
)

// PINForm is what new values of a PIN are like.
type PINForm struct {
	// Least and Most are lengths in bytes; 0 for a greatest one that differs.
	Least, Most int
	// Digits says that it has digits only.
	Digits bool
}

// Family is a kind of card or token, as one value.
type Family struct {
	// Apps are its names in --app: one, or one for each application that it
	// opens.
	Apps []string
	// Kind is what a card of it is called: "OpenPGP card".
	Kind string
	// Example is a reference to one of its keys, Syntax how they are all named.
	// Both are empty where it has none.
	Example, Syntax string
	// Roles are the PINs that its cards may have.
	Roles []pin.Role
	// PINForm is what new values of a PIN are like on all its cards; one card may take less.
	// It is nil where each card tells that itself.
	PINForm func(role pin.Role) PINForm
	// Initialises are those of Apps that can be initialised.
	Initialises []string
	// NamesHolder says that its cards keep whom they belong to.
	NamesHolder bool
	// Managed says that its cards have a management key.
	Managed bool
	// Token says that it is reached through a PKCS#11 module, not by commands.
	Token bool
	// Lent says that its cards are let go for other programs, which write to them.
	Lent bool

	// Parse reads what a user types after --key; false where it is not of this
	// family. An error does not repeat what may be a secret.
	Parse func(reference string) (key.Reference, bool, error)

	// Name adds the ID, in hex, and the label of a new key to a reference that
	// leaves them open; nil where references are whole.
	Name func(ref key.Reference, id, label string) (key.Reference, error)

	// Probes are the applications by whose SELECT a card of it is known.
	Probes []Probe

	// Describe adds what the card tells of itself beyond the answers to the
	// probes: serial, version, label. It is nil where there is nothing to add.
	Describe func(ctx context.Context, line *desk.Line, found *Identity) error

	// Strangers describes a card that no family knows, and whose serial nothing told,
	// through another program; Open opens it then. An error means that this program
	// does not know it either, or that nothing can be read any more. It is nil for a
	// family that knows only its own.
	Strangers func(ctx context.Context, line *desk.Line, found *Identity) error

	// KnownKeys says whether others may know the keys that the card is managed
	// with; told is false for a card that has none. It is nil for a kind without
	// such keys.
	KnownKeys func(ctx context.Context, line *desk.Line) (known, told bool, err error)

	// Exposure tells what of the card others may know; nothing is tried for that. It is
	// nil of a card of another family, and for a kind that tells nothing.
	Exposure func(ctx context.Context, line *desk.Line) (*Exposure, error)

	// Chip is the serial of the chip that the card on a line is, whatever applications are
	// on it; empty where it does not tell. It is nil for a kind that knows no chips.
	Chip func(ctx context.Context, line *desk.Line) (string, error)

	// InstanceSerial is the serial of a card by the AID of the application on it; empty
	// where the AID does not have it. WithNumber is the same AID with another number in the
	// serial. Both are nil where AIDs have no serials.
	InstanceSerial func(aid []byte) string
	WithNumber     func(aid []byte, number uint32) []byte

	// Open opens the card, blank ones too. It is nil for a kind that is known
	// and cannot be used yet. The line compares the card from then on.
	Open func(ctx context.Context, line *desk.Line, o Opening) (Card, error)
}

// Exposure is what others may know of a card.
type Exposure struct {
	// Factory are the PINs and keys that the card reports to be those of the factory.
	Factory []FactoryValue
	// Unknown are those of which it does not report whether they are.
	Unknown []string
	// Weak are the keys that can be computed from their public keys, Why the reason.
	Weak []string
	Why  string
}

// FactoryValue is a PIN or a key of the factory, by its name, and what changes it.
type FactoryValue struct {
	Name   string
	Change advice.Advice
}

// Opening is what is opened and for whom.
type Opening struct {
	// App is one of the family's Apps; Named says that the user named it, so
	// that it is worth another program's run to find it.
	App   string
	Named bool
	key.Access
}

// Probe is an application that is looked for by SELECT. A card whose first
// application it is, is called Type.
type Probe struct {
	App, Type string
	AID       []byte
	// Beside says that it is an applet which others are known to share a card with:
	// also a command that has no round trip to waste looks for it before it takes
	// another application for the only one.
	Beside bool
	// Confirm asks the selected application for what only it has, where 9000 alone
	// says nothing: on a card that selects any name. Nil is a no.
	Confirm func(ctx context.Context, ch *iso7816.Channel) (bool, error)
	// Alone says by the historical bytes of the ATR that a card is one of this
	// application, and has no place for others; nil where they do not tell.
	Alone func(historical []byte) bool
	// Answer looks at the answer to SELECT and tells what the application is,
	// nil where it is not there after all. Where it is nil, the name in the answer
	// decides, or Confirm.
	Answer func(ctx context.Context, ch *iso7816.Channel, answer []byte, err error) (*Application, error)
}

// Identity is what a card is.
type Identity struct {
	Type         string        `json:"type"`
	Serial       string        `json:"serial,omitempty"`
	Label        string        `json:"label,omitempty"`
	State        string        `json:"state,omitempty"` // "terminated" after an interrupted erasure
	Applications []Application `json:"applications"`
	// Through is the program that the keys and certificates are read through, where
	// cardctl does not read them itself.
	Through string `json:"readThrough,omitempty"`
	// Read says that keys and certificates were read: only then an empty list of them
	// means that there are none.
	Read bool `json:"-"`
	// Unread are the names of applications that were not read, and why.
	Unread []Unread `json:"-"`
	// Thorough asks for the serial also where that takes more commands.
	Thorough bool `json:"-"`
	// Permanent says that the serial is the maker's: nothing that is written to the card
	// changes it.
	Permanent bool `json:"-"`
}

// Unread is something on a card that was not read, and why.
type Unread struct {
	What string `json:"object"`
	Why  string `json:"reason"`
}

// Borrower is a card that is read through another program.
type Borrower interface {
	// Through is the name of the program; empty where none is needed.
	Through() string
}

// Numbered is a card whose serial opening does not tell.
type Numbered interface {
	// Number reads what Identity needs for the serial. A card that has none yet is no
	// error.
	Number(ctx context.Context) error
}

// Application is one application on a card. AID is upper-case hex.
type Application struct {
	Name    string `json:"name"`
	Version string `json:"version,omitempty"`
	AID     string `json:"aid"`
	// Serial is that of the application, where it has one and the card has another.
	Serial string `json:"serial,omitempty"`
	// State is that of the card, where the application makes it one of its own.
	State string `json:"-"`
}

// Of is the card as far as these applications are concerned, without a serial.
func (i *Identity) Of(applications []string) Identity {
	one := *i
	one.Serial = ""
	one.Applications = slices.DeleteFunc(slices.Clone(i.Applications), func(a Application) bool {
		return !slices.Contains(applications, a.Name)
	})
	return one
}

// Has reports whether the card has an application.
func (i *Identity) Has(application string) bool {
	return slices.ContainsFunc(i.Applications, func(a Application) bool { return a.Name == application })
}

// Add takes over what an opened application tells and the answers to the probes
// did not.
func (i *Identity) Add(told Identity) {
	i.Type = cmp.Or(i.Type, told.Type)
	i.Serial, i.Label, i.State = cmp.Or(i.Serial, told.Serial), cmp.Or(i.Label, told.Label), cmp.Or(i.State, told.State)
	for _, a := range told.Applications {
		at := slices.IndexFunc(i.Applications, func(b Application) bool { return b.Name == a.Name })
		if at < 0 {
			i.Applications = append(i.Applications, a)
		} else {
			i.Applications[at] = a
		}
	}
}

// Second keeps the serial of an application where the card is called by another.
func (i *Identity) Second(application, serial string) {
	for n := range i.Applications {
		if a := &i.Applications[n]; a.Name == application && serial != i.Serial {
			a.Serial = serial
		}
	}
}

// Card is one card or token that is open. The line that it was opened on is
// closed by who opened that.
type Card interface {
	// Identity is what the card is, as far as opening it told.
	Identity() Identity

	// Key is the place that a reference names; it may be empty.
	Key(ctx context.Context, ref key.Reference) (key.Key, error)

	// Keys are all places that hold a key or a certificate, and the empty ones
	// of a card with a fixed number of them.
	Keys(ctx context.Context) ([]key.Key, error)

	// PINs are all PINs of the card.
	PINs(ctx context.Context) ([]pin.PIN, error)

	// Facts are what info shows beside identity, keys and PINs.
	Facts(ctx context.Context) ([]Fact, error)
}

// Detailer is a card that tells more to those who want details.
type Detailer interface {
	Details(ctx context.Context) ([]Fact, error)
}

// Objecter is a card with data objects that programs show as they are on it.
type Objecter interface {
	// Objects are these, by their tags, read now. Those that the card does not have are not
	// there.
	Objects(ctx context.Context) (map[uint32][]byte, error)
}

// ErrLacks is a card without the application that is opened. The error that
// Open returns is a problem with this cause.
var ErrLacks = errors.New("the card does not have the application")

// Fact is something that a card tells and that is of no use to a workflow.
type Fact struct {
	// Field is its name in documents, Value what stands there.
	Field string
	Value any
	// Brief are what stands beside the name of the card, Lines below everything
	// else.
	Brief, Lines []Line
}

// Line is a label and what stands behind it. One without a value is a heading.
type Line struct{ Label, Value string }
