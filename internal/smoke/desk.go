package smoke

import (
	"context"

	"github.com/cardctl/cardctl/internal/desk"
	"github.com/cardctl/cardctl/internal/family"
	"github.com/cardctl/cardctl/internal/lend"
	"github.com/cardctl/cardctl/internal/p11"
	"github.com/cardctl/cardctl/internal/pin"
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
	return lend.With(ctx, p.desk, p.access, references[0], p.options.Module, p.options.Stored, func(ctx context.Context, k *lend.Key) error {
		test := p.options
		test.Key, test.Module, test.URI, test.Reader, test.Holder = k.Ref, k.Module, k.URI, k.Reader, k.Holder
		test.Public, test.Certificate, test.Policy, test.PIN = k.Public, k.Certificate, k.Policy, k.Told()
		if k.Reader != "" {
			test.There = k.Still
		}
		p.tests = append(p.tests, test)
		return p.read(ctx, references[1:])
	})
}
