package p11kit

import (
	"context"
	"slices"

	"github.com/cardctl/cardctl/internal/agent"
)

// part are the keys of a card of which OpenSC's module makes a token: those with one PIN. A
// program finds them by the same URIs then.
type part struct {
	agent.Token

	label string
}

// About is that of the card, with the label of the part.
func (p part) About() agent.About {
	about := p.Token.About()
	about.Label = p.label
	return about
}

// Keys are those of the part.
func (p part) Keys(ctx context.Context) ([]agent.Key, error) {
	all, err := p.Token.Keys(ctx)
	card := p.Token.About().Label
	return slices.DeleteFunc(slices.Clone(all), func(k agent.Key) bool { return tokenOf(k, card) != p.label }), err
}

// tokenOf is the label of the token that has a key of a card.
func tokenOf(k agent.Key, card string) string {
	if label := k.About().Token; label != "" {
		return label
	}
	return card
}

// partsOf are the tokens that OpenSC's module makes of one: itself if that is one. A card that
// cannot be read stays one, which says so when its keys are looked for.
func partsOf(ctx context.Context, token agent.Token) []agent.Token {
	card := token.About().Label
	keys, err := token.Keys(ctx)
	labels := []string{card}
	for _, k := range keys {
		if label := tokenOf(k, card); !slices.Contains(labels, label) {
			labels = append(labels, label)
		}
	}
	if err != nil || len(labels) == 1 {
		return []agent.Token{token}
	}
	var parts []agent.Token
	for _, label := range labels {
		if slices.ContainsFunc(keys, func(k agent.Key) bool { return tokenOf(k, card) == label }) {
			parts = append(parts, part{token, label})
		}
	}
	return parts
}
