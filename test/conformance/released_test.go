//go:build cgo

package conformance

import (
	"context"
	"crypto"
	"crypto/rand"
	"crypto/sha256"
	"testing"

	"github.com/cardctl/cardctl/internal/family"
	"github.com/cardctl/cardctl/internal/key"
	"github.com/cardctl/cardctl/internal/pubkey"
)

// TestReleasedBetweenUses has one key sign, and sign again after the card was released, which
// forgets the PIN: it is asked for and sent again, and no try is lost.
func TestReleasedBetweenUses(t *testing.T) {
	for _, kind := range kinds {
		if kind.app == "pkcs11" { // a token is not released
			continue
		}
		t.Run(kind.name, func(t *testing.T) {
			p := kind.make(t)
			made(t, p)
			before := p.left(t)
			p.asked = nil
			digest := sha256.Sum256([]byte("from the desk"))
			err := family.WithKey(t.Context(), p.desk, p.ref, p.access(), func(ctx context.Context, here family.At, k key.Key) error {
				signer, err := k.Signer(ctx)
				if err != nil {
					return err
				}
				for range 2 {
					signature, err := signer.Sign(rand.Reader, digest[:], crypto.SHA256)
					if err != nil {
						return err
					}
					if !pubkey.Verify(signer.Public(), digest[:], signature, crypto.SHA256) {
						t.Error("wrong signature")
					}
					if err := here.Line.Release(); err != nil {
						return err
					}
				}
				return nil
			})
			if left := p.left(t); err != nil || left != before || len(p.asked) != 2 {
				t.Errorf("%v, asked %d times, %v left of %v", err, len(p.asked), left.Number(), before.Number())
			}
		})
	}
}
