package family

import (
	"context"
	"errors"
	"slices"
	"strings"

	"github.com/cardctl/cardctl/internal/card"
	"github.com/cardctl/cardctl/internal/desk"
)

// Visit finds the card or token that is meant, opens everything on it that a
// family can open, one after the other, with --app that alone, and tells what
// the card is and where.
func Visit(ctx context.Context, d *desk.Desk, w Wanted, a desk.Access, visit func(context.Context, card.Card) error) (found card.Identity, place string, err error) {
	err = withMeant(ctx, d, w, a, func(ctx context.Context, here At, token card.Card) error {
		place = here.Place
		if token != nil {
			err := visit(ctx, token)
			found = token.Identity() // as far as reading it told
			return err
		}
		found, err = visitCard(ctx, here, strings.ToLower(d.Meant.App), visit)
		if err == nil && d.Keep {
			err = here.Line.Pause(ctx)
		}
		return err
	})
	return found, place, err
}

func visitCard(ctx context.Context, here At, app string, visit func(context.Context, card.Card) error) (card.Identity, error) {
	found, families, err := probe(ctx, here.Line, everything)
	if err != nil {
		return found, err
	}
	var more []card.Family // that may have more to tell
	for _, f := range families {
		told := false
		for _, name := range f.Apps {
			if f.Open == nil || app != "" && app != name || app == "" && !found.Has(name) {
				continue
			}
			c, err := here.open(ctx, f, name, true)
			if errors.Is(err, card.ErrLacks) && app == "" {
				continue
			}
			if err != nil {
				return found, err
			}
			err = visit(ctx, c)
			identity := c.Identity() // as far as reading it told
			found.Add(identity)
			found.Second(name, identity.Serial)
			told = told || identity.State != "" // so that there is no serial
			if err != nil {
				return found, err
			}
		}
		if !told {
			more = append(more, f)
		}
	}
	if app != "" && !slices.ContainsFunc(families, func(f card.Family) bool { return slices.Contains(f.Apps, app) }) {
		f, _ := ByApp(app) // known by more than the answers to probes
		c, err := here.open(ctx, f, app, true)
		if err != nil {
			return found, err
		}
		err = visit(ctx, c)
		found.Add(c.Identity())
		return found, err
	}
	return found, describe(ctx, here.Line, more, &found)
}
