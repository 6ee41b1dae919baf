package enroll

import (
	"bytes"
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"crypto/x509"
	"crypto/x509/pkix"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/smallstep/pkcs7"

	"github.com/cardctl/cardctl/internal/advice"
	"github.com/cardctl/cardctl/internal/cert"
	"github.com/cardctl/cardctl/internal/desk"
	"github.com/cardctl/cardctl/internal/iso7816"
	"github.com/cardctl/cardctl/internal/problem"
	"github.com/cardctl/cardctl/internal/pubkey"
	"github.com/cardctl/cardctl/internal/secret"
	"github.com/cardctl/cardctl/test/certs"
)

// TestSCEP has each kind of card enrol: with its own key if it signs and decrypts, or else
// with one that is thrown away.
func TestSCEP(t *testing.T) {
	for name, c := range cards() {
		t.Run(name, func(t *testing.T) {
			s, d := newSCEPServer(t), newCard(t, c[0], c[1], c[2])
			d.secrets[secret.IssuerSecret] = s.challenge
			o := d.orders(s.url, "CN=Floppy Head", s.ca.Roots(t))
			o.Names.Emails = []string{"floppy@example.com"}
			_, err := d.enroll(c[1], o)
			check(t, err)
			if !bytes.Equal(d.stored(c[1]), s.issued[0].Raw) || s.messages() != "19" || !s.posted {
				t.Errorf("%v", s.operations)
			}
			own := pubkey.Same(s.signers[0].PublicKey, s.request.PublicKey)
			if want := name == "PIV RSA"; own != want {
				t.Errorf("signed by the card's key: %t", own)
			}
			d.keepsNo(s.challenge)
		})
	}
}

// TestSCEPWithGET has a server that takes no POST.
func TestSCEPWithGET(t *testing.T) {
	s, d := newSCEPServer(t), newCard(t, "openpgp-3.4", "OPENPGP.3", "p256")
	d.secrets[secret.IssuerSecret], s.caps = s.challenge, "sha-512\naes\n"
	_, err := d.enroll("OPENPGP.3", d.orders(s.url+"?fingerprint="+fmt.Sprintf("%x", sha256.Sum256(s.ca.Raw)), "CN=x", nil))
	check(t, err)
	if s.posted {
		t.Error("posted")
	}
}

// TestSCEPRenewal has the certificate on the card sign the request.
func TestSCEPRenewal(t *testing.T) {
	s, d := newSCEPServer(t), newCard(t, "piv-yubikey-5", "PIV.9A", "rsa2048")
	old := d.certify("PIV.9A", s.ca, x509.Certificate{Subject: pkix.Name{CommonName: "Floppy Head"}, EmailAddresses: []string{"floppy@example.com"}})
	_, err := d.enroll("PIV.9A", Options{Issuer: s.url, Renew: true, Roots: s.ca.Roots(t), Now: time.Now()})
	check(t, err)
	if s.messages() != "17" || !s.signers[0].Equal(old) || !bytes.Equal(d.stored("PIV.9A"), s.issued[0].Raw) || s.issued[0].EmailAddresses[0] != old.EmailAddresses[0] {
		t.Errorf("%v", s.operations)
	}
}

// TestSCEPRenewalNeedsRSA names the way for other keys, and sends no request.
func TestSCEPRenewalNeedsRSA(t *testing.T) {
	for name, c := range map[string][4]string{
		"a curve": {"openpgp-3.4", "OPENPGP.3", "p256", "needs an RSA key"}, "only signs": {"openpgp-3.4", "OPENPGP.1", "rsa2048", "needs an RSA key"},
		"no renewal": {"piv-yubikey-5", "PIV.9A", "rsa2048", "lack Renewal"},
	} {
		t.Run(name, func(t *testing.T) {
			s, d := newSCEPServer(t), newCard(t, c[0], c[1], c[2])
			if name == "no renewal" {
				s.caps = "SCEPStandard"
			}
			d.certify(c[1], s.ca, x509.Certificate{Subject: pkix.Name{CommonName: "Floppy Head"}})
			_, err := d.enroll(c[1], Options{Issuer: s.url, Renew: true, Roots: s.ca.Roots(t), Now: time.Now()})
			if !problem.Is(err, problem.NotSupported) || !strings.Contains(err.Error(), c[3]) || s.messages() != "" || adviceOf(err).Action != advice.Enroll {
				t.Errorf("%v, %v", err, s.operations)
			}
		})
	}
}

