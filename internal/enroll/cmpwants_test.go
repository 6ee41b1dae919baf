package enroll

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/asn1"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/cardctl/cardctl/internal/advice"
	"github.com/cardctl/cardctl/internal/family"
	"github.com/cardctl/cardctl/internal/key"
	"github.com/cardctl/cardctl/internal/problem"
	"github.com/cardctl/cardctl/internal/secret"
)

// TestCMPOfficerWithoutCertificate names the officer's card, and sends nothing.
func TestCMPOfficerWithoutCertificate(t *testing.T) {
	s, d, officer := newCMPServer(t), newCard(t, "openpgp-3.4", "OPENPGP.3", "p256"), newCard(t, "piv-yubikey-5", "PIV.9A", "p256")
	o := d.orders(s.url, "CN=x", s.ca.Roots(t))
	o.IssuerDesk, o.IssuerKey = officer.desk(), "PIV.9A"
	_, err := d.enroll("OPENPGP.3", o)
	if !problem.Is(err, problem.NotFound) || !strings.Contains(err.Error(), "the issuer's card") || len(s.messages) > 0 {
		t.Errorf("%v, %v", err, s.messages)
	}
}

// TestCMPDamagedState tells how to begin again.
func TestCMPDamagedState(t *testing.T) {
	s, d := newCMPServer(t), newCard(t, "openpgp-3.4", "OPENPGP.3", "p256")
	d.secrets[secret.IssuerSecret] = s.secret
	s.waits = 3
	o := d.orders(s.url, "CN=x", s.ca.Roots(t))
	if _, err := d.enroll("OPENPGP.3", o); !problem.Is(err, problem.Failed) {
		t.Fatal(err)
	}
	d.damage(`"transaction":"`, `"transaction":7,"x":"`)
	_, err := d.enroll("OPENPGP.3", o)
	if told := adviceOf(err); len(told.Values) == 0 || told.Values[0].Field != advice.AskAnew {
		t.Errorf("%v, %+v", err, told)
	}
}

func adviceOf(err error) advice.Advice { return problem.Wrap(problem.Failed, err, "").Next }

// TestCMPAuthenticatesWithTheKey refuses a certificate that is not for the key.
func TestCMPAuthenticatesWithTheKey(t *testing.T) {
	s, d := newCMPServer(t), newCard(t, "openpgp-3.4", "OPENPGP.3", "p256")
	other := must(ecdsa.GenerateKey(elliptic.P256(), rand.Reader))
	transaction := &cmpTransaction{address: Address{Fingerprint: []byte{1}}, o: &Order{}}
	d.with("OPENPGP.3", cmpAuthenticated(t, transaction, s.ca.Issue(t, x509.Certificate{Subject: pkix.Name{CommonName: "x"}}, other.Public()).Raw, "not for its key"))
	d.with("OPENPGP.3", cmpAuthenticated(t, transaction, []byte("?"), "cannot be read"))
}

// TestCMPOutcomeUnknown asks for the secret if the answer of the server does not fit it.
func TestCMPOutcomeUnknown(t *testing.T) {
	s, d := newCMPServer(t), newCard(t, "openpgp-3.4", "OPENPGP.3", "p256")
	d.secrets[secret.IssuerSecret] = s.secret
	s.edit = func(a *cmpReply) { a.secret = "other" }
	_, err := d.enroll("OPENPGP.3", d.orders(s.url, "CN=x", s.ca.Roots(t)))
	if told := adviceOf(err); len(told.Values) != 1 || told.Values[0].Field != advice.Field(secret.IssuerSecret) {
		t.Errorf("%v, %+v", err, told)
	}
}

// TestCMPWithTheCertificateOnTheCard has a first request signed with the certificate that
// the card came with, if nobody gives a secret.
func TestCMPWithTheCertificateOnTheCard(t *testing.T) {
	s, d := newCMPServer(t), newCard(t, "openpgp-3.4", "OPENPGP.3", "p256")
	s.by, s.signs = s.ca, s.ca.Key
	s.url = strings.Replace(s.url, "desk@", "", 1)
	old := d.certify("OPENPGP.3", s.ca, x509.Certificate{Subject: pkix.Name{CommonName: "Device 7"}})
	_, err := d.enroll("OPENPGP.3", Options{Issuer: s.url, Names: d.orders("", "CN=x", nil).Names, Roots: s.ca.Roots(t), Now: time.Now()})
	check(t, err)
	if len(s.signers) != 2 || !s.signers[0].Equal(old) || !s.signers[1].Equal(old) || s.confirmed != "accepted" {
		t.Errorf("%d, %s", len(s.signers), s.confirmed)
	}
}

