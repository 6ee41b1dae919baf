package ledger

import (
	"context"
	"crypto"

	"github.com/cardctl/cardctl/internal/pubkey"
)

// Signers are the keys that signed the log.
func (l *Ledger) Signers(ctx context.Context) (keys []crypto.PublicKey, err error) {
	err = l.db.Rows(ctx, func(scan func(...any) error) error {
		var text string
		if err := scan(&text); err != nil {
			return err
		}
		key, err := pubkey.Read([]byte(text))
		keys = append(keys, key)
		return err
	}, "SELECT DISTINCT key FROM signature")
	return keys, err
}
