package cardinit

import (
	"context"
	"errors"
	"strings"

	"github.com/cardctl/cardctl/internal/advice"
	"github.com/cardctl/cardctl/internal/card"
	"github.com/cardctl/cardctl/internal/desk"
	"github.com/cardctl/cardctl/internal/family"
	"github.com/cardctl/cardctl/internal/key"
	"github.com/cardctl/cardctl/internal/pin"
	"github.com/cardctl/cardctl/internal/problem"
	"github.com/cardctl/cardctl/internal/secret"
)

// PINReport is what SetPIN and UnblockPIN did.
type PINReport struct {
	// Reader is where the card is; Kind what it is called.
	Reader string   `json:"reader"`
	Kind   string   `json:"-"`
	Serial string   `json:"serial"`
	PIN    pin.Role `json:"pin"`
}

// Roles are the PINs that a user can name.
func Roles() []string {
	var names []string
	for _, role := range pin.Roles() {
		names = append(names, string(role))
	}
	return names
}

// PINApps are the names in --app of what has PINs that can be changed.
func PINApps() []string {
	return family.Apps(family.HasKeys)
}

// SetPIN changes a PIN of the card that is meant, or sets its resetting code.
func SetPIN(ctx context.Context, d *desk.Desk, a desk.Access, which string, given []secret.Name) (PINReport, error) {
	return change(ctx, d, a, which, given, "set-pin", setting)
}

// setting is how a PIN of a card is changed.
func setting(ctx context.Context, c card.Card, role pin.Role) (pin.Change, error) {
	able, ok := c.(card.PINSetter)
	if !ok {
		return pin.Change{}, problem.New(problem.NotSupported, "the PINs of this card cannot be changed")
	}
	return able.SetPIN(ctx, role)
}

// UnblockPIN unblocks a PIN of the card that is meant and gives it a new value, by
// a secret that the user names, or that the environment has, or else by the one
// that the card usually takes.
func UnblockPIN(ctx context.Context, d *desk.Desk, a desk.Access, which string, given, environment []secret.Name) (PINReport, error) {
	return change(ctx, d, a, which, given, "unblock-pin", func(ctx context.Context, c card.Card, role pin.Role) (pin.Change, error) {
		able, err := unblocker(c)
		if err != nil {
			return pin.Change{}, err
		}
		by, err := by(able.UnblockedBy(), given, environment)
		if err != nil {
			return pin.Change{}, err
		}
		return able.UnblockPIN(ctx, role, by)
	})
}

func unblocker(c card.Card) (card.Unblocker, error) {
	able, ok := c.(card.Unblocker)
	if !ok {
		return nil, problem.New(problem.NotSupported, "the PINs of this card cannot be unblocked")
	}
	return able, nil
}

// UnblockPINOn gives a PIN of a card another value by the secret that the card usually
// takes for that; the policy asks for both.
func UnblockPINOn(ctx context.Context, here family.At, c card.Card, role pin.Role) error {
	what := "unblock-pin " + string(role)
	able, err := unblocker(c)
	if err != nil {
		return err
	}
	change, err := able.UnblockPIN(ctx, role, able.UnblockedBy()[0])
	if err != nil {
		return key.Explain(err, what, "")
	}
	return explained(here.Keys.Policy.Change(ctx, change), what)
}

// by is the secret that unblocks.
func by(ways, given, environment []secret.Name) (secret.Name, error) {
	var named []secret.Name
	for _, name := range given {
		if name != secret.NewPIN {
			named = append(named, name)
		}
	}
	switch {
	case len(named) > 1:
		return "", problem.New(problem.Usage, "two secrets were given to unblock the PIN").
			Because("Either the %s or the %s is enough.", named[0].Words(), named[1].Words()).
			Advise(advice.Repeat().Without(advice.Field(named[1])))
	case len(named) == 1:
		return named[0], nil
	}
	for _, way := range ways {
		for _, name := range environment {
			if name == way {
				return way, nil
			}
		}
	}
	return ways[0], nil
}

func change(ctx context.Context, d *desk.Desk, a desk.Access, which string, given []secret.Name, verb string,
	how func(context.Context, card.Card, pin.Role) (pin.Change, error)) (PINReport, error) {
	role, err := pin.ParseRole(which)
	report := PINReport{PIN: role}
	if err != nil {
		return report, err
	}
	what := verb + " " + which
	w := family.Wanted{Takes: PINApps(), Role: role, Given: given}
	err = family.WithCard(ctx, d, w, a, func(ctx context.Context, here family.At, c card.Card) error {
		report.Reader, report.Kind = here.Place, here.Kind()
		change, err := how(ctx, c, role)
		report.Serial = c.Identity().Serial // which finding the PIN may have told
		if err != nil {
			return key.Explain(err, what, "")
		}
		err = here.Keys.Policy.Change(ctx, change)
		if err == nil {
			here.Recording.Changed(desk.Change{Secret: role.Secret()})
		}
		return explained(err, what)
	})
	return report, err
}

// SetPINOn changes a PIN of a card, by the values that the policy asks for.
func SetPINOn(ctx context.Context, here family.At, c card.Card, role pin.Role) error {
	what := "set-pin " + string(role)
	change, err := setting(ctx, c, role)
	if err != nil {
		return key.Explain(err, what, "")
	}
	return explained(here.Keys.Policy.Change(ctx, change), what)
}

// CanSetPINOn is why a PIN of the open card cannot be changed; nil if it can. Nothing is sent
// for that which changes the card.
func CanSetPINOn(ctx context.Context, c card.Card, role pin.Role) error {
	_, err := setting(ctx, c, role)
	return key.Explain(err, "set-pin "+string(role), "")
}

// explained says what became of a PIN that was to be changed.
func explained(err error, what string) error {
	var told *pin.StateError
	if errors.As(err, &told) {
		return key.Explain(told, what, told.State) // who asks for it finds it again
	}
	return key.Explain(err, what, "")
}

// WhichPIN is how help names the argument.
func WhichPIN() string { return strings.Join(Roles(), "|") }
