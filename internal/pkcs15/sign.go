package pkcs15

import (
	"context"
	"crypto"
	"crypto/rsa"
	"fmt"

	"github.com/cardctl/cardctl/internal/advice"
	"github.com/cardctl/cardctl/internal/problem"
	"github.com/cardctl/cardctl/internal/secret"
)

// Sign makes an RSA signature (PKCS#1 v1.5, or PSS with *rsa.PSSOptions), or one of
// ECDSA in ASN.1, over a digest. p is the PIN of the key; pin is nil where that is
// verified. What CanSignWith refuses is not asked of the card.
func (c *Card) Sign(ctx context.Context, k *PrivateKey, p PIN, pin *secret.Bytes, digest []byte, opts crypto.SignerOpts) ([]byte, error) {
	if hash := opts.HashFunc(); len(digest) != hash.Size() {
		return nil, fmt.Errorf("a digest of %d bytes for %s", len(digest), hash)
	}
	if err := c.CanSignWith(k, opts); err != nil {
		return nil, err
	}
	return c.driver.sign(ctx, k, p, pin, digest, opts)
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

// CanSignWith refuses a signature that the card does not make, so that no PIN is asked
// for in vain: an EC key of an IsoApplet before version 1.0 signs no digest.
func (c *Card) CanSignWith(k *PrivateKey, opts crypto.SignerOpts) error {
	return c.driver.signsWith(k, opts)
}

// withoutPSS refuses RSA-PSS, for this reason.
func withoutPSS(opts crypto.SignerOpts, why string) error {
	if _, pss := opts.(*rsa.PSSOptions); !pss {
		return nil
	}
	return problem.New(problem.NotSupported, "RSA-PSS is not supported with this card").
		Because("%s", why).Advise(advice.Repeat().Without(advice.PSS))
}
