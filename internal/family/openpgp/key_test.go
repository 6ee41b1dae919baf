package openpgp

import (
	"crypto"
	"crypto/ecdh"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"errors"
	"reflect"
	"strings"
	"testing"

	"github.com/cardctl/cardctl/internal/cardsim"
	"github.com/cardctl/cardctl/internal/key"
	"github.com/cardctl/cardctl/internal/problem"
	"github.com/cardctl/cardctl/internal/pubkey"
	"github.com/cardctl/cardctl/internal/secret"
)

func TestParseReference(t *testing.T) {
	for in, want := range map[string]string{
		"OPENPGP.3": "OPENPGP.3", "openpgp.1": "OPENPGP.1",
		"OPENPGP": "", "OPENPGP.4": "", "OPENPGP.03": "", "openpgp.": "", "OPENPGP.": "",
	} {
		ref, ours, err := parse(in)
		if !ours || want == "" && !problem.Is(err, problem.Usage) || want != "" && (err != nil || ref.String() != want) {
			t.Errorf("%q = %v, %v, %v", in, ref, ours, err)
		}
		if err != nil && strings.Contains(err.Error(), "PKCS15") {
			t.Errorf("%q: %v names other families", in, err)
		}
	}
	for _, in := range []string{"", "3", "PIV.9A", "PKCS15.45", "pkcs11:token=OPENPGP.3"} {
		if _, ours, err := parse(in); ours || err != nil {
			t.Errorf("%q: %v, %v", in, ours, err)
		}
	}
}

func TestGenerateAndSign(t *testing.T) {
	for _, test := range []struct {
		ref       string
		algorithm key.Algorithm
		made      key.Algorithm
	}{
		{"OPENPGP.1", key.P256, key.P256}, {"OPENPGP.3", "", key.P256}, {"OPENPGP.3", key.P384, key.P384}, {"OPENPGP.1", key.P521, key.P521},
		{"OPENPGP.1", key.Ed25519, key.Ed25519}, {"OPENPGP.3", key.Ed25519, key.Ed25519},
		{"OPENPGP.3", key.RSA2048, key.RSA2048}, {"OPENPGP.2", key.RSA2048, key.RSA2048}, {"OPENPGP.2", key.X25519, key.X25519}, {"OPENPGP.2", key.P256, key.P256},
	} {
		t.Run(test.ref+" "+string(test.algorithm), func(t *testing.T) {
			d := newTable(t, "")
			var made *key.Generated
			d.open(test.ref, func(k key.Key) {
				if occupant, err := k.Occupant(t.Context()); occupant != nil || err != nil {
					t.Fatalf("an empty slot has %+v, %v", occupant, err)
				}
				var err error
				if made, err = k.Generate(t.Context(), key.Spec{Algorithm: test.algorithm}); err != nil {
					t.Fatal(err)
				}
				if made.Algorithm != test.made || !made.Created.Equal(today) || made.Keygrip != key.Keygrip(made.Public) {
					t.Errorf("made %+v", made)
				}
			})
			if n := d.card.Traffic().APDUs; n > 9 {
				t.Errorf("%d APDUs, 9 are enough", n)
			}
			d.open(test.ref, func(k key.Key) {
				occupant, err := k.Occupant(t.Context())
				if err != nil || !reflect.DeepEqual(*occupant, made.Occupant) {
					t.Fatalf("on the card %+v, %v, made %+v", occupant, err, made.Occupant)
				}
				checkSignature(t, k, test.ref == "OPENPGP.2" && test.algorithm != key.RSA2048)
			})
		})
	}
}

func checkSignature(t *testing.T, k key.Key, refused bool) {
	t.Helper()
	signer, err := k.Signer(t.Context())
	if refused {
		if !problem.Is(err, problem.NotSupported) {
			t.Fatalf("Signer: %v", err)
		}
		return
	}
	if err != nil {
		t.Fatal(err)
	}
	message := []byte("the quick brown fox")
	digest := sha256.Sum256(message)
	input, opts := digest[:], crypto.SignerOpts(crypto.SHA256)
	if _, ok := signer.Public().(ed25519.PublicKey); ok {
		input, opts = message, crypto.Hash(0)
	}
	for range 2 { // PW1 is good for one signature with OPENPGP.1
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
			t.Fatalf("the signature %X does not verify", signature)
		}
	}
	if _, ok := signer.Public().(*rsa.PublicKey); ok {
		if _, err := signer.Sign(rand.Reader, input, &rsa.PSSOptions{Hash: crypto.SHA256}); !problem.Is(err, problem.NotSupported) {
			t.Errorf("RSA-PSS: %v", err)
		}
	}
}

