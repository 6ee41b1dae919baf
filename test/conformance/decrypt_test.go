//go:build cgo

package conformance

import (
	"bytes"
	"context"
	"crypto"
	"crypto/ecdh"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha1"
	"crypto/sha256"
	"errors"
	"testing"

	"github.com/cardctl/cardctl/internal/iso7816"
	"github.com/cardctl/cardctl/internal/key"
	"github.com/cardctl/cardctl/internal/keygen"
	"github.com/cardctl/cardctl/internal/pcsc"
	"github.com/cardctl/cardctl/internal/problem"
	"github.com/cardctl/cardctl/internal/pubkey"
)

// usedFor makes a key for some uses.
func (p *place) usedFor(t *testing.T, ref string, algorithm key.Algorithm, uses ...key.Usage) (made *place, public crypto.PublicKey) {
	t.Helper()
	at := *p
	at.ref = ref
	w := keygen.Wish{Key: ref, Algorithm: string(algorithm)}
	for _, use := range uses {
		w.Usage = append(w.Usage, string(use))
	}
	if _, err := keygen.Generate(t.Context(), p.desk, p.access(), w); err != nil {
		t.Fatal(err)
	}
	at.look(t, func(ctx context.Context, k key.Key) {
		var err error
		if public, err = k.Public(ctx); err != nil {
			t.Fatal(err)
		}
	})
	at.asked = nil
	return &at, public
}

// decrypted is what a key makes of a ciphertext.
func (p *place) decrypted(t *testing.T, ciphertext []byte, opts crypto.DecrypterOpts) (plain []byte, err error) {
	t.Helper()
	p.look(t, func(ctx context.Context, k key.Key) { plain, err = k.Decrypt(ctx, ciphertext, opts) })
	return plain, err
}

// derived is the secret that a key shares with another one.
func (p *place) derived(t *testing.T, peer crypto.PublicKey) (shared []byte, err error) {
	t.Helper()
	p.look(t, func(ctx context.Context, k key.Key) { shared, err = k.Derive(ctx, peer) })
	return shared, err
}

// noPIN refuses something before a PIN is asked for.
func (p *place) noPIN(t *testing.T, what string, err error) {
	t.Helper()
	if !problem.Is(err, problem.NotSupported) || len(p.asked) > 0 {
		t.Errorf("%s: %v, asked for %d PINs", what, err, len(p.asked))
	}
	p.asked = nil
}

// TestPKCS15Decrypts has RSA keys of PKCS#15 cards decrypt what was encrypted for them, with
// every padding that the card can have. A key that was made to sign does not.
func TestPKCS15Decrypts(t *testing.T) {
	for name, test := range map[string]struct {
		make func(t *testing.T) *place
		oaep bool
	}{
		"MyEID":              {func(t *testing.T) *place { return pkcs15(t, "myeid", myEIDPINs()) }, true},
		"IsoApplet":          {func(t *testing.T) *place { return pkcs15(t, "pkcs15", appletPINs()) }, false},
		"IsoApplet 1.0":      {func(t *testing.T) *place { return pkcs15(t, "pkcs15", appletPINs(), "isoapplet-1.0") }, false},
		"IsoApplet RSA 4096": {func(t *testing.T) *place { return pkcs15(t, "pkcs15", appletPINs(), "isoapplet-rsa4096") }, false},
	} {
		t.Run(name, func(t *testing.T) {
			p, public := test.make(t).usedFor(t, "PKCS15.45", key.RSA2048, key.Decrypt)
			modulus := public.(*rsa.PublicKey)
			message := []byte("for the card")
			//lint:ignore SA1019 what many programs encrypt with
			ciphertext, err := rsa.EncryptPKCS1v15(rand.Reader, modulus, message)
			if err != nil {
				t.Fatal(err)
			}
			if got, err := p.decrypted(t, ciphertext, nil); err != nil || !bytes.Equal(got, message) {
				t.Errorf("%q, %v", got, err)
			}
			other := bytes.Clone(ciphertext)
			other[100] ^= 1
			if _, err := p.decrypted(t, other, nil); !errors.Is(err, rsa.ErrDecryption) {
				t.Errorf("another message: %v", err)
			}
			label := []byte("desk")
			for hash, make := range map[crypto.Hash]func() ([]byte, error){
				crypto.SHA256: func() ([]byte, error) { return rsa.EncryptOAEP(sha256.New(), rand.Reader, modulus, message, label) },
				crypto.SHA1:   func() ([]byte, error) { return rsa.EncryptOAEP(sha1.New(), rand.Reader, modulus, message, label) },
			} {
				ciphertext, err := make()
				if err != nil {
					t.Fatal(err)
				}
				p.asked = nil
				got, err := p.decrypted(t, ciphertext, &rsa.OAEPOptions{Hash: hash, Label: label})
				switch {
				case !test.oaep:
					p.noPIN(t, "OAEP", err)
				case err != nil || !bytes.Equal(got, message):
					t.Errorf("OAEP with %s: %q, %v", hash, got, err)
				}
			}
			p.asked = nil
			_, err = p.decrypted(t, append(ciphertext, 0), nil)
			if !problem.Is(err, problem.Mismatch) || len(p.asked) > 0 {
				t.Errorf("too long: %v", err)
			}
			signs, _ := p.usedFor(t, "PKCS15.46", key.RSA2048, key.Sign)
			_, err = signs.decrypted(t, ciphertext, nil)
			signs.noPIN(t, "a key that signs", err)
		})
	}
}

