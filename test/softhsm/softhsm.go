// Package softhsm creates SoftHSM2 tokens for the tests of everything that
// works through PKCS#11. A missing part fails the test. What is done with a
// token is left to the tests.
package softhsm

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/hex"
	"fmt"
	"math/big"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"testing"
	"time"

	"github.com/cardctl/cardctl/internal/p11"
)

// Main is the TestMain of tests with tokens: they get a place of their own, before
// the module is loaded, which looks only then.
func Main(m *testing.M) int {
	dir, err := os.MkdirTemp("", "softhsm")
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	defer func() { _ = os.RemoveAll(dir) }()
	config, err := Configure(dir)
	if err == nil {
		err = os.Setenv(Variable, config)
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	return m.Run()
}

// Variable names the configuration to SoftHSM2.
const Variable = "SOFTHSM2_CONF"

// Configure makes a place for tokens in a directory, and returns the
// configuration that names it.
func Configure(dir string) (path string, err error) {
	tokens := filepath.Join(dir, "tokens")
	if err := os.Mkdir(tokens, 0o700); err != nil {
		return "", err
	}
	path = filepath.Join(dir, "softhsm2.conf")
	return path, os.WriteFile(path, []byte("directories.tokendir = "+tokens+"\nlog.level = ERROR\n"), 0o600)
}

// Token is a SoftHSM2 token.
type Token struct {
	Module string // the module's file
	Label  string
	Serial string
	PIN    string
}

// New makes a token.
func New(t *testing.T, label string) Token {
	t.Helper()
	module, err := p11.DefaultPlaces().Locate("softhsm2")
	if err != nil {
		t.Fatal(err)
	}
	token := Token{Module: module, Label: label, PIN: "canary-736451"}
	run(t, "softhsm2-util", "--init-token", "--free", "--label", label, "--so-pin", "12345678", "--pin", token.PIN)
	shown := run(t, "softhsm2-util", "--show-slots")
	found := regexp.MustCompile(`Serial number:\s+(\w+)[^:]*Initialized:\s+yes[^:]*User PIN init\.:\s+yes[^:]*Label:\s+` + regexp.QuoteMeta(label) + `\s`).FindStringSubmatch(shown)
	if found == nil {
		t.Fatalf("no token %q in:\n%s", label, shown)
	}
	token.Serial = found[1]
	t.Cleanup(func() { run(t, "softhsm2-util", "--delete-token", "--token", label) })
	return token
}

// Generate makes a key pair: kind as pkcs11-tool has it, rsa:2048,
// EC:prime256v1, EC:edwards25519.
func (k Token) Generate(t *testing.T, kind string, id byte, label string, more ...string) {
	t.Helper()
	args := []string{"--keypairgen", "--key-type", kind, "--id", hex.EncodeToString([]byte{id}), "--label", label}
	k.Tool(t, append(args, more...)...)
}

// WriteCertificate puts a certificate on the token.
func (k Token) WriteCertificate(t *testing.T, der []byte, id byte, label string) {
	t.Helper()
	k.write(t, "cert", der, id, label)
}

// WritePublic puts a public key on the token.
func (k Token) WritePublic(t *testing.T, public crypto.PublicKey, id byte, label string) {
	t.Helper()
	der, err := x509.MarshalPKIXPublicKey(public)
	if err != nil {
		t.Fatal(err)
	}
	k.write(t, "pubkey", der, id, label)
}

func (k Token) write(t *testing.T, kind string, der []byte, id byte, label string) {
	t.Helper()
	file := filepath.Join(t.TempDir(), kind+".der")
	if err := os.WriteFile(file, der, 0o600); err != nil {
		t.Fatal(err)
	}
	k.Tool(t, "--write-object", file, "--type", kind, "--id", hex.EncodeToString([]byte{id}), "--label", label)
}

// Tool runs pkcs11-tool on the token, logged in.
func (k Token) Tool(t *testing.T, args ...string) string {
	t.Helper()
	return run(t, "pkcs11-tool", append([]string{"--module", k.Module, "--token-label", k.Label, "--login", "--pin", k.PIN}, args...)...)
}

// CA issues certificates for tests.
type CA struct {
	Certificate *x509.Certificate
	key         crypto.Signer
}

// NewCA makes a CA with this common name that is valid now.
func NewCA(t *testing.T, name string) CA {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{
		SerialNumber:          big.NewInt(1),
		Subject:               pkix.Name{CommonName: name, Organization: []string{"Snake Oil, Ltd"}},
		NotBefore:             time.Now().Add(-time.Hour),
		NotAfter:              time.Now().Add(24 * time.Hour),
		IsCA:                  true,
		BasicConstraintsValid: true,
		KeyUsage:              x509.KeyUsageCertSign,
	}
	ca := CA{key: key}
	ca.Certificate = ca.sign(t, template, template, key.Public())
	return ca
}

// Issue makes a certificate for a client; change, which may be nil, has the
// last word on what stands in it.
func (ca CA) Issue(t *testing.T, public crypto.PublicKey, change func(*x509.Certificate)) *x509.Certificate {
	t.Helper()
	template := &x509.Certificate{
		SerialNumber: big.NewInt(time.Now().UnixNano()),
		Subject:      pkix.Name{CommonName: "Floppy Head", Organization: []string{"Snake Oil, Ltd"}},
		NotBefore:    time.Now().Add(-time.Hour),
		NotAfter:     time.Now().Add(time.Hour),
		KeyUsage:     x509.KeyUsageDigitalSignature,
		ExtKeyUsage:  []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth},
	}
	if change != nil {
		change(template)
	}
	return ca.sign(t, template, ca.Certificate, public)
}

func (ca CA) sign(t *testing.T, template, parent *x509.Certificate, public crypto.PublicKey) *x509.Certificate {
	t.Helper()
	der, err := x509.CreateCertificate(rand.Reader, template, parent, public, ca.key)
	if err != nil {
		t.Fatal(err)
	}
	certificate, err := x509.ParseCertificate(der)
	if err != nil {
		t.Fatal(err)
	}
	return certificate
}

func run(t *testing.T, name string, args ...string) string {
	t.Helper()
	out, err := exec.Command(name, args...).CombinedOutput()
	if err != nil {
		t.Fatalf("%s %q: %v\n%s", name, args, err, out)
	}
	return string(out)
}
