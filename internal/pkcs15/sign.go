package pkcs15

import (
	"context"
	"crypto"
	"fmt"

	"github.com/cardctl/cardctl/internal/secret"
)

// Sign makes an RSA PKCS#1 v1.5 signature, or one of ECDSA in ASN.1, over a
// digest. p is the PIN of the key; pin is nil where that is verified.
func (c *Card) Sign(ctx context.Context, k *PrivateKey, p PIN, pin *secret.Bytes, digest []byte, hash crypto.Hash) ([]byte, error) {
	if len(digest) != hash.Size() {
		return nil, fmt.Errorf("a digest of %d bytes for %s", len(digest), hash)
	}
	return c.driver.sign(ctx, k, p, pin, digest, hash)
}

// Verified is the PIN of a key where it is verified, so that Sign needs it not
// again.
func (c *Card) Verified(k *PrivateKey) (PIN, bool) {
	if c.verified == "" || c.directory == nil {
		return PIN{}, false
	}
	p, certain := pinOf(c.directory.PINs, k)
	return p, certain && p.ID == c.verified
}

// CanSignWith reports whether the card may sign a digest with the key at all,
// so that no PIN is asked for in vain: an IsoApplet with an EC key does not.
func (c *Card) CanSignWith(k *PrivateKey) bool { return c.driver.signsWith(k) }
