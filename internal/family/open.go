package family

import (
	"cmp"
	"context"
	"slices"

	"github.com/cardctl/cardctl/internal/card"
	"github.com/cardctl/cardctl/internal/desk"
	"github.com/cardctl/cardctl/internal/family/token"
	"github.com/cardctl/cardctl/internal/key"
	"github.com/cardctl/cardctl/internal/p11"
	"github.com/cardctl/cardctl/internal/pin"
	"github.com/cardctl/cardctl/internal/problem"
)

// At is where a workflow works, and whom it can ask there: while somebody is
// asked who takes time, the card is let go.
type At struct {
	Place  string
	Line   *desk.Line
	Access desk.Access
	// Keys is the same for a key, with the one policy for PINs.
	Keys key.Access
	// Card is the one that is open, App the application of a card that is.
	Card card.Card
	App  string
	// Recording keeps what is done to the card.
	Recording *desk.Recording
}

// Kind is card or token, as reports call it.
func (h At) Kind() string {
	if m, _ := h.Line.Token(); m != nil {
		return "token"
	}
	return "card"
}

func at(line *desk.Line, a desk.Access) At {
	a.Ask, a.Confirm = line.Asker(a.Ask), line.Confirm(a.Confirm)
	return At{
		Place: line.Place(), Line: line, Access: a,
		Keys: key.Access{Policy: Policy(a), Now: a.Now, Notify: a.Notify, PublicKey: a.PublicKey, Expected: a.Expected},
	}
}

// Policy sends PINs as the person allows who started the work.
func Policy(a desk.Access) *pin.Policy {
	return cmp.Or(a.Sent, pin.NewMemory()).Policy(a.Ask, pin.Allow{LastTry: a.AllowLastTry, UnknownTries: a.AllowUnknownTries})
}

// open opens an application of a family; named says that the user means it.
func (h At) open(ctx context.Context, f card.Family, app string, named bool) (card.Card, error) {
	h.Recording.Opened(app)
	return f.Open(ctx, h.Line, card.Opening{App: app, Named: named, Access: h.Keys})
}

// Open opens an application of the card on the line once more, after what it is known by
// was changed.
func (h At) Open(ctx context.Context, app string) (card.Card, error) {
	f, _ := ByApp(app)
	return h.open(ctx, f, app, true)
}

// WithKey finds the key that a reference names, on the card or token that is
// meant, and lets it go when work is done.
func WithKey(ctx context.Context, d *desk.Desk, reference string, a desk.Access, work func(context.Context, At, key.Key) error) error {
	ref, f, err := Parse(reference)
	if err != nil {
		return err
	}
	if f.Open == nil {
		return notYet(ref)
	}
	if err := fits(ref, f, &d.Meant); err != nil {
		return err
	}
	line, err := openFor(ctx, d, f, ref)
	if err != nil {
		return err
	}
	here := at(line, a)
	here.Recording = d.Recording()
	return here.Recording.End(ctx, line.Done(func() error {
		c, err := here.holder(ctx, f)
		if err != nil {
			return key.Explain(err, ref.String(), "")
		}
		k, err := c.Key(ctx, ref)
		if err != nil {
			return err
		}
		here.Card = c
		return here.recorded(ctx, ref.String(), func(ctx context.Context) error { return work(ctx, here, k) })
	}()))
}

// WithCard finds the card or token that is meant, opens what a command can work
// on there, and lets it go when work is done.
func WithCard(ctx context.Context, d *desk.Desk, w Wanted, a desk.Access, work func(context.Context, At, card.Card) error) error {
	return withMeant(ctx, d, w, a, func(ctx context.Context, here At, c card.Card) (err error) {
		if c == nil {
			if c, here.App, err = w.open(ctx, here, d.Meant.Application()); err != nil {
				return err
			}
		}
		here.Card = c
		if w.Records {
			return work(ctx, here, c)
		}
		return here.recorded(ctx, "", func(ctx context.Context) error { return work(ctx, here, c) })
	})
}

// WithLine opens the line to the card that is meant, and nothing on it, and lets it
// go when work is done.
func WithLine(ctx context.Context, d *desk.Desk, a desk.Access, work func(context.Context, At) error) error {
	line, err := d.Open(ctx)
	if err != nil {
		return err
	}
	d.Tell("using the card in %s", line.Place())
	here := at(line, a)
	here.Recording = d.Recording()
	return here.Recording.End(ctx, line.Done(work(desk.WithRecording(ctx, here.Recording), here)))
}

// withMeant opens the line to what is meant: a card, or a token, which is opened
// too.
func withMeant(ctx context.Context, d *desk.Desk, w Wanted, a desk.Access, work func(context.Context, At, card.Card) error) error {
	app := d.Meant.Application()
	if err := w.check(app); err != nil {
		return err
	}
	isToken, err := w.meansToken(app, &d.Meant)
	if err != nil {
		return err
	}
	if isToken {
		return withToken(ctx, d, a, work)
	}
	line, err := d.Open(ctx)
	if w.Reads && app == "" && d.Meant.Module != "" && d.Meant.Reader == "" && problem.Is(err, problem.NotFound) {
		// No card, but a module in the environment.
		if tokenErr := withToken(ctx, d, a, work); tokenErr == nil {
			return nil
		}
		return err
	}
	if err != nil {
		return err
	}
	d.Tell("using the card in %s", line.Place())
	here := at(line, a)
	here.Recording = d.Recording()
	return here.Recording.End(ctx, line.Done(work(ctx, here, nil)))
}

func withToken(ctx context.Context, d *desk.Desk, a desk.Access, work func(context.Context, At, card.Card) error) error {
	uri, err := d.TokenURI()
	if err != nil {
		return err
	}
	line, err := d.OpenToken(ctx, uri, "")
	if err != nil {
		return err
	}
	here := at(line, a)
	here.Recording = d.Recording()
	f := tokens()
	return here.Recording.End(ctx, line.Done(func() error {
		c, err := here.open(ctx, f, f.Apps[0], true)
		if err != nil {
			return err
		}
		return work(ctx, here, c)
	}()))
}

// TokenPIN is the user PIN of the token of a session.
func TokenPIN(d *desk.Desk, m *p11.Module, s *p11.Session) pin.PIN {
	return token.PIN(m, s, d.ChildEnv)
}

// tokens is the family that is reached through modules.
func tokens() card.Family {
	all := All()
	return all[slices.IndexFunc(all, func(f card.Family) bool { return f.Token })]
}

// shared reports whether there is an applet that others share a card with.
func shared(found card.Identity) bool {
	return slices.ContainsFunc(All(), func(f card.Family) bool {
		return slices.ContainsFunc(f.Probes, func(p card.Probe) bool { return p.Beside && found.Has(p.App) })
	})
}
