//go:build cgo

package token_test

import (
	"bytes"
	"context"
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"crypto/x509"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"reflect"
	"strings"
	"sync"
	"testing"

	"github.com/cardctl/cardctl/internal/advice"
	"github.com/cardctl/cardctl/internal/card"
	"github.com/cardctl/cardctl/internal/desk"
	"github.com/cardctl/cardctl/internal/family"
	"github.com/cardctl/cardctl/internal/family/token"
	"github.com/cardctl/cardctl/internal/key"
	"github.com/cardctl/cardctl/internal/p11"
	"github.com/cardctl/cardctl/internal/pin"
	"github.com/cardctl/cardctl/internal/problem"
	"github.com/cardctl/cardctl/internal/pubkey"
	"github.com/cardctl/cardctl/internal/secret"
	"github.com/cardctl/cardctl/test/softhsm"
)

// tokenDesk is a token and what is typed at it.
type tokenDesk struct {
	softhsm.Token
	desk   *desk.Desk
	module *p11.Module
	pin    string
	asked  int
}

func newTokenDesk(t *testing.T, label string) *tokenDesk {
	t.Helper()
	made := softhsm.New(t, label)
	d := newDesk("softhsm2")
	return &tokenDesk{Token: made, desk: d, module: load(t, d), pin: made.PIN}
}

// newDesk is a desk whose tokens are those of a module.
func newDesk(module string) *desk.Desk {
	return &desk.Desk{
		Modules: desk.NewModules(), Meant: desk.Selection{Module: module},
		Detail: func(string, ...any) {}, ChildEnv: os.Environ(),
	}
}

// load has the module of a desk stay loaded.
func load(t *testing.T, d *desk.Desk) *p11.Module {
	t.Helper()
	m, err := d.Modules.Load(t.Context(), d.Meant.Module, "")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := m.Close(); err != nil {
			t.Error(err)
		}
	})
	return m
}

func (d *tokenDesk) access() key.Access {
	ask := func(context.Context, secret.Request) (*secret.Bytes, error) {
		d.asked++
		return secret.New([]byte(d.pin)), nil
	}
	return key.Access{Policy: pin.New(ask, pin.Allow{}), Notify: func(string) {}}
}

// find opens the key that a URI names, as a command does that knows nothing yet.
func (d *tokenDesk) find(t *testing.T, uri string) (key.Key, error) {
	t.Helper()
	parsed, err := p11.ParseURI(uri)
	if err != nil {
		return nil, err
	}
	line, err := d.desk.OpenToken(t.Context(), parsed, "")
	if err != nil {
		return nil, err
	}
	t.Cleanup(func() {
		if err := line.Close(); err != nil {
			t.Error(err)
		}
	})
	c, err := token.Family().Open(t.Context(), line, card.Opening{App: "pkcs11", Named: true, Access: d.access()})
	if err != nil {
		return nil, err
	}
	return c.Key(t.Context(), key.Reference{Family: "pkcs11", ID: uri, Text: uri})
}

// open opens the key with these attributes of the token.
func (d *tokenDesk) open(t *testing.T, attributes string) key.Key {
	t.Helper()
	k, err := d.find(t, "pkcs11:token="+d.Label+attributes)
	if err != nil {
		t.Fatal(err)
	}
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
			if made.Algorithm != want || made.Fingerprint != pubkey.Fingerprint(made.Public) || !made.Created.IsZero() {
				t.Errorf("made %+v", made)
			}
			signs(t, k)
			if d.asked != 1 {
				t.Errorf("asked %d times", d.asked)
			}
			again := d.open(t, attributes)
			occupant, err := again.Occupant(t.Context())
			if err != nil || occupant == nil || !reflect.DeepEqual(*occupant, made.Occupant) {
				t.Fatalf("on the token %+v, %v", occupant, err)
			}
			signs(t, again)
		})
	}
}

