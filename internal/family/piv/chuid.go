package piv

import (
	"bytes"
	"context"
	"crypto/rand"
	"errors"
	"fmt"

	"github.com/cardctl/cardctl/internal/key"
	app "github.com/cardctl/cardctl/internal/piv"
)

// yearsValid is how long a new CHUID says that the card is valid.
const yearsValid = 10

// RenewIdentifier gives the CHUID another GUID, by which Windows notices that the
// certificates changed. A card is known by the GUID where it has no serial of its maker,
// and what an issuer signed is not changed: such a CHUID stays.
func (k *slotKey) RenewIdentifier(ctx context.Context, r key.Renewal) (*key.Identifier, error) {
	if r == key.KeepIdentifier {
		return nil, nil
	}
	if r == key.RenewIfFree && !k.seen.numbered {
		return &key.Identifier{Why: "It is the serial of this card."}, nil
	}
	selected, err := k.application(ctx)
	if err != nil {
		return nil, err
	}
	chuid, err := selected.GetData(ctx, app.CHUID)
	if err != nil && (r == key.RenewIfFree || !app.Unanswered(err)) {
		return nil, explain(err, "reading the CHUID", "")
	}
	if r == key.RenewIfFree && app.Signed(chuid) {
		return &key.Identifier{Why: "Its issuer signed it."}, nil
	}
	renewed, err := app.RenewedCHUID(rand.Reader, chuid)
	if errors.Is(err, app.ErrMalformed) {
		if chuid != nil && r == key.RenewIfFree {
			return &key.Identifier{Why: "It does not have the form that the standard gives it."}, nil
		}
		renewed, err = app.NewCHUID(rand.Reader, k.access.Now().AddDate(yearsValid, 0, 0))
	}
	if err == nil {
		err = k.manage(ctx)
	}
	if err == nil {
		err = k.writeCHUID(ctx, renewed)
	}
	if err != nil {
		return nil, explain(err, "renewing the CHUID", "")
	}
	return &key.Identifier{Renewed: true}, nil
}

// writeCHUID writes a CHUID and reads it back. A card without a serial is known by it
// from then on.
func (c *onCard) writeCHUID(ctx context.Context, chuid []byte) error {
	selected, err := c.application(ctx)
	if err != nil {
		return err
	}
	if err := selected.PutData(ctx, app.CHUID, chuid); err != nil {
		return err
	}
	if err := readBack(ctx, selected, app.CHUID, chuid); err != nil {
		return err
	}
	if c.seen.numbered {
		return nil
	}
	c.seen = identityOf(chuid)
	return nil
}

// readBack compares an object with what was written.
func readBack(ctx context.Context, selected *app.Card, object app.Object, want []byte) error {
	got, err := selected.GetData(ctx, object)
	if err == nil && !bytes.Equal(got, want) {
		err = fmt.Errorf("the card stored another object %X than was written", uint32(object))
	}
	return err
}
