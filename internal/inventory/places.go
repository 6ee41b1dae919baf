package inventory

import (
	"context"
	"strings"

	"github.com/cardctl/cardctl/internal/card"
	"github.com/cardctl/cardctl/internal/desk"
	"github.com/cardctl/cardctl/internal/family"
	"github.com/cardctl/cardctl/internal/key"
)

// KeyPlace is a place that a user can mean, and in a few words what it is and
// holds.
type KeyPlace struct{ Ref, Is string }

// Keys are the keys of the card that is meant, and its empty places.
func Keys(ctx context.Context, d *desk.Desk, a desk.Access) (places []KeyPlace, err error) {
	_, _, err = family.Visit(ctx, d, family.Wanted{Takes: Apps(), Reads: true}, a, func(ctx context.Context, c card.Card) error {
		keys, err := c.Keys(ctx)
		if err != nil {
			return err
		}
		for _, k := range keys {
			p, err := placeOf(ctx, k)
			if err != nil {
				return err
			}
			places = append(places, p)
		}
		return nil
	})
	return places, err
}

func placeOf(ctx context.Context, k key.Key) (KeyPlace, error) {
	p := KeyPlace{Ref: k.Reference().String()}
	occupant, err := k.Occupant(ctx)
	if err != nil {
		return p, err
	}
	holder, err := k.Holder(ctx)
	holds := "empty"
	switch {
	case occupant != nil && occupant.Unknown:
		holds = "unknown"
	case occupant != nil:
		holds = strings.TrimSpace(string(occupant.Algorithm) + " " + occupant.Label)
	}
	p.Is = holds
	if holder.Place != "" {
		p.Is = holder.Place + ", " + holds
	}
	return p, err
}

// TokenKeys are the keys of every token that a module shows.
func TokenKeys(ctx context.Context, d *desk.Desk, a desk.Access) (places []KeyPlace, err error) {
	tokens, err := d.Tokens(ctx)
	if err != nil {
		return nil, err
	}
	for _, uri := range tokens {
		one := *d
		one.Meant.Token = uri
		found, err := Keys(ctx, &one, a)
		if err != nil {
			continue // another token may have keys to show
		}
		places = append(places, found...)
	}
	return places, nil
}
