package keygen

import (
	"context"

	"github.com/cardctl/cardctl/internal/advice"
	"github.com/cardctl/cardctl/internal/desk"
	"github.com/cardctl/cardctl/internal/key"
	"github.com/cardctl/cardctl/internal/problem"
)

// DeleteOn removes the key that the fingerprint names, once confirm agrees, and
// tells what it was. Another key in the slot is a problem.Refused.
func DeleteOn(ctx context.Context, k key.Key, fingerprint string, confirm desk.Confirm) (Report, error) {
	occupant, err := k.Occupant(ctx)
	switch {
	case err != nil:
		return Report{}, err
	case occupant == nil:
		return Report{}, problem.New(problem.NotFound, "there is no key to delete")
	case plain(fingerprint) != plain(occupant.Fingerprint):
		return Report{}, problem.New(problem.Refused, "the key to delete is another one").
			Because("--fingerprint names %s; there is %s.", other(plain(fingerprint), occupant), inWords(occupant)).
			Hint("cardctl info")
	}
	public, err := k.Public(ctx)
	if err != nil {
		return Report{}, err
	}
	r, err := describe(k, occupant, public)
	if err != nil {
		return Report{}, err
	}
	if err := confirm.Ask(ctx, advice.Question{Deed: "Delete", Subject: inWords(occupant), Lost: "It cannot be restored."}); err != nil {
		return Report{}, err
	}
	return r, k.Delete(ctx)
}
