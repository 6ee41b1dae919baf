package enroll

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"fmt"
	"net/http"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/cardctl/cardctl/internal/ca"
	"github.com/cardctl/cardctl/internal/desk"
	"github.com/cardctl/cardctl/internal/problem"
	"github.com/cardctl/cardctl/internal/secret"
	"github.com/cardctl/cardctl/test/certs"
	"github.com/cardctl/cardctl/test/issuers"
)

// revokes revokes a certificate, at an issuer that a CA certifies.
func (d *simulated) revokes(issuer string, r Revocation, set ...func(*Options)) error {
	d.t.Helper()
	o := Options{Now: time.Now()}
	for _, change := range set {
		change(&o)
	}
	return Revoke(d.t.Context(), d.desk(), d.access(), issuer, r, o)
}

// the certificate of a key, as it is revoked.
func (d *simulated) revocation(ref, reason string) Revocation {
	d.t.Helper()
	made := d.leaf(ref)
	return Revocation{SerialNumber: fmt.Sprintf("%X", made.SerialNumber), Certificate: made.Raw, Reason: reason}
}

func TestRevokeAtTheDesk(t *testing.T) {
	d := newCard(t, "", "OPENPGP.3", "p256")
	dir := filepath.Join(t.TempDir(), "ca")
	d.secrets[secret.Password], d.secrets[secret.IssuerSecret] = "4815162342", "4815162342"
	_, err := ca.Init(t.Context(), nil, d.access(), dir, ca.InitOptions{Subject: "CN=Desk", Algorithm: "p256"}, time.Now())
	check(t, err)
	issuer := "ca:" + dir + "?profile=client"
	check(t, d.enrolls("OPENPGP.3", issuer, "me", nil))
	r := d.revocation("OPENPGP.3", "certificateHold")
	state := func() ca.State {
		t.Helper()
		c, err := ca.Open(t.Context(), dir)
		check(t, err)
		defer func() { _ = c.Close() }()
		list, err := c.List(t.Context(), 0, time.Now())
		check(t, err)
		return list[0].State
	}
	for _, step := range []struct {
		reason string
		state  ca.State
	}{{"certificateHold", ca.Held}, {"removeFromCRL", ca.Valid}, {"certificatehold", ca.Held}, {"superseded", ca.Revoked}} {
		r.Reason = step.reason
		check(t, d.revokes(issuer, r))
		if got := state(); got != step.state {
			t.Errorf("%s: %s", step.reason, got)
		}
	}
	is(t, d.revokes(issuer, r), problem.Refused, "revoked already")
	r.Certificate = nil
	r.SerialNumber = "5D3A"
	is(t, d.revokes(issuer, r), problem.NotFound)
}

func TestRevocationsThatAreWrong(t *testing.T) {
	d := newCard(t, "", "OPENPGP.3", "p256")
	made := certs.NewAuthority(t, "root")
	r := Revocation{SerialNumber: fmt.Sprintf("%X", made.SerialNumber), Certificate: made.Raw, Reason: "boredom"}
	is(t, d.revokes("ca:none", r), problem.Usage, "not a reason")
	r.Reason, r.SerialNumber = "", "0A"
	is(t, d.revokes("ca:none", r), problem.Mismatch, "another serial number")
	r.SerialNumber = "x"
	is(t, d.revokes("ca:none", r), problem.Usage, "not a serial number")
	for _, scheme := range []string{"est+https://a.example", "scep+https://a.example", "cmp+https://a.example", "acme+https://a.example", "command:true"} {
		is(t, d.revokes(scheme, Revocation{SerialNumber: "0A"}), problem.NotSupported, "cannot revoke", "0A")
	}
}

// TestRevokeAtStep with the password of the provisioner, a token, the card of an officer,
// and the key itself.
func TestRevokeAtStep(t *testing.T) {
	s := newStepServer(t)
	d := newCard(t, "piv-yubikey-5", "PIV.9A", "p256")
	enrol := func() Revocation {
		t.Helper()
		d.secrets[secret.IssuerSecret] = stepPassword
		check(t, d.enrolls("PIV.9A", s.address("desk"), mail, nil, forMail))
		return d.revocation("PIV.9A", "keyCompromise")
	}
	first := enrol()
	check(t, d.revokes(s.address("desk"), first))
	if got := s.revoked[d.leaf("PIV.9A").SerialNumber.String()]; got != 1 || len(s.revoked) != 1 {
		t.Errorf("revoked: %v", s.revoked)
	}
	is(t, d.revokes(s.address("desk"), first), problem.Failed, "already revoked")

	second := enrol()
	byItself := func(o *Options) { o.AuthKey = "PIV.9A" }
	is(t, d.revokes(s.address("desk"), first, byItself), problem.Mismatch, "is not the one that is to be revoked")
	delete(d.secrets, secret.IssuerSecret)
	check(t, d.revokes(s.address(""), second, byItself))

	third := enrol()
	third.Certificate = nil
	officer := newCard(t, "openpgp-3.4", "OPENPGP.3", "p256")
	officer.certify("OPENPGP.3", s.ca, x509.Certificate{
		Subject: pkix.Name{CommonName: "officer"}, KeyUsage: x509.KeyUsageDigitalSignature, ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth},
	})
	is(t, d.revokes(s.address("cards"), third), problem.Usage, "a certificate has to authenticate")
	check(t, d.revokes(s.address("cards"), third, func(o *Options) { o.IssuerKey, o.IssuerDesk = "OPENPGP.3", officer.desk() }))
	if len(s.revoked) != 3 {
		t.Errorf("revoked: %v", s.revoked)
	}

	fourth := enrol()
	d.secrets[secret.IssuerSecret] = s.token(mail)
	is(t, d.revokes(s.address("desk"), fourth), problem.Mismatch, "not for the revocation of this certificate")
	fourth.Reason = "certificateHold"
	is(t, d.revokes(s.address("desk"), fourth), problem.NotSupported, "takes no revocation back")
	s.fault = func(path string, w http.ResponseWriter) bool {
		if path == "/1.0/revoke" {
			w.WriteHeader(http.StatusInternalServerError)
		}
		return path == "/1.0/revoke"
	}
	fourth.Reason = "superseded"
	d.secrets[secret.IssuerSecret] = stepPassword
	is(t, d.revokes(s.address("desk"), fourth), problem.Failed, "did not revoke the certificate", "500")
}

