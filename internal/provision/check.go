package provision

import (
	"context"
	"fmt"
	"slices"

	"github.com/cardctl/cardctl/internal/advice"
	"github.com/cardctl/cardctl/internal/enroll"
	"github.com/cardctl/cardctl/internal/family"
	"github.com/cardctl/cardctl/internal/ledger"
	"github.com/cardctl/cardctl/internal/plan"
	"github.com/cardctl/cardctl/internal/problem"
)

// check refuses what can be known to be wrong before the first card.
func (r *run) check(ctx context.Context) (err error) {
	p := r.o.Plan
	if err := r.findFamily(); err != nil {
		return err
	}
	if err := r.tokensOnly(); err != nil {
		return err
	}
	if err := takes(r.family, p); err != nil {
		return err
	}
	if err := r.fill(); err != nil {
		return err
	}
	for _, issuer := range p.Issuers {
		if _, err := enroll.Open(issuer.URL); err != nil {
			return err
		}
	}
	if err := r.readProofs(ctx); err != nil {
		return err
	}
	if r.o.Replaces != "" {
		if err := r.replaces(ctx); err != nil {
			return err
		}
	}
	if r.seals() {
		if r.sealers, err = ledger.Recipients(p.Seal, r.o.UI); err != nil {
			return err
		}
		if r.sealers.Count() == 1 {
			r.warn("Secrets are sealed to a single recipient. If its key is lost, all of them are.")
		}
	}
	return r.protect(ctx)
}

// seals says that a secret is sealed.
func (r *run) seals() bool {
	for _, s := range wantedOf(r.o.Plan) {
		if s.generate != nil {
			return true
		}
	}
	a := r.o.Plan.Applet
	return a != nil && a.NewCardKeys != nil && a.NewCardKeys.Generate != nil
}

// findFamily finds the kind of cards that the plan is for.
func (r *run) findFamily() error {
	p := r.o.Plan
	r.app = p.Card.Application
	for _, reference := range p.References() {
		_, f, err := family.Parse(reference)
		if err != nil {
			return problem.Wrap(problem.Usage, err, "the plan")
		}
		if issuersKey(p, reference) {
			continue
		}
		if r.app == "" {
			r.app = f.Apps[0]
		}
		if !slices.Contains(f.Apps, r.app) {
			return problem.New(problem.Usage, "the plan: %s is not a key of the application %s", reference, r.app).
				Because("%s", "All keys of a plan are on one application.")
		}
	}
	if r.app == "" {
		return problem.New(problem.Usage, "the plan does not say which application it is for").
			Because("It has no keys. Valid: card.application.").Advise(advice.Do(advice.Help))
	}
	f, ok := family.ByApp(r.app)
	if !ok || !family.HasKeys(f) {
		return problem.New(problem.Usage, "the plan: %s is not an application that cards can be provisioned with", r.app).
			Because("Valid: %v.", family.Apps(family.HasKeys))
	}
	r.family = f
	return nil
}

// issuersKey reports whether a reference is only that of the card of an issuer.
func issuersKey(p *plan.Plan, reference string) bool {
	for _, k := range p.Keys {
		if k.Ref == reference || k.Certificate != nil && k.Certificate.AuthKey == reference {
			return false
		}
	}
	return p.SmokeTest == nil || !slices.Contains(p.SmokeTest.Keys, reference)
}

// fill puts the rows into the plan.
func (r *run) fill() error {
	p := r.o.Plan
	if r.o.Rows == nil {
		if len(p.Used()) > 0 && !r.o.Renew && r.o.Replaces == "" {
			return problem.New(problem.Usage, "the plan has columns, and there are no rows").
				Because("It uses %v.", p.Used()).Advise(advice.Repeat(advice.Fill(advice.Rows)))
		}
		r.rows = []wantedRow{{Row: plan.Row{Number: 1}, plan: p}}
		return nil
	}
	for _, row := range r.o.Rows {
		filled, err := p.For(row)
		if err != nil {
			return err
		}
		r.rows = append(r.rows, wantedRow{row, filled})
	}
	return nil
}

// between says how long something may be.
func between(least, most int) string {
	if most == 0 {
		return fmt.Sprintf("It has at least %d.", least)
	}
	return fmt.Sprintf("It has %d to %d.", least, most)
}
