package ledger

import (
	"context"

	"github.com/cardctl/cardctl/internal/secret"
)

// The kinds of facts about what a card has no more.
const (
	factGone = "gone"
	factOver = "changed"
)

// The certificate and the key of a place.
const (
	goneRef  = "ref"
	goneWhat = "gone"
)

// Gone records that a place of the card has no certificate any more; what says what was
// there: certificate, key, or all. A certificate without its key is there still.
func (e *Entry) Gone(ctx context.Context, ref, what string) error {
	return e.after(ctx, fact{What: factGone, Data: map[string]any{goneRef: ref, goneWhat: what}})
}

// Superseded records that the card has another secret of a kind, which the ledger does
// not have.
func (e *Entry) Superseded(ctx context.Context, kind secret.Name) error {
	return e.after(ctx, fact{What: factOver, Data: map[string]any{"secret": kind}})
}

// gone ends the certificate of a place.
func (c *change) gone(ctx context.Context, serial string, data map[string]any) error {
	if data[goneWhat] == "key" {
		return nil
	}
	_, err := c.ExecContext(ctx, "UPDATE credential SET ended = 1 WHERE serial = $1 AND ref = $2", serial, data[goneRef])
	return err
}

// superseded ends the secrets of a kind that the card was known to have.
func (c *change) superseded(ctx context.Context, serial string, data map[string]any) error {
	_, err := c.ExecContext(ctx, "UPDATE secret SET ended = 1 WHERE serial = $1 AND kind = $2", serial, data["secret"])
	return err
}
