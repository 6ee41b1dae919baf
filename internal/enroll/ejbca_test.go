package enroll

import (
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/cardctl/cardctl/internal/desk"
	"github.com/cardctl/cardctl/internal/iso7816"
	"github.com/cardctl/cardctl/internal/problem"
	"github.com/cardctl/cardctl/internal/secret"
	"github.com/cardctl/cardctl/test/issuers"
)

// officer has the card of an officer be the one that --issuer-reader names.
func (d *simulated) officer(s *issuers.EJBCA, ref string, card *simulated) Options {
	o := d.options(s.Address("alice"), s.CA)
	o.IssuerKey, o.IssuerDesk = ref, card.desk()
	d.secrets[secret.IssuerSecret] = "736451"
	return o
}

// TestEJBCAIsReachedWithTheOfficersCard of every kind.
func TestEJBCAIsReachedWithTheOfficersCard(t *testing.T) {
	for _, test := range []struct {
		profile, ref, algorithm string
		version                 uint16
	}{
		{"", "OPENPGP.3", "p256", tls.VersionTLS13}, {"", "OPENPGP.3", "rsa2048", tls.VersionTLS12},
		{"piv-yubikey-5.7", "PIV.9A", "p384", tls.VersionTLS13}, {"piv-yubikey-5.7", "PIV.9C", "rsa2048", tls.VersionTLS13},
	} {
		s := issuers.NewEJBCA(t, test.version)
		officer := newCard(t, test.profile, test.ref, test.algorithm)
		officer.certify(test.ref, s.CA, x509.Certificate{Subject: pkix.Name{CommonName: "RA officer"}})
		d := newCard(t, "piv-yubikey-5.7", "PIV.9A", "p256")
		if _, err := d.enroll("PIV.9A", d.officer(s, test.ref, officer)); err != nil {
			t.Fatal(err)
		}
		if made := d.leaf("PIV.9A"); made.Subject.CommonName != "me" || strings.Join(s.Officers, ",") != "RA officer" {
			t.Errorf("%s, %q", made.Subject, s.Officers)
		}
	}
}

// TestTheOfficersCardCannot is what goes wrong with it, before anything is sent.
func TestTheOfficersCardCannot(t *testing.T) {
	const verify, internalAuthenticate = 0x20, 0x88
	for what, test := range map[string]struct {
		set  func(s *issuers.EJBCA, officer *simulated, o *Options)
		code problem.Code
	}{
		"no card named":  {func(_ *issuers.EJBCA, _ *simulated, o *Options) { o.IssuerKey = "" }, problem.Usage},
		"no certificate": {func(_ *issuers.EJBCA, _ *simulated, o *Options) { o.IssuerKey = "OPENPGP.1" }, problem.NotFound},
		"a wrong PIN": {func(_ *issuers.EJBCA, _ *simulated, o *Options) {
			o.IssuerDesk.Simulated.(*simulated).before = func(cmd iso7816.Command) error {
				if cmd.INS == verify {
					cmd.Data[0] ^= 1 // on its way
				}
				return nil
			}
		}, problem.PINIncorrect},
		"pulled out": {func(_ *issuers.EJBCA, officer *simulated, _ *Options) {
			officer.before = func(cmd iso7816.Command) error {
				if cmd.INS == internalAuthenticate {
					return iso7816.ErrCardRemoved
				}
				return nil
			}
		}, problem.CardRemoved},
		"no such reader": {func(_ *issuers.EJBCA, _ *simulated, o *Options) {
			o.IssuerDesk = &desk.Desk{Simulated: &desk.SimulatedStore{Dir: func() (string, error) { return t.TempDir(), nil }}, Meant: desk.Selection{Reader: "sim:none"}}
		}, problem.NotFound},
	} {
		t.Run(what, func(t *testing.T) {
			s := issuers.NewEJBCA(t, tls.VersionTLS13)
			officer := newCard(t, "", "OPENPGP.3", "p256")
			officer.certify("OPENPGP.3", s.CA, x509.Certificate{Subject: pkix.Name{CommonName: "RA officer"}})
			d := newCard(t, "piv-yubikey-5.7", "PIV.9A", "p256")
			o := d.officer(s, "OPENPGP.3", officer)
			test.set(s, officer, &o)
			if _, err := d.enroll("PIV.9A", o); !problem.Is(err, test.code) || len(s.Officers) > 0 {
				t.Errorf("%v, %q", err, s.Officers)
			}
		})
	}
	t.Run("RSA without PSS", func(t *testing.T) {
		s := issuers.NewEJBCA(t, tls.VersionTLS13)
		officer := newCard(t, "", "OPENPGP.3", "rsa2048")
		officer.certify("OPENPGP.3", s.CA, x509.Certificate{Subject: pkix.Name{CommonName: "RA officer"}})
		d := newCard(t, "piv-yubikey-5.7", "PIV.9A", "p256")
		if _, err := d.enroll("PIV.9A", d.officer(s, "OPENPGP.3", officer)); !problem.Is(err, problem.NotSupported) {
			t.Errorf("%v", err)
		}
	})
}

