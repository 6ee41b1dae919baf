package family

import (
	"context"
	"errors"
	"slices"
	"strings"

	"github.com/cardctl/cardctl/internal/card"
	"github.com/cardctl/cardctl/internal/desk"
	"github.com/cardctl/cardctl/internal/family/token"
	"github.com/cardctl/cardctl/internal/key"
	"github.com/cardctl/cardctl/internal/p11"
	"github.com/cardctl/cardctl/internal/pin"
	"github.com/cardctl/cardctl/internal/problem"
	"github.com/cardctl/cardctl/internal/secret"
)

// At is where a workflow works, and whom it can ask there: while somebody is
// asked who takes time, the card is let go.
type At struct {
	Place  string
	Line   *desk.Line
	Access desk.Access
	// Keys is the same for a key, with the one policy for PINs.
	Keys key.Access
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
	policy := pin.New(a.Ask, pin.Allow{LastTry: a.AllowLastTry, UnknownTries: a.AllowUnknownTries})
	return At{
		Place: line.Place(), Line: line, Access: a,
		Keys: key.Access{Policy: policy, Now: a.Now, Notify: a.Notify},
	}
}

// WithKey finds the key that a reference names, on the card or token that is
// meant, and lets it go when work is done.
func WithKey(ctx context.Context, d *desk.Desk, reference string, a desk.Access, work func(context.Context, At, key.Key) error) error {
	ref, f, err := Parse(reference)
	if err != nil {
		return err
	}
	if f.Open == nil {
		return notYet(ref.String(), f)
	}
	line, err := openFor(ctx, d, f, ref)
	if err != nil {
		return err
	}
	here := at(line, a)
	return line.Done(func() error {
		c, err := f.Open(ctx, line, card.Opening{App: f.Apps[0], Named: true, Access: here.Keys})
		if err != nil {
			return about(ref.String(), err)
		}
		k, err := c.Key(ctx, ref)
		if err != nil {
			return err
		}
		return work(ctx, here, k)
	}())
}

// Name adds the ID, in hex, and the label of a new key to a reference, where keys
// of its family are named so; label is what is left for Spec.Label.
func Name(reference, id, label string) (ref key.Reference, rest string, err error) {
	ref, f, err := Parse(reference)
	switch {
	case err != nil:
		return ref, label, err
	case f.Name != nil:
		ref, err = f.Name(ref, id, label)
		return ref, "", err
	case id != "":
		return ref, label, problem.New(problem.NotSupported, "%s has a fixed name", ref).
			Because("An ID is given to keys of %ss.", tokens().Kind)
	}
	return ref, label, nil
}

// openFor opens the line to what holds a key.
func openFor(ctx context.Context, d *desk.Desk, f card.Family, ref key.Reference) (*desk.Line, error) {
	if !f.Token {
		return d.Open(ctx)
	}
	uri, err := p11.ParseURI(ref.Text)
	if err != nil {
		return nil, err
	}
	place, _ := uri.Get(p11.AttrToken)
	return d.OpenToken(ctx, uri, place)
}

func about(what string, err error) error { return key.Explain(err, what, "") }

func notYet(what string, f card.Family) error {
	return problem.New(problem.NotSupported, "%s: keys of this kind are not supported yet", what).
		Because("This version of cardctl knows keys of %s.", strings.Join(kinds(), ", "))
}

func kinds() []string {
	var list []string
	for _, f := range All() {
		if f.Open != nil && f.Example != "" {
			list = append(list, f.Kind+"s")
		}
	}
	return list
}

// Wanted is what a command can work on.
type Wanted struct {
	// Takes are the names in --app that it can work on.
	Takes []string
	// Role is the kind of PIN that is meant, Given the secrets that the user
	// names: what only one family has decides without --app.
	Role  pin.Role
	Given []secret.Name
	// One says that a card with several of Takes is an error, not its first.
	One bool
	// Reads says that the command changes nothing, and may look at a token if
	// there is no card.
	Reads bool
}

