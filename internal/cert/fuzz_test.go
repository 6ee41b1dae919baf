package cert

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"math/big"
	"net"
	"net/url"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/cardctl/cardctl/internal/pubkey"
)

// FuzzParse compares this reader with crypto/x509 on every certificate that it accepts.
func FuzzParse(f *testing.F) {
	f.Add(full(f).Raw)
	for _, path := range samples(f) {
		f.Add(decodePEM(f, path))
	}
	f.Fuzz(func(t *testing.T, der []byte) {
		c, err := Parse(der)
		if err == nil {
			for _, name := range c.AltNames {
				_ = name.PrincipalName()
			}
		}
		strict, refused := x509.ParseCertificate(der)
		if refused != nil {
			return
		}
		if err != nil {
			t.Fatalf("crypto/x509 accepts what this reader refuses: %v", err)
		}
		agree(t, c, strict)
	})
}

func samples(t testing.TB) []string {
	t.Helper()
	paths, err := filepath.Glob("testdata/*.pem")
	if err != nil || len(paths) == 0 {
		t.Fatalf("%d samples, %v", len(paths), err)
	}
	return paths
}

func decodePEM(t testing.TB, path string) []byte {
	t.Helper()
	text, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	block, _ := pem.Decode(text)
	if block == nil {
		t.Fatalf("%s is not PEM", path)
	}
	return block.Bytes
}

// full is a certificate with everything that is compared.
func full(t testing.TB) *x509.Certificate {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	uri, err := url.Parse("https://example.com/a?b")
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(0x1234567890), NotBefore: time.Unix(1, 0), NotAfter: time.Date(2060, 1, 1, 0, 0, 0, 0, time.UTC),
		Subject:               pkix.Name{CommonName: "Flöppy, Head", Organization: []string{"Snake Oil", "Other"}, Country: []string{"XY"}},
		BasicConstraintsValid: true, IsCA: true, MaxPathLen: 3, KeyUsage: x509.KeyUsageCertSign | x509.KeyUsageDecipherOnly,
		ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth}, SubjectKeyId: []byte{1, 2}, AuthorityKeyId: []byte{3},
		DNSNames: []string{"example.com"}, EmailAddresses: []string{"a@example.com"}, IPAddresses: []net.IP{{127, 0, 0, 1}}, URIs: []*url.URL{uri},
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	if err != nil {
		t.Fatal(err)
	}
	c, err := x509.ParseCertificate(der)
	if err != nil {
		t.Fatal(err)
	}
	return c
}

func agree(t *testing.T, c *Certificate, strict *x509.Certificate) {
	t.Helper()
	for what, pair := range map[string][2][]byte{
		"bytes": {c.Raw, strict.Raw}, "TBSCertificate": {c.RawTBSCertificate, strict.RawTBSCertificate},
		"subject": {c.RawSubject, strict.RawSubject}, "issuer": {c.RawIssuer, strict.RawIssuer},
		"SubjectPublicKeyInfo": {c.RawSubjectPublicKeyInfo, strict.RawSubjectPublicKeyInfo},
		"signature":            {c.Signature, strict.Signature},
		"SubjectKeyId":         {c.SubjectKeyId, strict.SubjectKeyId}, "AuthorityKeyId": {c.AuthorityKeyId, strict.AuthorityKeyId},
	} {
		if !bytes.Equal(pair[0], pair[1]) {
			t.Errorf("%s: %X, crypto/x509 has %X", what, pair[0], pair[1])
		}
	}
	if c.Version != strict.Version || c.SerialNumber.Cmp(strict.SerialNumber) != 0 {
		t.Errorf("version %d, serial number %v; crypto/x509 has %d, %v", c.Version, c.SerialNumber, strict.Version, strict.SerialNumber)
	}
	if !c.NotBefore.Equal(strict.NotBefore) || !c.NotAfter.Equal(strict.NotAfter) {
		t.Errorf("%v to %v, crypto/x509 has %v to %v", c.NotBefore, c.NotAfter, strict.NotBefore, strict.NotAfter)
	}
	if c.IsCA != strict.IsCA || c.BasicConstraintsValid != strict.BasicConstraintsValid || int(c.KeyUsage) != int(strict.KeyUsage) {
		t.Errorf("CA %t %t, usage %d; crypto/x509 has %t %t, %d", c.IsCA, c.BasicConstraintsValid, c.KeyUsage, strict.IsCA, strict.BasicConstraintsValid, strict.KeyUsage)
	}
	if strict.BasicConstraintsValid && c.MaxPathLen != strict.MaxPathLen {
		t.Errorf("path length %d, crypto/x509 has %d", c.MaxPathLen, strict.MaxPathLen)
	}
	if c.Subject.CommonName() != strict.Subject.CommonName || c.Issuer.CommonName() != strict.Issuer.CommonName {
		t.Errorf("%q by %q, crypto/x509 has %q by %q", c.Subject.CommonName(), c.Issuer.CommonName(), strict.Subject.CommonName, strict.Issuer.CommonName)
	}
	if strict.PublicKey != nil && strict.PublicKeyAlgorithm != x509.DSA && !pubkey.Same(c.PublicKey, strict.PublicKey) {
		t.Errorf("public key %v, crypto/x509 has %v", c.PublicKey, strict.PublicKey)
	}
	if len(c.Extensions) != len(strict.Extensions) {
		t.Fatalf("%d extensions, crypto/x509 has %d", len(c.Extensions), len(strict.Extensions))
	}
	for i, x := range strict.Extensions {
		if got := c.Extensions[i]; !got.ID.Equal(x.Id) || got.Critical != x.Critical || !bytes.Equal(got.Value, x.Value) {
			t.Errorf("extension %v, crypto/x509 has %v", got, x)
		}
	}
	agreeOnNames(t, c, strict)
}

func agreeOnNames(t *testing.T, c *Certificate, strict *x509.Certificate) {
	t.Helper()
	var dns, email []string
	var ip []net.IP
	for _, name := range c.AltNames {
		switch name.Kind {
		case DNSName:
			dns = append(dns, string(name.Value))
		case EmailName:
			email = append(email, string(name.Value))
		case IPName:
			ip = append(ip, name.Value)
		}
	}
	same := len(dns) == len(strict.DNSNames) && len(email) == len(strict.EmailAddresses) && len(ip) == len(strict.IPAddresses)
	for i := 0; same && i < len(dns); i++ {
		same = dns[i] == strict.DNSNames[i]
	}
	for i := 0; same && i < len(email); i++ {
		same = email[i] == strict.EmailAddresses[i]
	}
	for i := 0; same && i < len(ip); i++ {
		same = ip[i].Equal(strict.IPAddresses[i])
	}
	if !same {
		t.Errorf("%v %v %v, crypto/x509 has %v %v %v", dns, email, ip, strict.DNSNames, strict.EmailAddresses, strict.IPAddresses)
	}
}
