package enroll

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/cardctl/cardctl/internal/csr"
	"github.com/cardctl/cardctl/internal/keygen"
	"github.com/cardctl/cardctl/internal/problem"
	"github.com/cardctl/cardctl/internal/pubkey"
	"github.com/cardctl/cardctl/internal/secret"
	"github.com/cardctl/cardctl/test/certs"
)

const mail = "floppy@example.com"

// forMail asks for a mail address.
func forMail(o *Options) { o.Names.Emails = []string{mail} }

func TestStep(t *testing.T) {
	for _, algorithm := range []string{"p256", "rsa2048"} {
		t.Run(algorithm, func(t *testing.T) {
			s := newStepServer(t)
			d := newCard(t, "piv-yubikey-5", "PIV.9A", algorithm)
			d.secrets[secret.IssuerSecret] = stepPassword
			check(t, d.enrolls("PIV.9A", s.address("desk"), mail, nil, forMail))
			delete(d.secrets, secret.IssuerSecret)
			check(t, d.enrolls("PIV.9A", "", "", nil, func(o *Options) { o.Renew = true }))
			check(t, d.enrolls("PIV.9A", s.address("cards"), mail, nil, forMail))
			check(t, d.enrolls("PIV.9A", strings.Split(s.address("cards"), "?")[0], mail, s.root, forMail))
			d.secrets[secret.IssuerSecret] = s.token(mail)
			check(t, d.enrolls("PIV.9A", s.address(""), mail, nil, forMail))
			is(t, d.enrolls("PIV.9A", s.address(""), mail, nil, forMail), problem.Failed, "already used")
			if n := s.count("/1.0/sign"); n != 5 {
				t.Errorf("it was asked %d times", n)
			}
		})
	}
}

// TestStepRekey has a new key certified by the certificate of another key with the same
// names; one with other names is of no use for that.
func TestStepRekey(t *testing.T) {
	s := newStepServer(t)
	d := newCard(t, "piv-yubikey-5", "PIV.9A", "p256")
	_, err := keygen.Generate(t.Context(), d.desk(), d.access(), keygen.Wish{Key: "PIV.9D", Algorithm: "p256"})
	check(t, err)
	d.secrets[secret.IssuerSecret] = stepPassword
	check(t, d.enrolls("PIV.9A", s.address("desk"), mail, nil, forMail))
	check(t, d.enrolls("PIV.9D", s.address("desk"), mail, nil, forMail))
	delete(d.secrets, secret.IssuerSecret)
	before := d.leaf("PIV.9D")
	newKey := func(auth string) func(*Options) {
		return func(o *Options) { o.Renew, o.NewKey, o.AuthKey, o.Names = true, true, auth, csr.Options{} }
	}
	is(t, d.enrolls("PIV.9D", "", "", nil, newKey("PIV.9D")), problem.Usage, "the key that is replaced cannot authenticate")
	check(t, d.enrolls("PIV.9D", "", "", nil, newKey("PIV.9A")))
	after := d.leaf("PIV.9D")
	if s.count("/1.0/rekey") != 1 || pubkey.Same(before.PublicKey, after.PublicKey) || after.EmailAddresses[0] != mail {
		t.Errorf("asked for %q", s.asked)
	}
	const other = "other@example.com"
	d.secrets[secret.IssuerSecret] = stepPassword
	check(t, d.enrolls("PIV.9D", s.address("desk"), other, nil, func(o *Options) { o.Names.Emails = []string{other} }))
	check(t, d.enrolls("PIV.9D", "", "", nil, newKey("PIV.9A")))
	if s.count("/1.0/rekey") != 1 || d.leaf("PIV.9D").EmailAddresses[0] != other {
		t.Errorf("asked for %q", s.asked)
	}
}

// TestStepOfficer has another card answer for a new one.
func TestStepOfficer(t *testing.T) {
	s := newStepServer(t)
	officer := newCard(t, "openpgp-3.4", "OPENPGP.3", "p256")
	d := newCard(t, "piv-yubikey-5", "PIV.9A", "p256")
	byOfficer := func(o *Options) { o.IssuerKey, o.IssuerDesk = "OPENPGP.3", officer.desk() }
	is(t, d.enrolls("PIV.9A", s.address("cards"), mail, nil, forMail), problem.NotFound, "no certificate that could authenticate")
	is(t, d.enrolls("PIV.9A", s.address("cards"), mail, nil, forMail, byOfficer), problem.NotFound, "no certificate that could authenticate")
	officer.certify("OPENPGP.3", s.ca, x509.Certificate{
		Subject: pkix.Name{CommonName: "officer"}, KeyUsage: x509.KeyUsageDigitalSignature, ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth},
	})
	check(t, d.enrolls("PIV.9A", s.address("cards"), mail, nil, forMail, byOfficer))
	is(t, d.enrolls("PIV.9A", s.address("desk"), mail, nil, forMail, byOfficer), problem.Usage, "not reached with the card of an officer")
	officer.secrets = nil // who is not needed for a renewal
	check(t, d.enrolls("PIV.9A", "", "", nil, byOfficer, func(o *Options) { o.Renew = true }))
	if s.count("/1.0/renew") != 1 {
		t.Errorf("asked for %q", s.asked)
	}
}

