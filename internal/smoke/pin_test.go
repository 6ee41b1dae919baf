//go:build cgo

package smoke_test

import (
	"context"
	"errors"
	"testing"

	"github.com/cardctl/cardctl/internal/p11"
	"github.com/cardctl/cardctl/internal/pin"
	"github.com/cardctl/cardctl/internal/problem"
	"github.com/cardctl/cardctl/internal/secret"
	"github.com/cardctl/cardctl/internal/smoke"
	"github.com/cardctl/cardctl/test/softhsm"
)

// Which PIN the token takes, how many tries it has and what it may be, the card
// knows better than the module.
func TestTheCardKnowsItsPIN(t *testing.T) {
	token := softhsm.New(t, "own")
	token.Generate(t, "EC:prime256v1", 1, "key")
	unknown := func(context.Context, bool) (pin.Tries, error) { return pin.Unknown(), nil }
	saying := func(tries func(context.Context, bool) (pin.Tries, error)) func(*p11.Module, *p11.Session) pin.PIN {
		return func(*p11.Module, *p11.Session) pin.PIN { return pin.PIN{Role: pin.User, Tries: tries} }
	}
	tests := []struct {
		name   string
		typed  string
		change func(*smoke.Options)
		code   problem.Code
		tries  int // that the error tells, -1 for none
		asked  int
	}{
		{"the token of the key's PIN", token.PIN, func(o *smoke.Options) { o.Holder.SeveralPINs, o.Holder.Token = true, "own" }, "", -1, 1},
		{"the token of another PIN", token.PIN, func(o *smoke.Options) { o.Holder.SeveralPINs, o.Holder.Token = true, "else" }, problem.TriesUnknown, -1, 0},
		{"a token of which that is not known", token.PIN, func(o *smoke.Options) { o.Holder.SeveralPINs = true }, problem.TriesUnknown, -1, 0},
		{"nobody knows the tries", token.PIN, func(o *smoke.Options) { o.PIN.Tries, o.TokenPIN = unknown, saying(unknown) }, problem.TriesUnknown, -1, 0},
		{"the module knows that it is the last", token.PIN, func(o *smoke.Options) {
			o.PIN.Tries = unknown
			o.TokenPIN = saying(func(context.Context, bool) (pin.Tries, error) { return pin.Left(1), nil })
		}, problem.PINBlocked, 1, 0},
		{"the module knows of several", token.PIN, func(o *smoke.Options) { o.PIN.Tries = unknown }, "", -1, 1},
		{"in key derived format", token.PIN, func(o *smoke.Options) { o.PIN.Derived = true }, problem.NotSupported, -1, 0},
		{"the card counts none", token.PIN, func(o *smoke.Options) { o.PIN.Tries = nil }, "", -1, 1},
		{"shorter than the card's", "123456", func(o *smoke.Options) { o.PIN.Min = 8 }, problem.Usage, -1, 1},
		{"longer than the card's", token.PIN, func(o *smoke.Options) { o.PIN.Max = 8 }, problem.Usage, -1, 1},
		{"the card is another one", token.PIN, func(o *smoke.Options) {
			o.PIN.Tries = func(context.Context, bool) (pin.Tries, error) {
				return pin.Unknown(), problem.New(problem.CardChanged, "another card")
			}
		}, problem.CardChanged, -1, 0},
		{"the card counts a wrong one", "000000", func(o *smoke.Options) {
			left := 4
			o.PIN.Tries = func(context.Context, bool) (pin.Tries, error) { left--; return pin.Left(left), nil }
		}, problem.PINIncorrect, 2, 1},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			asked := 0
			o := options(t, token, "%01")
			o.PIN = counted(3)
			o.Policy = policy(func(_ context.Context, r secret.Request) (*secret.Bytes, error) {
				asked++
				return secret.New([]byte(test.typed)), nil
			})
			test.change(&o)
			report, err := run(t.Context(), o)
			if test.code == "" && err != nil || test.code != "" && !problem.Is(err, test.code) || report.Passed != (test.code == "") {
				t.Errorf("passed %v, %v", report.Passed, err)
			}
			var told *problem.Error
			if errors.As(err, &told) && test.tries >= 0 && (told.TriesLeft == nil || *told.TriesLeft != test.tries) {
				t.Errorf("tries left: %v", told.TriesLeft)
			}
			if asked != test.asked {
				t.Errorf("asked %d times", asked)
			}
		})
	}
}

// After a PIN that was not accepted no other key is looked at, whatever the
// answer was: its token may have the same PIN.
func TestAFailedLoginEndsTheRun(t *testing.T) {
	one, two := softhsm.New(t, "first"), softhsm.New(t, "next")
	one.Generate(t, "EC:prime256v1", 1, "key")
	two.Generate(t, "EC:prime256v1", 1, "key")
	asked := 0
	var all []smoke.Options
	for _, token := range []softhsm.Token{one, two} {
		o := options(t, token, "%01")
		o.Policy = policy(func(context.Context, secret.Request) (*secret.Bytes, error) {
			asked++
			return nil, errors.New("odd")
		})
		all = append(all, o)
	}
	reports, err := smoke.RunAll(t.Context(), all)
	if err == nil || asked != 1 || len(reports) != 2 || len(reports[1].Checks) > 0 {
		t.Errorf("asked %d times, %+v, %v", asked, reports, err)
	}
}
