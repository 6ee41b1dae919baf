package secret

import (
	"context"
	"errors"
	"strings"
)

// Name is which secret is wanted. It is the name of the flag that gives its
// source, and with CARDCTL_ in front, in upper case and with underscores, the
// environment variable that holds it where the flag is not given.
type Name string

// The secrets of the command line's contract.
const (
	PIN             Name = "pin"
	AdminPIN        Name = "admin-pin"
	CurrentAdminPIN Name = "current-admin-pin"
	CurrentSOPIN    Name = "current-so-pin"
	SOPIN           Name = "so-pin"
	PUK             Name = "puk"
	ResetCode       Name = "reset-code"
	NewPIN          Name = "new-pin"
	Password        Name = "password"
	ManagementKey   Name = "management-key"
	CardKeys        Name = "card-keys"
	NewCardKeys     Name = "new-card-keys"

	CurrentManagementKey Name = "current-management-key"
	NewManagementKey     Name = "new-management-key"

	ChallengePassword Name = "challenge-password"

	IssuerSecret Name = "issuer-secret"
	IssuerPIN    Name = "issuer-pin"

	LedgerPassword Name = "ledger-password"
)

// Words on the command line that stand for a secret, which the card or everybody knows.
const (
	FactoryValue = "default"   // that with which cards leave the factory
	StoredOnCard = "protected" // the one that the card keeps, and the PIN opens
)

// Manages reports whether it is a key that a card is managed with.
func (n Name) Manages() bool {
	return n == ManagementKey || n == CurrentManagementKey || n == NewManagementKey
}

// Words are what a person calls the secret.
func (n Name) Words() string {
	if n == ResetCode {
		return "resetting code"
	}
	return strings.NewReplacer("-", " ", "pin", "PIN", "so", "SO", "puk", "PUK").Replace(string(n))
}

// Request says which secret a workflow needs and what a person has to know to
// type it.
type Request struct {
	Name Name
	// Label names the secret on a prompt: "user PIN of OpenPGP card 000F12345678".
	Label string
	// Note is shown beside it: "3 tries left".
	Note string
	// New asks for it twice at a prompt.
	New bool
	// Optional makes an absent secret nil and no error; it is never prompted for.
	Optional bool
	// Waiting is called before something that takes time: a person is asked, a
	// program is run. Its error is that of the request. nil is for nobody.
	Waiting func() error
}

// Asker hands out the secrets of one run of a command. The caller wipes what
// it gets. A secret that is missing, where nobody can be asked, is a
// problem.Usage.
type Asker func(ctx context.Context, r Request) (*Bytes, error)

// ErrMissing is a secret that nobody gives, and that nobody can be asked for.
var ErrMissing = errors.New("the secret is missing")
