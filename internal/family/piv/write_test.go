package piv

import (
	"bytes"
	"context"
	"crypto"
	"crypto/ecdh"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"crypto/sha512"
	"crypto/x509"
	"crypto/x509/pkix"
	"errors"
	"math/big"
	"strings"
	"testing"

	"github.com/cardctl/cardctl/internal/iso7816"
	"github.com/cardctl/cardctl/internal/key"
	"github.com/cardctl/cardctl/internal/pin"
	app "github.com/cardctl/cardctl/internal/piv"
	"github.com/cardctl/cardctl/internal/problem"
	"github.com/cardctl/cardctl/internal/pubkey"
	"github.com/cardctl/cardctl/internal/secret"
)

// managed is a card with its management key at hand.
func managed(t *testing.T, profile string) *table {
	t.Helper()
	d := newTable(t, profile)
	d.pins[secret.ManagementKey] = strings.Repeat("0102030405060708", 3)
	return d
}

// generate makes a key in a slot.
func (d *table) generate(slot app.Slot, spec key.Spec) (made *key.Generated, err error) {
	d.t.Helper()
	err = d.on(func(ctx context.Context, c *onCard) error {
		made, err = c.key(slot).Generate(ctx, spec)
		return err
	})
	return made, err
}

func (d *table) generated(slot app.Slot, algorithm key.Algorithm) *key.Generated {
	d.t.Helper()
	made, err := d.generate(slot, key.Spec{Algorithm: algorithm})
	if err != nil {
		d.t.Fatal(err)
	}
	return made
}

func TestGenerate(t *testing.T) {
	for _, profile := range profiles() {
		t.Run(profile, func(t *testing.T) {
			d := managed(t, profile)
			made := d.generated(app.Authentication, "")
			if made.Algorithm != key.P256 || made.Fingerprint != pubkey.Fingerprint(made.Public) || len(made.Keygrip) != 40 {
				t.Errorf("%+v", made)
			}
			if made.Unreported != (profile == "piv-nist") {
				t.Errorf("unreported: %v", made.Unreported)
			}
			if len(d.asked) != 1 || d.asked[0] != secret.ManagementKey {
				t.Errorf("asked %v", d.asked)
			}
			d.looking(func(ctx context.Context, c *onCard) error {
				public, err := c.key(app.Authentication).Public(ctx)
				if made.Unreported {
					if !problem.Is(err, problem.NotFound) {
						t.Error(err)
					}
					return nil
				}
				if err != nil || !pubkey.Same(public, made.Public) {
					t.Errorf("%v, %v", public, err)
				}
				return nil
			})
		})
	}
}

// Algorithms are asked of the card, and what it does not have leaves the slot alone.
func TestGenerateWhatTheCardLacks(t *testing.T) {
	d := managed(t, "piv-yubikey-5")
	before := d.generated(app.Authentication, key.P256)
	for _, spec := range []key.Spec{{Algorithm: key.Ed25519}, {Algorithm: key.X25519}, {Algorithm: key.RSA4096}, {Algorithm: key.P521}} {
		if _, err := d.generate(app.Authentication, spec); !problem.Is(err, problem.NotSupported) {
			t.Errorf("%+v: %v", spec, err)
		}
	}
	for _, spec := range []key.Spec{{Label: "mine"}, {Algorithm: key.P256, Usage: []key.Usage{key.Decrypt}}, {Algorithm: key.RSA2048, Usage: []key.Usage{key.Derive}}} {
		if _, err := d.generate(app.Authentication, spec); !problem.Is(err, problem.NotSupported) {
			t.Errorf("%+v: %v", spec, err)
		}
	}
	d.looking(func(ctx context.Context, c *onCard) error {
		o, err := c.key(app.Authentication).Occupant(ctx)
		if err != nil || o.Fingerprint != before.Fingerprint {
			t.Errorf("%+v, %v", o, err)
		}
		return nil
	})
	if _, err := d.generate(app.Attestation, key.Spec{}); !problem.Is(err, problem.NotSupported) {
		t.Error(err)
	}
	if _, err := managed(t, "piv-yubikey-4").generate(app.Signature, key.Spec{Algorithm: key.RSA2048}); !problem.Is(err, problem.NotSupported) || !strings.Contains(err.Error(), "CVE-2017-15361") {
		t.Error(err)
	}
	if _, err := managed(t, "piv-nist").generate(app.Slot(0x82), key.Spec{}); !problem.Is(err, problem.NotSupported) {
		t.Error(err)
	}
	if _, err := managed(t, "piv-nist").generate(app.Authentication, key.Spec{PINPolicy: "once"}); !problem.Is(err, problem.NotSupported) {
		t.Error(err)
	}
}