// TestSCEPAnswers has an answer changed in one thing each.
func TestSCEPAnswers(t *testing.T) {
	changed := func(oid int, value any) func(*scepServer) {
		return func(s *scepServer) { s.edit = func(a *scepReply) { a.attributes[oid] = value } }
	}
	without := func(oid int) func(*scepServer) {
		return func(s *scepServer) { s.edit = func(a *scepReply) { delete(a.attributes, oid) } }
	}
	raw := func(data []byte) func(*scepServer) {
		return func(s *scepServer) { s.edit = func(a *scepReply) { a.raw = data } }
	}
	sealed := func(change func([]byte) []byte) func(*scepServer) {
		return func(s *scepServer) { s.edit = func(a *scepReply) { a.change = change } }
	}
	other := must(ecdsa.GenerateKey(elliptic.P256(), rand.Reader))
	issues := func(template x509.Certificate) func(*scepServer) {
		template.Subject = pkix.Name{CommonName: "Floppy Head"}
		return func(s *scepServer) { s.template = &template }
	}
	for name, test := range map[string]struct {
		set  func(*scepServer)
		code problem.Code
		why  string
	}{
		"another transaction": {changed(scepTransactionID, "7"), problem.Mismatch, "another transaction"},
		"no transaction":      {without(scepTransactionID), problem.Mismatch, "another transaction"},
		"a nonce of before":   {changed(scepRecipientNonce, random()), problem.Mismatch, "another message"},
		"no nonce":            {without(scepRecipientNonce), problem.Mismatch, "another message"},
		"another type":        {changed(scepMessageType, "19"), problem.Mismatch, "Not a SCEP message"},
		"an unknown status":   {changed(scepStatus, "9"), problem.Mismatch, "status is unknown"},
		"garbage":             {raw([]byte("<html>")), problem.Mismatch, "Not a SCEP message"},
		"nothing":             {raw([]byte{}), problem.Mismatch, "Not a SCEP message"},
		"a huge length":       {raw([]byte{0x30, 0x84, 0xFF, 0xFF, 0xFF, 0xFF}), problem.Mismatch, "Not a SCEP message"},
		"nesting":             {raw(bytes.Repeat([]byte{0x30, 0x80}, 1<<18)), problem.Mismatch, "Not a SCEP message"},
		"a megabyte and more": {raw(make([]byte, maxAnswer+1)), problem.Mismatch, "longer than"},
		"signed by another RA": {func(s *scepServer) {
			s.edit = func(a *scepReply) { a.certificate, a.key = rsaAuthority(s.t, certs.NewAuthority(s.t, "CA")) }
		}, problem.Mismatch, "did not sign"},
		"signed by a client": {func(s *scepServer) {
			s.edit = func(a *scepReply) { a.certificate, a.key = rsaAuthority(s.t, s.ca) }
		}, problem.Mismatch, "did not sign"},
		"a changed signature": {func(s *scepServer) {
			s.edit = func(a *scepReply) {
				whole := must(a.encode())
				whole[len(whole)-1] ^= 1
				a.raw = whole
			}
		}, problem.Mismatch, "did not sign"},
		"refused":                {func(s *scepServer) { s.challenge = "other" }, problem.Failed, "It said: badRequest: wrong [31m challenge"},
		"encrypted to another":   {func(s *scepServer) { s.edit = func(a *scepReply) { a.to, _ = rsaAuthority(s.t, s.ca) } }, problem.Mismatch, "to another key"},
		"a wrong content":        {sealed(func(b []byte) []byte { b[len(b)-17] ^= 1; return b }), problem.Mismatch, "cannot be"},
		"a wrong key":            {sealed(func(b []byte) []byte { b[bytes.Index(b, []byte{4, 0x82, 1, 0})+9] ^= 1; return b }), problem.Mismatch, "cannot be"},
		"no content":             {func(s *scepServer) { s.edit = func(a *scepReply) { a.content = nil } }, problem.Mismatch, "CMS"},
		"no certificate":         {func(s *scepServer) { s.edit = func(a *scepReply) { a.content = bundle() } }, problem.Mismatch, "certificate"},
		"for another key":        {func(s *scepServer) { s.public = other.Public() }, problem.Mismatch, ""},
		"of another CA":          {func(s *scepServer) { s.ca = certs.NewAuthority(s.t, "CA") }, problem.Mismatch, "does not chain"},
		"another's mail address": {issues(x509.Certificate{EmailAddresses: []string{"boss@example.com"}}), problem.Mismatch, "boss@example.com"},
	} {
		t.Run(name, func(t *testing.T) {
			s, d := newSCEPServer(t), newCard(t, "openpgp-3.4", "OPENPGP.3", "p256")
			d.secrets[secret.IssuerSecret] = s.challenge
			canary, roots := s.challenge, s.ca.Roots(t)
			test.set(s)
			_, err := d.enroll("OPENPGP.3", d.orders(s.url, "CN=Floppy Head", roots))
			if !problem.Is(err, test.code) || !strings.Contains(err.Error(), test.why) || strings.Contains(fmt.Sprintf("%+v", err), canary) {
				t.Errorf("%v", err)
			}
			if d.stored("OPENPGP.3") != nil {
				t.Error("there is a certificate on the card")
			}
		})
	}
}

