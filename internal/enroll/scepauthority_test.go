package enroll

import (
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/asn1"
	"math/big"
	"testing"
	"time"

	"github.com/cardctl/cardctl/internal/secret"
	"github.com/cardctl/cardctl/test/certs"
)

// TestSCEPLikeNDES has an RA with two certificates: one that signs, and one to encrypt to.
func TestSCEPLikeNDES(t *testing.T) {
	s, d := newSCEPServer(t), newCard(t, "openpgp-3.4", "OPENPGP.3", "p256")
	d.secrets[secret.IssuerSecret] = s.challenge
	agent := []asn1.ObjectIdentifier{{1, 3, 6, 1, 4, 1, 311, 20, 2, 1}}
	s.register(x509.Certificate{KeyUsage: x509.KeyUsageDigitalSignature, UnknownExtKeyUsage: agent})
	signs := s.ra
	s.register(x509.Certificate{KeyUsage: x509.KeyUsageKeyEncipherment, UnknownExtKeyUsage: agent})
	s.list = []*x509.Certificate{signs, s.ra, s.ca.Certificate}
	s.edit = func(a *scepReply) { a.certificate = signs }
	_, err := d.enroll("OPENPGP.3", d.orders(s.url, "CN=x", s.ca.Roots(t)))
	check(t, err)
}

// TestSCEPRecipient chooses the CA that issues among several.
func TestSCEPRecipient(t *testing.T) {
	made := func(name string, key *rsa.PrivateKey, by *x509.Certificate, byKey *rsa.PrivateKey) *x509.Certificate {
		template := &x509.Certificate{
			SerialNumber: big.NewInt(7), Subject: pkix.Name{CommonName: name}, NotAfter: time.Now().AddDate(1, 0, 0), IsCA: true, BasicConstraintsValid: true,
		}
		if by == nil {
			by = template
		}
		return must(x509.ParseCertificate(must(x509.CreateCertificate(rand.Reader, template, by, key.Public(), byKey))))
	}
	other := must(rsa.GenerateKey(rand.Reader, 2048))
	root := made("root", rsaKey(), nil, rsaKey())
	issuing := made("issuing", other, root, rsaKey())
	curve := certs.NewAuthority(t, "curve").Certificate
	for name, test := range map[string]struct {
		list []*x509.Certificate
		want *x509.Certificate
	}{
		"one": {[]*x509.Certificate{root}, root}, "two": {[]*x509.Certificate{root, issuing}, issuing}, "the other way": {[]*x509.Certificate{issuing, root}, issuing},
		"a curve": {[]*x509.Certificate{curve, issuing}, issuing}, "only curves": {[]*x509.Certificate{curve}, nil},
	} {
		got := recipientOf(certs.All(t, test.list...))
		if (got == nil) != (test.want == nil) || got != nil && !got.Equal(certs.One(t, test.want)) {
			t.Errorf("%s: %v", name, got)
		}
	}
}
