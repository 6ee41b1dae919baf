package provision

import (
	"context"
	"fmt"

	"github.com/cardctl/cardctl/internal/advice"
	"github.com/cardctl/cardctl/internal/desk"
	"github.com/cardctl/cardctl/internal/plan"
	"github.com/cardctl/cardctl/internal/problem"
)

// tokens goes through the rows of a plan for tokens: nobody puts them in, and each has a
// name. That is the one of its row; if no token is called so, it is the one that the ledger
// has of the person, else a blank one gets the name.
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
			break
		}
		if d.Meant.Serial, err = r.tokenOf(ctx, &d, row); err != nil {
			return nil, err
		}
	}
	return &d, nil
}

// tokenOf is the serial of the token that the person of a row has, whatever it is called;
// empty if it is not here, or there is none. One that came back counts if it may be erased.
func (r *run) tokenOf(ctx context.Context, d *desk.Desk, row *wantedRow) (string, error) {
	cards, err := r.cardsOf(ctx, row.plan.Person.ID)
	if err != nil {
		return "", err
	}
	for _, c := range cards {
		theirs := c.State.Counts() || c.State.Ended() && row.plan.Card.Init == plan.InitAlways
		if c.Family != row.kind.app || !theirs {
			continue
		}
		if serial, err := d.TokenSerial(ctx, c.Serial); serial != "" || err != nil {
			return serial, err
		}
	}
	return "", nil
}

// misnamed refuses somebody's token that is called otherwise than its row says: the table
// was changed, or the token.
func (w *work) misnamed() error {
	has, want := w.card.Identity(), w.plan.Card.Label
	if w.meant == nil || !w.begun() || has.Serial == "" || want == "" || has.Label == want {
		return nil
	}
	return w.wrong(stepInit, fmt.Sprintf("the token is called %q", has.Label),
		fmt.Sprintf("The plan says label: %s. Only a token that came back gets another label: mark it as returned, and start it again with init: always.", want))
}

// tokensOnly refuses readers for a plan for tokens.
func (r *run) tokensOnly() error {
	if !r.ofTokens() || !r.o.All && r.o.Readers == nil {
		return nil
	}
	return problem.New(problem.Usage, "a plan for tokens has no readers").
		Because("Its tokens are those of the PKCS#11 module.").Advise(advice.Repeat().Without("readers"))
}
