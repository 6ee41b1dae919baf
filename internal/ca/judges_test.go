package ca

import (
	"crypto"
	"crypto/ecdh"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	zx509 "github.com/zmap/zcrypto/x509"
	"github.com/zmap/zlint/v3"
	"github.com/zmap/zlint/v3/lint"

	"github.com/cardctl/cardctl/internal/csr"
)

// What strangers say of certificates: zlint, OpenSSL, GnuTLS and NSS.

// kindsOfCA are CAs by the kind of their key.
func kindsOfCA() map[string]InitOptions {
	places := Places{CRL: []string{"http://ca.example/crl.pem"}, OCSP: []string{"http://ca.example/ocsp"}, Issuers: []string{"http://ca.example/ca.der"}}
	return map[string]InitOptions{
		"rsa": {Algorithm: "rsa2048", Places: places}, "pss": {Algorithm: "rsa2048", PSS: true, Places: places},
		"p256": {Algorithm: "p256"}, "p384": {Algorithm: "p384"}, "ed25519": {Algorithm: "ed25519"},
	}
}

// subjectKeys are public keys by their kind.
func subjectKeys(t *testing.T) map[string]crypto.PublicKey {
	t.Helper()
	long, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		t.Fatal(err)
	}
	agreement, err := ecdh.X25519().GenerateKey(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	ed, _, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	keys := map[string]crypto.PublicKey{"rsa": long.Public(), "x25519": agreement.Public(), "ed25519": ed}
	for name, curve := range map[string]elliptic.Curve{"p256": elliptic.P256(), "p384": elliptic.P384(), "p521": elliptic.P521()} {
		k, err := ecdsa.GenerateKey(curve, rand.Reader)
		if err != nil {
			t.Fatal(err)
		}
		keys[name] = k.Public()
	}
	return keys
}

// lints has zlint judge a certificate by RFC 5280 and RFC 5480.
func lints(t *testing.T, der []byte) {
	t.Helper()
	parsed, err := zx509.ParseCertificate(der)
	if err != nil {
		t.Errorf("zlint: %v", err)
		return
	}
	registry, err := lint.GlobalRegistry().Filter(lint.FilterOptions{IncludeSources: lint.SourceList{lint.RFC5280, lint.RFC5480}})
	if err != nil {
		t.Fatal(err)
	}
	for name, result := range zlint.LintCertificateEx(parsed, registry).Results {
		if result.Status >= lint.Error {
			t.Errorf("zlint: %s: %s %s", name, result.Status, result.Details)
		}
	}
}

// signsNothing reports whether a key of a kind has no certificate of a profile.
func signsNothing(kind, profile string) bool { return kind == "x25519" && profile != "mail" }

// Every profile, for every kind of key and of CA: for zlint, OpenSSL and GnuTLS.
func TestEveryCertificateForStrangers(t *testing.T) {
	keys := subjectKeys(t)
	for kind, options := range kindsOfCA() {
		t.Run(kind, func(t *testing.T) {
			c := newCA(t, options)
			lints(t, c.certificate.Raw)
			list, err := c.SignCRL(t.Context(), nil, atDesk(), 30, time.Now())
			if err != nil {
				t.Fatal(err)
			}
			crl := file(t, "crl.pem", list.PEM())
			for _, name := range ProfileNames() {
				for key, public := range keys {
					if signsNothing(key, name) || kind != "p256" && key != "p256" {
						continue
					}
					der := strangers(t, c, crl, name, key, public)
					if key == "p256" {
						gnuTLS(t, c, crl, der)
					}
				}
			}
		})
	}
}

func strangers(t *testing.T, c *CA, crl, name, key string, public crypto.PublicKey) []byte {
	t.Helper()
	o := Order{PublicKey: public, Profile: profile(t, name), Names: csr.Options{Subject: "CN=" + name + " " + key + ",O=Example,C=DE"}}
	switch name {
	case "server":
		o.Names.DNS = []string{"www.example.com", "*.example.com"}
	case "mail", "client":
		o.Names.Emails = []string{"floppy@example.com"}
	case "smartcard-logon":
		o.Names.UPNs, o.SID = []string{"floppy@corp.example"}, "S-1-5-21-1-2-3-1001"
	case "sub":
		o.Permit = []string{"example.com", "@example.com", "192.0.2.0/24", "2001:db8::/32", "O=Example"}
		o.Exclude = []string{"secret.example.com"}
	}
	issued, _ := issue(t, c, o)
	lints(t, issued.DER)
	verify(t, c, crl, issued.DER, "")
	return issued.DER
}

// gnuTLS has certtool verify a certificate.
func gnuTLS(t *testing.T, c *CA, crl string, der []byte) {
	t.Helper()
	out, err := exec.CommandContext(t.Context(), "certtool", "--verify", "--load-ca-certificate", filepath.Join(c.dir, CertificateFile),
		"--load-crl", crl, "--infile", file(t, "leaf.pem", csr.PEMCertificate(der))).CombinedOutput()
	if err != nil || !strings.Contains(string(out), "Chain verification output: Verified.") {
		t.Errorf("certtool: %v\n%s", err, out)
	}
}

// What NSS says of a certificate for each use.
func TestEveryUseForNSS(t *testing.T) {
	for kind, options := range kindsOfCA() {
		if kind == "ed25519" { // NSS verifies no such certificates
			continue
		}
		t.Run(kind, func(t *testing.T) {
			c := newCA(t, options)
			store := t.TempDir()
			nss := func(args ...string) (string, error) {
				out, err := exec.CommandContext(t.Context(), "certutil", append(args, "-d", "sql:"+store)...).CombinedOutput()
				return string(out), err
			}
			must := func(args ...string) {
				t.Helper()
				if out, err := nss(args...); err != nil {
					t.Fatalf("certutil %v: %v\n%s", args, err, out)
				}
			}
			must("-N", "--empty-password")
			must("-A", "-n", "ca", "-t", "CT,C,", "-a", "-i", filepath.Join(c.dir, CertificateFile))
			for name, use := range map[string]string{"client": "C", "server": "V", "mail": "S"} {
				o := Order{Request: request(t, csr.Options{Subject: "CN=" + name, Emails: []string{"a@example.com"}, DNS: []string{"www.example.com"}}), Profile: profile(t, name)}
				issued, _ := issue(t, c, o)
				must("-A", "-n", name, "-t", ",,", "-a", "-i", file(t, "leaf.pem", csr.PEMCertificate(issued.DER)))
				must("-V", "-e", "-n", name, "-u", use)
				for _, other := range []string{"C", "V", "S"} {
					if out, err := nss("-V", "-e", "-n", name, "-u", other); other != use && err == nil {
						t.Errorf("%s is good for %s: %s", name, other, out)
					}
				}
			}
		})
	}
}
