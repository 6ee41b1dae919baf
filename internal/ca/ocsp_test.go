package ca

import (
	"bytes"
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"encoding/base64"
	"encoding/pem"
	"io"
	"math/big"
	"net/http"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"golang.org/x/crypto/ocsp"

	"github.com/cardctl/cardctl/internal/csr"
	"github.com/cardctl/cardctl/internal/problem"
)

// delegate is a responder with a key in a file, for which the CA has issued a certificate.
func delegate(t *testing.T, c *CA) Responder { return certified(t, c, "ocsp") }

// certified is a key in a file with a certificate of a profile.
func certified(t *testing.T, c *CA, name string) Responder {
	t.Helper()
	signer, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	issue(t, c, Order{PublicKey: signer.Public(), Names: csr.Options{Subject: "CN=" + name}, Profile: profile(t, name)})
	der, err := x509.MarshalPKCS8PrivateKey(signer)
	if err != nil {
		t.Fatal(err)
	}
	return Responder{Key: file(t, "ocsp.key", pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: der}))}
}

// listen answers until the test ends.
func listen(t *testing.T, c *CA, o Responder) (address string) {
	t.Helper()
	ctx, stop := context.WithCancel(t.Context())
	addresses, ended := make(chan string, 1), make(chan error, 1)
	go func() {
		ended <- c.AnswerOCSP(ctx, nil, atDesk(), o, Listening{
			Address: "127.0.0.1:0", Now: time.Now, Ended: ctx, Ready: func(address string) error { addresses <- address; return nil },
		})
	}()
	t.Cleanup(func() {
		stop()
		if err := <-ended; err != nil {
			t.Error(err)
		}
	})
	select {
	case address := <-addresses:
		return "http://" + address + "/"
	case err := <-ended:
		ended <- nil
		t.Fatal(err)
	}
	return ""
}

func TestOpenSSLAsks(t *testing.T) {
	c := newCA(t, InitOptions{})
	signers := map[string]Responder{"the CA": {}, "a delegate": delegate(t, c)}
	good, _ := issue(t, c, Order{Request: request(t, csr.Options{Subject: "CN=good"}), Profile: profile(t, "client")})
	bad, _ := issue(t, c, Order{Request: request(t, csr.Options{Subject: "CN=bad"}), Profile: profile(t, "client")})
	if _, err := c.Revoke(t.Context(), atDesk(), bad.Serial, "keyCompromise", time.Now()); err != nil {
		t.Fatal(err)
	}
	for name, signer := range signers {
		address := listen(t, c, signer)
		for serial, want := range map[string]string{
			good.Serial: ": good", bad.Serial: "Reason: keyCompromise", "5D3A": ": unknown",
		} {
			for _, digest := range []string{"-sha1", "-sha256"} {
				out, err := exec.CommandContext(t.Context(), "openssl", "ocsp", "-issuer", filepath.Join(c.dir, CertificateFile),
					"-CAfile", filepath.Join(c.dir, CertificateFile), "-no_nonce", "-url", address, digest, "-serial", "0x"+serial).CombinedOutput()
				if err != nil || !strings.Contains(string(out), "Response verify OK") || !strings.Contains(string(out), want) {
					t.Errorf("%s, %s, %s: %v\n%s", name, serial, digest, err, out)
				}
			}
		}
	}
}

// TestAnswersAreFiles: a web server finds no file by a name that ends with a slash, which
// one in 64 certificates would have.
func TestAnswersAreFiles(t *testing.T) {
	issuer := newCA(t, InitOptions{}).certificate.Standard()
	for range 1000 {
		serial := new(big.Int).SetBytes(csr.NewSerial())
		request, err := ocsp.CreateRequest(&x509.Certificate{SerialNumber: serial}, issuer, nil)
		if err != nil {
			t.Fatal(err)
		}
		if name := base64.StdEncoding.EncodeToString(request); strings.HasSuffix(name, "/") {
			t.Fatalf("%X: %s", serial, name)
		}
	}
}