// TestStepTokenIsNotShown has the server repeat the token in what it says.
func TestStepTokenIsNotShown(t *testing.T) {
	s := newStepServer(t)
	d := newCard(t, "piv-yubikey-5", "PIV.9A", "p256")
	token := s.token(mail)
	d.secrets[secret.IssuerSecret] = token
	check(t, d.enrolls("PIV.9A", s.address("desk"), mail, nil, forMail))
	d.secrets[secret.IssuerSecret] = token
	err := d.enrolls("PIV.9A", s.address("desk"), mail, nil, forMail)
	is(t, err, problem.Failed, "token already used: …")
	if strings.Contains(err.Error(), token[:16]) {
		t.Errorf("the error has the token in it: %v", err)
	}
}

func TestStepRefusesBeforeItAsks(t *testing.T) {
	s := newStepServer(t)
	d := newCard(t, "piv-yubikey-5", "PIV.9A", "p256")
	d.secrets[secret.IssuerSecret] = stepPassword
	is(t, d.enrolls("PIV.9A", s.address("desk"), mail, nil), problem.Usage, "alternative names only")
	is(t, d.enrolls("PIV.9A", s.address("desks"), mail, nil, forMail), problem.NotFound, "no such provisioner", "desk")
	is(t, d.enrolls("PIV.9A", s.address("away"), mail, nil, forMail), problem.Usage, "not a one-time token")
	is(t, d.enrolls("PIV.9A", s.address(""), mail, nil, forMail), problem.Usage, "not a one-time token")
	const another = "another@example.com"
	d.secrets[secret.IssuerSecret] = s.token(another)
	is(t, d.enrolls("PIV.9A", s.address("desk"), another, nil, forMail), problem.Mismatch, "the one-time token is for other names")
	d.secrets[secret.IssuerSecret] = s.token(mail)
	is(t, d.enrolls("PIV.9A", s.address("desk"), "root", nil, forMail), problem.Mismatch, "the one-time token is for another subject")
	d.secrets[secret.IssuerSecret] = "12345678"
	err := d.enrolls("PIV.9A", s.address("desk"), mail, nil, forMail)
	is(t, err, problem.Failed, "the password does not open")
	if strings.Contains(err.Error(), "12345678") {
		t.Errorf("the error has the secret in it: %v", err)
	}
	if slices.Contains(s.asked, "/1.0/sign") {
		t.Errorf("asked for %q", s.asked)
	}
}

func TestStepServersThatAreNotTrusted(t *testing.T) {
	s := newStepServer(t)
	d := newCard(t, "piv-yubikey-5", "PIV.9A", "p256")
	d.secrets[secret.IssuerSecret] = stepPassword
	address := strings.Split(s.address("desk"), "?")[0]
	is(t, d.enrolls("PIV.9A", address, mail, nil, forMail), problem.Mismatch, "is not trusted")
	is(t, d.enrolls("PIV.9A", address, mail, certs.NewAuthority(t, "other"), forMail), problem.Mismatch, "is not trusted")
	is(t, d.enrolls("PIV.9A", address+"?fingerprint="+strings.Repeat("00", 32), mail, nil, forMail), problem.Mismatch, "is not trusted", "fingerprint")

	// Somebody else who has another root, and says that it is the one.
	other := newStepServer(t)
	other.fault = func(path string, w http.ResponseWriter) bool {
		if strings.HasPrefix(path, "/root/") {
			other.answer(w, http.StatusOK, map[string]string{"ca": inPEM(other.root.Certificate)})
		}
		return strings.HasPrefix(path, "/root/")
	}
	is(t, d.enrolls("PIV.9A", strings.Replace(s.address("desk"), s.host, other.host, 1), mail, nil, forMail), problem.Mismatch, "is not trusted", "fingerprint")

	// Somebody else who hands on the true root.
	other.fault = func(path string, w http.ResponseWriter) bool {
		if strings.HasPrefix(path, "/root/") {
			other.answer(w, http.StatusOK, map[string]string{"ca": inPEM(s.root.Certificate)})
		}
		return strings.HasPrefix(path, "/root/")
	}
	is(t, d.enrolls("PIV.9A", strings.Replace(s.address("desk"), s.host, other.host, 1), mail, nil, forMail), problem.Mismatch, "is not trusted")
	if slices.Contains(s.asked, "/1.0/provisioners") || slices.Contains(other.asked, "/1.0/provisioners") {
		t.Errorf("asked for %q, %q", s.asked, other.asked)
	}
}

