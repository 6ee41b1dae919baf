package certs

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"math/big"
	"net"
	"testing"
	"time"

	"github.com/cardctl/cardctl/internal/cert"
)

// Authority is a CA of a test.
type Authority struct {
	*x509.Certificate
	Key *ecdsa.PrivateKey
}

// NewAuthority makes a CA that nobody certified.
func NewAuthority(t testing.TB, name string) *Authority {
	t.Helper()
	a := &Authority{Key: newKey(t)}
	template := x509.Certificate{
		Subject: pkix.Name{CommonName: name}, IsCA: true, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageCertSign,
		NotAfter: time.Now().AddDate(1, 0, 0), SubjectKeyId: []byte(name),
	}
	a.Certificate = &template
	a.Certificate = a.Issue(t, template, a.Key.Public())
	return a
}

func newKey(t testing.TB) *ecdsa.PrivateKey {
	t.Helper()
	private, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	return private
}

// Issue makes a certificate; what the template lacks is usual.
func (a *Authority) Issue(t testing.TB, template x509.Certificate, public crypto.PublicKey) *x509.Certificate {
	t.Helper()
	serial, err := rand.Int(rand.Reader, new(big.Int).Lsh(big.NewInt(1), 120))
	if err != nil {
		t.Fatal(err)
	}
	if template.SerialNumber = serial; template.NotBefore.IsZero() {
		template.NotBefore = time.Now().Add(-time.Hour)
	}
	if template.NotAfter.IsZero() {
		template.NotAfter = time.Now().AddDate(0, 1, 0)
	}
	der, err := x509.CreateCertificate(rand.Reader, &template, a.Certificate, public, a.Key)
	if err != nil {
		t.Fatal(err)
	}
	made, err := x509.ParseCertificate(der)
	if err != nil {
		t.Fatal(err)
	}
	return made
}

// Below is another CA, which the authority certified.
func (a *Authority) Below(t testing.TB, name string) *Authority {
	t.Helper()
	other := NewAuthority(t, name)
	other.Certificate = a.Issue(t, x509.Certificate{
		Subject: pkix.Name{CommonName: name}, IsCA: true, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageCertSign,
		SubjectKeyId: []byte(name),
	}, other.Key.Public())
	return other
}

// Server is a certificate of a server on this machine, with its key.
func (a *Authority) Server(t testing.TB, template x509.Certificate) tls.Certificate {
	t.Helper()
	private := newKey(t)
	if template.DNSNames == nil {
		template.IPAddresses = []net.IP{net.IPv4(127, 0, 0, 1)}
	}
	template.ExtKeyUsage = []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth}
	made := a.Issue(t, template, private.Public())
	return tls.Certificate{Certificate: [][]byte{made.Raw, a.Raw}, PrivateKey: private}
}

// Roots is the certificate of the authority as the only root.
func (a *Authority) Roots(t testing.TB) []*cert.Certificate { return All(t, a.Certificate) }
