package scep

import (
	"bytes"
	"context"
	"crypto"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/asn1"
	"errors"
	"math/big"
	"sync"
	"testing"
	"time"

	"github.com/smallstep/pkcs7"

	"github.com/cardctl/cardctl/internal/cms"
	"github.com/cardctl/cardctl/test/certs"
)

func TestCapabilities(t *testing.T) {
	for text, want := range map[string]Capabilities{
		"":                                {},
		"AES":                             {},
		"SHA-1\nDES3\nSHA-256":            {},
		"AES\nSHA-1\nPOSTPKIOperation":    {POST: true},
		"aes\r\nsha-512\r\n renewal \r\n": {Strong: true, Renewal: true},
		"AES\nSHA-256\nPOSTPKIOperation\nGetNext": {Strong: true, POST: true},
		"SCEPStandard":             {Strong: true, POST: true},
		"<html>AES SHA-256</html>": {},
	} {
		if got := ParseCapabilities([]byte(text)); got != want {
			t.Errorf("%q: %+v", text, got)
		}
	}
}

// rsaKey makes one; the tests share it, because that takes long.
var rsaKey = sync.OnceValue(func() *rsa.PrivateKey {
	key, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		panic(err)
	}
	return key
})

func identity(t testing.TB) *x509.Certificate {
	t.Helper()
	template := &x509.Certificate{SerialNumber: big.NewInt(7), Subject: pkix.Name{CommonName: "x"}, NotAfter: time.Now().AddDate(1, 0, 0)}
	der, err := x509.CreateCertificate(rand.Reader, template, template, rsaKey().Public(), rsaKey())
	if err != nil {
		t.Fatal(err)
	}
	c, err := x509.ParseCertificate(der)
	if err != nil {
		t.Fatal(err)
	}
	return c
}

// TestRequest has another implementation read a request.
func TestRequest(t *testing.T) {
	own := identity(t)
	c := certs.One(t, own)
	algorithm, err := asn1.Marshal(pkix.AlgorithmIdentifier{Algorithm: pkcs7.OIDEncryptionAlgorithmRSASHA256, Parameters: asn1.NullRawValue})
	if err != nil {
		t.Fatal(err)
	}
	der, err := Request{Type: PKCSReq, TransactionID: TransactionID([]byte("key")), SenderNonce: []byte("nonce"), Content: []byte("content"), Recipient: c}.Encode(
		t.Context(), cms.Signer{Certificate: c, Digest: crypto.SHA256, Algorithm: algorithm, Sign: func(_ context.Context, message []byte) ([]byte, error) {
			digest := sha256.Sum256(message)
			return rsa.SignPKCS1v15(nil, rsaKey(), crypto.SHA256, digest[:])
		}})
	if err != nil {
		t.Fatal(err)
	}
	p7, err := pkcs7.Parse(der)
	if err == nil {
		err = p7.Verify()
	}
	if err != nil {
		t.Fatal(err)
	}
	var kind, transaction string
	var nonce []byte
	if p7.UnmarshalSignedAttribute(oidMessageType, &kind) != nil || p7.UnmarshalSignedAttribute(oidTransactionID, &transaction) != nil ||
		p7.UnmarshalSignedAttribute(oidSenderNonce, &nonce) != nil || kind != "19" || len(transaction) != 64 || string(nonce) != "nonce" {
		t.Errorf("%s %s %s", kind, transaction, nonce)
	}
	sealed, err := pkcs7.Parse(p7.Content)
	if err != nil {
		t.Fatal(err)
	}
	if content, err := sealed.Decrypt(own, rsaKey()); err != nil || string(content) != "content" {
		t.Errorf("%q, %v", content, err)
	}
	if _, err := ParseAnswer(der); !errors.Is(err, ErrDamaged) {
		t.Errorf("a request as an answer: %v", err)
	}
}

// answer is one that another implementation made.
func answer(t testing.TB, own *x509.Certificate, attributes ...pkcs7.Attribute) []byte {
	t.Helper()
	signed, err := pkcs7.NewSignedData([]byte("content"))
	if err != nil {
		t.Fatal(err)
	}
	signed.SetDigestAlgorithm(pkcs7.OIDDigestAlgorithmSHA256)
	if err := signed.AddSigner(own, rsaKey(), pkcs7.SignerInfoConfig{ExtraSignedAttributes: attributes}); err != nil {
		t.Fatal(err)
	}
	der, err := signed.Finish()
	if err != nil {
		t.Fatal(err)
	}
	return der
}

func TestAnswer(t *testing.T) {
	own := identity(t)
	a, err := ParseAnswer(answer(t, own,
		pkcs7.Attribute{Type: oidMessageType, Value: "3"}, pkcs7.Attribute{Type: oidPKIStatus, Value: "2"}, pkcs7.Attribute{Type: oidFailInfo, Value: "4"},
		pkcs7.Attribute{Type: oidTransactionID, Value: "77"}, pkcs7.Attribute{Type: oidSenderNonce, Value: []byte("s")},
		pkcs7.Attribute{Type: oidRecipientNonce, Value: []byte("r")}, pkcs7.Attribute{Type: oidFailInfoText, Value: "no such"}))
	if err != nil || a.Verify(certs.One(t, own)) != nil || a.Status != Failure || a.TransactionID != "77" || string(a.RecipientNonce) != "r" ||
		string(a.SenderNonce) != "s" || a.Said != "badCertId: no such" || string(a.Content) != "content" {
		t.Errorf("%+v, %v", a, err)
	}
	a, err = ParseAnswer(answer(t, own, pkcs7.Attribute{Type: oidMessageType, Value: "3"}, pkcs7.Attribute{Type: oidFailInfo, Value: "12"}))
	if err != nil || a.Said != "12" || a.TransactionID != "" || a.RecipientNonce != nil {
		t.Errorf("%+v, %v", a, err)
	}
}

func TestAuthorities(t *testing.T) {
	own := identity(t)
	bundle, err := pkcs7.DegenerateCertificate(append(bytes.Clone(own.Raw), own.Raw...))
	if err != nil {
		t.Fatal(err)
	}
	for count, data := range map[int][]byte{1: own.Raw, 2: bundle} {
		if list, err := Authorities(data); err != nil || len(list) != count {
			t.Errorf("%d: %v, %v", count, list, err)
		}
	}
	for _, data := range [][]byte{nil, []byte("x"), {0x30, 0x80}, own.Raw[:50], bundle[:50]} {
		if _, err := Authorities(data); !errors.Is(err, ErrDamaged) {
			t.Errorf("%X: %v", data, err)
		}
	}
}

// FuzzAnswers reads whatever comes, and believes none of it.
func FuzzAnswers(f *testing.F) {
	own := identity(f)
	by := certs.One(f, own)
	f.Add(answer(f, own, pkcs7.Attribute{Type: oidMessageType, Value: "3"}, pkcs7.Attribute{Type: oidFailInfo, Value: "2"}))
	f.Add(own.Raw)
	bundle, err := pkcs7.DegenerateCertificate(own.Raw)
	if err != nil {
		f.Fatal(err)
	}
	f.Add(bundle)
	f.Add(bytes.Repeat([]byte{0x30, 0x80}, 1000))
	f.Fuzz(func(t *testing.T, data []byte) {
		if a, err := ParseAnswer(data); err == nil && a.Verify(by) == nil && string(a.Content) != "content" {
			t.Error("a signature that nobody made")
		}
		_, _ = Authorities(data)
		_, _ = Certificates(data)
		_ = ParseCapabilities(data)
	})
}