func TestPoliciesAreKept(t *testing.T) {
	d := managed(t, "piv-yubikey-5.7")
	if _, err := d.generate(app.KeyManagement, key.Spec{PINPolicy: "always", TouchPolicy: "cached"}); err != nil {
		t.Fatal(err)
	}
	d.looking(func(ctx context.Context, c *onCard) error {
		o, err := c.key(app.KeyManagement).Occupant(ctx)
		if err != nil || o.PINPolicy != "always" || o.TouchPolicy != "cached" || !o.Touch || o.Origin != "generated" {
			t.Errorf("%+v, %v", o, err)
		}
		return err
	})
}

// The certificate of the key before goes with it; one without a key stays.
func TestStaleCertificate(t *testing.T) {
	for _, profile := range profiles() {
		d := managed(t, profile)
		d.generated(app.Authentication, key.P256)
		content, der := certificateObject(t)
		d.another(func(o tool) { o.put("5FC105", content) })
		made := d.generated(app.Authentication, key.P384)
		if !bytes.Equal(made.StaleCertificate, der) {
			t.Errorf("%s: %X", profile, made.StaleCertificate)
		}
		d.looking(func(ctx context.Context, c *onCard) error {
			der, err := c.key(app.Authentication).Certificate(ctx)
			if der != nil || err != nil {
				t.Errorf("%s: %X, %v", profile, der, err)
			}
			return nil
		})
	}
	d := managed(t, "piv-yubikey-5")
	content, _ := certificateObject(t)
	d.another(func(o tool) { o.put("5FC105", content) })
	if _, err := d.generate(app.Authentication, key.Spec{}); !problem.Is(err, problem.Refused) || len(d.asked) > 0 {
		t.Errorf("%v, asked %v", err, d.asked)
	}
}

func TestManagementKeys(t *testing.T) {
	factory := strings.Repeat("0102030405060708", 3)
	for value, want := range map[string]problem.Code{
		factory: "", factoryKey: "", strings.Repeat("0102030405060718", 3): problem.KeysIncorrect, factory + "0102030405060708": problem.KeysIncorrect,
		factory[:32]: problem.KeysIncorrect, "0102": problem.Usage, factory[:47] + "x": problem.Usage, "123456": problem.Usage,
	} {
		for _, profile := range profiles() {
			d := newTable(t, profile)
			d.pins[secret.ManagementKey] = value
			_, err := d.generate(app.Authentication, key.Spec{})
			if want == "" && err != nil || want != "" && !problem.Is(err, want) {
				t.Errorf("%s with %s: %v", profile, value, err)
			}
			if err != nil && strings.Contains(err.Error(), value) {
				t.Errorf("the key is repeated: %v", err)
			}
			if want == problem.Usage {
				for _, cmd := range d.sent {
					if cmd.INS == 0x87 && cmd.P2 == app.ManagementKey {
						t.Errorf("%s: something was sent", value)
					}
				}
			}
		}
	}
	d := newTable(t, "piv-yubikey-5")
	if _, err := d.generate(app.Authentication, key.Spec{}); !problem.Is(err, problem.Usage) {
		t.Error(err)
	}
}

// AES keys are proved as well, and a card that does not prove that it has the key is not
// written to.
func TestManagementKeyIsProvedBothWays(t *testing.T) {
	aes := strings.Repeat("C122", 16)
	d := managed(t, "piv-yubikey-5")
	d.another(func(o tool) { o.send(0xFF, 0xFF, 0xFF, "0C9B20"+aes) })
	d.pins[secret.ManagementKey] = aes
	d.generated(app.Authentication, key.P256)

	d = managed(t, "piv-yubikey-5")
	d.answer = func(cmd iso7816.Command, answer []byte) []byte {
		if cmd.INS == 0x87 && len(answer) > 2 && answer[2] == 0x82 {
			answer = bytes.Clone(answer)
			answer[5] ^= 1
		}
		return answer
	}
	if _, err := d.generate(app.Authentication, key.Spec{}); !problem.Is(err, problem.Mismatch) {
		t.Error(err)
	}
	d.answer = nil
	if got := d.occupants()["PIV.9A"]; got != "empty" {
		t.Errorf("the slot has %s", got)
	}
	// A card without the mutual form.
	d = managed(t, "piv-nist")
	d.answer = func(cmd iso7816.Command, answer []byte) []byte {
		if cmd.INS == 0x87 && bytes.Contains(cmd.Data, []byte{0x80, 0x00}) {
			return unhex(t, "6A80")
		}
		return answer
	}
	d.generated(app.Authentication, key.P256)
}

