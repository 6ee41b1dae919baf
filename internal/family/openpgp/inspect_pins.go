package inventory

import (
	"context"

	"github.com/cardctl/cardctl/internal/iso7816"
	"github.com/cardctl/cardctl/internal/openpgp"
)

// PINs reads the state of every PIN of the card and nothing else, in two
// commands.
func PINs(ctx context.Context, ch *iso7816.Channel) ([]PIN, error) {
	pgp, err := openpgp.Select(ctx, ch)
	if err != nil {
		return nil, explain(err)
	}
	data, err := pgp.ApplicationRelatedData(ctx)
	if err != nil {
		return nil, explain(err)
	}
	return pins(&data.Passwords), nil
}
