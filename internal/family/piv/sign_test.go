package piv

import (
	"bytes"
	"context"
	"crypto"
	"crypto/ecdh"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"crypto/sha512"
	"errors"
	"strings"
	"testing"

	"github.com/cardctl/cardctl/internal/iso7816"
	"github.com/cardctl/cardctl/internal/key"
	app "github.com/cardctl/cardctl/internal/piv"
	"github.com/cardctl/cardctl/internal/problem"
	"github.com/cardctl/cardctl/internal/pubkey"
	"github.com/cardctl/cardctl/internal/secret"
)

// verified is a signature by the key in a slot.
func (d *table) signs(slot app.Slot, public crypto.PublicKey) error {
	d.t.Helper()
	message := []byte("from the desk")
	return d.on(func(ctx context.Context, c *onCard) error {
		c.access.PublicKey = public
		s, err := c.key(slot).Signer(ctx)
		if err != nil {
			return err
		}
		sum, long := sha256.Sum256(message), sha512.Sum512(message)
		switch public := public.(type) {
		case *ecdsa.PublicKey:
			for hash, digest := range map[crypto.Hash][]byte{crypto.SHA256: sum[:], crypto.SHA512: long[:]} {
				signature, err := s.Sign(rand.Reader, digest, hash)
				if err != nil {
					return err
				}
				if !ecdsa.VerifyASN1(public, digest, signature) {
					d.t.Errorf("%s: wrong signature", hash)
				}
			}
		case ed25519.PublicKey:
			signature, err := s.Sign(rand.Reader, message, crypto.Hash(0))
			if err != nil {
				return err
			}
			if !ed25519.Verify(public, message, signature) {
				d.t.Error("wrong signature")
			}
		case *rsa.PublicKey:
			signature, err := s.Sign(rand.Reader, sum[:], crypto.SHA256)
			if err != nil {
				return err
			}
			if err := rsa.VerifyPKCS1v15(public, crypto.SHA256, sum[:], signature); err != nil {
				d.t.Error(err)
			}
			for _, salt := range []int{rsa.PSSSaltLengthEqualsHash, rsa.PSSSaltLengthAuto, 20} {
				if signature, err = s.Sign(rand.Reader, sum[:], &rsa.PSSOptions{SaltLength: salt, Hash: crypto.SHA256}); err != nil {
					return err
				}
				if err := rsa.VerifyPSS(public, crypto.SHA256, sum[:], signature, nil); err != nil {
					d.t.Error(err)
				}
			}
		}
		return nil
	})
}

// TestKeyManagementThatDoesNotSign is a card that keeps elliptic curve keys of key
// management to key agreement.
func TestKeyManagementThatDoesNotSign(t *testing.T) {
	for _, test := range []struct {
		slot  app.Slot
		way   bool
		error string
	}{{app.KeyManagement, true, "key agreement [6A80"}, {app.Authentication, false, "6A80"}} {
		d := managed(t, "piv-yubikey-5")
		made := d.generated(test.slot, key.P256)
		d.answer = func(cmd iso7816.Command, answer []byte) []byte {
			if cmd.INS == 0x87 && cmd.P2 == byte(test.slot) {
				return []byte{0x6A, 0x80}
			}
			return answer
		}
		if err := d.signs(test.slot, made.Public); errors.Is(err, key.ErrCannotSign) != test.way || !strings.Contains(err.Error(), test.error) {
			t.Errorf("%s: %v", test.slot, err)
		}
	}
	d := managed(t, "piv-yubikey-5.7")
	made := d.generated(app.KeyManagement, key.X25519)
	if err := d.signs(app.KeyManagement, made.Public); !errors.Is(err, key.ErrCannotSign) || !problem.Is(err, problem.NotSupported) {
		t.Errorf("X25519: %v", err)
	}
}

func TestSign(t *testing.T) {
	for _, test := range []struct {
		profile   string
		slot      app.Slot
		algorithm key.Algorithm
	}{
		{"piv-nist", app.Authentication, key.P256}, {"piv-nist", app.Signature, key.P384}, {"piv-nist", app.CardAuthentication, key.RSA2048},
		{"piv-yubikey-4", app.Signature, key.P256}, {"piv-yubikey-5", app.KeyManagement, key.RSA2048}, {"piv-yubikey-5", app.Signature, key.P384},
		{"piv-yubikey-5", app.CardAuthentication, key.P256}, {"piv-yubikey-5.7", app.Signature, key.Ed25519}, {"piv-yubikey-5.7", app.Slot(0x95), key.RSA3072},
		{"piv-short-apdus", app.Authentication, key.RSA2048},
	} {
		t.Run(test.profile+" "+test.slot.String()+" "+string(test.algorithm), func(t *testing.T) {
			d := managed(t, test.profile)
			made := d.generated(test.slot, test.algorithm)
			if err := d.signs(test.slot, made.Public); err != nil {
				t.Error(err)
			}
			if asked := strings.Contains(strings.Join(namesOf(d.asked), " "), "pin"); asked == (test.slot == app.CardAuthentication) {
				t.Errorf("asked %v", d.asked)
			}
		})
	}
}

