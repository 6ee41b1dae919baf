package certstore

import (
	"bytes"
	"crypto"
	"crypto/ecdh"
	"crypto/ed25519"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/asn1"
	"encoding/pem"
	"math/big"
	"os/exec"
	"strings"
	"testing"

	"github.com/cardctl/cardctl/internal/problem"
)

func TestExport(t *testing.T) {
	p := fixtures()
	for _, test := range []struct {
		name   string
		stored []byte
		code   problem.Code
	}{
		{"DER", p.leaf.Raw, ""},
		{"PEM that another program left", EncodePEM(p.leaf.Raw), ""},
		{"DER with zeros behind", append(bytes.Clone(p.leaf.Raw), 0, 0, 0), ""},
		{"nothing", nil, problem.NotFound},
		{"half a certificate", p.leaf.Raw[:99], problem.Mismatch},
		{"other text", []byte("hello"), problem.Mismatch},
	} {
		t.Run(test.name, func(t *testing.T) {
			der, err := ExportFrom(t.Context(), &fakeKey{stored: test.stored})
			if test.code != "" {
				wantProblem(t, err, test.code)
				return
			}
			if err != nil || !bytes.Equal(der, p.leaf.Raw) {
				t.Errorf("%X, %v", der, err)
			}
		})
	}
}

func TestDelete(t *testing.T) {
	p := fixtures()
	k := &fakeKey{pub: p.signer.Public(), stored: p.leaf.Raw}
	var question string
	deleted, err := DeleteOn(t.Context(), k, yes(&question))
	if err != nil || k.stored != nil || deleted.Subject != `CN=leaf,O=Snake Oil\, Ltd` || !deleted.MatchesKey {
		t.Errorf("%+v, %v", deleted, err)
	}
	if !strings.Contains(question, "OPENPGP.3") || !strings.Contains(question, "CN=leaf") || !strings.Contains(question, "2027-05-04") {
		t.Errorf("question %q", question)
	}
}

func TestDeleteRefuses(t *testing.T) {
	p := fixtures()
	_, err := DeleteOn(t.Context(), &fakeKey{}, nil)
	wantProblem(t, err, problem.NotFound)

	for _, confirm := range []func(k *fakeKey) error{
		func(k *fakeKey) error { _, err := DeleteOn(t.Context(), k, no); return err },
		func(k *fakeKey) error { _, err := DeleteOn(t.Context(), k, nil); return err },
	} {
		k := &fakeKey{pub: p.signer.Public(), stored: p.leaf.Raw}
		wantProblem(t, confirm(k), problem.Refused)
		if k.stored == nil {
			t.Error("the certificate is gone")
		}
	}

	var question string
	_, err = DeleteOn(t.Context(), &fakeKey{stored: p.leaf.Raw, keep: true}, yes(&question))
	wantProblem(t, err, problem.Failed, "still on the card")
}

func TestExportPublicKey(t *testing.T) {
	p := fixtures()
	ed, _, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	for _, pub := range []crypto.PublicKey{p.signer.Public(), ed} {
		want, err := x509.MarshalPKIXPublicKey(pub)
		if err != nil {
			t.Fatal(err)
		}
		if der, err := ExportPublicKey(pub, DER, ""); err != nil || !bytes.Equal(der, want) {
			t.Errorf("%T: %X, %v", pub, der, err)
		}
		text, err := ExportPublicKey(pub, PEM, "")
		if block, _ := pem.Decode(text); err != nil || block == nil || block.Type != "PUBLIC KEY" || !bytes.Equal(block.Bytes, want) {
			t.Errorf("%T: %s, %v", pub, text, err)
		}
		line, err := ExportPublicKey(pub, SSH, "floppy\nhead ")
		if err != nil || !strings.HasSuffix(string(line), " floppy head\n") || strings.Count(string(line), "\n") != 1 {
			t.Errorf("%T: %q, %v", pub, line, err)
		}
	}
}