// Answers have the names by which they are fetched with GET.
func TestAnswersOfFiles(t *testing.T) {
	c := newCA(t, InitOptions{})
	issued, parsed := issue(t, c, Order{Request: request(t, csr.Options{Subject: "CN=a"}), Profile: profile(t, "client")})
	now := time.Now()
	answers, err := c.SignOCSP(t.Context(), nil, atDesk(), Responder{Days: 3}, []string{issued.Serial}, now)
	if err != nil || len(answers) != 1 {
		t.Fatalf("%d answers, %v", len(answers), err)
	}
	request, err := ocsp.CreateRequest(parsed, c.certificate.Standard(), nil)
	if err != nil {
		t.Fatal(err)
	}
	name := base64.StdEncoding.EncodeToString(request)
	if got := answers[0].Name; strings.ReplaceAll(name, "//", "/") != got {
		t.Errorf("%s, want %s", got, name)
	}
	read, err := ocsp.ParseResponseForCert(answers[0].DER, parsed, c.certificate.Standard())
	if err != nil || read.Status != ocsp.Good || !read.NextUpdate.Equal(now.UTC().Truncate(time.Second).AddDate(0, 0, 3)) {
		t.Errorf("%+v, %v", read, err)
	}
	// The same name, asked for over HTTP.
	response, err := http.Get(listen(t, c, Responder{}) + url.PathEscape(name))
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = response.Body.Close() }()
	body, err := io.ReadAll(response.Body)
	if err != nil || !strings.HasPrefix(response.Header.Get("Cache-Control"), "max-age=") {
		t.Errorf("%v, %v", response.Header, err)
	}
	if read, err := ocsp.ParseResponseForCert(body, parsed, c.certificate.Standard()); err != nil || read.Status != ocsp.Good {
		t.Errorf("%+v, %v", read, err)
	}
}

func TestOddRequestsOfOCSP(t *testing.T) {
	c, other := newCA(t, InitOptions{}), newCA(t, InitOptions{Subject: "CN=Other"})
	_, parsed := issue(t, other, Order{Request: request(t, csr.Options{Subject: "CN=a"}), Profile: profile(t, "client")})
	foreign, err := ocsp.CreateRequest(parsed, other.certificate.Standard(), nil)
	if err != nil {
		t.Fatal(err)
	}
	address := listen(t, c, Responder{})
	for what, test := range map[string]struct {
		body []byte
		want []byte
	}{
		"nothing":    {nil, ocsp.MalformedRequestErrorResponse},
		"garbage":    {[]byte("0\x80"), ocsp.MalformedRequestErrorResponse},
		"long":       {make([]byte, 1<<20), ocsp.MalformedRequestErrorResponse},
		"another CA": {foreign, ocsp.UnauthorizedErrorResponse},
	} {
		response, err := http.Post(address, "application/ocsp-request", bytes.NewReader(test.body))
		if err != nil {
			t.Fatalf("%s: %v", what, err)
		}
		got, err := io.ReadAll(response.Body)
		if _ = response.Body.Close(); err != nil || !bytes.Equal(got, test.want) {
			t.Errorf("%s: %X, %v", what, got, err)
		}
	}
}

// A key without a certificate for that signs no answers, and one whose certificate was
// revoked neither.
func TestSignersOfAnswers(t *testing.T) {
	c := newCA(t, InitOptions{})
	signer := delegate(t, c)
	now := time.Now()
	if _, err := c.SignOCSP(t.Context(), nil, atDesk(), signer, nil, now); err != nil {
		t.Fatal(err)
	}
	if _, err := c.SignOCSP(t.Context(), nil, atDesk(), signer, nil, now.AddDate(0, 0, 100)); !problem.Is(err, problem.NotFound) {
		t.Errorf("expired: %v", err)
	}
	list, err := c.List(t.Context(), 0, now)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := c.Revoke(t.Context(), atDesk(), list[0].Serial, "superseded", now); err != nil {
		t.Fatal(err)
	}
	if _, err := c.SignOCSP(t.Context(), nil, atDesk(), signer, nil, now); !problem.Is(err, problem.NotFound) {
		t.Errorf("revoked: %v", err)
	}
	if _, err := c.SignOCSP(t.Context(), nil, atDesk(), certified(t, c, "client"), nil, now); !problem.Is(err, problem.NotFound) {
		t.Errorf("for clients: %v", err)
	}
	key, err := os.ReadFile(signer.Key)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(signer.Key, key[:20], 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := c.SignOCSP(t.Context(), nil, atDesk(), signer, nil, now); !problem.Is(err, problem.Mismatch) {
		t.Errorf("damaged: %v", err)
	}
}
