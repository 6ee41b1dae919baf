package provision

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"github.com/cardctl/cardctl/internal/advice"
	"github.com/cardctl/cardctl/internal/enroll"
	"github.com/cardctl/cardctl/internal/ledger"
	"github.com/cardctl/cardctl/internal/plan"
	"github.com/cardctl/cardctl/internal/problem"
)

// check refuses what can be known to be wrong before the first card.
func (r *run) check(ctx context.Context) (err error) {
	p := r.o.Plan
	if err := r.fill(); err != nil {
		return err
	}
	r.withhold()
	if err := r.findKinds(); err != nil {
		return err
	}
	if err := r.tokensOnly(); err != nil {
		return err
	}
	if err := r.instancesDiffer(); err != nil {
		return err
	}
	if r.o.Replaces != "" {
		if err := r.replaces(ctx); err != nil {
			return err
		}
	}
	if err := r.checkIssuers(); err != nil {
		return err
	}
	if err := r.readProofs(ctx); err != nil {
		return err
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

// checkIssuers refuses an address that cannot be that of an issuer, in any row.
func (r *run) checkIssuers() error {
	checked := map[string]bool{}
	for _, row := range r.rows {
		for name, issuer := range row.plan.Issuers {
			if checked[issuer.URL] {
				continue
			}
			checked[issuer.URL] = true
			err := enroll.CheckIssuer(issuer.URL, issuer.Key)
			var wrong *problem.Error
			if errors.As(err, &wrong) && issuer.URL != r.o.Plan.Issuers[name].URL {
				wrong.What = row.Place() + ": " + wrong.What
			}
			if err != nil {
				return err
			}
		}
	}
	return nil
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

// fill puts the rows into the plan.
func (r *run) fill() error {
	p := r.o.Plan
	if r.o.Rows == nil {
		needed := !r.o.Renew && r.o.Replaces == "" || p.ApplicationOfRow() || r.o.Renew && p.RenewalOfRow()
		if len(p.Used()) > 0 && needed {
			return problem.New(problem.Usage, "the plan has columns, and there are no rows").
				Because("It uses %s.", strings.Join(p.Used(), ", ")).Advise(advice.Repeat(advice.Fill(advice.Rows)))
		}
		r.rows = []wantedRow{{Row: plan.Row{Number: 1}, plan: p}}
		return nil
	}
	for _, row := range r.o.Rows {
		filled, err := p.For(row)
		if err != nil {
			return err
		}
		r.rows = append(r.rows, wantedRow{Row: row, plan: filled})
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
