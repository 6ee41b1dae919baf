package token

import (
	"context"

	"github.com/cardctl/cardctl/internal/p11"
	"github.com/cardctl/cardctl/internal/pin"
	"github.com/cardctl/cardctl/internal/problem"
	"github.com/cardctl/cardctl/internal/secret"
)

// PINs are those of the user and of the security officer.
func (t *Token) PINs(ctx context.Context) ([]pin.PIN, error) {
	session, err := t.open(ctx, t.uri)
	if err != nil {
		return nil, err
	}
	return []pin.PIN{t.pin(session.Token(), p11.User), t.pin(session.Token(), p11.SecurityOfficer)}, nil
}

// pin is a PIN of a token for the policy.
func (t *Token) pin(of p11.Token, r p11.Role) pin.PIN { return PIN(t.module, of, r, t.line.ChildEnv()) }

// PIN is a PIN of a token that a module shows; env is that of OpenSC's programs,
// which are asked where OpenSC's module does not tell.
func PIN(m *p11.Module, of p11.Token, r p11.Role, env []string) pin.PIN {
	p := pin.PIN{
		Role: pin.User, Secret: secret.PIN, Holder: holder(of), Min: int(of.MinPINLength), Max: int(of.MaxPINLength),
		Pad: of.PINPad, Unset: !of.PIN(r).Initialized, Rescue: "cardctl unblock-pin user --so-pin prompt --new-pin prompt",
	}
	if r == p11.SecurityOfficer {
		p.Role, p.Secret = pin.SO, secret.SOPIN
		p.Rescue = "a token whose SO PIN is blocked can only be made new by its maker's own tool"
	}
	p.Tries = func(ctx context.Context, _ bool) (pin.Tries, error) { return tries(ctx, m, of, r, env) }
	return p
}

// tries are what the token says now: LOCKED is none, FINAL_TRY one, neither more
// than one; of a module that does not always know, neither says nothing.
func tries(ctx context.Context, m *p11.Module, of p11.Token, r p11.Role, env []string) (pin.Tries, error) {
	if !of.Initialized {
		return pin.Several(), nil // it has no PINs yet
	}
	state, err := m.PINState(ctx, of, r)
	if err != nil {
		return pin.Unknown(), err
	}
	if left := state.Tries(); left != p11.SeveralTries {
		return pin.Left(left), nil
	}
	if !m.CountsTries() {
		return askOpenSC(ctx, of, r, env)
	}
	return pin.Several(), nil
}

// fresh is a PIN that the token does not have yet: nothing is counted.
func (t *Token) fresh(of p11.Token, r p11.Role) pin.PIN {
	p := t.pin(of, r)
	p.Tries = nil
	return p
}

// SetPIN changes the user PIN or the SO PIN.
func (t *Token) SetPIN(ctx context.Context, role pin.Role) (pin.Change, error) {
	of, err := t.initialized(ctx, role)
	if err != nil {
		return pin.Change{}, err
	}
	r := p11.User
	if role == pin.SO {
		r = p11.SecurityOfficer
	}
	t.announcePad(of)
	return pin.Change{
		By: t.pin(of, r), New: t.fresh(of, r),
		Set: func(ctx context.Context, old, replacement *secret.Bytes) error {
			_, err := t.module.SetPIN(ctx, of, r, old, replacement)
			return err
		},
	}, nil
}

// UnblockedBy is the SO PIN.
func (t *Token) UnblockedBy() []secret.Name { return []secret.Name{secret.SOPIN} }

// UnblockPIN sets the user PIN by the SO PIN, which gives a blocked one its tries
// back.
func (t *Token) UnblockPIN(ctx context.Context, role pin.Role, by secret.Name) (pin.Change, error) {
	of, err := t.initialized(ctx, role)
	if err != nil {
		return pin.Change{}, err
	}
	if role != pin.User || by != secret.SOPIN {
		return pin.Change{}, problem.New(problem.NotSupported, "a PKCS#11 token cannot do that").
			Because("The user PIN is unblocked with --so-pin; a blocked SO PIN stays blocked.").
			Hint("cardctl unblock-pin user --so-pin prompt --new-pin prompt")
	}
	t.announcePad(of)
	return pin.Change{
		By: t.pin(of, p11.SecurityOfficer), New: t.fresh(of, p11.User),
		Set: func(ctx context.Context, so, replacement *secret.Bytes) error {
			_, err := t.module.InitPIN(ctx, of, so, replacement)
			return err
		},
	}, nil
}

// initialized is the token that is meant, which has to have PINs, and that one.
func (t *Token) initialized(ctx context.Context, role pin.Role) (p11.Token, error) {
	if role != pin.User && role != pin.SO {
		return p11.Token{}, problem.New(problem.NotSupported, "a PKCS#11 token has no such PIN").Because("It has user and so.")
	}
	of, err := t.module.FindInitialized(ctx, t.uri)
	t.seen = of
	return of, err
}

func (t *Token) announcePad(of p11.Token) {
	if of.PINPad {
		t.access.Notify("type the PINs of the token " + of.Label + " at the reader")
	}
}
