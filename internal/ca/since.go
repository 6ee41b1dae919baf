package ca

import (
	"context"
	"crypto"
	"errors"
	"time"

	"github.com/cardctl/cardctl/internal/pubkey"
)

// IssuedSince is the valid certificate for a key that the CA in a directory stored last since
// a moment, but not the one that is known, in DER; nil for none.
func IssuedSince(ctx context.Context, dir string, key crypto.PublicKey, since time.Time, known []byte, now time.Time) (der []byte, err error) {
	c, err := Open(ctx, dir)
	if err != nil {
		return nil, err
	}
	err = c.db.Rows(ctx, func(scan func(...any) error) error { return scan(&der) },
		"SELECT der FROM certificates WHERE public_key = ? AND issued >= ? AND der <> ? AND revoked IS NULL AND not_after > ? ORDER BY issued DESC LIMIT 1",
		pubkey.Fingerprint(key), since.Unix(), append([]byte{}, known...), now.Unix())
	return der, errors.Join(err, c.Close())
}
