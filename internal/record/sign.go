package record

import (
	"context"

	"github.com/cardctl/cardctl/internal/desk"
	"github.com/cardctl/cardctl/internal/family"
	"github.com/cardctl/cardctl/internal/key"
	"github.com/cardctl/cardctl/internal/ledger"
)

// Sign has a key on the card that is meant sign the head of the log.
func Sign(ctx context.Context, d *desk.Desk, a desk.Access, reference string, l *ledger.Ledger) (anchor *ledger.Anchor, err error) {
	err = family.WithKey(ctx, d, reference, a, func(ctx context.Context, _ family.At, k key.Key) error {
		signer, err := k.Signer(ctx)
		if err != nil {
			return err
		}
		anchor, err = l.Sign(ctx, signer)
		return err
	})
	return anchor, err
}
