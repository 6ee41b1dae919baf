package smoke

import (
	"context"
	"errors"
	"strings"

	"github.com/cardctl/cardctl/internal/advice"
	"github.com/cardctl/cardctl/internal/cert"
	"github.com/cardctl/cardctl/internal/desk"
	"github.com/cardctl/cardctl/internal/family"
	"github.com/cardctl/cardctl/internal/key"
	"github.com/cardctl/cardctl/internal/p11"
	"github.com/cardctl/cardctl/internal/pin"
	"github.com/cardctl/cardctl/internal/problem"
)

// Prove makes the checks for several keys of the cards and tokens that are meant:
// what a module has to show is read from each card, which is let go for the module
// and is the same one when it is taken again.
func Prove(ctx context.Context, d *desk.Desk, a desk.Access, references []string, o Options) ([]Report, error) {
	o.Load, o.Notify, o.Now = d.Modules.Load, a.Notify, a.Now
	o.TokenPIN = func(m *p11.Module, s *p11.Session) pin.PIN { return family.TokenPIN(d, m, s) }
	p := &proof{desk: d, access: a, options: o}
	err := p.read(ctx, references)
	return p.reports, err
}

// proof is one run of Prove.
type proof struct {
	desk    *desk.Desk
	access  desk.Access
	options Options
	tests   []Options
	reports []Report
}

// read reads the first key that was not read yet from its card, whose line stays
// open until all is done.
func (p *proof) read(ctx context.Context, references []string) (err error) {
	if len(references) == 0 {
		p.reports, err = RunAll(ctx, p.tests)
		return err
	}
	ref, f, err := family.Parse(references[0])
	if err != nil {
		return err
	}
	test := p.options
	test.Key = ref.String()
	if f.Token {
		if test.URI, err = p11.ParseURI(ref.String()); err != nil {
			return err
		}
		test.Policy = family.Policy(p.access)
		p.tests = append(p.tests, test)
		return p.read(ctx, references[1:])
	}
	return family.WithKey(ctx, p.desk, references[0], p.access, func(ctx context.Context, here family.At, k key.Key) error {
		if err := p.fromCard(ctx, &test, here, k); err != nil {
			return err
		}
		p.tests = append(p.tests, test)
		return p.read(ctx, references[1:])
	})
}

// fromCard reads what the module has to show, and lets the card go.
func (p *proof) fromCard(ctx context.Context, test *Options, here family.At, k key.Key) (err error) {
	if here.Line.Reader() == "" {
		return problem.New(problem.NotSupported, "a PKCS#11 module does not see an in-process simulated card").
			Because("Modules see only the cards in PC/SC readers, virtual ones included.").
			Advise(advice.Do(advice.AttachSimulated).On(strings.TrimPrefix(here.Place, desk.SimulatedPrefix)))
	}
	test.Reader, test.Policy = here.Line.Reader(), here.Keys.Policy
	if test.Holder, err = k.Holder(ctx); err != nil {
		return err
	}
	if test.Public, err = k.Public(ctx); err != nil {
		return err
	}
	if test.Certificate, err = certificateOf(ctx, k, test.Stored); err != nil {
		return err
	}
	if test.PIN, err = k.PIN(ctx, key.ToUse); err != nil {
		return err
	}
	letGo := here.Line.Release
	if p11.HoldsCard(test.Module) {
		letGo = here.Line.LetGo
	}
	test.There = func(ctx context.Context) error {
		_, err := here.Line.Channel(ctx)
		return errors.Join(err, letGo())
	}
	if tries := test.PIN.Tries; tries != nil {
		test.PIN.Tries = func(ctx context.Context, again bool) (pin.Tries, error) {
			left, err := tries(ctx, again)
			return left, errors.Join(err, letGo())
		}
	}
	return letGo()
}

// certificateOf is the certificate of a key, nil where there is none, or no place
// for one.
func certificateOf(ctx context.Context, k key.Key, stored func(context.Context, key.Key) ([]byte, error)) (*cert.Certificate, error) {
	der, err := stored(ctx, k)
	if problem.Is(err, problem.NotFound) || problem.Is(err, problem.NotSupported) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	return cert.Parse(der)
}
