package ca

import (
	"context"
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"encoding/pem"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/cardctl/cardctl/internal/csr"
	"github.com/cardctl/cardctl/internal/desk"
	"github.com/cardctl/cardctl/internal/secret"
)

const password = "correct horse"

// atDesk answers for the password, and says yes.
func atDesk() desk.Access {
	return desk.Access{
		Ask:     func(context.Context, secret.Request) (*secret.Bytes, error) { return secret.New([]byte(password)), nil },
		Confirm: func(context.Context, desk.Question) error { return nil },
		Now:     time.Now,
	}
}

// newCA is one with a key in a file.
func newCA(t *testing.T, o InitOptions) *CA {
	t.Helper()
	if o.Subject == "" {
		o.Subject = "CN=Desk CA,O=Example"
	}
	if o.Algorithm == "" {
		o.Algorithm = "p256"
	}
	dir := filepath.Join(t.TempDir(), "ca")
	if _, err := Init(t.Context(), nil, atDesk(), dir, o, time.Now()); err != nil {
		t.Fatal(err)
	}
	c, err := Open(t.Context(), dir)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := c.Close(); err != nil {
			t.Error(err)
		}
	})
	return c
}

// request is one of a new P-256 key.
func request(t *testing.T, o csr.Options) *csr.Received {
	t.Helper()
	signer, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	return requestOf(t, signer, o)
}

func requestOf(t *testing.T, signer crypto.Signer, o csr.Options) *csr.Received {
	t.Helper()
	r, err := csr.Parse(o)
	if err != nil {
		t.Fatal(err)
	}
	der, err := csr.Build(t.Context(), signer, r)
	if err != nil {
		t.Fatal(err)
	}
	received, err := csr.Read(csr.PEMRequest(der))
	if err != nil {
		t.Fatal(err)
	}
	return received
}

func profile(t *testing.T, name string) Profile {
	t.Helper()
	p, err := ReadProfile(t.Context(), name)
	if err != nil {
		t.Fatal(err)
	}
	return p
}

func issue(t *testing.T, c *CA, o Order) (Issued, *x509.Certificate) {
	t.Helper()
	issued, err := c.Issue(t.Context(), nil, atDesk(), o, time.Now())
	if err != nil {
		t.Fatal(err)
	}
	parsed, err := x509.ParseCertificate(issued.DER)
	if err != nil {
		t.Fatal(err)
	}
	return issued, parsed
}

// file writes a file of a test.
func file(t *testing.T, name string, content []byte) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), name)
	if err := os.WriteFile(path, content, 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

func TestEveryProfileForOpenSSL(t *testing.T) {
	c := newCA(t, InitOptions{Places: Places{CRL: []string{"http://ca.example/crl.pem"}, OCSP: []string{"http://ca.example/ocsp"}, Issuers: []string{"http://ca.example/ca.der"}}})
	list, err := c.SignCRL(t.Context(), nil, atDesk(), 30, time.Now())
	if err != nil {
		t.Fatal(err)
	}
	crl := file(t, "crl.pem", list.PEM())
	for _, name := range ProfileNames() {
		t.Run(name, func(t *testing.T) {
			o := Order{Request: request(t, csr.Options{Subject: "CN=" + name, Emails: []string{"a@example.com"}, DNS: []string{"www.example.com"}}), Profile: profile(t, name)}
			if name == "smartcard-logon" {
				o.Names.UPNs, o.SID = []string{"a@corp.example"}, "S-1-5-21-1-2-3-1001"
			}
			issued, parsed := issue(t, c, o)
			if parsed.IsCA != (name == "sub") {
				t.Errorf("a CA: %v", parsed.IsCA)
			}
			verify(t, c, crl, issued.DER, "")
		})
	}
}

// verify has OpenSSL verify a certificate; says is what it says of a wrong one.
func verify(t *testing.T, c *CA, crl string, der []byte, says string) {
	t.Helper()
	leaf := file(t, "leaf.pem", csr.PEMCertificate(der))
	out, err := exec.CommandContext(t.Context(), "openssl", "verify", "-x509_strict", "-crl_check", "-CRLfile", crl,
		"-CAfile", filepath.Join(c.dir, CertificateFile), leaf).CombinedOutput()
	if (err == nil) != (says == "") || !strings.Contains(string(out), says) {
		t.Errorf("openssl verify: %v\n%s", err, out)
	}
}

func TestRevoke(t *testing.T) {
	c := newCA(t, InitOptions{})
	issued, parsed := issue(t, c, Order{Request: request(t, csr.Options{Subject: "CN=a"}), Profile: profile(t, "client")})
	ctx, now := t.Context(), time.Now()
	sign := func() string {
		t.Helper()
		list, err := c.SignCRL(ctx, nil, atDesk(), 30, now)
		if err != nil {
			t.Fatal(err)
		}
		return file(t, "crl.pem", list.PEM())
	}
	verify(t, c, sign(), issued.DER, "")
	change, err := c.Revoke(ctx, atDesk(), issued.Serial, "certificateHold", now)
	if err != nil || change.State != Held {
		t.Fatalf("%+v, %v", change, err)
	}
	verify(t, c, sign(), issued.DER, "certificate revoked")
	if _, err := c.Release(ctx, issued.Serial, now); err != nil {
		t.Fatal(err)
	}
	verify(t, c, sign(), issued.DER, "")
	if _, err := c.Revoke(ctx, atDesk(), issued.Serial, "keycompromise", now); err != nil {
		t.Fatal(err)
	}
	verify(t, c, sign(), issued.DER, "certificate revoked")
	if _, err := c.Revoke(ctx, atDesk(), issued.Serial, "superseded", now); err == nil {
		t.Error("revoked twice")
	}
	if _, err := c.Release(ctx, issued.Serial, now); err == nil || !strings.Contains(err.Error(), "not on hold") {
		t.Errorf("what is revoked was released: %v", err)
	}
	again := &csr.Received{RawSubject: parsed.RawSubject, PublicKey: parsed.PublicKey, RawPublicKey: parsed.RawSubjectPublicKeyInfo}
	if _, err := c.Issue(ctx, nil, atDesk(), Order{Request: again, Names: csr.Options{Subject: "CN=b"}, Profile: profile(t, "client")}, now); err == nil || !strings.Contains(err.Error(), "compromised") {
		t.Errorf("a compromised key: %v", err)
	}
}

func TestTheKeyIsEncrypted(t *testing.T) {
	c := newCA(t, InitOptions{})
	path := filepath.Join(c.dir, keyFile)
	text, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if block, _ := pem.Decode(text); block == nil || block.Type != "ENCRYPTED PRIVATE KEY" {
		t.Fatalf("%s", text)
	}
	if info, err := os.Stat(path); err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("%v, %v", info.Mode(), err)
	}
	out, err := exec.CommandContext(t.Context(), "openssl", "pkey", "-in", path, "-passin", "pass:"+password, "-noout").CombinedOutput()
	if err != nil {
		t.Errorf("openssl: %v\n%s", err, out)
	}
}