// TestPKCS15Derives has keys on every curve agree on a secret with another key. Those that were
// made to sign, and those of an IsoApplet, do not.
func TestPKCS15Derives(t *testing.T) {
	card := pkcs15(t, "myeid", myEIDPINs())
	for i, curve := range []elliptic.Curve{elliptic.P256(), elliptic.P384(), elliptic.P521()} {
		algorithm := []key.Algorithm{key.P256, key.P384, key.P521}[i]
		p, public := card.usedFor(t, []string{"PKCS15.45", "PKCS15.46", "PKCS15.47"}[i], algorithm, key.Derive)
		peer, err := ecdsa.GenerateKey(curve, rand.Reader)
		if err != nil {
			t.Fatal(err)
		}
		want := agreed(t, peer, public)
		if got, err := p.derived(t, peer.Public()); err != nil || !bytes.Equal(got, want) {
			t.Errorf("%s: %x, %v, want %x", algorithm, got, err, want)
		}
		p.asked = nil
		elsewhere, err := ecdh.X25519().GenerateKey(rand.Reader)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := p.derived(t, elsewhere.PublicKey()); !problem.Is(err, problem.Mismatch) || len(p.asked) > 0 {
			t.Errorf("%s, another curve: %v", algorithm, err)
		}
	}
	peer, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	signs, _ := card.usedFor(t, "PKCS15.48", key.P256, key.Sign)
	_, err = signs.derived(t, peer.Public())
	signs.noPIN(t, "a key that signs", err)
	applet, _ := pkcs15(t, "pkcs15", appletPINs()).usedFor(t, "PKCS15.45", key.P256, key.Derive)
	_, err = applet.derived(t, peer.Public())
	applet.noPIN(t, "IsoApplet", err)
}

// agreed is the secret as the standard library computes it.
func agreed(t *testing.T, own *ecdsa.PrivateKey, public crypto.PublicKey) []byte {
	t.Helper()
	theirs, err := pubkey.Agreement(public)
	if err != nil {
		t.Fatal(err)
	}
	mine, err := own.ECDH()
	if err != nil {
		t.Fatal(err)
	}
	shared, err := mine.ECDH(theirs)
	if err != nil {
		t.Fatal(err)
	}
	return shared
}

// TestDecryptInHalves is a MyEID card: it reports neither command chaining nor extended length,
// and takes a ciphertext of 256 bytes in two commands.
func TestDecryptInHalves(t *testing.T) {
	p, public := pkcs15(t, "myeid", myEIDPINs()).usedFor(t, "PKCS15.45", key.RSA2048, key.Decrypt)
	//lint:ignore SA1019 what many programs encrypt with
	ciphertext, err := rsa.EncryptPKCS1v15(rand.Reader, public.(*rsa.PublicKey), []byte("for the card"))
	if err != nil {
		t.Fatal(err)
	}
	var indicators []byte
	readers, err := p.desk.OpenReaders(t.Context(), pcsc.Options{})
	if err != nil {
		t.Fatal(err)
	}
	readers.(*reader).between = func(command, answer []byte) []byte {
		if command[1] == iso7816.InsPerformSecurityOp {
			indicators = append(indicators, command[0], command[5])
		}
		return answer
	}
	if got, err := p.decrypted(t, ciphertext, nil); err != nil || string(got) != "for the card" {
		t.Errorf("%q, %v", got, err)
	}
	if !bytes.Equal(indicators, []byte{0, 0x81, 0, 0x82}) {
		t.Errorf("padding indicators % X", indicators)
	}
}

// TestStrangersOnlySign: a card that cardctl reaches through OpenSC's programs does not derive.
func TestStrangersOnlySign(t *testing.T) {
	p, _ := strange(t).usedFor(t, "PKCS15.45", key.P256, key.Derive)
	peer, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	_, err = p.derived(t, peer.Public())
	p.noPIN(t, "through OpenSC", err)
}
