package pkcs15

import (
	"context"
	"crypto"
	"crypto/x509/pkix"
	"encoding/asn1"
	"fmt"
	"strings"

	"github.com/cardctl/cardctl/internal/problem"
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

// digestInfo is the structure of RFC 8017, 9.2.
func digestInfo(hash crypto.Hash, digest []byte) ([]byte, error) {
	oids := map[crypto.Hash]asn1.ObjectIdentifier{
		crypto.SHA256: {2, 16, 840, 1, 101, 3, 4, 2, 1},
		crypto.SHA384: {2, 16, 840, 1, 101, 3, 4, 2, 2},
		crypto.SHA512: {2, 16, 840, 1, 101, 3, 4, 2, 3},
	}
	oid, ok := oids[hash]
	if !ok {
		return nil, problem.New(problem.NotSupported, "no RSA signatures over %s", strings.ToLower(hash.String()))
	}
	return asn1.Marshal(struct {
		Algorithm pkix.AlgorithmIdentifier
		Digest    []byte
	}{pkix.AlgorithmIdentifier{Algorithm: oid, Parameters: asn1.NullRawValue}, digest})
}