// rsaAuthority is somebody else whom an authority certified, with an RSA key.
func rsaAuthority(t testing.TB, by *certs.Authority) (*x509.Certificate, *rsa.PrivateKey) {
	return by.Issue(t, x509.Certificate{Subject: pkix.Name{CommonName: "RA"}}, rsaKey().Public()), rsaKey()
}

// TestSCEPOldAnswers reads what servers answer that sign with SHA-1 and encrypt with DES.
func TestSCEPOldAnswers(t *testing.T) {
	s, d := newSCEPServer(t), newCard(t, "openpgp-3.4", "OPENPGP.3", "p256")
	d.secrets[secret.IssuerSecret] = s.challenge
	s.edit = func(a *scepReply) { a.digest, a.cipher = pkcs7.OIDDigestAlgorithmSHA1, pkcs7.EncryptionAlgorithmDESCBC }
	_, err := d.enroll("OPENPGP.3", d.orders(s.url, "CN=x", s.ca.Roots(t)))
	check(t, err)
}

// TestSCEPWants refuses servers that cannot be believed, before the challenge password is
// sent.
func TestSCEPWants(t *testing.T) {
	for name, test := range map[string]struct {
		set    func(*scepServer)
		code   problem.Code
		why    string
		silent bool
	}{
		"HTTP without a CA": {func(s *scepServer) { s.ca = nil }, problem.Usage, "is not known", true},
		"another CA":        {func(s *scepServer) { s.ca = certs.NewAuthority(s.t, "CA") }, problem.Mismatch, "does not chain", false},
		"another fingerprint": {func(s *scepServer) {
			s.ca, s.url = nil, s.url+"?fingerprint="+strings.Repeat("00", 32)
		}, problem.Mismatch, "one of its certificates has the fingerprint", false},
		"an RA that is a client": {func(s *scepServer) { s.register(x509.Certificate{}) }, problem.NotSupported, "not RSA", false},
		"only a client":          {func(s *scepServer) { s.register(x509.Certificate{}); s.list = s.list[:1] }, problem.Mismatch, "not for answers", false},
		"no certificates":        {func(s *scepServer) { s.list = nil }, problem.Mismatch, "is not the CA", false},
		"DES and SHA-1":          {func(s *scepServer) { s.caps = "DES3\nSHA-1\nPOSTPKIOperation\nRenewal" }, problem.NotSupported, "AES and SHA-2", false},
		"nothing announced":      {func(s *scepServer) { s.caps = "" }, problem.NotSupported, "AES and SHA-2", false},
		"a long challenge":       {func(s *scepServer) { s.challenge = strings.Repeat("1", 256) }, problem.Usage, "too long", false},
	} {
		t.Run(name, func(t *testing.T) {
			s, d := newSCEPServer(t), newCard(t, "openpgp-3.4", "OPENPGP.3", "p256")
			test.set(s)
			d.secrets[secret.IssuerSecret] = s.challenge
			var roots []*cert.Certificate
			if s.ca != nil {
				roots = s.ca.Roots(t)
			}
			d.before = func(iso7816.Command) error { t.Error("the card is used"); return nil }
			_, err := d.enroll("OPENPGP.3", d.orders(s.url, "CN=x", roots))
			if !problem.Is(err, test.code) || !strings.Contains(err.Error(), test.why) || s.messages() != "" || test.silent && len(s.operations) > 0 {
				t.Errorf("%v, %v", err, s.operations)
			}
		})
	}
}

