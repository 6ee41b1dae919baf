package family

import (
	"context"
	"slices"
	"strings"

	"github.com/cardctl/cardctl/internal/advice"
	"github.com/cardctl/cardctl/internal/card"
	"github.com/cardctl/cardctl/internal/desk"
	"github.com/cardctl/cardctl/internal/key"
	"github.com/cardctl/cardctl/internal/p11"
	"github.com/cardctl/cardctl/internal/problem"
)

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
			Because("Only keys of %ss get an ID.", tokens().Kind).Advise(advice.Repeat().Without(advice.KeyID))
	}
	return ref, label, nil
}

// OnToken is the reference of a key of the token with this serial.
func OnToken(reference, serial string) string {
	uri, err := p11.ParseURI(reference)
	if err != nil {
		return reference
	}
	if _, told := uri.Get(p11.AttrSerial); !told {
		uri.Path = append(uri.Path, p11.Attribute{Name: p11.AttrSerial, Value: serial})
	}
	return uri.String()
}

// fits refuses a key of another application than the one that was typed; what only
// a variable names gives way to the key.
func fits(ref key.Reference, f card.Family, meant *desk.Selection) error {
	if app := meant.Application(); meant.AppTyped && !slices.Contains(f.Apps, app) {
		return problem.New(problem.Usage, "%s is not a key of the application %s", ref, app).
			Because("The reference alone names the application.").Advise(advice.Repeat().Without(advice.App))
	}
	return nil
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

func notYet(ref key.Reference) error {
	return problem.New(problem.NotSupported, "%s: keys of this kind are not supported yet", ref).
		Because("This version supports keys of %s.", strings.Join(kinds(), ", "))
}

func kinds() []string {
	var list []string
	for _, f := range All() {
		if HasKeys(f) {
			list = append(list, f.Kind+"s")
		}
	}
	return list
}