func TestGenerateWithAlgorithmsThatDoNotFit(t *testing.T) {
	for _, test := range []struct {
		profile, ref string
		algorithm    key.Algorithm
	}{
		{"", "OPENPGP.3", key.X25519}, {"", "OPENPGP.2", key.Ed25519}, {"openpgp-2.0", "OPENPGP.3", key.P256}, {"no-ec-generation", "OPENPGP.3", key.P256},
	} {
		d := newTable(t, test.profile)
		d.open(test.ref, func(k key.Key) {
			if _, err := k.Generate(t.Context(), key.Spec{Algorithm: test.algorithm}); !problem.Is(err, problem.NotSupported) {
				t.Errorf("%v: %v", test, err)
			}
			if occupant, err := k.Occupant(t.Context()); occupant != nil || err != nil {
				t.Errorf("%v: the slot has %v, %v", test, occupant, err)
			}
		})
	}
}

func TestRefusedAlgorithmSaysWhatTheCardKnows(t *testing.T) {
	newTable(t, "no-ec-generation").open("OPENPGP.3", func(k key.Key) {
		_, err := k.Generate(t.Context(), key.Spec{Algorithm: key.P384})
		var p *problem.Error
		if !errors.As(err, &p) || !strings.Contains(p.What, "does not support p384") ||
			!strings.Contains(p.Why, "rsa2048") || strings.Contains(p.Why, "p384") || strings.Contains(p.Why, "does not support this command") {
			t.Errorf("%v", err)
		}
	})
}

func TestDefaultAlgorithmFallsBackToRSA(t *testing.T) {
	for _, profile := range []string{"openpgp-2.0", "no-ec-generation"} {
		d := newTable(t, profile)
		d.open("OPENPGP.3", func(k key.Key) {
			made, err := k.Generate(t.Context(), key.Spec{Algorithm: ""})
			if err != nil {
				t.Fatalf("%s: %v", profile, err)
			}
			if made.Algorithm != key.RSA2048 {
				t.Errorf("%s: %s", profile, made.Algorithm)
			}
			checkSignature(t, k, false)
		})
	}
}

func TestImport(t *testing.T) {
	rsaKey, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		t.Fatal(err)
	}
	ecKey := func(c elliptic.Curve) crypto.PrivateKey {
		k, err := ecdsa.GenerateKey(c, rand.Reader)
		if err != nil {
			t.Fatal(err)
		}
		return k
	}
	_, edKey, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	xKey, err := ecdh.X25519().GenerateKey(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	for name, test := range map[string]struct {
		profile, ref string
		private      crypto.PrivateKey
	}{
		"rsa":               {"", "OPENPGP.3", rsaKey},
		"rsa to a 2.0 card": {"openpgp-2.0", "OPENPGP.1", rsaKey},
		"rsa, strict card":  {"strict-rsa-attributes", "OPENPGP.3", rsaKey},
		"p256":              {"", "OPENPGP.1", ecKey(elliptic.P256())},
		"p521":              {"", "OPENPGP.3", ecKey(elliptic.P521())},
		"p384 to decrypt":   {"", "OPENPGP.2", ecKey(elliptic.P384())},
		"ed25519":           {"", "OPENPGP.1", edKey},
		"x25519":            {"", "OPENPGP.2", xKey},
	} {
		t.Run(name, func(t *testing.T) {
			d := newTable(t, test.profile)
			d.open(test.ref, func(k key.Key) {
				made, err := k.Import(t.Context(), test.private, key.Spec{})
				if err != nil {
					t.Fatal(err)
				}
				public := test.private.(interface{ Public() crypto.PublicKey }).Public()
				if !pubkey.Same(made.Public, public) {
					t.Error("another key")
				}
			})
			d.open(test.ref, func(k key.Key) { checkSignature(t, k, test.ref == "OPENPGP.2") })
		})
	}
}