// TestSCEPWhomTheCAHasNamed takes an RA that was named, whatever its usages.
func TestSCEPWhomTheCAHasNamed(t *testing.T) {
	s, d := newSCEPServer(t), newCard(t, "openpgp-3.4", "OPENPGP.3", "p256")
	d.secrets[secret.IssuerSecret] = s.challenge
	s.register(x509.Certificate{})
	_, err := d.enroll("OPENPGP.3", d.orders(s.url, "CN=x", certs.All(t, s.ra, s.ca.Certificate)))
	check(t, err)
}

// TestSCEPWaits goes on with a request of a key on the card across runs.
func TestSCEPWaits(t *testing.T) {
	s, d := newSCEPServer(t), newCard(t, "piv-yubikey-5", "PIV.9A", "rsa2048")
	d.secrets[secret.IssuerSecret], s.waits = s.challenge, 2
	o := d.orders(s.url, "CN=x", s.ca.Roots(t))
	for range 2 {
		if _, err := d.enroll("PIV.9A", o); !problem.Is(err, problem.Failed) || !strings.Contains(err.Error(), "not decided yet") {
			t.Fatal(err)
		}
	}
	d.keepsNo(s.challenge)
	_, err := d.enroll("PIV.9A", o)
	check(t, err)
	if s.messages() != "19 20 20" || len(s.issued) != 1 || !s.signers[2].Equal(s.signers[0]) {
		t.Error(s.operations)
	}
}

// TestSCEPWaitsInARun waits with a key that is thrown away, and tells what will be if the
// time is over.
func TestSCEPWaitsInARun(t *testing.T) {
	s, d := newSCEPServer(t), newCard(t, "openpgp-3.4", "OPENPGP.3", "p256")
	d.secrets[secret.IssuerSecret], s.waits = s.challenge, 1
	o := d.orders(s.url, "CN=x", s.ca.Roots(t))
	_, err := d.enroll("OPENPGP.3", o)
	check(t, err)
	if s.messages() != "19 20" || !s.signers[1].Equal(s.signers[0]) {
		t.Error(s.operations)
	}

	s, d = newSCEPServer(t), newCard(t, "openpgp-3.4", "OPENPGP.3", "p256")
	d.secrets[secret.IssuerSecret], s.waits = s.challenge, 1
	o = d.orders(s.url, "CN=x", s.ca.Roots(t))
	short, cancel := context.WithTimeout(t.Context(), margin+firstPause/2)
	defer cancel()
	a := d.access()
	a.Confirm = func(context.Context, desk.Question) error { return nil }
	if _, err = Enroll(short, d.desk(), a, "OPENPGP.3", o); !problem.Is(err, problem.Failed) || !strings.Contains(err.Error(), "one of this run") {
		t.Error(err)
	}
	d.keepsNo(s.challenge)
	_, err = d.enroll("OPENPGP.3", o) // this server accepts another key
	check(t, err)
	if s.messages() != "19 20" || s.signers[1].Equal(s.signers[0]) || len(s.issued) != 1 {
		t.Error(s.operations)
	}
}

// TestSCEPRefusedLater tells how to begin again.
func TestSCEPRefusedLater(t *testing.T) {
	s, d := newSCEPServer(t), newCard(t, "piv-yubikey-5", "PIV.9A", "rsa2048")
	d.secrets[secret.IssuerSecret], s.waits = s.challenge, 1
	o := d.orders(s.url, "CN=x", s.ca.Roots(t))
	if _, err := d.enroll("PIV.9A", o); !problem.Is(err, problem.Failed) {
		t.Fatal(err)
	}
	s.edit = func(a *scepReply) { a.attributes[scepStatus], a.attributes[scepFailInfo], a.content = "2", "1", nil }
	_, err := d.enroll("PIV.9A", o)
	if told := adviceOf(err); len(told.Values) != 1 || told.Values[0].Field != advice.AskAnew || !strings.Contains(err.Error(), "badMessageCheck") {
		t.Errorf("%v, %+v", err, told)
	}
}

