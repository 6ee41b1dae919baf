package csr

import (
	"context"
	"crypto"
	"crypto/ecdh"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"io"
	"testing"
	"time"

	"github.com/cardctl/cardctl/internal/problem"
)

func requestOf(t *testing.T, data []byte) *x509.CertificateRequest {
	t.Helper()
	block, _ := pem.Decode(data)
	if block == nil || block.Type != "CERTIFICATE REQUEST" {
		t.Fatalf("not a request in PEM: %.60q", data)
	}
	request, err := x509.ParseCertificateRequest(block.Bytes)
	if err != nil {
		t.Fatal(err)
	}
	return request
}

// faultySigner has the public key of one key and signs as it likes.
type faultySigner struct {
	crypto.Signer
	sign func(digest []byte, opts crypto.SignerOpts) ([]byte, error)
}

func (f faultySigner) Sign(_ io.Reader, digest []byte, opts crypto.SignerOpts) ([]byte, error) {
	return f.sign(digest, opts)
}

func TestBuildRefusesWhatTheSignerDoesNotMake(t *testing.T) {
	rsaKey := signer(t, "rsa2048")
	notSupported := problem.New(problem.NotSupported, "the card makes no PSS signatures")
	x25519, err := ecdh.X25519().GenerateKey(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	for _, test := range []struct {
		name   string
		signer crypto.Signer
		o      Options
		want   problem.Code
	}{
		{"the signer says it cannot", faultySigner{rsaKey, func([]byte, crypto.SignerOpts) ([]byte, error) {
			return nil, notSupported
		}}, Options{PSS: true}, problem.NotSupported},
		{"PKCS#1 v1.5 made where PSS was asked for", faultySigner{rsaKey, func(digest []byte, opts crypto.SignerOpts) ([]byte, error) {
			return rsaKey.Sign(rand.Reader, digest, opts.HashFunc())
		}}, Options{PSS: true}, problem.Mismatch},
		{"PSS with another salt length", faultySigner{rsaKey, func(digest []byte, opts crypto.SignerOpts) ([]byte, error) {
			return rsaKey.Sign(rand.Reader, digest, &rsa.PSSOptions{SaltLength: 20, Hash: opts.HashFunc()})
		}}, Options{PSS: true}, problem.Mismatch},
		{"signed by another key", faultySigner{signer(t, "p256"), func(digest []byte, opts crypto.SignerOpts) ([]byte, error) {
			return signer(t, "p384").Sign(rand.Reader, digest, opts)
		}}, Options{}, problem.Mismatch},
		{"rubbish", faultySigner{signer(t, "p256"), func([]byte, crypto.SignerOpts) ([]byte, error) {
			return []byte("rubbish"), nil
		}}, Options{}, problem.Mismatch},
		{"X25519", faultySigner{Signer: publicOnly{x25519.PublicKey()}}, Options{}, problem.NotSupported},
		{"PSS with an EC key", signer(t, "p256"), Options{PSS: true}, problem.NotSupported},
		{"PSS with Ed25519", signer(t, "ed25519"), Options{PSS: true}, problem.NotSupported},
		{"a digest with Ed25519", signer(t, "ed25519"), Options{Digest: "sha256"}, problem.NotSupported},
	} {
		t.Run(test.name, func(t *testing.T) {
			test.o.Subject = "CN=x"
			request, err := Parse(test.o)
			if err != nil {
				t.Fatal(err)
			}
			if der, err := Build(context.Background(), test.signer, request); !problem.Is(err, test.want) || der != nil {
				t.Errorf("request: %d bytes, error %v, want %s", len(der), err, test.want)
			}
			if der, err := BuildSelfSigned(context.Background(), test.signer, request, 1, time.Now()); !problem.Is(err, test.want) || der != nil {
				t.Errorf("certificate: %d bytes, error %v, want %s", len(der), err, test.want)
			}
		})
	}
}

// publicOnly is a key that does not sign.
type publicOnly struct{ pub crypto.PublicKey }

func (p publicOnly) Public() crypto.PublicKey { return p.pub }
func (p publicOnly) Sign(io.Reader, []byte, crypto.SignerOpts) ([]byte, error) {
	return nil, errors.New("this key does not sign")
}

func TestACanceledContextReachesNoSigner(t *testing.T) {
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	request, err := Parse(Options{Subject: "CN=x"})
	if err != nil {
		t.Fatal(err)
	}
	untouched := faultySigner{signer(t, "p256"), func([]byte, crypto.SignerOpts) ([]byte, error) {
		t.Error("the signer was called")
		return nil, nil
	}}
	if _, err := Build(ctx, untouched, request); !errors.Is(err, context.Canceled) {
		t.Errorf("error %v", err)
	}
}

func TestSelfSignedCertificate(t *testing.T) {
	now := time.Date(2026, 3, 1, 12, 0, 0, 999, time.FixedZone("", 3600))
	request, err := Parse(Options{Subject: "CN=x", Emails: []string{"user@example.com"}})
	if err != nil {
		t.Fatal(err)
	}
	serials := map[string]bool{}
	for _, key := range []string{"p256", "ed25519", "rsa2048"} {
		der, err := BuildSelfSigned(context.Background(), signer(t, key), request, 365, now)
		if err != nil {
			t.Fatal(key, err)
		}
		certificate, err := x509.ParseCertificate(der)
		if err != nil {
			t.Fatal(key, err)
		}
		if want := time.Date(2026, 3, 1, 11, 0, 0, 0, time.UTC); !certificate.NotBefore.Equal(want) || !certificate.NotAfter.Equal(want.AddDate(1, 0, 0)) {
			t.Errorf("%s: valid %s to %s", key, certificate.NotBefore, certificate.NotAfter)
		}
		if n := len(certificate.SerialNumber.Bytes()); n != serialBytes || certificate.SerialNumber.Sign() != 1 {
			t.Errorf("%s: serial number %X", key, certificate.SerialNumber)
		}
		serials[certificate.SerialNumber.String()] = true
		if certificate.IsCA || !certificate.BasicConstraintsValid {
			t.Errorf("%s: basicConstraints are wrong", key)
		}
		if len(certificate.SubjectKeyId) != 20 || string(certificate.SubjectKeyId) != string(certificate.AuthorityKeyId) {
			t.Errorf("%s: key identifiers %X and %X", key, certificate.SubjectKeyId, certificate.AuthorityKeyId)
		}
		if len(certificate.EmailAddresses) != 1 {
			t.Errorf("%s: mail addresses %v", key, certificate.EmailAddresses)
		}
	}
	if len(serials) != 3 {
		t.Errorf("serial numbers repeat: %v", serials)
	}
}

func TestSelfSignedTakesExtensionsOfTheRequest(t *testing.T) {
	// basicConstraints CA:TRUE, and a subjectKeyIdentifier of four bytes.
	request, err := Parse(Options{Subject: "CN=x", Extensions: []string{"2.5.29.19=critical,30030101FF", "2.5.29.14=040401020304"}})
	if err != nil {
		t.Fatal(err)
	}
	der, err := BuildSelfSigned(context.Background(), signer(t, "p256"), request, 1, time.Now())
	if err != nil {
		t.Fatal(err)
	}
	certificate, err := x509.ParseCertificate(der)
	if err != nil {
		t.Fatal(err)
	}
	if !certificate.IsCA || string(certificate.SubjectKeyId) != "\x01\x02\x03\x04" {
		t.Errorf("CA %v, key identifier %X", certificate.IsCA, certificate.SubjectKeyId)
	}
}

func TestSelfSignedRefuses(t *testing.T) {
	named, err := Parse(Options{Subject: "CN=x"})
	if err != nil {
		t.Fatal(err)
	}
	nameless, err := Parse(Options{DNS: []string{"example.com"}})
	if err != nil {
		t.Fatal(err)
	}
	for _, test := range []struct {
		name    string
		request Request
		days    int
	}{
		{"no days", named, 0},
		{"days backwards", named, -1},
		{"past the year 9999", named, 366 * 7990},
		{"an absurd number of days", named, 1 << 62},
		{"no subject", nameless, 1},
	} {
		t.Run(test.name, func(t *testing.T) {
			if _, err := BuildSelfSigned(context.Background(), signer(t, "ed25519"), test.request, test.days, time.Now()); !problem.Is(err, problem.Usage) {
				t.Errorf("error %v", err)
			}
		})
	}
}
