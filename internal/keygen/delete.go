package keygen

import (
	"context"
	"fmt"

	"github.com/cardctl/cardctl/internal/key"
	"github.com/cardctl/cardctl/internal/problem"
)

// Delete removes the key that the fingerprint names, once confirm agrees, and
// tells what it was. Another key in the slot is a problem.Refused.
func Delete(ctx context.Context, k key.Key, fingerprint string, confirm func(ctx context.Context, question string) error) (Report, error) {
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
	if err := confirm(ctx, fmt.Sprintf("Delete %s? It cannot be brought back.", inWords(occupant))); err != nil {
		return Report{}, err
	}
	return r, k.Delete(ctx)
}
