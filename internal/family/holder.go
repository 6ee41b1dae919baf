package family

import (
	"context"
	"errors"
	"strings"

	"github.com/cardctl/cardctl/internal/advice"
	"github.com/cardctl/cardctl/internal/card"
	"github.com/cardctl/cardctl/internal/desk"
	"github.com/cardctl/cardctl/internal/problem"
)

// holder opens what holds keys of a family. Where the family does not know the card
// by itself, a card that holds keys of another family is not searched for these, and
// neither is a simulated one: nothing else knows more of it.
func (h At) holder(ctx context.Context, f card.Family) (card.Card, error) {
	app := f.Apps[0]
	c, lacking := h.open(ctx, f, app, false)
	if !errors.Is(lacking, card.ErrLacks) {
		return c, lacking
	}
	found, families, err := probe(ctx, h.Line, everything)
	if err != nil {
		return nil, err
	}
	if others := examples(families); len(others) > 0 {
		return nil, wrongCard(f, found).Because("Its keys: %s.", strings.Join(others, "; "))
	}
	if strings.HasPrefix(h.Place, desk.SimulatedPrefix) {
		return nil, wrongCard(f, found).Because("cardctl uses no keys on such a card.")
	}
	return h.open(ctx, f, app, true)
}

// wrongCard is the error of a card that is of another kind than a key reference.
func wrongCard(f card.Family, found card.Identity) *problem.Error {
	return problem.New(problem.NotSupported, "the card is not %s, but %s", withArticle(f.Kind), withArticle(found.Type)).
		Advise(advice.Do(advice.ShowCard))
}

// withArticle is a kind of card in a sentence.
func withArticle(kind string) string {
	if strings.ContainsRune("AEIOUaeiou", rune(kind[0])) {
		return "an " + kind
	}
	return "a " + kind
}

// examples are the forms of the keys of families.
func examples(families []card.Family) []string {
	var forms []string
	for _, f := range families {
		if HasKeys(f) {
			forms = append(forms, f.Syntax)
		}
	}
	return forms
}

// Example is a reference to a key as the card that is meant could have it; empty for a
// token, and for a card that cannot be reached or has no keys.
func Example(ctx context.Context, d *desk.Desk) string {
	example := ""
	w := Wanted{Takes: Apps(HasKeys), Reads: true}
	_ = withMeant(ctx, d, w, desk.Access{}, func(ctx context.Context, here At, token card.Card) error {
		if token != nil {
			return nil // what it is called is for the person to know
		}
		_, families, err := probe(ctx, here.Line, everything)
		for _, f := range families {
			if example == "" && HasKeys(f) {
				example = f.Example
			}
		}
		return err
	})
	return example
}
