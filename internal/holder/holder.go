// Package holder writes what a card says of the person it belongs to. Which data that
// is, and what it may hold, is left to the family of the card.
package holder

import (
	"context"

	"github.com/cardctl/cardctl/internal/card"
	"github.com/cardctl/cardctl/internal/desk"
	"github.com/cardctl/cardctl/internal/family"
	"github.com/cardctl/cardctl/internal/problem"
)

// Report is what Set did.
type Report struct {
	// Reader is where the card is; Kind what it is called.
	Reader string `json:"reader"`
	Kind   string `json:"-"`
	Serial string `json:"serial"`
	// Cardholder is what was written, as it was read back.
	Cardholder card.Holder `json:"cardholder"`
}

// Wish is what the card should say: nil for what stays, empty for what is removed.
type Wish = card.HolderWish

// Set writes what is named on the card that is meant. The rest stays.
func Set(ctx context.Context, d *desk.Desk, a desk.Access, wish Wish) (report Report, err error) {
	w := family.Wanted{Takes: family.Apps(func(f card.Family) bool { return f.NamesHolder })}
	err = family.WithCard(ctx, d, w, a, func(ctx context.Context, here family.At, c card.Card) error {
		able, err := On(c)
		if err != nil {
			return err
		}
		report.Reader, report.Kind, report.Serial = here.Place, here.Kind(), c.Identity().Serial
		report.Cardholder, err = able.SetHolder(ctx, wish)
		return err
	})
	return report, err
}

// On is what writes them on a card.
func On(c card.Card) (card.HolderSetter, error) {
	able, ok := c.(card.HolderSetter)
	if !ok {
		return nil, problem.New(problem.NotSupported, "this card does not keep a cardholder")
	}
	return able, nil
}
