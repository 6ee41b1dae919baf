package card

import (
	"context"
	"slices"
	"strings"

	"github.com/cardctl/cardctl/internal/advice"
	"github.com/cardctl/cardctl/internal/pin"
	"github.com/cardctl/cardctl/internal/problem"
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
	// PINTries and PUKTries are how often PIN and PUK can be wrong; 0 leaves it to the
	// card.
	PINTries, PUKTries int
	// Management is what is decided about the key that the card is managed with.
	Management NewManagementKey
	// Derived says whether the card should get its PINs in derived form only; nil leaves
	// it as an erased card has it.
	Derived *bool
	// Serial is the serial that a card gets of which cardctl chooses it, in upper-case
	// hex; empty for a random one.
	Serial string
	// Named are the secrets that the user names for this command: one that is wrong ends
	// it, where one that only a variable has is for a card that may have it.
	Named []secret.Name
}

// Choosing is a card with more to decide than a label.
type Choosing interface {
	// InitChoices are the fields of InitOptions that it has.
	InitChoices() []advice.Field
}

// Beyond refuses what the user decided and a card does not have; has is what it has.
func (o InitOptions) Beyond(has []advice.Field) error {
	for _, option := range []struct {
		field advice.Field
		set   bool
		what  string
	}{
		{advice.Label, o.Label != "", "a label"},
		{advice.PINTries, o.PINTries != 0, "a number of PIN tries to choose"},
		{advice.KDF, o.Derived != nil, "a KDF for its PINs"},
		{advice.PUKTries, o.PUKTries != 0, "a number of PUK tries to choose"},
		{advice.GenerateManagementKey, o.Management.File != "", "a management key"},
		{advice.ProtectManagementKey, o.Management.Protect, "a management key"},
		{advice.ManagementAlgorithm, o.Management.Algorithm != "", "a management key"},
		{advice.TouchPolicy, o.Management.Touch, "a management key"},
	} {
		if option.set && !slices.Contains(has, option.field) {
			return problem.New(problem.NotSupported, "this card does not have %s", option.what).Advise(advice.Repeat().Without(option.field))
		}
	}
	return nil
}

// NewManagementKey is what the user decides about the new key that a card is managed
// with. Without File and Protect it is asked for.
type NewManagementKey struct {
	// File is where a random key is written before the card has it; empty for none.
	File string
	// Protect has the card keep a random key, which the PIN opens.
	Protect bool
	// Algorithm is its name; empty leaves it to the length, and else to the card.
	Algorithm string
	// Touch says that each use has to be confirmed by a touch of the card.
	Touch bool
}

// Random says that cardctl makes the key.
func (n NewManagementKey) Random() bool { return n.File != "" || n.Protect }

// Manageable is a card with a key that it is managed with, and that can be changed.
type Manageable interface {
	// SetManagementKey changes it. An error says which one the card has.
	SetManagementKey(ctx context.Context, n NewManagementKey) (ManagementKeyReport, error)
}

// ManagementKeyReport is what the management key of a card is now.
type ManagementKeyReport struct {
	Algorithm string `json:"algorithm"`
	Touch     bool   `json:"touch"`
	// Protected says that the card keeps it, and the PIN opens it.
	Protected bool `json:"protected"`
	// File is where it is; empty where it was given.
	File string `json:"file,omitempty"`
}

// Preset is a card whose PINs have values before anybody sets them, that everybody knows.
type Preset interface {
	// Unused reports whether nothing was put on the card, as far as it tells that of its
	// own accord, and no PIN was set or entered wrongly.
	Unused(ctx context.Context) (bool, error)
	// Incomplete reports whether initialising such a card writes more than its PINs.
	Incomplete() bool
	// Preset is the value of a secret then; nil where it has none.
	Preset(name secret.Name) *secret.Bytes
	// HasPreset reports whether the card has this value now; told is false for a card that
	// does not tell.
	HasPreset(ctx context.Context, name secret.Name) (has, told bool, err error)
}

// Survey is what an initialisation will do and what it takes.
type Survey struct {
	Options InitOptions
	// Blank says that nothing will be lost: the card was never used, or is erased.
	Blank bool
	// MayHave says that the card may have secrets of an initialisation that was interrupted
	// although it is blank, and keeps them.
	MayHave bool
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
	PINs        string   `json:"pins"` // "new", "factory" or "unchanged"
	// ManagementKey is nil where it is not known to be new.
	ManagementKey *ManagementKeyReport `json:"managementKey,omitempty"`
	// FactoryValues are those of PINs and keys that are known to be the factory's,
	// Stayed what the card did not let go.
	FactoryValues []string `json:"factoryValues,omitempty"`
	Stayed        []string `json:"stayed,omitempty"`
	// Derived says that the card gets its PINs in derived form only.
	Derived bool `json:"kdf,omitempty"`
	// URI names a PKCS#11 token afterwards.
	URI string `json:"uri,omitempty"`
}
