package provision

import (
	"slices"
	"strings"

	"github.com/cardctl/cardctl/internal/advice"
	"github.com/cardctl/cardctl/internal/card"
	"github.com/cardctl/cardctl/internal/family"
	"github.com/cardctl/cardctl/internal/plan"
	"github.com/cardctl/cardctl/internal/problem"
)

// kind is a kind of cards that the plan is for. There are several where a column of the
// rows says the application.
type kind struct {
	app    string
	family card.Family
	plan   *plan.Plan // what is for this kind, with the columns as they stand in the plan
	hash   string     // of the plan and the rows for this kind
}

// findKinds finds the kinds of cards that the plan is for, and gives each row its own.
func (r *run) findKinds() error {
	p := r.o.Plan
	if !p.ApplicationOfRow() {
		k, err := newKind(p)
		if err != nil {
			return err
		}
		r.kinds = []*kind{k}
		for i := range r.rows {
			r.rows[i].kind = k
		}
		return nil
	}
	for i := range r.rows {
		if err := r.sort(&r.rows[i]); err != nil {
			return err
		}
	}
	if len(r.kinds) > 1 {
		return r.together()
	}
	return nil
}

// sort gives a row the kind of cards that it says, and what of the plan is for that.
func (r *run) sort(row *wantedRow) error {
	app := row.plan.Card.Application
	f, err := provisioned(app)
	if err != nil {
		return problem.Wrap(problem.Usage, err, row.Place())
	}
	row.plan = only(row.plan, f)
	at := slices.IndexFunc(r.kinds, func(k *kind) bool { return k.app == app })
	if at < 0 {
		meant := *r.o.Plan
		meant.Card.Application = app
		k, err := newKind(only(&meant, f))
		if err != nil {
			return problem.Wrap(problem.Usage, err, row.Place())
		}
		at = len(r.kinds)
		r.kinds = append(r.kinds, k)
	}
	row.kind = r.kinds[at]
	return nil
}

// together refuses kinds of cards that cannot be told from each other in a reader.
func (r *run) together() error {
	if r.o.Plan.Applet != nil {
		return problem.New(problem.Usage, "the plan: an applet and several applications contradict each other").
			Because("A card that has no application yet could get any of them.")
	}
	for _, k := range r.kinds {
		if k.family.Token {
			return problem.New(problem.Usage, "the plan: cards and tokens are not in one table").
				Because("Tokens are not put into a reader. They have a plan of their own.")
		}
	}
	return nil
}

// only is what of a plan is for a family: its keys, and the secrets and the holder that its
// cards have.
func only(p *plan.Plan, f card.Family) *plan.Plan {
	part := *p
	ours := func(reference string) bool {
		_, of, err := family.Parse(reference)
		return err != nil || of.Kind == f.Kind // what is no reference is refused later
	}
	part.Keys = slices.DeleteFunc(slices.Clone(p.Keys), func(k plan.Key) bool { return !ours(k.Ref) })
	for role, field := range pinsOf(&part.PINs) {
		if !slices.Contains(f.Roles, role) {
			*field = nil
		}
	}
	if !f.Managed {
		part.ManagementKey = nil
	}
	if !f.NamesHolder {
		part.Holder = nil
	}
	if t := p.SmokeTest; t != nil && len(t.Keys) > 0 {
		test := *t
		test.Keys = slices.DeleteFunc(slices.Clone(t.Keys), func(reference string) bool { return !ours(reference) })
		part.SmokeTest = &test
		if len(test.Keys) == 0 {
			part.SmokeTest = nil
		}
	}
	return &part
}

// newKind finds the kind of cards that a plan is for.
func newKind(p *plan.Plan) (*kind, error) {
	app := p.Card.Application
	for _, reference := range p.References() {
		_, f, err := family.Parse(reference)
		if err != nil {
			return nil, problem.Wrap(problem.Usage, err, "the plan")
		}
		if issuersKey(p, reference) {
			continue
		}
		if app == "" {
			app = f.Apps[0]
		}
		if !slices.Contains(f.Apps, app) {
			return nil, problem.New(problem.Usage, "the plan: %s is not a key of the application %s", reference, app).
				Because("%s", "All keys of a card are on one application.")
		}
	}
	if app == "" {
		return nil, problem.New(problem.Usage, "the plan does not say which application it is for").
			Because("It has no keys. Valid: card.application.").Advise(advice.Do(advice.Help))
	}
	f, err := provisioned(app)
	if err != nil {
		return nil, problem.Wrap(problem.Usage, err, "the plan")
	}
	return &kind{app: app, family: f, plan: p}, takes(f, p)
}

// provisioned is the family of an application that cards can be provisioned with.
func provisioned(app string) (card.Family, error) {
	f, ok := family.ByApp(app)
	if !ok || !family.HasKeys(f) {
		return f, problem.New(problem.Usage, "%s is not an application that cards can be provisioned with", app).
			Because("Valid: %s.", strings.Join(family.Apps(family.HasKeys), ", "))
	}
	return f, nil
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

// ofTokens says that the plan is for tokens, which no reader has.
func (r *run) ofTokens() bool { return r.kinds[0].family.Token }

// kindOf is the kind of a card of which an application is open; a token has none.
func (r *run) kindOf(app string) *kind {
	at := slices.IndexFunc(r.kinds, func(k *kind) bool { return k.app == app })
	return r.kinds[max(at, 0)]
}

// apps are the applications of the kinds.
func (r *run) apps() (apps []string) {
	for _, k := range r.kinds {
		apps = append(apps, k.app)
	}
	return apps
}

// lent says that a module may not use a card meanwhile.
func (r *run) lent() bool {
	return slices.ContainsFunc(r.kinds, func(k *kind) bool { return k.family.Lent })
}
