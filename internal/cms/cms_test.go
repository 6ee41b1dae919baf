package cms

import (
	"bytes"
	"context"
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/asn1"
	"encoding/pem"
	"errors"
	"math/big"
	"os"
	"os/exec"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"golang.org/x/crypto/cryptobyte"

	"github.com/cardctl/cardctl/internal/cert"
	"github.com/cardctl/cardctl/internal/chain"
	"github.com/cardctl/cardctl/test/certs"
)

// rsaKey makes one; the tests share it, because that takes long.
var rsaKey = sync.OnceValue(func() *rsa.PrivateKey {
	key, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		panic(err)
	}
	return key
})

// identity is a self-signed certificate with this serial number.
func identity(t testing.TB, key crypto.Signer, serial int64) *cert.Certificate {
	t.Helper()
	template := &x509.Certificate{
		SerialNumber: big.NewInt(serial), Subject: pkix.Name{CommonName: "Floppy Head"}, NotAfter: time.Now().AddDate(1, 0, 0), SubjectKeyId: []byte{1, 2, byte(serial)},
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	if err != nil {
		t.Fatal(err)
	}
	c, err := cert.Parse(der)
	if err != nil {
		t.Fatal(err)
	}
	return c
}

func signerOf(c *cert.Certificate, key crypto.Signer) Signer {
	oid := asn1.ObjectIdentifier{1, 2, 840, 113549, 1, 1, 11}
	if _, is := key.(*ecdsa.PrivateKey); is {
		oid = asn1.ObjectIdentifier{1, 2, 840, 10045, 4, 3, 2}
	}
	return Signer{
		Certificate: c, Digest: crypto.SHA256, Algorithm: marshal(func(b *cryptobyte.Builder) { addAlgorithm(b, oid, nil) }),
		Sign: func(_ context.Context, message []byte) ([]byte, error) {
			digest := sha256.Sum256(message)
			return key.Sign(rand.Reader, digest[:], crypto.SHA256)
		},
	}
}

var oidTest = asn1.ObjectIdentifier{1, 2, 3, 4}

func signed(t testing.TB, c *cert.Certificate, key crypto.Signer, content string) []byte {
	t.Helper()
	der, err := Sign(t.Context(), []byte(content), []Attribute{{oidTest, []byte{4, 1, 7}}}, signerOf(c, key))
	if err != nil {
		t.Fatal(err)
	}
	return der
}

func openssl(t testing.TB, stdin []byte, args ...string) []byte {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), "openssl", args...)
	cmd.Stdin = bytes.NewReader(stdin)
	var complaints bytes.Buffer
	cmd.Stderr = &complaints
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("openssl %v: %v\n%s", args, err, complaints.String())
	}
	return out
}

func pemFile(t testing.TB, label string, der []byte) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "file.pem")
	if err := os.WriteFile(path, pem.EncodeToMemory(&pem.Block{Type: label, Bytes: der}), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

func keyFile(t testing.TB, key crypto.Signer) string {
	t.Helper()
	der, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		t.Fatal(err)
	}
	return pemFile(t, "PRIVATE KEY", der)
}

// TestOpenSSLVerifies has OpenSSL read what is signed and encrypted here.
func TestOpenSSLVerifies(t *testing.T) {
	curve, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	for _, key := range []crypto.Signer{rsaKey(), curve} {
		c := identity(t, key, 7)
		out := openssl(t, signed(t, c, key, "content"), "cms", "-verify", "-inform", "DER", "-binary", "-CAfile", pemFile(t, "CERTIFICATE", c.Raw), "-purpose", "any", "-partial_chain")
		if string(out) != "content" {
			t.Errorf("%q", out)
		}
	}
	c := identity(t, rsaKey(), 7)
	for _, content := range []string{"", "content", "sixteen bytes...", string(make([]byte, 5000))} {
		der, err := Envelope([]byte(content), c)
		if err != nil {
			t.Fatal(err)
		}
		out := openssl(t, der, "cms", "-decrypt", "-inform", "DER", "-binary", "-recip", pemFile(t, "CERTIFICATE", c.Raw), "-inkey", keyFile(t, rsaKey()))
		if string(out) != content {
			t.Errorf("%q, not %q", out, content)
		}
	}
	if _, err := Envelope(nil, identity(t, curve, 7)); !errors.Is(err, ErrAlgorithm) {
		t.Error(err)
	}
}