// A slot that got another key while somebody typed is left alone, where the card tells.
func TestKeyThatCameMeanwhile(t *testing.T) {
	d := managed(t, "piv-yubikey-5")
	done := false
	d.waiting = func() {
		if !done {
			done = true
			d.another(func(o tool) { o.send(0x47, 0, 0x9A, "AC03800114") })
		}
	}
	if _, err := d.generate(app.Authentication, key.Spec{}); !problem.Is(err, problem.Refused) {
		t.Error(err)
	}
	d.waiting = nil
	if got := d.occupants()["PIV.9A"]; got != "p384 generated once" {
		t.Errorf("the slot has %s", got)
	}
}

// What is in the slot after an answer that says nothing is read again.
func TestStateAfterGenerate(t *testing.T) {
	for answered, test := range map[string]struct {
		before bool
		want   string
	}{
		"6F00": {true, stateMade}, "6581": {false, stateMade}, "6982": {true, key.Untouched},
	} {
		d := managed(t, "piv-yubikey-5")
		if test.before {
			d.generated(app.Authentication, key.P256)
		}
		d.answer = func(cmd iso7816.Command, answer []byte) []byte {
			if cmd.INS == iso7816.InsGenerateKeyPair {
				return unhex(t, answered)
			}
			return answer
		}
		if _, err := d.generate(app.Authentication, key.Spec{}); err == nil || !strings.Contains(err.Error(), test.want) {
			t.Errorf("%s: %v", answered, err)
		}
	}
	d := managed(t, "piv-nist")
	d.answer = func(cmd iso7816.Command, answer []byte) []byte {
		if cmd.INS == iso7816.InsGenerateKeyPair {
			return unhex(t, "6F00")
		}
		return answer
	}
	if _, err := d.generate(app.Authentication, key.Spec{}); err == nil || !strings.Contains(err.Error(), stateUnknown) {
		t.Error(err)
	}
}

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

// certificateFor is a certificate for a public key, so long.
func certificateFor(t *testing.T, public crypto.PublicKey, length int) []byte {
	t.Helper()
	issuer, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: strings.Repeat("x", max(1, length))}}
	der, err := x509.CreateCertificate(rand.Reader, template, template, public, issuer)
	if err != nil {
		t.Fatal(err)
	}
	return der
}

func TestPutCertificate(t *testing.T) {
	for _, profile := range profiles() {
		d := managed(t, profile)
		made := d.generated(app.Authentication, key.P256)
		for _, length := range []int{10, 4000} { // the longer fits compressed alone
			der := certificateFor(t, made.Public, length)
			d.looking(func(ctx context.Context, c *onCard) error {
				k := c.key(app.Authentication)
				if err := k.PutCertificate(ctx, der, nil); err != nil {
					return err
				}
				got, err := k.ReadBackCertificate(ctx)
				if err != nil || !bytes.Equal(got, der) {
					t.Errorf("%s: %d bytes, %v", profile, len(got), err)
				}
				return nil
			})
		}
		d.looking(func(ctx context.Context, c *onCard) error {
			k := c.key(app.Authentication)
			if err := k.PutCertificate(ctx, []byte{0x30}, [][]byte{{0x30}}); !problem.Is(err, problem.NotSupported) {
				t.Error(err)
			}
			if err := k.DeleteCertificate(ctx); err != nil {
				return err
			}
			got, err := k.Certificate(ctx)
			if got != nil || err != nil {
				t.Errorf("%s: %X, %v", profile, got, err)
			}
			for _, err := range []error{c.key(app.Attestation).PutCertificate(ctx, []byte{0x30}, nil), c.key(app.Attestation).DeleteCertificate(ctx)} {
				if !problem.Is(err, problem.NotSupported) {
					t.Error(err)
				}
			}
			return nil
		})
	}
}

