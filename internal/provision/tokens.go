package provision

import (
	"context"

	"github.com/cardctl/cardctl/internal/advice"
	"github.com/cardctl/cardctl/internal/desk"
	"github.com/cardctl/cardctl/internal/problem"
)

// tokens goes through the rows of a plan for tokens: nobody puts them in, and each has a
// name. That is the one of its row; if no token is called so, a blank one gets the name.
func (r *run) tokens(ctx context.Context) error {
	r.order = newTurns(1)
	for i := range r.rows {
		if ctx.Err() != nil {
			break
		}
		d, err := r.tokenDesk(ctx, &r.rows[i])
		if err != nil {
			return err
		}
		r.settle(r.card(ctx, d, &r.rows[i], 0), false)
	}
	return ctx.Err()
}

// tokenDesk is where the token of a row is.
func (r *run) tokenDesk(ctx context.Context, row *wantedRow) (*desk.Desk, error) {
	d, c := *r.desk, &row.plan.Card
	if c.Module != "" && !d.Meant.ModuleTyped {
		d.Meant.Module = c.Module
	}
	switch {
	case d.Meant.Token != "" || d.Meant.Serial != "": // typed
	case c.Token != "":
		d.Meant.Token = c.Token
	case c.Serial != "":
		d.Meant.Serial = c.Serial
	case c.Label != "":
		called, err := d.HasToken(ctx, c.Label)
		if err != nil {
			return nil, err
		}
		if called {
			d.Meant.Token = c.Label
		}
	}
	return &d, nil
}

// tokensOnly refuses readers for a plan for tokens.
func (r *run) tokensOnly() error {
	if !r.ofTokens() || !r.o.All && r.o.Readers == nil {
		return nil
	}
	return problem.New(problem.Usage, "a plan for tokens has no readers").
		Because("Its tokens are those of the PKCS#11 module.").Advise(advice.Repeat().Without("readers"))
}
