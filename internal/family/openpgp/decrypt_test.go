package openpgp

import (
	"bytes"
	"crypto"
	"crypto/ecdh"
	"crypto/ecdsa"
	"crypto/rand"
	"crypto/rsa"
	"testing"

	"github.com/cardctl/cardctl/internal/key"
	"github.com/cardctl/cardctl/internal/problem"
)

func TestDecrypt(t *testing.T) {
	for _, profile := range []string{"", "openpgp-2.0", "short-apdus"} {
		t.Run(profile, func(t *testing.T) {
			d := newTable(t, profile)
			made("OPENPGP.2", key.RSA2048)(d)
			d.open("OPENPGP.2", func(k key.Key) {
				public, err := k.Public(t.Context())
				if err != nil {
					t.Fatal(err)
				}
				for _, message := range []string{"", "a session key of 32 bytes in all"} {
					//lint:ignore SA1019 cards know no other padding
					ciphertext, err := rsa.EncryptPKCS1v15(rand.Reader, public.(*rsa.PublicKey), []byte(message))
					if err != nil {
						t.Fatal(err)
					}
					plain, err := k.Decrypt(t.Context(), bytes.TrimLeft(ciphertext, "\x00"), nil)
					if err != nil || string(plain) != message {
						t.Errorf("%q, %v", plain, err)
					}
				}
				if len(d.asked) != 2 { // one to make the key
					t.Errorf("asked for %v", d.asked)
				}
				if _, err := k.Decrypt(t.Context(), make([]byte, 256), &rsa.OAEPOptions{Hash: crypto.SHA1}); !problem.Is(err, problem.NotSupported) {
					t.Errorf("RSAES-OAEP: %v", err)
				}
				if _, err := k.Decrypt(t.Context(), make([]byte, 257), nil); !problem.Is(err, problem.Mismatch) {
					t.Errorf("for a longer key: %v", err)
				}
				if _, err := k.Decrypt(t.Context(), make([]byte, 256), nil); err == nil {
					t.Error("what was not encrypted was decrypted")
				}
				if _, err := k.Derive(t.Context(), public); !problem.Is(err, problem.NotSupported) {
					t.Errorf("ECDH with an RSA key: %v", err)
				}
			})
		})
	}
}

func TestDerive(t *testing.T) {
	for algorithm, curve := range map[key.Algorithm]ecdh.Curve{
		key.P256: ecdh.P256(), key.P384: ecdh.P384(), key.P521: ecdh.P521(), key.X25519: ecdh.X25519(),
	} {
		t.Run(string(algorithm), func(t *testing.T) {
			d := newTable(t, "")
			made("OPENPGP.2", algorithm)(d)
			peer, err := curve.GenerateKey(rand.Reader)
			if err != nil {
				t.Fatal(err)
			}
			d.open("OPENPGP.2", func(k key.Key) {
				public, err := k.Public(t.Context())
				if err != nil {
					t.Fatal(err)
				}
				own, isAgreement := public.(*ecdh.PublicKey)
				if !isAgreement {
					if own, err = public.(*ecdsa.PublicKey).ECDH(); err != nil {
						t.Fatal(err)
					}
				}
				want, err := peer.ECDH(own)
				if err != nil {
					t.Fatal(err)
				}
				if got, err := k.Derive(t.Context(), peer.PublicKey()); err != nil || !bytes.Equal(got, want) {
					t.Errorf("%X, %v, want %X", got, err, want)
				}
				other := ecdh.P256()
				if algorithm == key.P256 {
					other = ecdh.P384()
				}
				stranger, err := other.GenerateKey(rand.Reader)
				if err != nil {
					t.Fatal(err)
				}
				if _, err := k.Derive(t.Context(), stranger.PublicKey()); !problem.Is(err, problem.Mismatch) {
					t.Errorf("with a key of another curve: %v", err)
				}
				if _, err := k.Decrypt(t.Context(), make([]byte, 32), nil); !problem.Is(err, problem.NotSupported) {
					t.Errorf("RSA with a key on a curve: %v", err)
				}
			})
		})
	}
}

func TestKeysThatSignDoNotDecrypt(t *testing.T) {
	newTable(t, "").open("OPENPGP.3", func(k key.Key) {
		if _, err := k.Decrypt(t.Context(), nil, nil); !problem.Is(err, problem.NotSupported) {
			t.Error(err)
		}
		if _, err := k.Derive(t.Context(), nil); !problem.Is(err, problem.NotSupported) {
			t.Error(err)
		}
	})
}

// TestSharedSecret has the forms in which cards answer a point.
func TestSharedSecret(t *testing.T) {
	x := bytes.Repeat([]byte{7}, 32)
	point := append(append([]byte{0x04}, x...), make([]byte, 32)...)
	for _, test := range []struct {
		answer []byte
		n      int
		ok     bool
	}{
		{x, 65, true}, {point, 65, true}, {x, 32, true}, {append([]byte{0x40}, x...), 32, true},
		{nil, 65, false}, {x[1:], 65, false}, {append([]byte{0x41}, x...), 32, false}, {point[:64], 65, false},
	} {
		got, err := sharedSecret(test.answer, test.n)
		if (err == nil) != test.ok || test.ok && !bytes.Equal(got, x) {
			t.Errorf("%X of a point of %d bytes: %X, %v", test.answer, test.n, got, err)
		}
	}
}