func namesOf(names []secret.Name) (words []string) {
	for _, n := range names {
		words = append(words, string(n))
	}
	return words
}

// A key of which the policy is always has VERIFY right before each use.
func TestPINForEachUse(t *testing.T) {
	for _, profile := range []string{"piv-nist", "piv-yubikey-4", "piv-yubikey-5"} {
		d := managed(t, profile)
		made := d.generated(app.Signature, key.P256)
		d.sent = nil
		if err := d.signs(app.Signature, made.Public); err != nil {
			t.Errorf("%s: %v", profile, err)
		}
		uses, verified := 0, false
		for i, cmd := range d.sent {
			verified = verified || cmd.INS == iso7816.InsVerify && len(cmd.Data) > 0
			if cmd.INS != 0x87 || !verified {
				continue
			}
			uses++
			if before := d.sent[i-1]; before.INS != iso7816.InsVerify || len(before.Data) == 0 {
				t.Errorf("%s: %02X before the use", profile, before.INS)
			}
		}
		if uses != 2 {
			t.Errorf("%s: %d uses", profile, uses)
		}
	}
}

func TestDeriveAndDecrypt(t *testing.T) {
	for _, algorithm := range []key.Algorithm{key.P256, key.P384, key.X25519} {
		d := managed(t, "piv-yubikey-5.7")
		made := d.generated(app.KeyManagement, algorithm)
		theirs, err := pubkey.Agreement(made.Public)
		if err != nil {
			t.Fatal(err)
		}
		own, err := theirs.Curve().GenerateKey(rand.Reader)
		if err != nil {
			t.Fatal(err)
		}
		want, err := own.ECDH(theirs)
		if err != nil {
			t.Fatal(err)
		}
		d.looking(func(ctx context.Context, c *onCard) error {
			k := c.key(app.KeyManagement)
			got, err := k.Derive(ctx, own.PublicKey())
			if err != nil || !bytes.Equal(got, want) {
				t.Errorf("%s: %X, %v", algorithm, got, err)
			}
			other, err := ecdh.P521().GenerateKey(rand.Reader)
			if err != nil {
				return err
			}
			if _, err := k.Derive(ctx, other.PublicKey()); !problem.Is(err, problem.Mismatch) {
				t.Error(err)
			}
			if _, err := k.Decrypt(ctx, []byte{1}, nil); !problem.Is(err, problem.NotSupported) {
				t.Error(err)
			}
			return nil
		})
	}
	d := managed(t, "piv-yubikey-5")
	made := d.generated(app.KeyManagement, key.RSA2048)
	//lint:ignore SA1019 this padding is what the method takes off
	ciphertext, err := rsa.EncryptPKCS1v15(rand.Reader, made.Public.(*rsa.PublicKey), []byte("from the desk"))
	if err != nil {
		t.Fatal(err)
	}
	d.looking(func(ctx context.Context, c *onCard) error {
		k := c.key(app.KeyManagement)
		plain, err := k.Decrypt(ctx, ciphertext, nil)
		if err != nil || string(plain) != "from the desk" {
			t.Errorf("%q, %v", plain, err)
		}
		if _, err := k.Decrypt(ctx, bytes.Repeat([]byte{0x11}, 256), nil); err == nil {
			t.Error("what was not encrypted is decrypted")
		}
		if _, err := k.Decrypt(ctx, ciphertext, &rsa.OAEPOptions{}); !problem.Is(err, problem.NotSupported) {
			t.Error(err)
		}
		if _, err := k.Derive(ctx, made.Public); !problem.Is(err, problem.NotSupported) {
			t.Error(err)
		}
		return nil
	})
}

// The PIN for each signature is verified by the very command before it, also if the card
// was let go while a person typed it, and all that was read of the key is read again.
func TestSignAfterAPrompt(t *testing.T) {
	d := managed(t, "piv-yubikey-5")
	made := d.generated(app.Signature, key.P256)
	d.waiting = func() {}
	if err := d.signs(app.Signature, made.Public); err != nil {
		t.Error(err)
	}
}
