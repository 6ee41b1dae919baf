package token

import (
	"context"

	"github.com/cardctl/cardctl/internal/advice"
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
func (t *Token) pin(of p11.Token, r p11.Role) pin.PIN {
	return described(t.module, of, r, counter{of, r, asker(t.module, of, r, t.line.ChildEnv()), func(ctx context.Context) (p11.PINState, error) {
		return t.module.PINState(ctx, of, r)
	}})
}

// PIN is the user PIN of the token of a session, which is looked at by that; env is
// that of programs that tell the tries.
func PIN(m *p11.Module, s *p11.Session, env []string) pin.PIN {
	of := s.Token()
	return described(m, of, p11.User, counter{of, p11.User, asker(m, of, p11.User, env), func(ctx context.Context) (p11.PINState, error) {
		return s.PINState(ctx, p11.User)
	}})
}

func described(m *p11.Module, of p11.Token, r p11.Role, c counter) pin.PIN {
	p := pin.PIN{
		Role: pin.User, Secret: secret.PIN, Holder: holder(of), Min: int(of.MinPINLength), Max: int(of.MaxPINLength),
		Pad: of.PINPad, Unset: !of.PIN(r).Initialized, Rescue: m.Rescue(of, r),
	}
	if r == p11.SecurityOfficer {
		p.Role, p.Secret = pin.SO, secret.SOPIN
		p.Final = "Only the tool of the token's maker can reset a token whose SO PIN is blocked."
	}
	p.Tries = func(ctx context.Context, _ bool) (pin.Tries, error) { return c.tries(ctx) }
	return p
}

// counter knows how many tries a PIN of a token has left.
type counter struct {
	of p11.Token
	r  p11.Role
	// ask tells the tries where no flag says nothing; nil where it says that there is
	// more than one.
	ask   func(context.Context) (pin.Tries, error)
	state func(context.Context) (p11.PINState, error)
}

// asker asks another program for the tries that a module does not tell.
func asker(m *p11.Module, of p11.Token, r p11.Role, env []string) func(context.Context) (pin.Tries, error) {
	switch {
	case m.CountsTries():
		return nil
	case m.OfTPM():
		return func(ctx context.Context) (pin.Tries, error) { return askTPM(ctx, env) }
	}
	return func(ctx context.Context) (pin.Tries, error) { return askOpenSC(ctx, of, r, env) }
}

// tries are what the token says now: LOCKED is none, FINAL_TRY one, neither more
// than one; of a module that does not always know, neither says nothing.
func (c counter) tries(ctx context.Context) (pin.Tries, error) {
	if !c.of.Initialized {
		return pin.Several(), nil // it has no PINs yet
	}
	state, err := c.state(ctx)
	if err != nil {
		return pin.Unknown(), err
	}
	if left := state.Tries(); left != p11.SeveralTries {
		return pin.Left(left), nil
	}
	if c.ask != nil {
		return c.ask(ctx)
	}
	if state.CountLow {
		return pin.Few(), nil
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
			if r == p11.SecurityOfficer {
				if err := t.leave(); err != nil {
					return err
				}
			}
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
			Because("Only the user PIN can be unblocked, with the SO PIN. A blocked SO PIN stays blocked.").
			Advise(t.module.Rescue(of, p11.User))
	}
	t.announcePad(of)
	return pin.Change{
		By: t.pin(of, p11.SecurityOfficer), New: t.fresh(of, p11.User),
		Set: func(ctx context.Context, so, replacement *secret.Bytes) error {
			if err := t.leave(); err != nil {
				return err
			}
			_, err := t.module.InitPIN(ctx, of, so, replacement)
			return err
		},
	}, nil
}

// initialized is the token that is meant, which has to have PINs, and that one.
func (t *Token) initialized(ctx context.Context, role pin.Role) (p11.Token, error) {
	if role != pin.User && role != pin.SO {
		return p11.Token{}, problem.New(problem.NotSupported, "a PKCS#11 token has no such PIN").
			Because("Its PINs: %s, %s.", pin.User, pin.SO).Advise(advice.Repeat().On(string(pin.User)))
	}
	of, err := t.module.FindInitialized(ctx, t.uri)
	t.seen = of
	return of, err
}

// leave ends the session: the SO cannot log in beside one that only reads.
func (t *Token) leave() error {
	s := t.session
	t.session = nil
	return s.Close()
}

func (t *Token) announcePad(of p11.Token) {
	if of.PINPad {
		t.access.Notify("enter the PINs of the token " + of.Label + " on the reader")
	}
}
