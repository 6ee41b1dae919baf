package pkcs15

import (
	"context"
	"crypto"
	"crypto/rsa"

	"github.com/cardctl/cardctl/internal/problem"
	"github.com/cardctl/cardctl/internal/pubkey"
	"github.com/cardctl/cardctl/internal/secret"
)

// Decrypt decrypts a ciphertext, as long as the modulus of the RSA key: PKCS#1 v1.5, or
// RSAES-OAEP with *rsa.OAEPOptions. p is the PIN of the key; pin is nil where that is verified.
// What CanDecryptWith refuses is not asked of the card.
func (c *Card) Decrypt(ctx context.Context, k *PrivateKey, p PIN, pin *secret.Bytes, cryptogram []byte, opts crypto.DecrypterOpts) ([]byte, error) {
	if err := c.CanDecryptWith(k, opts); err != nil {
		return nil, err
	}
	return c.driver.decrypt(ctx, k, p, pin, cryptogram, opts)
}

// CanDecryptWith refuses a decryption that the key is not for, or that the card does not do, so
// that no PIN is asked for in vain.
func (c *Card) CanDecryptWith(k *PrivateKey, opts crypto.DecrypterOpts) error {
	if !k.Usage.CanDecrypt() {
		return notFor("decrypt", "decryption")
	}
	if oaep, is := opts.(*rsa.OAEPOptions); is && !pubkey.UnpadsOAEP(oaep) {
		return problem.New(problem.NotSupported, "RSAES-OAEP with this digest is not supported")
	}
	return c.driver.decryptsWith(k, opts)
}

// Derive is ECDH with a point that is not compressed: the x-coordinate that both share. p and
// pin are those of Decrypt. What CanDerive refuses is not asked of the card.
func (c *Card) Derive(ctx context.Context, k *PrivateKey, p PIN, pin *secret.Bytes, point []byte) ([]byte, error) {
	if err := c.CanDerive(k); err != nil {
		return nil, err
	}
	return c.driver.derive(ctx, k, p, pin, point)
}

// CanDerive is CanDecryptWith for ECDH.
func (c *Card) CanDerive(k *PrivateKey) error {
	if !k.Usage.CanDerive() {
		return notFor("derive a secret", "key agreement")
	}
	return c.driver.derives(k)
}

func notFor(what, use string) error {
	return problem.New(problem.NotSupported, "this key cannot %s", what).
		Because("The usage stored with the key does not include %s.", use)
}

func (d openSC) decryptsWith(*PrivateKey, crypto.DecrypterOpts) error { return d.onlySigns() }

func (d openSC) derives(*PrivateKey) error { return d.onlySigns() }

func (d openSC) onlySigns() error {
	return problem.New(problem.NotSupported, "cardctl only signs with keys of this card").
		Because("It decrypts and derives with IsoApplet and MyEID cards. Other programs can do it through OpenSC's PKCS#11 module.")
}

func (d openSC) decrypt(context.Context, *PrivateKey, PIN, *secret.Bytes, []byte, crypto.DecrypterOpts) ([]byte, error) {
	return nil, d.onlySigns()
}

func (d openSC) derive(context.Context, *PrivateKey, PIN, *secret.Bytes, []byte) ([]byte, error) {
	return nil, d.onlySigns()
}