func TestSSHHasNoKeyAgreement(t *testing.T) {
	x, err := ecdh.X25519().GenerateKey(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	_, err = ExportPublicKey(x.PublicKey(), SSH, "")
	wantProblem(t, err, problem.NotSupported, "x25519")
	if text, err := ExportPublicKey(x.PublicKey(), PEM, ""); err != nil || !strings.Contains(string(text), "PUBLIC KEY") {
		t.Errorf("%s, %v", text, err)
	}
}

func TestDescribe(t *testing.T) {
	p := fixtures()
	if c := Describe(p.leaf.Raw, nil); c.MatchesKey || c.Subject != `CN=leaf,O=Snake Oil\, Ltd` || c.Unreadable != "" {
		t.Errorf("%+v", c)
	}
	if c := Describe(p.leaf.Raw, p.stranger.PublicKey); c.MatchesKey {
		t.Errorf("%+v", c)
	}
	for _, test := range []struct {
		stored []byte
		want   string
	}{
		{EncodePEM(p.leaf.Raw), "PEM text instead of DER"},
		{[]byte("hello"), "not a certificate in DER"},
		{[]byte{0x30, 0x07, 0x30, 0x00, 0x30, 0x00, 0x03, 0x01, 0x00}, "a damaged certificate"},
	} {
		if c := Describe(test.stored, nil); !strings.HasPrefix(c.Unreadable, test.want) || c.SHA256 != fingerprint(test.stored) {
			t.Errorf("%q: %+v", test.stored, c)
		}
	}
}

// describeName is the subject of a certificate for the name, as Describe and
// as OpenSSL write it.
func describeName(t *testing.T, subject pkix.RDNSequence) (ours, openSSLs string) {
	t.Helper()
	p := fixtures()
	raw, err := asn1.Marshal(subject)
	if err != nil {
		t.Fatal(err)
	}
	der, err := x509.CreateCertificate(rand.Reader, &x509.Certificate{RawSubject: raw, SerialNumber: big.NewInt(1)}, p.issuer, p.signer.Public(), p.issuerKey)
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command("openssl", "x509", "-inform", "DER", "-noout", "-subject", "-nameopt", "RFC2253,utf8,-esc_msb")
	cmd.Stdin = bytes.NewReader(der)
	out, err := cmd.CombinedOutput()
	if err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	return Describe(der, nil).Subject, strings.TrimSpace(strings.TrimPrefix(string(out), "subject="))
}

func TestNames(t *testing.T) {
	text := func(value string, oid ...int) pkix.AttributeTypeAndValue {
		return pkix.AttributeTypeAndValue{Type: oid, Value: value}
	}
	mail := text("a,b@example.com", 1, 2, 840, 113549, 1, 9, 1)
	ours, openSSLs := describeName(t, pkix.RDNSequence{
		{text("org", 0, 9, 2342, 19200300, 100, 1, 25)}, {text(`a, "b"`, 2, 5, 4, 10)}, {text("Jürgen", 2, 5, 4, 3)}, {mail},
	})
	if want := `emailAddress=a\,b@example.com,CN=Jürgen,O=a\, \"b\",DC=org`; ours != want || openSSLs != want {
		t.Errorf("ours      %s\nOpenSSL's %s\nwant      %s", ours, openSSLs, want)
	}
	// In one RDN the order is that of the DER; OpenSSL turns it round.
	ours, _ = describeName(t, pkix.RDNSequence{{text("Jürgen", 2, 5, 4, 3), text("J+n", 2, 5, 4, 42)}, {text("x", 1, 2, 3)}})
	if want := `1.2.3=#130178,GN=J\+n+CN=Jürgen`; ours != want {
		t.Errorf("got  %s\nwant %s", ours, want)
	}
}

// TestCertificateOfAnAgreementKey: crypto/x509 reads it without its public key.
func TestCertificateOfAnAgreementKey(t *testing.T) {
	p := fixtures()
	agreement, err := ecdh.X25519().GenerateKey(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	pub := agreement.PublicKey()
	template := &x509.Certificate{SerialNumber: big.NewInt(1), NotBefore: p.leaf.NotBefore, NotAfter: p.leaf.NotAfter}
	// Nor does it make one; the other curve's OID is as long.
	der, err := x509.CreateCertificate(rand.Reader, template, p.issuer, ed25519.PublicKey(pub.Bytes()), p.issuerKey)
	if err != nil {
		t.Fatal(err)
	}
	der = bytes.Replace(der, []byte{0x06, 3, 0x2B, 0x65, 0x70}, []byte{0x06, 3, 0x2B, 0x65, 0x6E}, 1)
	c, err := x509.ParseCertificate(der)
	if err != nil {
		t.Fatal(err)
	}
	if leaf, _, err := Pick(certificates(p.leaf, c), pub); err != nil || !bytes.Equal(leaf.Raw, c.Raw) {
		t.Errorf("%v, %v", leaf, err)
	}
	if !Describe(der, pub).MatchesKey {
		t.Error("the certificate is not taken for that of its key")
	}
}