// Where the card does not report the key, it proves that it belongs to a certificate.
func TestProve(t *testing.T) {
	stranger, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	for _, test := range []struct {
		slot      app.Slot
		algorithm key.Algorithm
	}{{app.Authentication, key.P256}, {app.Signature, key.RSA2048}, {app.KeyManagement, key.P384}, {app.CardAuthentication, key.P256}} {
		d := managed(t, "piv-nist")
		made := d.generated(test.slot, test.algorithm)
		d.looking(func(ctx context.Context, c *onCard) error {
			k := c.key(test.slot)
			if reported, err := k.Reported(ctx); reported || err != nil {
				t.Errorf("%v, %v", reported, err)
			}
			if err := k.Prove(ctx, made.Public); err != nil {
				t.Errorf("%s: %v", test.slot, err)
			}
			if err := k.Prove(ctx, stranger.Public()); !problem.Is(err, problem.Mismatch) {
				t.Errorf("%s: %v", test.slot, err)
			}
			return nil
		})
	}
	// A card whose keys agree and do not sign.
	d := managed(t, "piv-nist")
	made := d.generated(app.KeyManagement, key.P256)
	d.answer = func(cmd iso7816.Command, answer []byte) []byte {
		if cmd.INS == 0x87 && cmd.P2 == 0x9D && bytes.HasPrefix(cmd.Data[2:], []byte{0x82, 0x00, 0x81}) {
			return unhex(t, "6A80")
		}
		return answer
	}
	d.looking(func(ctx context.Context, c *onCard) error {
		k := c.key(app.KeyManagement)
		if err := k.Prove(ctx, made.Public); err != nil {
			t.Error(err)
		}
		if err := k.Prove(ctx, stranger.Public()); !problem.Is(err, problem.Mismatch) {
			t.Error(err)
		}
		return nil
	})
	d = managed(t, "piv-yubikey-5")
	d.generated(app.Authentication, key.P256)
	d.looking(func(ctx context.Context, c *onCard) error {
		k := c.key(app.Authentication)
		if reported, err := k.Reported(ctx); !reported || err != nil {
			t.Errorf("%v, %v", reported, err)
		}
		c.access.PublicKey = stranger.Public()
		if _, err := k.Public(ctx); !problem.Is(err, problem.Mismatch) {
			t.Error(err)
		}
		return nil
	})
}

// change does what set-pin and unblock-pin do.
func (d *table) change(how func(context.Context, *onCard) (pin.Change, error)) error {
	return d.on(func(ctx context.Context, c *onCard) error {
		change, err := how(ctx, c)
		if err != nil {
			return err
		}
		return c.access.Policy.Change(ctx, change)
	})
}

func setting(role pin.Role) func(context.Context, *onCard) (pin.Change, error) {
	return func(ctx context.Context, c *onCard) (pin.Change, error) { return c.SetPIN(ctx, role) }
}

func unblocking(ctx context.Context, c *onCard) (pin.Change, error) {
	return c.UnblockPIN(ctx, pin.User, "")
}

func TestChangePINs(t *testing.T) {
	for _, profile := range profiles() {
		told := profile == "piv-yubikey-5" || profile == "piv-yubikey-5.7"
		d := newTable(t, profile)
		d.pins[secret.NewPIN] = "654321"
		if err := d.change(setting(pin.User)); err != nil {
			t.Errorf("%s: %v", profile, err)
		}
		if err := d.change(setting(pin.User)); !problem.Is(err, problem.PINIncorrect) {
			t.Errorf("%s: %v", profile, err)
		}
		d.pins[secret.NewPIN] = "87654321"
		for _, how := range []func(context.Context, *onCard) (pin.Change, error){setting(pin.PUK), unblocking} {
			if err := d.change(how); !told && !problem.Is(err, problem.TriesUnknown) || told && err != nil {
				t.Errorf("%s: %v", profile, err)
			}
			if told {
				d.pins[secret.PUK] = "87654321"
			}
		}
		d.allow.UnknownTries = true
		if err := d.change(setting(pin.PUK)); err != nil {
			t.Errorf("%s: %v", profile, err)
		}
		d.pins[secret.PUK] = "12345678"
		if err := d.change(unblocking); !problem.Is(err, problem.PINIncorrect) {
			t.Errorf("%s: a wrong PUK: %v", profile, err)
		}
		d.pins[secret.PUK], d.pins[secret.NewPIN] = "87654321", "123456"
		if err := d.change(unblocking); err != nil {
			t.Errorf("%s: %v", profile, err)
		}
		d.pins[secret.NewPIN] = "654321"
		if err := d.change(setting(pin.User)); err != nil {
			t.Errorf("%s: %v", profile, err)
		}
	}
}

