package family

import (
	"context"
	"errors"
	"slices"
	"strings"

	"github.com/cardctl/cardctl/internal/advice"
	"github.com/cardctl/cardctl/internal/card"
	"github.com/cardctl/cardctl/internal/desk"
	"github.com/cardctl/cardctl/internal/iso7816"
	"github.com/cardctl/cardctl/internal/pin"
	"github.com/cardctl/cardctl/internal/problem"
	"github.com/cardctl/cardctl/internal/secret"
)

// Wanted is what a command can work on.
type Wanted struct {
	// Takes are the names in --app that it can work on.
	Takes []string
	// Role is the kind of PIN that is meant, Given the secrets that the user
	// names: what only one family has decides without --app.
	Role  pin.Role
	Given []secret.Name
	// Reads says that the command changes nothing, and may look at a token if
	// there is no card.
	Reads bool
	// Records says that the work begins the record of what is done, after its questions.
	Records bool
}

// check refuses applications that the command would not find: it would work on
// another one.
func (w Wanted) check(app string) error {
	names := strings.Join(w.Takes, ", ")
	if app == "" || slices.Contains(w.Takes, app) {
		return nil
	}
	if _, known := ByApp(app); known {
		return problem.New(problem.NotSupported, "the application %s is not supported here", app).Because("Valid applications: %s.", names)
	}
	return problem.New(problem.Usage, "unknown application").Because("Valid applications: %s.", names)
}

// meansToken says that a token is meant, and not a card.
func (w Wanted) meansToken(app string, s *desk.Selection) (bool, error) {
	f := tokens()
	switch {
	case app != "" && !slices.Contains(f.Apps, app):
		if s.Token != "" {
			return false, problem.New(problem.Usage, "a token does not have the application %s", app).
				Because("A token is used with the application %s.", f.Apps[0]).Advise(advice.Repeat().Without(advice.Token))
		}
		return false, nil
	case app != "":
		return true, nil
	}
	return slices.Contains(w.Takes, f.Apps[0]) && s.MeansToken(), nil
}

// open opens the application that is meant, and says which.
func (w Wanted) open(ctx context.Context, here At, app string) (card.Card, string, error) {
	if app != "" {
		f, _ := ByApp(app)
		c, err := here.open(ctx, f, app, true)
		return c, app, err
	}
	candidates := w.candidates()
	if len(candidates) == 1 {
		return w.first(ctx, here, candidates)
	}
	found, _, err := probe(ctx, here.Line, w.looked(candidates, iso7816.HistoricalBytes(here.Line.ATR())))
	if err == nil && w.Role == "" && shared(found) {
		var more card.Identity
		more, _, err = probe(ctx, here.Line, func(_ int, p card.Probe) bool {
			return slices.Contains(candidates, p.App) && !found.Has(p.App)
		})
		found.Add(more)
	}
	if err != nil {
		return nil, "", err
	}
	candidates = slices.DeleteFunc(candidates, func(app string) bool { return !found.Has(app) })
	if len(candidates) > 1 {
		return nil, "", problem.New(problem.NotFound, "the card has several applications, and none was selected").
			Because("The card has %s.", strings.Join(candidates, " and ")).
			Advise(advice.Repeat(advice.Fill(advice.App)))
	}
	if len(candidates) == 0 {
		candidates = w.candidates()
	}
	return w.first(ctx, here, candidates)
}

// looked are the probes that tell which of several applications are on a card: all of
// them, but on a card whose historical bytes are those of a card with one application
// the first family's, and those of applets that share such a card all the same.
func (w Wanted) looked(candidates []string, historical []byte) func(int, card.Probe) bool {
	alone := false
	for _, p := range All()[0].Probes {
		alone = alone || p.Alone != nil && p.Alone(historical)
	}
	return func(family int, p card.Probe) bool {
		return slices.Contains(candidates, p.App) && (!alone || family == 0 || p.Beside || w.Role != "")
	}
}

// first opens the first of several applications that the card has. The error is
// that of the first where it has none.
func (w Wanted) first(ctx context.Context, here At, apps []string) (card.Card, string, error) {
	var lacking error
	for _, app := range apps {
		f, _ := ByApp(app)
		c, err := here.open(ctx, f, app, false)
		if !errors.Is(err, card.ErrLacks) {
			return c, app, err
		}
		if lacking == nil {
			lacking = err
		}
	}
	return w.without(ctx, here, lacking)
}

// without is a card that has none of the applications with a PIN: one that it has
// says which PINs there are.
func (w Wanted) without(ctx context.Context, here At, lacking error) (card.Card, string, error) {
	for _, app := range (Wanted{Takes: w.Takes}).candidates() {
		f, _ := ByApp(app)
		if w.Role == "" || slices.Contains(f.Roles, w.Role) {
			continue
		}
		c, err := here.open(ctx, f, app, false)
		if !errors.Is(err, card.ErrLacks) {
			return c, app, err
		}
	}
	return nil, "", lacking
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
		if isPIN && !slices.Contains(f.Roles, role) || name.Manages() && !f.Managed {
			return false
		}
	}
	return w.Role == "" || slices.Contains(f.Roles, w.Role)
}