// WithCard finds the card or token that is meant, opens what a command can work
// on there, and lets it go when work is done.
func WithCard(ctx context.Context, d *desk.Desk, w Wanted, a desk.Access, work func(context.Context, At, card.Card) error) error {
	return withMeant(ctx, d, w, a, func(ctx context.Context, here At, c card.Card) (err error) {
		if c == nil {
			if c, err = w.open(ctx, here, strings.ToLower(d.Meant.App)); err != nil {
				return err
			}
		}
		return work(ctx, here, c)
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
	return line.Done(work(ctx, at(line, a)))
}

// withMeant opens the line to what is meant: a card, or a token, which is opened
// too.
func withMeant(ctx context.Context, d *desk.Desk, w Wanted, a desk.Access, work func(context.Context, At, card.Card) error) error {
	app := strings.ToLower(d.Meant.App)
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
	return line.Done(work(ctx, at(line, a), nil))
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
	f := tokens()
	return line.Done(func() error {
		c, err := f.Open(ctx, line, card.Opening{App: f.Apps[0], Named: true, Access: here.Keys})
		if err != nil {
			return err
		}
		return work(ctx, here, c)
	}())
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

// check refuses applications that the command would not find: it would work on
// another one.
func (w Wanted) check(app string) error {
	names := strings.Join(w.Takes, ", ")
	if app == "" || slices.Contains(w.Takes, app) {
		return nil
	}
	if _, known := ByApp(app); known {
		return problem.New(problem.NotSupported, "--app %s is not supported here", app).Because("There are %s.", names)
	}
	return problem.New(problem.Usage, "there is no such application").Because("There are %s.", names)
}

// meansToken says that a token is meant, and not a card.
func (w Wanted) meansToken(app string, s *desk.Selection) (bool, error) {
	f := tokens()
	switch {
	case app != "" && !slices.Contains(f.Apps, app):
		if s.Token != "" {
			return false, problem.New(problem.Usage, "--token is for --app %s", f.Apps[0]).Because("--app is %s.", app)
		}
		return false, nil
	case app != "":
		return true, nil
	}
	return slices.Contains(w.Takes, f.Apps[0]) && s.MeansToken(), nil
}

// open opens the application that is meant.
func (w Wanted) open(ctx context.Context, here At, app string) (card.Card, error) {
	if app != "" {
		f, _ := ByApp(app)
		return f.Open(ctx, here.Line, card.Opening{App: app, Named: true, Access: here.Keys})
	}
	candidates := w.candidates()
	if !w.One || len(candidates) == 1 {
		return w.first(ctx, here, candidates)
	}
	found, _, err := probe(ctx, here.Line, w.looked(candidates))
	if err == nil && w.Role == "" && shared(found) {
		var more card.Identity
		more, _, err = probe(ctx, here.Line, func(_ int, p card.Probe) bool {
			return slices.Contains(candidates, p.App) && !found.Has(p.App)
		})
		found.Add(more)
	}
	if err != nil {
		return nil, err
	}
	candidates = slices.DeleteFunc(candidates, func(app string) bool { return !found.Has(app) })
	if len(candidates) > 1 {
		return nil, problem.New(problem.NotFound, "the card has several applications, and none is named").
			Because("It has %s.", strings.Join(candidates, " and ")).
			Hint("--app %s", candidates[0])
	}
	if len(candidates) == 0 {
		candidates = w.candidates()
	}
	return w.first(ctx, here, candidates)
}

// looked are the probes that tell which of several applications are on a card: those
// of the first family, and for a PIN all others; what erases a card asks before, and
// looks for applets that share it.
func (w Wanted) looked(candidates []string) func(int, card.Probe) bool {
	return func(family int, p card.Probe) bool {
		return slices.Contains(candidates, p.App) && (family == 0 || p.Beside || w.Role != "")
	}
}

// shared reports whether there is an applet that others share a card with.
func shared(found card.Identity) bool {
	return slices.ContainsFunc(All(), func(f card.Family) bool {
		return slices.ContainsFunc(f.Probes, func(p card.Probe) bool { return p.Beside && found.Has(p.App) })
	})
}

// first opens the first of several applications that the card has. The error is
// that of the first where it has none.
func (w Wanted) first(ctx context.Context, here At, apps []string) (card.Card, error) {
	var lacking error
	for _, app := range apps {
		f, _ := ByApp(app)
		c, err := f.Open(ctx, here.Line, card.Opening{App: app, Access: here.Keys})
		if !errors.Is(err, card.ErrLacks) {
			return c, err
		}
		if lacking == nil {
			lacking = err
		}
	}
	return w.without(ctx, here, lacking)
}

// without is a card that has none of the applications with a PIN: one that it has
// says which PINs there are.
func (w Wanted) without(ctx context.Context, here At, lacking error) (card.Card, error) {
	for _, app := range (Wanted{Takes: w.Takes}).candidates() {
		f, _ := ByApp(app)
		if w.Role == "" || slices.Contains(f.Roles, w.Role) {
			continue
		}
		c, err := f.Open(ctx, here.Line, card.Opening{App: app, Access: here.Keys})
		if !errors.Is(err, card.ErrLacks) {
			return c, err
		}
	}
	return nil, lacking
}

// candidates are the applications on cards that could be meant.
func (w Wanted) candidates() []string {
	var apps []string
	for _, app := range w.Takes {
		f, _ := ByApp(app)
		if f.Open != nil && !f.Token && w.fits(f) {
			apps = append(apps, app)
		}
	}
	if len(apps) > 0 || w.Role == "" && len(w.Given) == 0 {
		return apps
	}
	return Wanted{Takes: w.Takes}.candidates() // none has it: the first says so
}

// fits reports whether a family has the PINs that the user names.
func (w Wanted) fits(f card.Family) bool {
	for _, name := range w.Given {
		role, isPIN := pin.RoleOf(name)
		if isPIN && !slices.Contains(f.Roles, role) {
			return false
		}
	}
	return w.Role == "" || slices.Contains(f.Roles, w.Role)
}
