package family

import (
	"cmp"
	"context"
	"errors"
	"slices"

	"github.com/cardctl/cardctl/internal/card"
	"github.com/cardctl/cardctl/internal/desk"
	"github.com/cardctl/cardctl/internal/key"
	"github.com/cardctl/cardctl/internal/problem"
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
			found.Read = true
			return err
		}
		found, err = visitCard(ctx, here, d.Meant.Application(), visit)
		if err == nil && d.Keep {
			err = here.Line.Pause(ctx)
		}
		return err
	})
	return found, place, err
}

// VisitOn opens everything on the card of a line that a family can open, one after the
// other. Another application than before may be selected afterwards.
func VisitOn(ctx context.Context, here At, visit func(context.Context, card.Card) error) error {
	_, err := visitCard(ctx, here, "", visit)
	return err
}

// Holding are the applications of the card of a line that hold keys.
func Holding(ctx context.Context, line *desk.Line) ([]string, error) {
	found, families, err := probe(ctx, line, everything)
	var apps []string
	for _, f := range families {
		for _, app := range f.Apps {
			if HasKeys(f) && found.Has(app) {
				apps = append(apps, app)
			}
		}
	}
	return apps, err
}

// visiting is one visit of a card.
type visiting struct {
	here  At
	found card.Identity
	visit func(context.Context, card.Card) error
}

func visitCard(ctx context.Context, here At, app string, visit func(context.Context, card.Card) error) (card.Identity, error) {
	found, families, err := probe(ctx, here.Line, everything)
	v := &visiting{here: here, found: found, visit: visit}
	if err != nil {
		return v.found, err
	}
	var more []card.Family // that may have more to tell
	for _, f := range families {
		told, err := v.family(ctx, f, app)
		if err != nil {
			return v.found, err
		}
		if !told {
			more = append(more, f)
		}
	}
	if app != "" && !slices.ContainsFunc(families, func(f card.Family) bool { return slices.Contains(f.Apps, app) }) {
		f, _ := ByApp(app) // known by more than the answers to probes
		c, err := here.open(ctx, f, app, true)
		if err != nil {
			return v.found, err
		}
		v.found.Read = HasKeys(f)
		_, err = v.one(ctx, c, app)
		return v.found, err
	}
	if app == "" && !v.found.Read {
		if err := v.strangers(ctx); err != nil {
			return v.found, err
		}
	}
	return v.found, describe(ctx, here.Line, more, &v.found)
}

// family visits the applications of a family; told says that one of them has no
// serial, by its state.
func (v *visiting) family(ctx context.Context, f card.Family, app string) (told bool, err error) {
	for _, name := range f.Apps {
		if app != "" && app != name || app == "" && !v.found.Has(name) {
			continue
		}
		if f.Open == nil {
			v.found.Unread = append(v.found.Unread, card.Unread{What: name, Why: "This version of cardctl cannot read the application."})
			continue
		}
		c, err := v.here.open(ctx, f, name, true)
		if errors.Is(err, card.ErrLacks) && app == "" {
			continue
		}
		if err != nil {
			return told, err
		}
		state, err := v.one(ctx, c, name)
		if err != nil {
			return told, err
		}
		told = told || state != ""
		v.found.Read = v.found.Read || HasKeys(f)
	}
	return told, nil
}

// one visits a card, and keeps what it tells of itself, as far as reading it told.
func (v *visiting) one(ctx context.Context, c card.Card, app string) (state string, err error) {
	err = v.visit(ctx, c)
	identity := c.Identity()
	v.found.Add(identity)
	v.found.Second(app, identity.Serial)
	if other, ok := c.(card.Borrower); ok {
		v.found.Through = cmp.Or(v.found.Through, other.Through())
	}
	return identity.State, err
}

// strangers visits what another program can read of a card without keys that a family
// can use. What that program cannot read was not read.
func (v *visiting) strangers(ctx context.Context) error {
	for _, f := range All() {
		if f.Strangers == nil || v.here.Line.Reader() == "" {
			continue
		}
		err := f.Strangers(ctx, v.here.Line, &v.found)
		if err == nil {
			var c card.Card
			if c, err = v.here.open(ctx, f, f.Apps[0], true); err == nil {
				v.found.Unread, v.found.Read = nil, true
				_, err = v.one(ctx, c, f.Apps[0])
			}
		}
		if err != nil && key.Unreachable(ctx, err) {
			return err
		}
		if err != nil {
			v.found.Unread = append(v.found.Unread, unread("keys and certificates", err))
		}
	}
	return nil
}

// unread is something that could not be read, and why.
func unread(what string, err error) card.Unread {
	return card.Unread{What: what, Why: problem.Sentence(err.Error())}
}
