package enroll

import (
	"crypto/sha256"
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/cardctl/cardctl/internal/problem"
	"github.com/cardctl/cardctl/internal/secret"
	"github.com/cardctl/cardctl/test/certs"
	"github.com/cardctl/cardctl/test/issuers"
)

// TestSCEPOverTLS verifies the server by the CA that was named, or by its fingerprint, and
// sends nothing to others.
func TestSCEPOverTLS(t *testing.T) {
	for name, test := range map[string]struct {
		// identity is the server's, its CA that of SCEP or another one.
		identity x509.Certificate
		stranger bool
		roots    bool
		why      string // empty if it is trusted
	}{
		"the CA":              {roots: true},
		"the fingerprint":     {},
		"another CA":          {roots: true, stranger: true, why: "is not trusted"},
		"no CA of the system": {stranger: true, why: "is not trusted"},
		"expired": {
			identity: x509.Certificate{NotBefore: time.Now().Add(-48 * time.Hour), NotAfter: time.Now().Add(-24 * time.Hour)}, why: "is not trusted",
		},
		"another host": {identity: x509.Certificate{DNSNames: []string{"other.example"}}, why: "is not trusted"},
	} {
		t.Run(name, func(t *testing.T) {
			s, d := newSCEPServer(t), newCard(t, "openpgp-3.4", "OPENPGP.3", "p256")
			d.secrets[secret.IssuerSecret] = s.challenge
			by := s.ca
			if test.stranger {
				by = certs.NewAuthority(t, "CA")
			}
			at := issuers.Listen(t, by.Server(t, test.identity), &tls.Config{}, s)
			o := d.orders("scep+"+at.String()+"/scep", "CN=x", nil)
			if test.roots {
				o.Roots = s.ca.Roots(t)
			} else {
				o.Issuer += fmt.Sprintf("?fingerprint=%x", sha256.Sum256(s.ca.Raw))
			}
			_, err := d.enroll("OPENPGP.3", o)
			if test.why == "" {
				check(t, err)
				return
			}
			if !problem.Is(err, problem.Mismatch) || !strings.Contains(err.Error(), test.why) || len(s.operations) > 0 {
				t.Errorf("%v, %v", err, s.operations)
			}
		})
	}
}

// TestSCEPOverTLSBelievesTheServer takes an RA that is certified for nothing, because TLS
// tells who the server is.
func TestSCEPOverTLSBelievesTheServer(t *testing.T) {
	s, d := newSCEPServer(t), newCard(t, "openpgp-3.4", "OPENPGP.3", "p256")
	d.secrets[secret.IssuerSecret] = s.challenge
	s.register(x509.Certificate{})
	at := issuers.Listen(t, s.ca.Server(t, x509.Certificate{}), &tls.Config{}, s)
	_, err := d.enroll("OPENPGP.3", d.orders("scep+"+at.String()+"/scep", "CN=x", s.ca.Roots(t)))
	check(t, err)
}

// TestCMPOverTLS needs no CA for the messages, if a secret protects them.
func TestCMPOverTLS(t *testing.T) {
	s, d := newCMPServer(t), newCard(t, "openpgp-3.4", "OPENPGP.3", "p256")
	d.secrets[secret.IssuerSecret] = s.secret
	at := issuers.Listen(t, s.ca.Server(t, x509.Certificate{}), &tls.Config{}, s)
	o := d.orders(fmt.Sprintf("cmp+https://desk@%s?fingerprint=%x", at.Host, sha256.Sum256(s.ca.Raw)), "CN=x", nil)
	_, err := d.enroll("OPENPGP.3", o)
	check(t, err)
	if s.confirmed != "accepted" {
		t.Error(s.confirmed)
	}
}