// TestEJBCARefuses with what is wrong, and without the password.
func TestEJBCARefuses(t *testing.T) {
	for what, test := range map[string]struct {
		query, password string
		status          int
		text            string
		issue           func(*x509.Certificate)
		code            problem.Code
		says            string
	}{
		"a wrong password":    {password: "736452", code: problem.Failed, says: "Wrong password …"},
		"another profile":     {query: "?profile=x&entity=Staff&ca=Staff+CA", code: problem.Failed, says: "Profile not found"},
		"no profile":          {query: "?entity=Staff&ca=Staff+CA", code: problem.Usage, says: "names no parameter profile"},
		"an approval":         {status: 202, text: `{"error_code":202,"error_message":"Request 17 is waiting"}`, code: problem.Failed, says: "Request 17 is waiting"},
		"garbage":             {status: 201, text: "garbage", code: problem.Mismatch, says: "not the JSON"},
		"nothing":             {status: 201, text: " ", code: problem.Mismatch, says: "JSON"},
		"no certificate":      {status: 201, text: `{"certificate":""}`, code: problem.Mismatch, says: "no certificate"},
		"no base64":           {status: 201, text: `{"certificate":"!"}`, code: problem.Mismatch, says: "no certificate"},
		"a page of a proxy":   {status: 502, text: "<html>", code: problem.Failed, says: "502"},
		"another name":        {issue: func(c *x509.Certificate) { c.ExtraExtensions, c.EmailAddresses = nil, []string{"root@example.org"} }, code: problem.Mismatch, says: "not asked for"},
		"a life that is over": {issue: func(c *x509.Certificate) { c.NotAfter = time.Now().Add(-time.Minute) }, code: problem.Mismatch, says: "expired"},
	} {
		t.Run(what, func(t *testing.T) {
			s := issuers.NewEJBCA(t, tls.VersionTLS13)
			s.Status, s.Text, s.Change = test.status, test.text, test.issue
			officer := newCard(t, "", "OPENPGP.3", "p256")
			officer.certify("OPENPGP.3", s.CA, x509.Certificate{Subject: pkix.Name{CommonName: "RA officer"}})
			d := newCard(t, "piv-yubikey-5.7", "PIV.9A", "p256")
			o := d.officer(s, "OPENPGP.3", officer)
			if test.query != "" {
				o.Issuer, _, _ = strings.Cut(o.Issuer, "?")
				o.Issuer += test.query
			}
			if test.password != "" {
				d.secrets[secret.IssuerSecret] = test.password
			}
			_, err := d.enroll("PIV.9A", o)
			if !problem.Is(err, test.code) || !strings.Contains(err.Error(), test.says) {
				t.Errorf("%v", err)
			}
			if strings.Contains(fmt.Sprintf("%+v", err), "73645") {
				t.Errorf("the error has the password: %v", err)
			}
			if d.leaf("PIV.9A") != nil {
				t.Error("a certificate is on the card")
			}
		})
	}
}

// TestEJBCAApproves has the request approved by somebody, later: the same command sends the
// same request again, and no other one takes its place.
func TestEJBCAApproves(t *testing.T) {
	s := issuers.NewEJBCA(t, tls.VersionTLS13)
	officer := newCard(t, "", "OPENPGP.3", "p256")
	officer.certify("OPENPGP.3", s.CA, x509.Certificate{Subject: pkix.Name{CommonName: "RA officer"}})
	d := newCard(t, "piv-yubikey-5.7", "PIV.9A", "p256")
	o := d.officer(s, "OPENPGP.3", officer)
	s.Status, s.Text = http.StatusAccepted, `{"error_code":202,"error_message":"Request 17 is waiting"}`
	for range 2 {
		_, err := d.enroll("PIV.9A", o)
		is(t, err, problem.Failed, "has not decided yet", "somebody has to approve it", "Request 17 is waiting")
	}
	other := o
	other.Names.Subject = "CN=other"
	_, err := d.enroll("PIV.9A", other)
	is(t, err, problem.Refused, "another request for PIV.9A is waiting")
	s.Status, s.Text = http.StatusBadRequest, `{"error_message":"already waiting"}`
	_, err = d.enroll("PIV.9A", o)
	is(t, err, problem.Failed, "already waiting")
	s.Status, s.Text = 0, ""
	_, err = d.enroll("PIV.9A", o)
	check(t, err)
	if made := d.leaf("PIV.9A"); made == nil || made.Subject.CommonName != "me" {
		t.Errorf("%+v", made)
	}
	if n := len(slices.Compact(slices.Sorted(slices.Values(s.Requests)))); n != 1 || len(s.Requests) != 4 {
		t.Errorf("%d requests were sent, %d of them different", len(s.Requests), n)
	}
}
