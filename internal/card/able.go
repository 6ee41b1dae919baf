package card

import (
	"context"
	"strings"

	"github.com/cardctl/cardctl/internal/advice"
	"github.com/cardctl/cardctl/internal/pin"
	"github.com/cardctl/cardctl/internal/secret"
)

// PINSetter is a card whose PINs can be changed. A role that it does not have
// is a problem.NotSupported that says which it has.
type PINSetter interface {
	SetPIN(ctx context.Context, role pin.Role) (pin.Change, error)
}

// Unblocker is a card on which a blocked PIN gets its tries back.
type Unblocker interface {
	// UnblockPIN says how, by the secret that the user gives; by is empty where
	// the user gives none, and the card's first way is meant.
	UnblockPIN(ctx context.Context, role pin.Role, by secret.Name) (pin.Change, error)
	// UnblockedBy are the secrets that unblock, the usual one first.
	UnblockedBy() []secret.Name
}

// Initialiser is a card that can be erased and given its first PINs.
type Initialiser interface {
	// Survey looks at what is on the card, changes nothing, and refuses what is
	// known not to work.
	Survey(ctx context.Context, o InitOptions) (*Survey, error)
	// Initialise does what was surveyed and confirmed. given holds what Survey
	// asked for; the caller wipes it. An error says what is on the card now.
	Initialise(ctx context.Context, s *Survey, given map[secret.Name]*secret.Bytes) (InitReport, error)
}

// InitOptions are what the user decides about an initialisation.
type InitOptions struct {
	Label string
	// FactoryPINs leaves the PINs that the card comes with.
	FactoryPINs bool
	// Named are the secrets that the user names for this command: one that is wrong ends
	// it, where one that only a variable has is for a card that may have it.
	Named []secret.Name
}

// Survey is what an initialisation will do and what it takes.
type Survey struct {
	Options InitOptions
	// Question is what a person confirms: which card, and what will be lost.
	Question advice.Question
	Report   InitReport
	// Needs are the secrets that are asked for once the question is answered, in
	// this order, and before anything is changed.
	Needs []Need
	// Found is the family's own.
	Found any
}

// Losses is what a question says of the keys and certificates on a card.
func Losses(lost []string) string {
	if len(lost) == 0 {
		return "It holds no keys or certificates."
	}
	return "These will be lost: " + strings.Join(lost, ", ") + "."
}

// Need is a secret that an initialisation takes.
type Need struct {
	Request secret.Request
	// PIN has the lengths that the secret may have.
	PIN pin.PIN
	// OptionalIf makes it optional by what was given before it; nil leaves it to
	// Request.
	OptionalIf func(given map[secret.Name]*secret.Bytes) bool
	// Refused is why it cannot be given; nil where it can.
	Refused error
	// Unless is asked where nobody gives it: nil lets the work go on without.
	Unless func(ctx context.Context) error
}

// InitReport is what an initialisation did.
type InitReport struct {
	Serial      string   `json:"serial"`
	Application string   `json:"application"`
	Erased      bool     `json:"erased"`
	Lost        []string `json:"lost"` // keys and certificates that were on the card
	PINs        string   `json:"pins"` // "new" or "factory"
	// URI names a PKCS#11 token afterwards.
	URI string `json:"uri,omitempty"`
}