func TestPINsAreGuarded(t *testing.T) {
	for name, test := range map[string]struct {
		pin     string
		burned  int // tries used up before
		last    bool
		code    problem.Code
		left    int
		notSent bool
	}{
		"wrong":                    {pin: "000000", code: problem.PINIncorrect, left: 2},
		"too short is not sent":    {pin: "12345", code: problem.Usage, left: 3, notSent: true},
		"too long is not sent":     {pin: string(make([]byte, 200)), code: problem.Usage, left: 3, notSent: true},
		"the last try is not sent": {pin: "123456", burned: 2, code: problem.PINBlocked, left: 1, notSent: true},
		"the last try, if allowed": {pin: "000000", burned: 2, last: true, code: problem.PINBlocked, left: 0},
		"blocked":                  {pin: "123456", burned: 3, code: problem.PINBlocked, left: 0, notSent: true},
	} {
		for _, profile := range []string{"", "wrong-pin-6982"} {
			t.Run(name+" "+profile, func(t *testing.T) {
				d := newTable(t, profile)
				d.open("OPENPGP.3", func(k key.Key) {
					if _, err := k.Generate(t.Context(), key.Spec{Algorithm: key.P256}); err != nil {
						t.Fatal(err)
					}
				})
				d.burn(0x82, test.burned)
				d.pins[secret.PIN], d.last = test.pin, test.last
				d.open("OPENPGP.3", func(k key.Key) {
					signer, err := k.Signer(t.Context())
					if err != nil {
						t.Fatal(err)
					}
					_, err = signer.Sign(rand.Reader, make([]byte, 32), crypto.SHA256)
					var p *problem.Error
					if !errors.As(err, &p) || p.Code != test.code {
						t.Fatalf("%v, want %s", err, test.code)
					}
					if test.code != problem.Usage && (p.TriesLeft == nil || *p.TriesLeft != test.left) {
						t.Errorf("tries left %v, want %d", p.TriesLeft, test.left)
					}
				})
				if left := d.tries()[0]; left != test.left {
					t.Errorf("%d tries left on the card, want %d", left, test.left)
				}
			})
		}
	}
}

func TestCertificateOfEverySlot(t *testing.T) {
	for _, profile := range []string{"", "occurrence-forgotten", "kdf", "chaining-refused"} {
		t.Run(profile, func(t *testing.T) { checkCertificates(t, newTable(t, profile)) })
	}
	d := newTable(t, "openpgp-2.0")
	d.open("OPENPGP.1", func(k key.Key) {
		if err := k.PutCertificate(t.Context(), []byte("x"), nil); !problem.Is(err, problem.NotSupported) {
			t.Error(err)
		}
	})
}

func checkCertificates(t *testing.T, d *table) {
	t.Helper()
	for _, ref := range []string{"OPENPGP.1", "OPENPGP.2", "OPENPGP.3"} {
		d.open(ref, func(k key.Key) {
			if value, err := k.Certificate(t.Context()); value != nil || err != nil {
				t.Fatalf("%s holds %X, %v", ref, value, err)
			}
			if err := k.PutCertificate(t.Context(), []byte("certificate of "+ref), nil); err != nil {
				t.Fatal(err)
			}
			if value, err := k.ReadBackCertificate(t.Context()); string(value) != "certificate of "+ref || err != nil {
				t.Fatalf("%s holds %q, %v", ref, value, err)
			}
		})
	}
	for _, ref := range []string{"OPENPGP.3", "OPENPGP.1", "OPENPGP.2"} {
		d.open(ref, func(k key.Key) {
			if value, err := k.Certificate(t.Context()); string(value) != "certificate of "+ref || err != nil {
				t.Fatalf("%s holds %q, %v", ref, value, err)
			}
			if err := k.DeleteCertificate(t.Context()); err != nil {
				t.Fatal(err)
			}
			if value, err := k.ReadBackCertificate(t.Context()); value != nil || err != nil {
				t.Fatalf("%s still holds %q, %v", ref, value, err)
			}
		})
	}
}

// TestReplaceOnACardThatIsPulled: an error must not say that nothing was changed
// where the old key is gone, nor that the new one is there where it is not.
func TestReplaceOnACardThatIsPulled(t *testing.T) {
	generate := func(d *table) (made *key.Generated, err error) {
		d.open("OPENPGP.3", func(k key.Key) { made, err = k.Generate(t.Context(), key.Spec{Algorithm: key.P256}) })
		return made, err
	}
	counted := newTable(t, "")
	if _, err := generate(counted); err != nil {
		t.Fatal(err)
	}
	const opening = 2 // SELECT, GET DATA
	changes := 0
	for n := counted.card.Traffic().APDUs + opening + 1; ; n++ {
		d := newTable(t, "", cardsim.RemoveAfter(n))
		old, err := generate(d)
		if err != nil {
			t.Fatal(err)
		}
		_, failed := generate(d)
		if failed == nil {
			break
		}
		var p *problem.Error
		if !errors.As(failed, &p) || p.Code != problem.CardRemoved {
			t.Fatalf("APDU %d: %v", n, failed)
		}
		d.open("OPENPGP.3", func(k key.Key) {
			now, err := k.Public(t.Context())
			if err != nil {
				t.Fatal(err)
			}
			changed := !pubkey.Same(now, old.Public)
			if changed {
				changes++
			}
			if said := p.Why; changed && said == stateUntouched || !changed && said == stateMade {
				t.Errorf("APDU %d: the key is another one: %v; the error says %q", n, changed, said)
			}
		})
	}
	if changes == 0 {
		t.Error("the card was not pulled between the key and its fingerprint")
	}
}
