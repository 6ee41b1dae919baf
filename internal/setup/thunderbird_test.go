package setup

import (
	"crypto"
	"crypto/tls"
	"crypto/x509"
	"encoding/asn1"
	"testing"

	"github.com/smallstep/pkcs7"

	"github.com/cardctl/cardctl/internal/cert"
	"github.com/cardctl/cardctl/internal/lend"
	"github.com/cardctl/cardctl/internal/p11"
	"github.com/cardctl/cardctl/internal/problem"
)

// signedBy is a message with its signature.
func signedBy(t *testing.T, who tls.Certificate, message string) []byte {
	t.Helper()
	parsed, err := x509.ParseCertificate(who.Certificate[0])
	check(t, err)
	data, err := pkcs7.NewSignedData([]byte(message))
	check(t, err)
	data.SetDigestAlgorithm(pkcs7.OIDDigestAlgorithmSHA256)
	check(t, data.AddSigner(parsed, who.PrivateKey.(crypto.Signer), pkcs7.SignerInfoConfig{}))
	signed, err := data.Finish()
	check(t, err)
	return signed
}

// TestVerifyMessage accepts the message that was to be signed, by the key alone.
func TestVerifyMessage(t *testing.T) {
	own, other := clientIdentity(t), clientIdentity(t)
	by, err := cert.Parse(own.Certificate[0])
	check(t, err)
	signed := signedBy(t, own, "message")
	broken := append([]byte{}, signed...)
	broken[len(broken)-1] ^= 1
	for name, c := range map[string]struct {
		signed []byte
		good   bool
	}{
		"the message":             {signed, true},
		"another message":         {signedBy(t, own, "another"), false},
		"another key":             {signedBy(t, other, "message"), false},
		"a wrong signature":       {broken, false},
		"something else entirely": {[]byte("hello"), false},
		"nothing":                 {nil, false},
	} {
		if err := verifyMessage(c.signed, "message", by); (err == nil) != c.good || err != nil && !problem.Is(err, problem.Mismatch) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// TestForMail tells certificates for mail from others.
func TestForMail(t *testing.T) {
	address := []cert.GeneralName{{Kind: cert.EmailName, Value: []byte("floppy@example.com")}}
	mail, client := asn1.ObjectIdentifier{1, 3, 6, 1, 5, 5, 7, 3, 4}, asn1.ObjectIdentifier{1, 3, 6, 1, 5, 5, 7, 3, 2}
	for _, c := range []struct {
		names  []cert.GeneralName
		usages []asn1.ObjectIdentifier
		good   bool
	}{
		{address, nil, true},
		{address, []asn1.ObjectIdentifier{client, mail}, true},
		{address, []asn1.ObjectIdentifier{client}, false},
		{nil, nil, false},
	} {
		own := &cert.Certificate{}
		own.AltNames, own.ExtKeyUsage = c.names, c.usages
		if forMail(own) != c.good {
			t.Errorf("%+v", c)
		}
	}
}

// TestKeysInLists finds a key by its ID, as certutil shows it.
func TestKeysInLists(t *testing.T) {
	const listed = "certutil: Checking token \"OpenPGP card (User PIN)\" in slot \"Virtual PCD 00 00\"\n" +
		"< 0> rsa      03                                         Authentication key\n< 1> ec       0a   02\n"
	for id, there := range map[string]bool{"03": true, "0A": true, "02": false, "": false} {
		if err := lists(listed, id, "OPENPGP.3"); (err == nil) != there || err != nil && !problem.Is(err, problem.NotFound) {
			t.Errorf("%q: %v", id, err)
		}
	}
	label := "AUT certificate"
	j := &job{key: &subject{Key: &lend.Key{Ref: "OPENPGP.3"}, token: p11.Token{Label: "card"}, known: p11.KnownAs{CertificateLabel: &label}}}
	if name, err := j.nickname(); name != "card:AUT certificate" || err != nil {
		t.Errorf("%s, %v", name, err)
	}
	j.key.known.CertificateLabel = nil
	if _, err := j.nickname(); !problem.Is(err, problem.NotFound) {
		t.Errorf("%v", err)
	}
}