// TestReadsOpenSSL reads what OpenSSL signs and encrypts, in BER too, and with other digests
// and ciphers.
func TestReadsOpenSSL(t *testing.T) {
	c := identity(t, rsaKey(), 7)
	certificate, key := pemFile(t, "CERTIFICATE", c.Raw), keyFile(t, rsaKey())
	for _, digest := range []string{"sha256", "sha384", "sha512", "sha1", "md5"} {
		for _, how := range [][]string{{}, {"-keyid"}, {"-stream"}, {"-keyopt", "rsa_padding_mode:pss"}} {
			if digest == "md5" && len(how) > 0 || digest == "sha1" && len(how) == 2 {
				continue
			}
			der := openssl(t, []byte("content"), append([]string{"cms", "-sign", "-nodetach", "-binary", "-outform", "DER", "-md", digest, "-signer", certificate, "-inkey", key}, how...)...)
			s, err := ParseSigned(der)
			if digest == "md5" {
				if !errors.Is(err, ErrAlgorithm) {
					t.Errorf("%s: %v", digest, err)
				}
				continue
			}
			if err != nil || string(s.Content) != "content" || len(s.Certificates) != 1 || !s.SignedBy(c) {
				t.Fatalf("%s %v: %v", digest, how, err)
			}
			err = s.Verify(c)
			var weak chain.Weak
			if digest == "sha1" && !(errors.As(err, &weak) && weak.What == "SHA-1") || digest != "sha1" && err != nil {
				t.Errorf("%s %v: %v", digest, how, err)
			}
		}
	}
	for _, cipher := range []string{"aes128", "aes192", "aes256", "des3", "camellia128"} {
		for _, how := range [][]string{{}, {"-keyid"}, {"-stream"}} {
			der := openssl(t, []byte("content"), append(append([]string{"cms", "-encrypt", "-binary", "-outform", "DER", "-" + cipher}, how...), certificate)...)
			e, err := ParseEnveloped(der)
			if cipher == "camellia128" {
				if !errors.Is(err, ErrAlgorithm) {
					t.Error(err)
				}
				continue
			}
			if err != nil {
				t.Fatalf("%s %v: %v", cipher, how, err)
			}
			if content, err := e.Decrypt(t.Context(), c, decrypter, never); err != nil || string(content) != "content" {
				t.Errorf("%s %v: %q, %v", cipher, how, content, err)
			}
		}
	}
}

func decrypter(_ context.Context, ciphertext []byte) ([]byte, error) {
	//lint:ignore SA1019 SCEP has no other padding
	return rsa.DecryptPKCS1v15(nil, rsaKey(), ciphertext)
}

func never(error) bool { return false }

// TestSignatures refuses what another key signed, and what was changed.
func TestSignatures(t *testing.T) {
	c := identity(t, rsaKey(), 7)
	der := signed(t, c, rsaKey(), "content")
	s, err := ParseSigned(der)
	if err != nil || s.Verify(c) != nil || !bytes.Equal(s.Octets(oidTest), []byte{7}) || s.Octets(asn1.ObjectIdentifier{1, 2}) != nil {
		t.Fatalf("%+v, %v", s, err)
	}
	if err := s.Verify(identity(t, rsaKey(), 8)); !errors.Is(err, ErrWrong) {
		t.Errorf("another certificate: %v", err)
	}
	other, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		t.Fatal(err)
	}
	if err := s.Verify(identity(t, other, 7)); !errors.Is(err, ErrWrong) {
		t.Errorf("another key: %v", err)
	}
	for at := range der {
		changed := bytes.Clone(der)
		changed[at] ^= 1
		if s, err := ParseSigned(changed); err == nil && s.Verify(c) == nil && (string(s.Content) != "content" || !bytes.Equal(s.Octets(oidTest), []byte{7})) {
			t.Errorf("byte %d", at)
		}
	}
	gone := errors.New("gone")
	fails := signerOf(c, rsaKey())
	fails.Sign = func(context.Context, []byte) ([]byte, error) { return nil, gone }
	if _, err := Sign(t.Context(), nil, nil, fails); !errors.Is(err, gone) {
		t.Error(err)
	}
}

