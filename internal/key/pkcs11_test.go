//go:build cgo

package key_test

import (
	"context"
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"fmt"
	"os"
	"testing"

	"github.com/cardctl/cardctl/internal/key"
	"github.com/cardctl/cardctl/internal/p11"
	"github.com/cardctl/cardctl/internal/secret"
	"github.com/cardctl/cardctl/test/softhsm"
)

func TestMain(m *testing.M) {
	cleanup, err := softhsm.Setup()
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	code := m.Run()
	cleanup()
	os.Exit(code)
}

// tokenDesk is a token and what is typed at it.
type tokenDesk struct {
	softhsm.Token
	module *p11.Module
	pin    string
	asked  int
}

func newTokenDesk(t *testing.T, label string) *tokenDesk {
	t.Helper()
	token := softhsm.New(t, label)
	m, err := p11.Load(t.Context(), "softhsm2")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := m.Close(); err != nil {
			t.Error(err)
		}
	})
	return &tokenDesk{Token: token, module: m, pin: token.PIN}
}

func (d *tokenDesk) access() key.Access {
	return key.Access{
		Ask: func(context.Context, secret.Request) (*secret.Bytes, error) {
			d.asked++
			return secret.New([]byte(d.pin)), nil
		},
		Notify: func(string) {},
	}
}

// open opens the key with these attributes of the token.
func (d *tokenDesk) open(t *testing.T, attributes string) key.Key {
	t.Helper()
	ref, err := key.ParseReference("pkcs11:token=" + d.Label + attributes)
	if err != nil {
		t.Fatal(err)
	}
	k, session, err := key.OpenToken(t.Context(), d.module, ref, d.access())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := session.Close(); err != nil {
			t.Error(err)
		}
	})
	return k
}

func signs(t *testing.T, k key.Key) {
	t.Helper()
	signer, err := k.Signer(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	message := []byte("snake oil")
	digest := sha256.Sum256(message)
	input, opts := digest[:], crypto.SignerOpts(crypto.SHA256)
	if _, ok := signer.Public().(ed25519.PublicKey); ok {
		input, opts = message, crypto.Hash(0)
	}
	signature, err := signer.Sign(rand.Reader, input, opts)
	if err != nil {
		t.Fatal(err)
	}
	valid := false
	switch public := signer.Public().(type) {
	case *rsa.PublicKey:
		valid = rsa.VerifyPKCS1v15(public, crypto.SHA256, digest[:], signature) == nil
	case *ecdsa.PublicKey:
		valid = ecdsa.VerifyASN1(public, digest[:], signature)
	case ed25519.PublicKey:
		valid = ed25519.Verify(public, message, signature)
	}
	if !valid {
		t.Errorf("the signature of %T does not verify", signer.Public())
	}
}

func TestGenerateOnToken(t *testing.T) {
	d := newTokenDesk(t, "generate")
	for _, algorithm := range []key.Algorithm{"", key.RSA2048, key.P256, key.P384, key.P521, key.Ed25519} {
		t.Run(string(algorithm), func(t *testing.T) {
			d.asked = 0
			attributes := ";object=key-" + string(algorithm)
			k := d.open(t, attributes)
			if occupant, err := k.Occupant(t.Context()); occupant != nil || err != nil {
				t.Fatalf("an empty slot has %+v, %v", occupant, err)
			}
			made, err := k.Generate(t.Context(), key.Spec{Algorithm: algorithm})
			if err != nil {
				t.Fatal(err)
			}
			want := algorithm
			if want == "" {
				want = key.P256
			}
			if made.Algorithm != want || made.Fingerprint != key.TokenFingerprint(made.Public) || !made.Created.IsZero() {
				t.Errorf("made %+v", made)
			}
			signs(t, k)
			if d.asked != 1 {
				t.Errorf("asked %d times", d.asked)
			}
			again := d.open(t, attributes)
			occupant, err := again.Occupant(t.Context())
			if err != nil || occupant == nil || *occupant != made.Occupant {
				t.Fatalf("on the token %+v, %v", occupant, err)
			}
			signs(t, again)
		})
	}
	t.Log(d.Tool(t, "-O"))
}
