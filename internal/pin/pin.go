// Package pin is the one policy for everything with a counter of tries: PINs,
// PUKs, SO PINs, resetting codes, logins to tokens. It reads the state before a
// person is asked and again if time passed, sends a secret once, and looks into
// every answer that is neither yes nor no. How a PIN travels to its card is
// left to its family.
package pin

import (
	"bytes"
	"context"
	"slices"
	"strings"

	"github.com/cardctl/cardctl/internal/advice"
	"github.com/cardctl/cardctl/internal/problem"
	"github.com/cardctl/cardctl/internal/secret"
)

// Role is which of a card's PINs it is, as users name it.
type Role string

// The roles of the command line's contract.
const (
	User      Role = "user"
	Admin     Role = "admin"
	SO        Role = "so"
	PUK       Role = "puk"
	ResetCode Role = "reset-code"
)

// Roles lists them all, in the order the documentation has.
func Roles() []Role { return []Role{User, Admin, SO, PUK, ResetCode} }

// ParseRole reads which PIN is meant. What was typed is not repeated: it may
// be the PIN itself.
func ParseRole(word string) (Role, error) {
	names := make([]string, 0, len(Roles()))
	for _, role := range Roles() {
		if string(role) == word {
			return role, nil
		}
		names = append(names, string(role))
	}
	return "", problem.New(problem.Usage, "unknown PIN name").Because("Valid names: %s.", strings.Join(names, ", "))
}

// RoleOf is the PIN that a flag for a secret gives; false for one that gives
// none of a card's, or another PIN's new value.
func RoleOf(name secret.Name) (Role, bool) {
	switch name {
	case secret.PIN:
		return User, true
	case secret.AdminPIN, secret.CurrentAdminPIN:
		return Admin, true
	case secret.SOPIN, secret.CurrentSOPIN:
		return SO, true
	case secret.PUK:
		return PUK, true
	case secret.ResetCode:
		return ResetCode, true
	}
	return "", false
}

// Secret is what a user gives the PIN by.
func (r Role) Secret() secret.Name {
	names := secret.Names()
	return names[slices.IndexFunc(names, func(name secret.Name) bool {
		role, gives := RoleOf(name)
		return gives && role == r
	})]
}

// Name is the role in a sentence: "user PIN", "resetting code".
func (r Role) Name() string {
	switch r {
	case PUK:
		return "PUK"
	case SO:
		return "SO PIN"
	case ResetCode:
		return "resetting code"
	}
	return string(r) + " PIN"
}

// OnlyInitialising is Final of a PIN with which the keys of a card are lost.
const OnlyInitialising = "Only initialising the card again makes it usable, and its keys are lost."

// PIN is one PIN of one card or token: what it is called, what it may be, and
// how its card is asked about it.
type PIN struct {
	Role Role
	// Label tells it from others of its role on the card; empty for the only
	// one.
	Label string
	// Secret is the flag by which a user gives it.
	Secret secret.Name
	// Holder is what has it: "OpenPGP card 000F12345678".
	Holder string
	// Min and Max are its lengths in bytes; Max is 0 where it is not known.
	Min, Max int
	// Digits says that the card accepts nothing but digits.
	Digits bool
	// Unset says that there is none yet.
	Unset bool
	// Pad says that it is typed at the reader, and never asked for here.
	Pad bool
	// Derived says that the card takes it in key derived format, which PKCS#11
	// modules do not make.
	Derived bool
	// Rescue is what to do if it is blocked. Final says what else helps, and what
	// that costs, where nothing unblocks it.
	Rescue advice.Advice
	Final  string

	// Tries asks the card how many tries are left, which costs none. What was
	// read since the card was taken last is good enough, unless again is set. It
	// is nil for a PIN without a counter.
	Tries func(ctx context.Context, again bool) (Tries, error)
}

// Name is the PIN in a sentence.
func (p PIN) Name() string {
	if p.Label != "" {
		return p.Role.Name() + " " + p.Label
	}
	return p.Role.Name()
}

// request is how a person is asked for it.
func (p PIN) request(left Tries) secret.Request {
	label := p.Name()
	if p.Holder != "" {
		label += " of " + p.Holder
	}
	return secret.Request{Name: p.Secret, Label: label, Note: left.Note()}
}

// CheckLength refuses a value that the card would count as a wrong one, or cut, for its
// length or its characters alone.
func (p PIN) CheckLength(value *secret.Bytes) error {
	n, tooWhat := value.Len(), ""
	switch {
	case p.Digits && bytes.ContainsFunc(value.Reveal(), func(r rune) bool { return r < '0' || r > '9' }):
		return problem.New(problem.Usage, "the %s must have digits only", p.Name()).
			Because("The value given has other characters and was not sent.").Advise(advice.Repeat(advice.Ask(p.Secret)))
	case n == 0 || n < p.Min:
		tooWhat = "too short"
	case p.Max > 0 && n > p.Max:
		tooWhat = "too long"
	default:
		return nil
	}
	length := problem.New(problem.Usage, "the %s must have %d to %d bytes", p.Name(), p.Min, p.Max)
	switch {
	case p.Min == p.Max:
		length = problem.New(problem.Usage, "the %s must have exactly %d bytes", p.Name(), p.Min)
	case p.Max == 0:
		length = problem.New(problem.Usage, "the %s must have at least %d bytes", p.Name(), max(p.Min, 1))
	}
	return length.Because("The value given is %s and was not sent.", tooWhat).Advise(advice.Repeat(advice.Ask(p.Secret)))
}