// TestDecryptionTellsNothing has each part of a message wrong: the error is the same.
func TestDecryptionTellsNothing(t *testing.T) {
	c := identity(t, rsaKey(), 7)
	der, err := Envelope([]byte("content"), c)
	if err != nil {
		t.Fatal(err)
	}
	//lint:ignore SA1019 SCEP has no other padding
	sealed, err := rsa.EncryptPKCS1v15(rand.Reader, &rsaKey().PublicKey, []byte("short"))
	if err != nil {
		t.Fatal(err)
	}
	for name, change := range map[string]func(*Enveloped){
		"padding of RSA": func(e *Enveloped) { e.recipients[0].key[9] ^= 1 },
		"length of key":  func(e *Enveloped) { e.recipients[0].key = sealed },
		"padding of AES": func(e *Enveloped) { e.content[len(e.content)-1] ^= 1 },
		"length":         func(e *Enveloped) { e.content = e.content[1:] },
		"nothing":        func(e *Enveloped) { e.content = nil },
		"vector":         func(e *Enveloped) { e.iv = e.iv[1:] },
	} {
		e, err := ParseEnveloped(der)
		if err != nil {
			t.Fatal(err)
		}
		change(e)
		// A random key may by chance make a padding that fits, once in 256 times.
		again := 0
		for ; again < 20; again++ {
			if content, err := e.Decrypt(t.Context(), c, decrypter, never); err == ErrDecrypt && content == nil {
				break
			}
		}
		if again == 20 {
			t.Errorf("%s", name)
		}
	}
	e, err := ParseEnveloped(der)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := e.Decrypt(t.Context(), identity(t, rsaKey(), 8), decrypter, never); !errors.Is(err, ErrRecipient) {
		t.Error(err)
	}
	gone := errors.New("gone")
	removed := func(context.Context, []byte) ([]byte, error) { return nil, gone }
	if _, err := e.Decrypt(t.Context(), c, removed, func(err error) bool { return errors.Is(err, gone) }); !errors.Is(err, gone) {
		t.Error(err)
	}
}

// TestCertificates reads a bundle, and names other contents.
func TestCertificates(t *testing.T) {
	c := identity(t, rsaKey(), 7)
	path := pemFile(t, "CERTIFICATE", c.Raw)
	bundle := openssl(t, nil, "crl2pkcs7", "-nocrl", "-certfile", path, "-outform", "DER")
	list, err := Certificates(bundle, 1)
	if err != nil || len(list) != 1 || !list[0].Equal(certs.One(t, c.Standard())) {
		t.Errorf("%v, %v", list, err)
	}
	if _, err := Certificates(bundle, 0); !errors.Is(err, ErrDamaged) {
		t.Error(err)
	}
	der, err := Envelope(nil, c)
	if err != nil {
		t.Fatal(err)
	}
	var other *OtherContent
	if _, err := Certificates(der, 1); !errors.As(err, &other) || !other.Type.Equal(oidEnvelopedData) {
		t.Error(err)
	}
}

// FuzzParse reads whatever comes, and believes none of it.
func FuzzParse(f *testing.F) {
	c := identity(f, rsaKey(), 7)
	f.Add(signed(f, c, rsaKey(), "content"))
	sealed, err := Envelope([]byte("content"), c)
	if err != nil {
		f.Fatal(err)
	}
	f.Add(sealed)
	f.Add(bytes.Repeat([]byte{0x30, 0x80}, 1000))
	f.Add([]byte{0x30, 0x84, 0xFF, 0xFF, 0xFF, 0xFF})
	f.Fuzz(func(t *testing.T, data []byte) {
		if s, err := ParseSigned(data); err == nil && s.Verify(c) == nil && string(s.Content) != "content" {
			t.Error("a signature that nobody made")
		}
		if e, err := ParseEnveloped(data); err == nil {
			_, _ = e.Decrypt(t.Context(), c, func(context.Context, []byte) ([]byte, error) { return make([]byte, e.cipher.length), nil }, never)
		}
		_, _ = Certificates(data, maxCertificates)
	})
}