// TestSCEPCardRemoved pulls the card out at each of its commands: there is one certificate,
// and it is on the card in the end.
func TestSCEPCardRemoved(t *testing.T) {
	key := newCard(t, "piv-yubikey-5", "PIV.9A", "rsa2048")
	decrypted := false
	for at := 1; ; at++ {
		s := newSCEPServer(t)
		d := &simulated{t: t, card: key.card, state: t.TempDir(), secrets: map[secret.Name]string{secret.IssuerSecret: s.challenge}}
		left := at
		d.before = func(iso7816.Command) error {
			if left--; left == 0 {
				return iso7816.ErrCardRemoved
			}
			return nil
		}
		o := d.orders(s.url, "CN=Floppy Head", s.ca.Roots(t))
		_, err := d.enroll("PIV.9A", o)
		if left > 0 {
			check(t, err)
			break
		}
		if err == nil {
			continue
		}
		if !problem.Is(err, problem.CardRemoved) {
			t.Errorf("at %d: %v", at, err)
		}
		decrypted = decrypted || len(s.issued) == 1
		_, err = d.enroll("PIV.9A", o)
		check(t, err)
		if len(s.issued) != 1 || !bytes.Equal(d.stored("PIV.9A"), s.issued[0].Raw) {
			t.Errorf("at %d: %d certificates", at, len(s.issued))
		}
	}
	if !decrypted {
		t.Error("never pulled out after the certificate was made")
	}
}

// TestSCEPServers has servers that do not speak SCEP.
func TestSCEPServers(t *testing.T) {
	ca := certs.NewAuthority(t, "CA")
	for name, test := range map[string]struct {
		answer func(http.ResponseWriter, *http.Request)
		code   problem.Code
		why    string
	}{
		"another address": {func(w http.ResponseWriter, r *http.Request) {
			http.Redirect(w, r, "http://example.com/", http.StatusFound)
		}, problem.Mismatch, "another address"},
		"not there":      {http.NotFound, problem.NotSupported, "AES and SHA-2"},
		"no certificate": {announcing(http.NotFound), problem.Failed, "404"},
		"garbage":        {announcing(func(w http.ResponseWriter, _ *http.Request) { _, _ = w.Write([]byte("0\x80")) }), problem.Mismatch, "cannot be read"},
		"endless": {announcing(func(w http.ResponseWriter, _ *http.Request) {
			for {
				if _, err := w.Write(make([]byte, 1<<16)); err != nil {
					return
				}
			}
		}), problem.Mismatch, "longer than"},
	} {
		t.Run(name, func(t *testing.T) {
			server := httptest.NewServer(http.HandlerFunc(test.answer))
			t.Cleanup(server.Close)
			d := newCard(t, "openpgp-3.4", "OPENPGP.3", "p256")
			_, err := d.enroll("OPENPGP.3", d.orders("scep+"+server.URL, "CN=x", ca.Roots(t)))
			if !problem.Is(err, test.code) || !strings.Contains(err.Error(), test.why) {
				t.Error(err)
			}
		})
	}
}

func announcing(rest http.HandlerFunc) func(http.ResponseWriter, *http.Request) {
	return func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Query().Get("operation") != "GetCACaps" {
			rest(w, r)
			return
		}
		_, _ = w.Write([]byte("SCEPStandard"))
	}
}

// TestSCEPAdvice tells what to do after what can be mended.
func TestSCEPAdvice(t *testing.T) {
	s, d := newSCEPServer(t), newCard(t, "piv-yubikey-5", "PIV.9A", "rsa2048")
	old := d.certify("PIV.9A", s.ca, x509.Certificate{Subject: pkix.Name{CommonName: "Floppy Head"}})
	s.edit = func(a *scepReply) { a.attributes[scepStatus], a.attributes[scepFailInfo], a.content = "2", "3", nil }
	_, err := d.enroll("PIV.9A", Options{Issuer: s.url, Renew: true, Roots: s.ca.Roots(t), Now: time.Now()})
	if !strings.Contains(err.Error(), "badTime") || adviceOf(err).Action != advice.Again || !bytes.Equal(d.stored("PIV.9A"), old.Raw) {
		t.Errorf("%v, %+v", err, adviceOf(err))
	}

	s.edit, s.broken = nil, true
	o := d.orders(s.url, "CN=x", s.ca.Roots(t))
	d.secrets[secret.IssuerSecret] = s.challenge
	if _, err := d.enroll("PIV.9A", o); !problem.Is(err, problem.Failed) || !strings.Contains(err.Error(), "500 Internal Server Error: broken") || adviceOf(err).Action != advice.Again {
		t.Errorf("%v, %+v", err, adviceOf(err))
	}

	s.broken, s.waits = false, 9
	if _, err := d.enroll("PIV.9A", o); !problem.Is(err, problem.Failed) {
		t.Fatal(err)
	}
	d.damage(`"certificate":"`, `"certificate":7,"x":"`)
	if _, err := d.enroll("PIV.9A", o); len(adviceOf(err).Values) != 1 || adviceOf(err).Values[0].Field != advice.AskAnew {
		t.Errorf("%v, %+v", err, adviceOf(err))
	}
}
