//go:build stack

package pkcs15

import (
	"bytes"
	"crypto"
	"crypto/ecdsa"
	"crypto/rsa"
	"crypto/x509"
	"encoding/pem"
	"strings"
	"testing"

	"github.com/cardctl/cardctl/internal/inventory"
	"github.com/cardctl/cardctl/internal/key"
	"github.com/cardctl/cardctl/internal/problem"
	"github.com/cardctl/cardctl/test/stack"
)

const module = "opensc-pkcs11.so"

// issue has the Snake Oil CA sign a request that the key made.
func (b *bench) issue(ref string) *x509.Certificate {
	b.t.Helper()
	b.request(ref, "desk.csr")
	return stack.ParseCertificate(b.t, b.desk.Read(b.desk.Authority().Sign("desk.csr")))
}

// opensc runs a program of OpenSC on the reader of the bench.
func (b *bench) opensc(program string, args ...string) string {
	b.t.Helper()
	return b.desk.Run(program, append([]string{"--reader", stack.ReaderName(reader)}, args...)...)
}

// publicPEM writes a public key for openssl.
func (b *bench) publicPEM(public crypto.PublicKey) string {
	b.t.Helper()
	der, err := x509.MarshalPKIXPublicKey(public)
	if err != nil {
		b.t.Fatal(err)
	}
	return b.desk.Write("public.pem", string(pem.EncodeToMemory(&pem.Block{Type: "PUBLIC KEY", Bytes: der})), 0o600)
}

func TestOpenSCUsesWhatWasMade(t *testing.T) {
	b := newBench(t)
	b.mustInit()
	made := b.generate("PKCS15.45", key.Spec{Label: "vpn"})
	certificate := b.issue("PKCS15.45")
	if _, err := b.importCertificate("PKCS15.45", certificate); err != nil {
		t.Fatal(err)
	}

	pins := b.opensc("pkcs15-tool", "--list-pins")
	keys := b.opensc("pkcs15-tool", "--list-keys", "--list-certificates")
	for _, want := range []string{"Private RSA Key [vpn]", "ModLength      : 2048", "decrypt, sign", "X.509 Certificate [vpn]"} {
		if !strings.Contains(keys, want) {
			t.Errorf("pkcs15-tool does not show %q:\n%s", want, keys)
		}
	}
	if !strings.Contains(pins, "PIN [User PIN]") {
		t.Errorf("pkcs15-tool shows no PIN:\n%s", pins)
	}
	read := stack.ParseCertificate(t, []byte(b.opensc("pkcs15-tool", "--read-certificate", "45")))
	if !read.Equal(certificate) {
		t.Error("pkcs15-tool reads another certificate")
	}

	public := b.desk.Write("public.pem", made.PublicKey, 0o600)
	message := b.desk.Write("message", "from the desk\n", 0o600)
	b.desk.Run("pkcs11-tool", "--module", module, "--login", "--pin", "env:PIN", "--sign", "--mechanism", "SHA256-RSA-PKCS",
		"--id", "45", "--input-file", message, "--output-file", b.desk.Path("signature"))
	b.desk.Run("openssl", "dgst", "-sha256", "-verify", public, "-signature", b.desk.Path("signature"), message)
	b.desk.Run("openssl", "pkeyutl", "-encrypt", "-pubin", "-inkey", public, "-in", message, "-out", b.desk.Path("encrypted"))
	b.desk.Run("pkcs11-tool", "--module", module, "--login", "--pin", "env:PIN", "--decrypt", "--mechanism", "RSA-PKCS",
		"--id", "45", "--input-file", b.desk.Path("encrypted"), "--output-file", b.desk.Path("decrypted"))
	if got := string(b.desk.Read("decrypted")); got != "from the desk\n" {
		t.Errorf("decrypted to %q", got)
	}
}

func TestWhatOpenSCMadeIsUsed(t *testing.T) {
	b := newBench(t)
	b.opensc("pkcs15-init", "--create-pkcs15", "--so-pin", "env:PIN", "--so-puk", "env:PUK", "--label", "theirs", "--serial", "0102")
	write := []string{"--auth-id", "FF", "--pin", "env:PIN"}
	b.opensc("pkcs15-init", append(write, "--generate-key", "rsa:2048", "--id", "45", "--key-usage", "sign", "--label", "signs")...)
	b.opensc("pkcs15-init", append(write, "--generate-key", "ec:prime256v1", "--id", "46", "--key-usage", "sign", "--label", "curve")...)
	b.desk.Run("openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-keyout", "k.pem", "-out", "c.pem", "-subj", "/CN=x")
	b.desk.Run("openssl", "pkcs12", "-export", "-inkey", "k.pem", "-in", "c.pem", "-out", "k.p12", "-passout", "env:PIN")
	b.opensc("pkcs15-init", append(write, "--store-private-key", b.desk.Path("k.p12"), "--format", "pkcs12", "--passphrase", "env:PIN",
		"--id", "4711", "--key-usage", "decrypt")...)

	info := b.mustInfo()
	if info.Card.Label != "theirs" || info.Card.Serial != "0102" {
		t.Errorf("the card is %q %q", info.Card.Label, info.Card.Serial)
	}
	want := []struct{ ref, algorithm, usage string }{
		{"PKCS15.45", "rsa2048", "sign"}, {"PKCS15.46", "p256", "sign"}, {"PKCS15.4711", "rsa2048", "decrypt"},
	}
	if len(info.Keys) != len(want) {
		t.Fatalf("keys: %+v", info.Keys)
	}
	for i, w := range want {
		k := info.Keys[i]
		if k.Ref != w.ref || k.Algorithm != w.algorithm || len(k.Usage) != 1 || string(k.Usage[0]) != w.usage || k.Fingerprint == "" {
			t.Errorf("key %+v, want %+v", k, w)
		}
	}
	if len(info.Certificates) != 1 || info.Certificates[0].Ref != "PKCS15.4711" || info.Certificates[0].Public == nil {
		t.Errorf("certificates: %+v", info.Certificates)
	}
	if len(info.PINs) != 1 || info.PINs[0] != (inventory.PIN{Name: "user", TriesLeft: 3, MinLength: 4, MaxLength: 16, Set: true}) {
		t.Errorf("PINs: %+v", info.PINs)
	}

	block, _ := pem.Decode([]byte(b.opensc("pkcs15-tool", "--read-public-key", "46")))
	theirs, err := x509.ParsePKIXPublicKey(block.Bytes)
	if err != nil || !b.public("PKCS15.46").(*ecdsa.PublicKey).Equal(theirs) {
		t.Errorf("another public key than pkcs15-tool reads: %v", err)
	}
	b.request("PKCS15.45", "theirs.csr")
	b.desk.VerifyRequest(string(b.desk.Read("theirs.csr")))

	for ref, what := range map[string]string{"PKCS15.46": "SHA-1", "PKCS15.4711": "usage"} {
		b.asked = nil
		err := b.key(ref, func(k key.Key) error {
			signer, err := k.Signer(t.Context())
			if err == nil {
				_, err = signer.Sign(nil, make([]byte, crypto.SHA256.Size()), crypto.SHA256)
			}
			return err
		})
		if !problem.Is(err, problem.NotSupported) || !strings.Contains(err.Error(), what) || len(b.asked) > 0 {
			t.Errorf("%s signs: %v, asked for %v", ref, err, b.asked)
		}
	}
}

