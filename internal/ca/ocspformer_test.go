package ca

import (
	"bytes"
	"context"
	"crypto/ecdsa"
	"crypto/x509"
	"encoding/pem"
	"io"
	"net/http"
	"os"
	"strings"
	"testing"
	"time"

	"golang.org/x/crypto/ocsp"

	"github.com/cardctl/cardctl/internal/csr"
	"github.com/cardctl/cardctl/internal/problem"
)

// asks asks a responder about a certificate.
func asks(t *testing.T, address string, about, issuer *x509.Certificate) []byte {
	t.Helper()
	question, err := ocsp.CreateRequest(about, issuer, nil)
	if err != nil {
		t.Fatal(err)
	}
	response, err := http.Post(address, "application/ocsp-request", bytes.NewReader(question))
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = response.Body.Close() }()
	body, err := io.ReadAll(response.Body)
	if err != nil {
		t.Fatal(err)
	}
	return body
}

// TestListeningForFormerKeys answers for each key of a CA what that key issued, and nothing
// of what another one issued.
func TestListeningForFormerKeys(t *testing.T) {
	for _, delegated := range []bool{false, true} {
		c := newCA(t, InitOptions{})
		o := Responder{Former: &Parent{Access: atDesk()}}
		if delegated {
			o = delegate(t, c)
			o.Former = &Parent{Access: atDesk()}
		}
		first := c.certificate.Standard()
		_, before := issue(t, c, Order{Request: request(t, csr.Options{Subject: "CN=before"}), Profile: profile(t, "client")})
		renewal := RenewOptions{NewKey: true, Algorithm: "p256", Former: &Parent{Access: atDesk()}}
		if _, err := c.Renew(t.Context(), nil, atDesk(), renewal, time.Now()); err != nil {
			t.Fatal(err)
		}
		if delegated { // the same signer has a certificate of the new key, too
			text, err := os.ReadFile(o.Key)
			if err != nil {
				t.Fatal(err)
			}
			block, _ := pem.Decode(text)
			private, err := x509.ParsePKCS8PrivateKey(block.Bytes)
			if err != nil {
				t.Fatal(err)
			}
			issue(t, c, Order{PublicKey: private.(*ecdsa.PrivateKey).Public(), Names: csr.Options{Subject: "CN=ocsp"}, Profile: profile(t, "ocsp")})
		}
		second := c.certificate.Standard()
		_, after := issue(t, c, Order{Request: request(t, csr.Options{Subject: "CN=after"}), Profile: profile(t, "client")})
		address := listen(t, c, o)
		for _, test := range []struct {
			about, issuer *x509.Certificate
			status        int
		}{{before, first, ocsp.Good}, {after, second, ocsp.Good}, {after, first, ocsp.Unknown}, {before, second, ocsp.Unknown}} {
			got, err := ocsp.ParseResponseForCert(asks(t, address, test.about, test.issuer), nil, test.issuer)
			if err != nil || got.Status != test.status || got.SerialNumber.Cmp(test.about.SerialNumber) != 0 {
				t.Errorf("%s of %s: %+v, %v", test.about.Subject, test.issuer.SerialNumber, got, err)
			}
		}
	}
}

// TestAnswersEndWithTheirSigner has the signer's certificate revoked, or end, meanwhile.
func TestAnswersEndWithTheirSigner(t *testing.T) {
	for _, how := range []string{"revoked", "expired"} {
		c := newCA(t, InitOptions{})
		o := delegate(t, c)
		list, err := c.List(t.Context(), 0, time.Now())
		if err != nil {
			t.Fatal(err)
		}
		_, about := issue(t, c, Order{Request: request(t, csr.Options{Subject: "CN=a"}), Profile: profile(t, "client")})
		addresses, ended := make(chan string, 1), make(chan error, 1)
		now := time.Now()
		later := make(chan time.Time, 8)
		go func() {
			ended <- c.AnswerOCSP(t.Context(), nil, atDesk(), o, Listening{
				Address: "127.0.0.1:0", Ended: t.Context(), Ready: func(address string) error { addresses <- address; return nil },
				Now: func() time.Time {
					select {
					case at := <-later:
						return at
					default:
						return now
					}
				},
			})
		}()
		address := "http://" + <-addresses + "/"
		if _, err := ocsp.ParseResponseForCert(asks(t, address, about, c.certificate.Standard()), about, c.certificate.Standard()); err != nil {
			t.Fatal(err)
		}
		if how == "revoked" {
			if _, err := c.Revoke(context.Background(), atDesk(), list[0].Serial, "keyCompromise", now); err != nil {
				t.Fatal(err)
			}
		} else {
			later <- now.AddDate(0, 0, 100)
		}
		if got := asks(t, address, about, c.certificate.Standard()); !bytes.Equal(got, ocsp.UnauthorizedErrorResponse) {
			t.Errorf("%s: %X", how, got)
		}
		select {
		case err := <-ended:
			if !problem.Is(err, problem.Mismatch) || !strings.Contains(err.Error(), "the certificate of the signer") || !strings.Contains(err.Error(), how) {
				t.Errorf("%s: %v", how, err)
			}
		case <-time.After(10 * time.Second):
			t.Fatal("it goes on")
		}
	}
}