func TestUsageLabelAndIDOfANewKey(t *testing.T) {
	d := newTokenDesk(t, "attributes")
	tests := []struct {
		name, attributes string
		spec             key.Spec
		shown            []string // by pkcs11-tool, of the private key
		code             problem.Code
	}{
		{"sign only", ";object=a", key.Spec{Algorithm: key.P256, Usage: []key.Usage{key.Sign}}, []string{"label:      a", "Usage:      sign\n"}, ""},
		{"derive only", ";object=b", key.Spec{Algorithm: key.P384, Usage: []key.Usage{key.Derive}}, []string{"label:      b", "Usage:      derive\n"}, ""},
		{"decrypt only", ";object=c", key.Spec{Algorithm: key.RSA2048, Usage: []key.Usage{key.Decrypt}}, []string{"label:      c", "Usage:      decrypt\n"}, ""},
		{"all", ";id=%45", key.Spec{Algorithm: key.P256}, []string{"ID:         45", "Usage:      sign, derive\n"}, ""},
		{"ID and label", ";id=%01%FF;object=d", key.Spec{Algorithm: key.P256}, []string{"label:      d\n  ID:         01ff"}, ""},
		{"label by the specification", ";id=%46", key.Spec{Algorithm: key.P256, Label: "e"}, []string{"label:      e\n  ID:         46"}, ""},
		{"two labels", ";object=f", key.Spec{Algorithm: key.P256, Label: "g"}, nil, problem.Usage},
		{"decrypt with a curve", ";object=f", key.Spec{Algorithm: key.P256, Usage: []key.Usage{key.Decrypt}}, nil, problem.NotSupported},
		{"derive with RSA", ";object=f", key.Spec{Algorithm: key.RSA2048, Usage: []key.Usage{key.Derive}}, nil, problem.NotSupported},
		{"derive with Ed25519", ";object=f", key.Spec{Algorithm: key.Ed25519, Usage: []key.Usage{key.Derive}}, nil, problem.NotSupported},
		{"X25519", ";object=f", key.Spec{Algorithm: key.X25519}, nil, problem.NotSupported},
		{"a label that is taken", ";id=%47", key.Spec{Algorithm: key.P256, Label: "a"}, nil, problem.Refused},
		{"an ID that is taken", ";id=%45;object=h", key.Spec{Algorithm: key.P256}, nil, problem.Refused},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			_, err := d.open(t, test.attributes).Generate(t.Context(), test.spec)
			if test.code == "" && err != nil || test.code != "" && !problem.Is(err, test.code) {
				t.Fatalf("got %v", err)
			}
			if test.code != "" {
				return
			}
			shown := d.Tool(t, "--list-objects", "--type", "privkey")
			for _, want := range test.shown {
				if !strings.Contains(shown, want) {
					t.Errorf("pkcs11-tool does not show %q:\n%s", want, shown)
				}
			}
			if strings.Count(shown, "Access:     sensitive, always sensitive, never extractable, local") != strings.Count(shown, "Private Key Object") {
				t.Errorf("a key that is not guarded:\n%s", shown)
			}
		})
	}
}