func TestRevokeAtVault(t *testing.T) {
	s := issuers.NewVault(t)
	d := newCard(t, "", "OPENPGP.3", "p256")
	d.secrets[secret.IssuerSecret] = s.Token
	root := func(o *Options) { o.Roots = s.CA.Roots(t) }
	issuer := "vault+https://client@" + s.At.Host
	d.certify("OPENPGP.3", s.CA, x509.Certificate{})
	r := d.revocation("OPENPGP.3", "superseded")
	check(t, d.revokes(issuer, r, root))
	if text, _ := s.Sent["certificate"].(string); !strings.Contains(text, "BEGIN CERTIFICATE") || s.Sent["serial_number"] != nil {
		t.Errorf("%v", s.Sent)
	}
	check(t, d.revokes(issuer, Revocation{SerialNumber: "A0B1C"}, root))
	if s.Sent["serial_number"] != "0a:0b:1c" {
		t.Errorf("%v", s.Sent)
	}
	is(t, d.revokes(issuer, Revocation{SerialNumber: "DEAD"}, root), problem.Failed, "did not revoke the certificate", "not found")
	is(t, d.revokes(issuer, Revocation{SerialNumber: "0A", Reason: removeFromCRL}, root), problem.NotSupported)
	s.Answer = func(w http.ResponseWriter, r *http.Request) bool {
		if strings.HasSuffix(r.URL.Path, "/revoke") {
			_, _ = w.Write([]byte("{}"))
		}
		return strings.HasSuffix(r.URL.Path, "/revoke")
	}
	is(t, d.revokes(issuer, r, root), problem.Mismatch, "does not say when")
	if s.Revoked != 3 {
		t.Errorf("asked %d times", s.Revoked)
	}
}

func TestRevokeAtEJBCA(t *testing.T) {
	s := issuers.NewEJBCA(t, tls.VersionTLS13)
	officer := newCard(t, "", "OPENPGP.3", "p256")
	officer.certify("OPENPGP.3", s.CA, x509.Certificate{Subject: pkix.Name{CommonName: "RA officer"}})
	d := newCard(t, "piv-yubikey-5.7", "PIV.9A", "p256")
	by := certs.NewAuthority(t, "Staff/CA")
	d.certify("PIV.9A", by, x509.Certificate{})
	byOfficer := func(o *Options) {
		o.IssuerKey, o.IssuerDesk, o.Roots = "OPENPGP.3", officer.desk(), s.CA.Roots(t)
	}
	issuer := s.Address("alice")
	r := d.revocation("PIV.9A", "keyCompromise")
	check(t, d.revokes(issuer, r, byOfficer))
	r.Reason = removeFromCRL
	check(t, d.revokes(issuer, r, byOfficer))
	want := fmt.Sprintf("CN=Staff%%2FCA %s KEY_COMPROMISE,CN=Staff%%2FCA %[1]s REMOVE_FROM_CRL", r.SerialNumber)
	if got := strings.Join(s.Revoked, ","); got != want {
		t.Errorf("revoked %s, want %s", got, want)
	}
	is(t, d.revokes(issuer, r), problem.Usage, "card of an officer")
	r.Reason = ""
	s.Status, s.Text = http.StatusConflict, `{"error_message":"already revoked"}`
	is(t, d.revokes(issuer, r, byOfficer), problem.Failed, "already revoked")
	s.Status, s.Text = http.StatusAccepted, `{"error_message":"Request 17"}`
	is(t, d.revokes(issuer, r, byOfficer), problem.Failed, "somebody has to approve it")
	s.Status, s.Text = http.StatusOK, `{}`
	is(t, d.revokes(issuer, r, byOfficer), problem.Mismatch, "does not say")
	r.Certificate = nil
	is(t, d.revokes(issuer, r, byOfficer), problem.NotSupported, "issuer is not known")
}

// TestRevokeAsksFirst is for a CA of the desk, which asks before it revokes.
func TestRevokeAsksFirst(t *testing.T) {
	d := newCard(t, "", "OPENPGP.3", "p256")
	dir := filepath.Join(t.TempDir(), "ca")
	d.secrets[secret.Password], d.secrets[secret.IssuerSecret] = "4815162342", "4815162342"
	_, err := ca.Init(t.Context(), nil, d.access(), dir, ca.InitOptions{Subject: "CN=Desk", Algorithm: "p256"}, time.Now())
	check(t, err)
	check(t, d.enrolls("OPENPGP.3", "ca:"+dir+"?profile=client", "me", nil))
	a := d.access()
	no := problem.New(problem.Refused, "no")
	a.Confirm = func(context.Context, desk.Question) error { return no }
	err = Revoke(t.Context(), d.desk(), a, "ca:"+dir, d.revocation("OPENPGP.3", ""), Options{})
	is(t, err, problem.Refused, "no")
}
