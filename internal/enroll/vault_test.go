package enroll

import (
	"crypto/x509"
	"fmt"
	"io"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/cardctl/cardctl/internal/problem"
	"github.com/cardctl/cardctl/internal/secret"
	"github.com/cardctl/cardctl/test/certs"
	"github.com/cardctl/cardctl/test/issuers"
)

// vaultOptions has names that Vault can certify.
func (d *simulated) vaultOptions(s *issuers.Vault, address string) Options {
	o := d.options("vault+https://"+strings.ReplaceAll(address, "HOST", s.At.Host), s.CA)
	o.Names.Subject, o.Names.ExtKeyUsage = "CN=host.example.org", nil
	o.Names.DNS, o.Names.IPs, o.Names.URIs = []string{"a.example.org", "b.example.org"}, []string{"192.0.2.7"}, []string{"spiffe://example.org/me"}
	return o
}

// TestVaultSigns with a token, and with an AppRole, at a mount and in a namespace.
func TestVaultSigns(t *testing.T) {
	for _, test := range []struct{ profile, ref, algorithm string }{
		{"", "OPENPGP.3", "p256"}, {"", "OPENPGP.3", "rsa2048"}, {"piv-yubikey-5.7", "PIV.9A", "p384"}, {"piv-yubikey-5.7", "PIV.9C", "rsa2048"},
	} {
		s := issuers.NewVault(t)
		d := newCard(t, test.profile, test.ref, test.algorithm)
		d.secrets[secret.IssuerSecret] = s.Token
		o := d.vaultOptions(s, "client@HOST")
		o.Days = 9
		report, err := d.enroll(test.ref, o)
		check(t, err)
		made := d.leaf(test.ref)
		if fmt.Sprint(made.DNSNames, made.EmailAddresses, made.IPAddresses, made.URIs[0]) != "[a.example.org b.example.org] [me@example.org] [192.0.2.7] spiffe://example.org/me" {
			t.Errorf("%q %q %s %s", made.DNSNames, made.EmailAddresses, made.IPAddresses, made.URIs)
		}
		if s.Sent["ttl"] != "216h" || len(report.Notes) != 1 || !strings.Contains(report.Notes[0], "TTL of [1m9 days") {
			t.Errorf("%v %q", s.Sent["ttl"], report.Notes)
		}
	}
}

// TestAppRole logs in for one request, and out again.
func TestAppRole(t *testing.T) {
	s := issuers.NewVault(t)
	s.Mount, s.SecretID = "team/pki", `se"cret\736451`+"\x01ü"
	d := newCard(t, "", "OPENPGP.3", "p256")
	d.secrets[secret.IssuerSecret] = s.SecretID
	o := d.vaultOptions(s, "client@HOST/team/pki?role_id=role-736&namespace=ns1")
	if _, err := d.enroll("OPENPGP.3", o); err != nil {
		t.Fatal(err)
	}
	want := "GET /v1/team/pki/ca/pem ns1;POST /v1/auth/approle/login ns1;POST /v1/team/pki/sign/client ns1;POST /v1/auth/token/revoke-self ns1"
	if got := strings.Join(s.Paths, ";"); got != want {
		t.Errorf("%s", got)
	}
}

// TestVaultRefuses with what is wrong, and without a secret in it.
func TestVaultRefuses(t *testing.T) {
	other := certs.NewAuthority(t, "other")
	instead := func(text string) func(s *issuers.Vault) {
		return func(s *issuers.Vault) {
			s.Answer = func(w http.ResponseWriter, r *http.Request) bool {
				if strings.Contains(r.URL.Path, "/sign/") {
					_, _ = io.WriteString(w, text)
				}
				return strings.Contains(r.URL.Path, "/sign/")
			}
		}
	}
	status := func(path string, code int) func(s *issuers.Vault) {
		return func(s *issuers.Vault) {
			s.Answer = func(w http.ResponseWriter, r *http.Request) bool {
				if !strings.Contains(r.URL.Path, path) {
					return false
				}
				w.WriteHeader(code)
				return true
			}
		}
	}
	for what, test := range map[string]struct {
		address, secret string
		set             func(*issuers.Vault)
		code            problem.Code
		says            string
	}{
		"a wrong token":        {"client@HOST", "hvs.736452-wrong", nil, problem.Failed, "permission denied for …"},
		"a wrong secret ID":    {"client@HOST?role_id=role-736", "736453", func(s *issuers.Vault) { s.SecretID = "736454" }, problem.Failed, "invalid role or secret ID …"},
		"another role":         {"server@HOST", "", nil, problem.Failed, "no handler for route"},
		"no such mount":        {"client@HOST/other", "", nil, problem.Failed, "has no CA at other"},
		"sealed":               {"client@HOST", "", status("/ca/pem", 503), problem.Failed, "sealed"},
		"a redirect":           {"client@HOST", "", status("/sign/", 307), problem.Mismatch, "refers to another address"},
		"no role":              {"HOST", "", nil, problem.Usage, "names no role"},
		"an unknown parameter": {"client@HOST?role=x", "", nil, problem.Usage, "not a parameter"},
		"garbage":              {"client@HOST", "", instead("garbage"), problem.Mismatch, "not the JSON"},
		"no certificate":       {"client@HOST", "", instead(`{"data":{}}`), problem.Mismatch, "no certificate"},
		"garbage in PEM":       {"client@HOST", "", instead(`{"data":{"certificate":"-----BEGIN"}}`), problem.Mismatch, "no certificate"},
		"another type":         {"client@HOST", "", instead(`{"data":{"certificate":7}}`), problem.Mismatch, "not the JSON"},
		"a name in the SAN": {"client@HOST", "", func(s *issuers.Vault) {
			s.Change = func(c *x509.Certificate) { c.DNSNames = append(c.DNSNames, "www.example.org") }
		}, problem.Mismatch, "not asked for"},
		"a longer life": {"client@HOST", "", func(s *issuers.Vault) {
			s.Change = func(c *x509.Certificate) { c.NotAfter = time.Now().AddDate(1, 0, 0) }
		}, problem.Mismatch, "longer than"},
		"a CA": {"client@HOST", "", func(s *issuers.Vault) {
			s.Change = func(c *x509.Certificate) { c.IsCA, c.BasicConstraintsValid = true, true }
		}, problem.Mismatch, "that of a CA"},
		"of a CA not named":      {"client@HOST", "", func(s *issuers.Vault) { s.CA = other }, problem.Mismatch, "does not chain"},
		"the card of an officer": {"client@HOST", "officer", nil, problem.Usage, "officer"},
	} {
		t.Run(what, func(t *testing.T) {
			s := issuers.NewVault(t)
			d := newCard(t, "", "OPENPGP.3", "p256")
			d.secrets[secret.IssuerSecret] = s.Token
			o := d.vaultOptions(s, test.address)
			if o.Days = 9; test.secret == "officer" {
				o.IssuerKey = "OPENPGP.3"
			} else if test.secret != "" {
				d.secrets[secret.IssuerSecret] = test.secret
			}
			if test.set != nil {
				test.set(s)
			}
			_, err := d.enroll("OPENPGP.3", o)
			if !problem.Is(err, test.code) || !strings.Contains(err.Error(), test.says) {
				t.Errorf("%v", err)
			}
			if strings.Contains(fmt.Sprintf("%+v", err), "73645") {
				t.Errorf("the error has the secret: %v", err)
			}
			if d.leaf("OPENPGP.3") != nil {
				t.Error("a certificate is on the card")
			}
		})
	}
}