// TestStepServersThatLie has servers answer wrongly, at every point.
func TestStepServersThatLie(t *testing.T) {
	says := func(path, text string) func(*stepServer) {
		return func(s *stepServer) {
			s.fault = func(asked string, w http.ResponseWriter) bool {
				if asked == path {
					_, _ = w.Write([]byte(text))
				}
				return asked == path
			}
		}
	}
	makes := func(of func(s *stepServer, public any) *x509.Certificate) func(*stepServer) {
		return func(s *stepServer) { s.makes = func(public any) *x509.Certificate { return of(s, public) } }
	}
	private, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	check(t, err)
	wanted := x509.Certificate{Subject: pkix.Name{CommonName: mail}, EmailAddresses: []string{mail}}
	for name, row := range map[string]struct {
		fault func(*stepServer)
		code  problem.Code
		words string
	}{
		"provisioners that are no JSON":        {says("/1.0/provisioners", "<html>"), problem.Mismatch, "not the JSON"},
		"provisioners without an end":          {says("/1.0/provisioners", `{"nextCursor":"1"}`), problem.NotFound, "no such provisioner"},
		"provisioners of 2 MB":                 {says("/1.0/provisioners", strings.Repeat(" ", 2<<20)), problem.Mismatch, "longer than"},
		"a key that is no JWE":                 {says("/1.0/provisioners", `{"provisioners":[{"type":"JWK","name":"desk","encryptedKey":"x"}]}`), problem.Mismatch, "cannot be used"},
		"an answer that is no JSON":            {says("/1.0/sign", "{"), problem.Mismatch, "not the JSON"},
		"an answer without a certificate":      {says("/1.0/sign", "{}"), problem.Mismatch, "the answer of"},
		"an answer with a certificate of text": {says("/1.0/sign", `{"crt":"certificate"}`), problem.Mismatch, "the answer of"},
		"the certificate of another key": {makes(func(s *stepServer, _ any) *x509.Certificate {
			return s.ca.Issue(t, wanted, private.Public())
		}), problem.Mismatch, ""},
		"a certificate with a host of its own": {makes(func(s *stepServer, public any) *x509.Certificate {
			return s.ca.Issue(t, x509.Certificate{Subject: wanted.Subject, EmailAddresses: wanted.EmailAddresses, DNSNames: []string{"www.example.com"}}, public)
		}), problem.Mismatch, "which was not asked for"},
		"a certificate of another CA": {makes(func(_ *stepServer, public any) *x509.Certificate {
			return certs.NewAuthority(t, "other").Issue(t, wanted, public)
		}), problem.Mismatch, "does not chain"},
		"a certificate that expired": {makes(func(s *stepServer, public any) *x509.Certificate {
			expired := wanted
			expired.NotAfter = time.Now().Add(-time.Minute)
			return s.ca.Issue(t, expired, public)
		}), problem.Mismatch, "expired"},
		"a server that refuses": {func(s *stepServer) {
			s.fault = func(path string, w http.ResponseWriter) bool {
				if path == "/1.0/sign" {
					s.refuse(w, "not\x1b[31m today\n")
				}
				return path == "/1.0/sign"
			}
		}, problem.Failed, "401 Unauthorized: not [31m today"},
		"a server without provisioners": {func(s *stepServer) {
			s.fault = func(path string, w http.ResponseWriter) bool {
				if path == "/1.0/provisioners" {
					w.WriteHeader(http.StatusInternalServerError)
				}
				return path == "/1.0/provisioners"
			}
		}, problem.Failed, "500"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := newStepServer(t)
			row.fault(s)
			d := newCard(t, "piv-yubikey-5", "PIV.9A", "p256")
			d.secrets[secret.IssuerSecret] = stepPassword
			is(t, d.enrolls("PIV.9A", s.address("desk"), mail, nil, forMail), row.code, row.words)
		})
	}
}