// What a card would not take is not sent.
func TestNewPINsOfTheWrongForm(t *testing.T) {
	sent := func(d *table) bool {
		for _, cmd := range d.sent {
			if cmd.INS == iso7816.InsChangeReferenceData {
				return true
			}
		}
		return false
	}
	for _, test := range []struct {
		profile, value string
		role           pin.Role
		good           bool
	}{
		{"piv-nist", "abcdef", pin.User, false}, {"piv-yubikey-5", "abcdef", pin.User, true}, {"piv-nist", "123456789", pin.User, false},
		{"piv-yubikey-5", "123456789", pin.User, false}, {"piv-nist", "12345", pin.User, false}, {"piv-nist", "123456", pin.PUK, false},
		{"piv-yubikey-5", "123456", pin.PUK, true}, {"piv-nist", "abcdefgh", pin.PUK, true},
	} {
		d := newTable(t, test.profile)
		d.allow.UnknownTries = true
		d.pins[secret.NewPIN] = test.value
		err := d.change(setting(test.role))
		if test.good && err != nil || !test.good && (!problem.Is(err, problem.Usage) || sent(d)) {
			t.Errorf("%+v: %v, sent %v", test, err, sent(d))
		}
	}
	d := newTable(t, "piv-nist")
	d.pins[secret.PIN], d.pins[secret.NewPIN] = "123456789", "123456"
	if err := d.change(setting(pin.User)); !problem.Is(err, problem.Usage) || sent(d) {
		t.Error(err)
	}
	for _, role := range []pin.Role{pin.Admin, pin.SO, pin.ResetCode} {
		if err := d.change(setting(role)); !problem.Is(err, problem.NotSupported) {
			t.Error(err)
		}
	}
	err := d.change(func(ctx context.Context, c *onCard) (pin.Change, error) {
		return c.UnblockPIN(ctx, pin.User, secret.AdminPIN)
	})
	if !problem.Is(err, problem.NotSupported) {
		t.Error(err)
	}
}

// The last try is not used up, and a blocked PIN not sent.
func TestTriesAreKept(t *testing.T) {
	for _, profile := range profiles() {
		d := managed(t, profile)
		made := d.generated(app.Authentication, key.P256)
		d.pins[secret.PIN] = "999999"
		for range 2 {
			if err := d.signs(app.Authentication, made.Public); !problem.Is(err, problem.PINIncorrect) {
				t.Errorf("%s: %v", profile, err)
			}
		}
		var told *problem.Error
		if err := d.signs(app.Authentication, made.Public); !errors.As(err, &told) || told.Code != problem.PINBlocked || *told.TriesLeft != 1 {
			t.Errorf("%s: %v", profile, err)
		}
		d.pins[secret.PIN] = "123456"
		d.allow.LastTry = true
		if err := d.signs(app.Authentication, made.Public); err != nil {
			t.Errorf("%s: %v", profile, err)
		}
	}
}

// The numbers of commands of the jobs of a desk.
func TestRounds(t *testing.T) {
	d := managed(t, "piv-short-apdus")
	count := func(most int, what string, work func() error) {
		t.Helper()
		before := d.card.Traffic().APDUs
		if err := work(); err != nil {
			t.Errorf("%s: %v", what, err)
		}
		if n := d.card.Traffic().APDUs - before; n > most {
			t.Errorf("%s: %d commands, %d are enough", what, n, most)
		}
	}
	var made *key.Generated
	count(8, "gen-key", func() (err error) {
		return d.on(func(ctx context.Context, c *onCard) error {
			k := c.key(app.Authentication)
			if _, err := k.Occupant(ctx); err != nil {
				return err
			}
			made, err = k.Generate(ctx, key.Spec{})
			return err
		})
	})
	count(6, "gen-csr", func() error {
		return d.on(func(ctx context.Context, c *onCard) error {
			s, err := c.key(app.Authentication).Signer(ctx)
			if err != nil {
				return err
			}
			digest := sha256.Sum256(nil)
			_, err = s.Sign(rand.Reader, digest[:], crypto.SHA256)
			return err
		})
	})
	var der []byte
	for n := 40; len(der) < 475; n++ {
		der = certificateFor(t, made.Public, n)
	}
	count(11, "import-cert", func() error {
		return d.on(func(ctx context.Context, c *onCard) error {
			k := c.key(app.Authentication)
			if _, err := k.Public(ctx); err != nil {
				return err
			}
			if _, err := k.Certificate(ctx); err != nil {
				return err
			}
			if err := k.PutCertificate(ctx, der, nil); err != nil {
				return err
			}
			_, err := k.ReadBackCertificate(ctx)
			return err
		})
	})
	d.pins[secret.NewPIN] = "654321"
	count(4, "set-pin", func() error { return d.change(setting(pin.User)) })
}