func cmpAuthenticated(t *testing.T, transaction *cmpTransaction, certificate []byte, why string) func(context.Context, family.At, key.Key) error {
	return func(ctx context.Context, _ family.At, k key.Key) error {
		if err := transaction.signWith(ctx, k, certificate); !problem.Is(err, problem.Mismatch) || !strings.Contains(err.Error(), why) {
			t.Error(err)
		}
		return nil
	}
}

// damage changes what is remembered of the one key.
func (d *simulated) damage(from, to string) {
	d.t.Helper()
	files, err := filepath.Glob(filepath.Join(d.state, "enrolment", "*.json"))
	check(d.t, err)
	text, err := os.ReadFile(files[0])
	check(d.t, err)
	check(d.t, os.WriteFile(files[0], []byte(strings.Replace(string(text), from, to, 1)), 0o600))
}

// TestCMPRefusedLater tells how to begin again.
func TestCMPRefusedLater(t *testing.T) {
	s, d := newCMPServer(t), newCard(t, "openpgp-3.4", "OPENPGP.3", "p256")
	d.secrets[secret.IssuerSecret], s.waits = s.secret, 2
	o := d.orders(s.url, "CN=x", s.ca.Roots(t))
	if _, err := d.enroll("OPENPGP.3", o); !problem.Is(err, problem.Failed) {
		t.Fatal(err)
	}
	s.edit = func(a *cmpReply) { a.kind, a.body = bodyError, []any{pkiStatus{Status: 2}} }
	_, err := d.enroll("OPENPGP.3", o)
	if told := adviceOf(err); len(told.Values) != 1 || told.Values[0].Field != advice.AskAnew || !strings.Contains(err.Error(), "gave no reason") {
		t.Errorf("%v, %+v", err, told)
	}
}

// TestCMPGrantedWithMods tells what the CA says of a certificate that is not quite what was
// asked for.
func TestCMPGrantedWithMods(t *testing.T) {
	for text, want := range map[string]string{"": "grantedWithMods", "one year only": "one year only"} {
		s, d := newCMPServer(t), newCard(t, "openpgp-3.4", "OPENPGP.3", "p256")
		d.secrets[secret.IssuerSecret] = s.secret
		s.edit = func(a *cmpReply) {
			if response, is := a.body.(certRep); is {
				response.Response[0].Status.Status = 1
				if text != "" {
					response.Response[0].Status.Text = []asn1.RawValue{{Tag: asn1.TagUTF8String, Bytes: []byte(text)}}
				}
			}
		}
		report, err := d.enroll("OPENPGP.3", d.orders(s.url, "CN=x", s.ca.Roots(t)))
		check(t, err)
		if len(report.Dropped) != 1 || report.Dropped[0] != want {
			t.Errorf("%q", report.Dropped)
		}
	}
}

// TestCMPWaitsAfterAFault goes on with a request of which the server said that it waits,
// whatever came afterwards.
func TestCMPWaitsAfterAFault(t *testing.T) {
	s, d := newCMPServer(t), newCard(t, "openpgp-3.4", "OPENPGP.3", "p256")
	d.secrets[secret.IssuerSecret], s.waits = s.secret, 2
	s.edit = func(a *cmpReply) {
		if a.kind == bodyPollRep {
			a.raw = []byte("?")
		}
	}
	o := d.orders(s.url, "CN=x", s.ca.Roots(t))
	if _, err := d.enroll("OPENPGP.3", o); !problem.Is(err, problem.Mismatch) {
		t.Fatal(err)
	}
	s.edit = nil
	_, err := d.enroll("OPENPGP.3", o)
	check(t, err)
	if len(s.issued) != 1 || !slices.Equal(s.messages, []int{bodyP10CR, bodyPollReq, bodyPollReq, bodyCertConf}) {
		t.Errorf("%d certificates, %v", len(s.issued), s.messages)
	}
}