func TestKeysWithoutSigningDoNotSign(t *testing.T) {
	d := newTokenDesk(t, "derives")
	for name, spec := range map[string]key.Spec{
		"derive":  {Algorithm: key.P384, Usage: []key.Usage{key.Derive}},
		"decrypt": {Algorithm: key.RSA2048, Usage: []key.Usage{key.Decrypt}},
	} {
		if _, err := d.open(t, ";object="+name).Generate(t.Context(), spec); err != nil {
			t.Fatal(err)
		}
		signer, err := d.open(t, ";object="+name).Signer(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		_, err = signer.Sign(rand.Reader, make([]byte, crypto.SHA256.Size()), crypto.SHA256)
		if !errors.Is(err, key.ErrCannotSign) || !problem.Is(err, problem.NotSupported) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// privateKeys are one of each kind that tokens take.
var privateKeys = sync.OnceValue(func() map[key.Algorithm]crypto.PrivateKey {
	rsaKey, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		panic(err)
	}
	keys := map[key.Algorithm]crypto.PrivateKey{key.RSA2048: rsaKey}
	for algorithm, curve := range map[key.Algorithm]elliptic.Curve{key.P256: elliptic.P256(), key.P384: elliptic.P384(), key.P521: elliptic.P521()} {
		if keys[algorithm], err = ecdsa.GenerateKey(curve, rand.Reader); err != nil {
			panic(err)
		}
	}
	if _, keys[key.Ed25519], err = ed25519.GenerateKey(rand.Reader); err != nil {
		panic(err)
	}
	return keys
})

func TestImportToToken(t *testing.T) {
	d := newTokenDesk(t, "import")
	for algorithm, private := range privateKeys() {
		t.Run(string(algorithm), func(t *testing.T) {
			k := d.open(t, ";object=key-"+string(algorithm))
			made, err := k.Import(t.Context(), private, key.Spec{})
			if err != nil {
				t.Fatal(err)
			}
			if made.Algorithm != algorithm || !pubkey.Same(made.Public, private.(crypto.Signer).Public()) {
				t.Errorf("made %+v", made)
			}
			signs(t, d.open(t, ";object=key-"+string(algorithm)))
			if _, err := d.open(t, ";object=another").Import(t.Context(), private, key.Spec{}); !problem.Is(err, problem.Refused) {
				t.Errorf("the same key under another name: %v", err)
			}
		})
	}
	shown := d.Tool(t, "--list-objects", "--type", "privkey")
	if strings.Count(shown, "Access:     sensitive\n") != len(privateKeys()) {
		t.Errorf("keys that are not guarded:\n%s", shown)
	}
	if _, err := d.open(t, ";object=x25519").Import(t.Context(), "no key", key.Spec{}); !problem.Is(err, problem.NotSupported) {
		t.Errorf("no key: %v", err)
	}
	short, err := ecdsa.GenerateKey(elliptic.P224(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	_, err = d.open(t, ";object=p224").Import(t.Context(), short, key.Spec{})
	var p *problem.Error
	want := advice.Do(advice.GenerateKey, advice.Set(advice.Module, d.module.Path()), advice.Set(advice.Key, "pkcs11:token="+d.Label+";object=p224"))
	if !errors.As(err, &p) || p.Code != problem.NotSupported || !reflect.DeepEqual(p.Next, want) {
		t.Errorf("a curve that no token is asked for: %v, %+v", err, p)
	}
}

func TestReplaceAndDeleteOnToken(t *testing.T) {
	for _, attributes := range []string{";object=vpn", ";id=%45", ";id=%45;object=vpn"} {
		t.Run(attributes, func(t *testing.T) {
			d := newTokenDesk(t, "replace")
			first, err := d.open(t, attributes).Generate(t.Context(), key.Spec{Algorithm: key.P256})
			if err != nil {
				t.Fatal(err)
			}
			if _, err := d.open(t, attributes).Generate(t.Context(), key.Spec{}); !problem.Is(err, problem.Refused) || !strings.Contains(err.Error(), first.Fingerprint) {
				t.Errorf("overwritten unseen: %v", err)
			}
			k := d.open(t, attributes)
			if occupant, err := k.Occupant(t.Context()); err != nil || occupant.Fingerprint != first.Fingerprint {
				t.Fatalf("%+v, %v", occupant, err)
			}
			second, err := k.Generate(t.Context(), key.Spec{Algorithm: key.P384})
			if err != nil {
				t.Fatal(err)
			}
			shown := d.Tool(t, "--list-objects")
			if strings.Count(shown, "Private Key Object") != 1 || strings.Count(shown, "Public Key Object") != 1 {
				t.Errorf("more than the new key:\n%s", shown)
			}
			k = d.open(t, attributes)
			if occupant, err := k.Occupant(t.Context()); err != nil || occupant.Fingerprint != second.Fingerprint {
				t.Fatalf("%+v, %v", occupant, err)
			}
			signs(t, k)
			certificate := softhsm.NewCA(t, "Snake Oil CA").Issue(t, second.Public, nil)
			if err := k.PutCertificate(t.Context(), certificate.Raw, nil); err != nil {
				t.Fatal(err)
			}
			if err := k.Delete(t.Context()); err != nil {
				t.Fatal(err)
			}
			shown = d.Tool(t, "--list-objects")
			if strings.Contains(shown, "Key Object") || !strings.Contains(shown, "Certificate Object") {
				t.Errorf("after delete-key:\n%s", shown)
			}
			k = d.open(t, attributes)
			if occupant, err := k.Occupant(t.Context()); err != nil || occupant != nil {
				t.Errorf("after delete-key: %+v, %v", occupant, err)
			}
			if _, err := k.Signer(t.Context()); !problem.Is(err, problem.NotFound) {
				t.Errorf("a signer of no key: %v", err)
			}
			if der, err := k.Certificate(t.Context()); err != nil || !bytes.Equal(der, certificate.Raw) {
				t.Errorf("the certificate that is left: %x, %v", der, err)
			}
			if err := k.DeleteCertificate(t.Context()); err != nil {
				t.Error(err)
			}
			if shown = d.Tool(t, "--list-objects"); strings.Contains(shown, "Object") {
				t.Errorf("after delete-cert:\n%s", shown)
			}
		})
	}
}

func TestWhatAURINames(t *testing.T) {
	softhsm.New(t, "other") // before the module is loaded, which looks only then
	d := newTokenDesk(t, "uris")
	d.Generate(t, "EC:prime256v1", 1, "twin")
	d.Generate(t, "EC:prime256v1", 2, "twin")
	tests := []struct {
		uri, says string
		code      problem.Code
	}{
		{"pkcs11:token=uris;id=%01", "", ""},
		{"pkcs11:id=%01", "", ""},
		{"pkcs11:token=uris;object=twin", "id=%01;object=twin (p256), pkcs11:token=uris;", problem.NotFound},
		{"pkcs11:token=uris", "id=%02;object=twin (p256)", problem.NotFound},
		{"pkcs11:token=uris;id=%03", "id=%02;object=twin (p256)", problem.NotFound},
		{"pkcs11:token=nowhere;id=%01", "no such token", problem.NotFound},
		{"pkcs11:model=SoftHSM%20v2", "several tokens", problem.NotFound},
		{"pkcs11:id=%03", "several tokens", problem.NotFound},
		{"pkcs11:", "several tokens", problem.NotFound},
		{"pkcs11:token=uris;colour=red", "colour", problem.Usage},
		{"pkcs11:token=uris;token=uris", "twice", problem.Usage},
		{"pkcs11:token=uris;id=%0", "", problem.Usage},
		{"pkcs11:token=uris?pin-value=1234", "pin-value", problem.Usage},
	}
	for _, test := range tests {
		t.Run(test.uri, func(t *testing.T) {
			k, err := d.find(t, test.uri)
			if err == nil {
				_, err = k.Public(t.Context())
			}
			if test.code == "" && err != nil || test.code != "" && (!problem.Is(err, test.code) || !strings.Contains(err.Error(), test.says)) {
				t.Errorf("got %v", err)
			}
		})
	}
	if _, err := d.find(t, "OPENPGP.3"); !problem.Is(err, problem.Usage) {
		t.Errorf("another kind of reference: %v", err)
	}
}

func TestTokenThatIsNotInitialised(t *testing.T) {
	d := newTokenDesk(t, "initialised")
	blank, err := d.module.FindToken(t.Context(), p11.URI{}) // SoftHSM2 always has one
	if err != nil || blank.Initialized {
		t.Fatalf("%+v, %v", blank, err)
	}
	if _, err := d.find(t, fmt.Sprintf("pkcs11:slot-id=%d;id=%%01", blank.Slot)); !problem.Is(err, problem.NotFound) || !strings.Contains(err.Error(), "not initialised") {
		t.Errorf("got %v", err)
	}
}

func TestTokenErasedBetweenTwoCalls(t *testing.T) {
	d := newTokenDesk(t, "erased")
	if _, err := d.open(t, ";object=key").Generate(t.Context(), key.Spec{Algorithm: key.P256}); err != nil {
		t.Fatal(err)
	}
	k := d.open(t, ";object=key")
	signs(t, k)
	signer, err := k.Signer(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	command(t, "softhsm2-util", "--init-token", "--token", "erased", "--label", "erased", "--so-pin", "12345678", "--pin", d.PIN)
	digest := sha256.Sum256(nil)
	if _, err := signer.Sign(rand.Reader, digest[:], crypto.SHA256); !problem.Is(err, problem.NotFound) {
		t.Errorf("signing: %v", err)
	}
	leaf := softhsm.NewCA(t, "Snake Oil CA").Issue(t, signer.Public(), nil)
	if err := k.PutCertificate(t.Context(), leaf.Raw, nil); !problem.Is(err, problem.NotFound) {
		t.Errorf("import-cert: %v", err)
	}
}

func TestNameInToken(t *testing.T) {
	tests := []struct {
		ref, id, label string
		want           string // empty for a problem.Usage
	}{
		{"pkcs11:token=desk", "", "", "pkcs11:token=desk"},
		{"pkcs11:token=desk", "45", "vpn", "pkcs11:token=desk;id=%45;object=vpn"},
		{"pkcs11:token=desk", "0x45ff", "", "pkcs11:token=desk;id=%45%FF"},
		{"pkcs11:token=desk;object=vpn", "45", "vpn", "pkcs11:token=desk;object=vpn;id=%45"},
		{"pkcs11:token=desk;object=vpn", "", "mail", ""},
		{"pkcs11:token=desk;id=%45", "46", "", ""},
		{"pkcs11:token=desk", "4", "", ""},
		{"pkcs11:token=desk", "XY", "", ""},
		{"pkcs11:token", "45", "", ""},
	}
	for _, test := range tests {
		got, rest, err := family.Name(test.ref, test.id, test.label)
		if test.want == "" && !problem.Is(err, problem.Usage) || test.want != "" && (err != nil || got.ID != test.want || got.String() != test.want || rest != "") {
			t.Errorf("%+v: %v, %v", test, got, err)
		}
	}
	if _, _, err := family.Name("OPENPGP.3", "45", ""); !problem.Is(err, problem.NotSupported) {
		t.Errorf("an ID for an OpenPGP key: %v", err)
	}
	if got, rest, err := family.Name("OPENPGP.3", "", "vpn"); got.String() != "OPENPGP.3" || rest != "vpn" || err != nil {
		t.Errorf("a label for an OpenPGP key: %v, %q, %v", got, rest, err)
	}
}

func TestWrongPINOfAToken(t *testing.T) {
	d := newTokenDesk(t, "wrong")
	d.Generate(t, "EC:prime256v1", 1, "key")
	d.pin = "wrong-pin"
	k := d.open(t, ";id=%01")
	signer, err := k.Signer(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	digest := sha256.Sum256(nil)
	for range 2 {
		if _, err := signer.Sign(rand.Reader, digest[:], crypto.SHA256); !problem.Is(err, problem.PINIncorrect) {
			t.Errorf("got %v", err)
		}
	}
	if _, err := d.open(t, ";object=new").Generate(t.Context(), key.Spec{Algorithm: key.P256}); !problem.Is(err, problem.PINIncorrect) {
		t.Errorf("gen-key: %v", err)
	}
	if d.asked != 2 {
		t.Errorf("asked %d times, for two keys", d.asked)
	}
}

func TestKeyRemovedBetweenTwoCalls(t *testing.T) {
	d := newTokenDesk(t, "removed")
	if _, err := d.open(t, ";object=key").Generate(t.Context(), key.Spec{Algorithm: key.P256}); err != nil {
		t.Fatal(err)
	}
	k := d.open(t, ";object=key")
	signs(t, k)
	d.Tool(t, "--delete-object", "--type", "privkey", "--label", "key")
	signer, err := k.Signer(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	digest := sha256.Sum256(nil)
	if _, err := signer.Sign(rand.Reader, digest[:], crypto.SHA256); !problem.Is(err, problem.NotFound) {
		t.Errorf("a key that another program removed: %v", err)
	}
}

func TestPeersUseWhatIsMade(t *testing.T) {
	d := newTokenDesk(t, "peers")
	dir := t.TempDir()
	made, err := d.open(t, ";object=rsa;id=%45").Generate(t.Context(), key.Spec{Algorithm: key.RSA2048})
	if err != nil {
		t.Fatal(err)
	}
	message := []byte("snake oil")
	input, output, exported := filepath.Join(dir, "in"), filepath.Join(dir, "out"), filepath.Join(dir, "public.der")
	if err := os.WriteFile(input, message, 0o600); err != nil {
		t.Fatal(err)
	}
	d.Tool(t, "--sign", "--mechanism", "SHA256-RSA-PKCS", "--id", "45", "-i", input, "-o", output)
	signature, err := os.ReadFile(output)
	if err != nil {
		t.Fatal(err)
	}
	digest := sha256.Sum256(message)
	if err := rsa.VerifyPKCS1v15(made.Public.(*rsa.PublicKey), crypto.SHA256, digest[:], signature); err != nil {
		t.Errorf("pkcs11-tool's signature: %v", err)
	}
	d.Tool(t, "--read-object", "--type", "pubkey", "--id", "45", "-o", exported)
	der, err := os.ReadFile(exported)
	if err != nil {
		t.Fatal(err)
	}
	if public, err := x509.ParsePKIXPublicKey(der); err != nil || !pubkey.Same(public, made.Public) {
		t.Errorf("pkcs11-tool reads another key: %v", err)
	}
	if shown := command(t, "p11tool", "--provider", d.Module, "--list-all", "pkcs11:token=peers"); !strings.Contains(shown, "id=%45;object=rsa;type=public") {
		t.Errorf("p11tool does not show it:\n%s", shown)
	}
	for i, kind := range []string{"rsa:2048", "EC:secp384r1", "EC:edwards25519"} {
		d.Generate(t, kind, byte(i+1), kind)
		signs(t, d.open(t, fmt.Sprintf(";id=%%%02X", i+1)))
	}
	//lint:ignore SA1019 tokens know this padding, and PKCS#11 users still have it
	private, err := rsa.EncryptPKCS1v15(rand.Reader, made.Public.(*rsa.PublicKey), message)
	if err != nil {
		t.Fatal(err)
	}
	signer, err := d.open(t, ";object=rsa").Signer(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if plain, err := signer.(crypto.Decrypter).Decrypt(nil, private, nil); err != nil || !bytes.Equal(plain, message) {
		t.Errorf("decrypted %q, %v", plain, err)
	}
}

func command(t *testing.T, name string, args ...string) string {
	t.Helper()
	out, err := exec.Command(name, args...).CombinedOutput()
	if err != nil {
		t.Fatalf("%s %q: %v\n%s", name, args, err, out)
	}
	return string(out)
}