func TestSplitKeys(t *testing.T) {
	b := newBench(t)
	b.mustInit()
	b.generate("PKCS15.01", key.Spec{Label: "sign", Usage: []key.Usage{key.Sign}})
	b.generate("PKCS15.02", key.Spec{Label: "decrypt", Usage: []key.Usage{key.Decrypt}})
	b.generate("PKCS15.03", key.Spec{Algorithm: key.P384})
	listing := b.opensc("pkcs15-tool", "--list-keys")
	for _, want := range []string{"[0x0C], sign, signRecover", "[0x22], decrypt, unwrap", "FieldLength    : 384", "[Key 03]"} {
		if !strings.Contains(listing, want) {
			t.Errorf("pkcs15-tool does not show %q:\n%s", want, listing)
		}
	}
	for name, spec := range map[string]key.Spec{
		"RSA that derives":   {Algorithm: key.RSA2048, Usage: []key.Usage{key.Derive}},
		"a curve, decrypts":  {Algorithm: key.P256, Usage: []key.Usage{key.Decrypt}},
		"a longer RSA key":   {Algorithm: key.RSA4096},
		"a curve it has not": {Algorithm: key.P521},
		"Ed25519":            {Algorithm: key.Ed25519},
	} {
		err := b.key("PKCS15.04", func(k key.Key) error {
			_, err := k.Generate(t.Context(), spec)
			return err
		})
		if !problem.Is(err, problem.NotSupported) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestBothReadersAgree(t *testing.T) {
	b := newBench(t)
	b.mustInit()
	b.generate("PKCS15.45", key.Spec{Label: "vpn"})
	b.generate("PKCS15.46", key.Spec{Algorithm: key.P256, Usage: []key.Usage{key.Sign}})
	if _, err := b.importCertificate("PKCS15.45", b.issue("PKCS15.45")); err != nil {
		t.Fatal(err)
	}
	direct := b.mustInfo()
	b.deafen(true)
	t.Setenv("OPENSC_DRIVER", "isoApplet")
	byTool := b.mustInfo()
	if len(direct.Keys) != 2 || len(byTool.Keys) != 2 || len(direct.Certificates) != 1 || len(byTool.Certificates) != 1 {
		t.Fatalf("%+v\n%+v", direct, byTool)
	}
	if direct.Card.Serial != byTool.Card.Serial || direct.Card.Label != byTool.Card.Label {
		t.Errorf("card %+v, by the tool %+v", direct.Card, byTool.Card)
	}
	for i, k := range direct.Keys {
		other := byTool.Keys[i]
		if k.Ref != other.Ref || k.Label != other.Label || k.Fingerprint != other.Fingerprint || len(k.Usage) != len(other.Usage) {
			t.Errorf("key %+v, by the tool %+v", k, other)
		}
	}
	if !bytes.Equal(direct.Certificates[0].Value, byTool.Certificates[0].Value) {
		t.Error("the certificates differ")
	}

	message := b.desk.Write("message", "from the desk\n", 0o600)
	hash := crypto.SHA256.New()
	hash.Write(b.desk.Read("message"))
	for _, deaf := range []bool{false, true} {
		b.deafen(deaf)
		b.mustKey("PKCS15.45", func(k key.Key) error {
			signer, err := k.Signer(t.Context())
			if err != nil {
				return err
			}
			signature, err := signer.Sign(nil, hash.Sum(nil), crypto.SHA256)
			b.desk.Write("signature", string(signature), 0o600)
			if _, err := signer.Sign(nil, hash.Sum(nil), &rsa.PSSOptions{Hash: crypto.SHA256}); !problem.Is(err, problem.NotSupported) {
				t.Errorf("PSS: %v", err)
			}
			return err
		})
		b.desk.Run("openssl", "dgst", "-sha256", "-verify", b.publicPEM(b.public("PKCS15.45")), "-signature", b.desk.Path("signature"), message)
	}
}
