package pkcs15

import (
	"context"
	"crypto"
	"crypto/x509/pkix"
	"encoding/asn1"
	"encoding/hex"
	"fmt"
	"strings"

	"github.com/cardctl/cardctl/internal/problem"
	"github.com/cardctl/cardctl/internal/secret"
)

// Sign makes an RSA PKCS#1 v1.5 signature, or one of ECDSA in ASN.1, over a
// digest. pin is nil where Verify has succeeded.
func (c *Card) Sign(ctx context.Context, k *PrivateKey, p PIN, pin *secret.Bytes, digest []byte, hash crypto.Hash) ([]byte, error) {
	if len(digest) != hash.Size() {
		return nil, fmt.Errorf("a digest of %d bytes for %s", len(digest), hash)
	}
	if c.native == nil {
		return c.signWithTool(ctx, k, p, pin, digest, hash)
	}
	if !c.CanSignWith(k) {
		return nil, problem.New(problem.NotSupported, "this card cannot sign with %s", hash).
			Because("An IsoApplet hashes by itself, with SHA-1 alone, where the key is an EC key.").
			Hint("use an rsa2048 key")
	}
	var signature []byte
	err := c.direct(ctx, func() error {
		if err := c.native.ready(ctx); err != nil {
			return err
		}
		if !c.verified {
			if err := c.sendPIN(ctx, p, pin); err != nil {
				return err
			}
		}
		var err error
		signature, err = c.native.sign(ctx, k, digest, hash)
		return err
	})
	if err != nil {
		c.verified = false
	}
	return signature, c.explain(err, "signing")
}

// sendPIN verifies a PIN of a native card.
func (c *Card) sendPIN(ctx context.Context, p PIN, pin *secret.Bytes) error {
	err := c.native.verify(ctx, p, pin)
	if wrong := refused(p, err); wrong != nil {
		c.Forget()
		return wrong
	}
	c.verified = err == nil
	return err
}

// Verified reports whether Sign needs no PIN now.
func (c *Card) Verified() bool { return c.verified }

// signWithTool signs with pkcs15-crypt, which reads the PIN from its standard
// input.
func (c *Card) signWithTool(ctx context.Context, k *PrivateKey, p PIN, pin *secret.Bytes, digest []byte, hash crypto.Hash) ([]byte, error) {
	options := map[crypto.Hash]string{
		crypto.SHA1: "--sha-1", crypto.SHA256: "--sha-256", crypto.SHA384: "--sha-384", crypto.SHA512: "--sha-512",
	}
	option, ok := options[hash]
	if !ok {
		return nil, problem.New(problem.NotSupported, "pkcs15-crypt makes no signatures over %s", hash)
	}
	args := []string{"--sign", "--key", hex.EncodeToString(k.ID), "--pin", "-", "--raw", "--input", filePlace}
	if k.EC {
		args = append(args, "--signature-format", "sequence")
	} else {
		args = append(args, "--pkcs1", option)
	}
	stdin := append(append([]byte{}, pin.Reveal()...), '\n')
	defer secret.Wipe(stdin)
	out, err := c.tool(ctx, call{program: "pkcs15-crypt", args: args, stdin: stdin, file: digest})
	if err != nil {
		return nil, c.judge(ctx, err, p, "signing")
	}
	return out, nil
}

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

// CanSignWith reports whether the card may sign a digest with the key at all,
// so that no PIN is asked for in vain: an IsoApplet with an EC key does not.
func (c *Card) CanSignWith(k *PrivateKey) bool { return c.applet == nil || !k.EC }
