package enroll

import (
	"bytes"
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/sha256"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/asn1"
	"encoding/base64"
	"fmt"
	"io/fs"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/cardctl/cardctl/internal/cert"
	"github.com/cardctl/cardctl/internal/csr"
	"github.com/cardctl/cardctl/internal/desk"
	"github.com/cardctl/cardctl/internal/family"
	"github.com/cardctl/cardctl/internal/iso7816"
	"github.com/cardctl/cardctl/internal/key"
	"github.com/cardctl/cardctl/internal/problem"
	"github.com/cardctl/cardctl/internal/secret"
	"github.com/cardctl/cardctl/test/certs"
)

// orders are what is typed to get a certificate of a server.
func (d *simulated) orders(server, subject string, roots []*cert.Certificate) Options {
	return Options{Issuer: server, Names: csr.Options{Subject: subject}, Roots: roots, Now: time.Now()}
}

func (d *simulated) enroll(ref string, o Options) (Report, error) {
	a := d.access()
	a.Confirm = func(context.Context, desk.Question) error { return nil }
	return Enroll(d.t.Context(), d.desk(), a, ref, o)
}

// stored is the certificate on the card, nil for none.
func (d *simulated) stored(ref string) (der []byte) {
	d.t.Helper()
	d.with(ref, func(ctx context.Context, _ family.At, k key.Key) (err error) {
		der, err = k.Certificate(ctx)
		return err
	})
	return der
}

// cards are those that enrol.
func cards() map[string][3]string {
	return map[string][3]string{
		"OpenPGP P-256": {"openpgp-3.4", "OPENPGP.3", "p256"}, "OpenPGP RSA": {"openpgp-3.4", "OPENPGP.1", "rsa2048"},
		"PIV P-256": {"piv-yubikey-5", "PIV.9A", "p256"}, "PIV P-384": {"piv-yubikey-5", "PIV.9C", "p384"}, "PIV RSA": {"piv-yubikey-5", "PIV.9D", "rsa2048"},
	}
}

// TestCMPBySecret has each kind of card enrol with a shared secret, and confirm.
func TestCMPBySecret(t *testing.T) {
	for name, c := range cards() {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s, d := newCMPServer(t), newCard(t, c[0], c[1], c[2])
			d.secrets[secret.IssuerSecret] = s.secret
			o := d.orders(s.url, "CN=Floppy Head", s.ca.Roots(t))
			o.Names.DNS = []string{"floppy.example"}
			report, err := d.enroll(c[1], o)
			check(t, err)
			if !bytes.Equal(d.stored(c[1]), s.issued[0].Raw) || s.confirmed != "accepted" || report.Issuer != s.url {
				t.Errorf("%s, %+v", s.confirmed, report)
			}
			if !slices.Equal(s.messages, []int{bodyP10CR, bodyCertConf}) {
				t.Error(s.messages)
			}
			d.keepsNo(s.secret)
		})
	}
}

// keepsNo looks for a secret in what is remembered.
func (d *simulated) keepsNo(canary string) {
	d.t.Helper()
	check(d.t, filepath.WalkDir(d.state, func(path string, e fs.DirEntry, err error) error {
		if err != nil || e.IsDir() {
			return err
		}
		text, err := os.ReadFile(path)
		for _, encoded := range regexp.MustCompile(`[A-Za-z0-9+/=]{16,}`).FindAllString(string(text), -1) {
			if plain, err := base64.StdEncoding.DecodeString(encoded); err == nil {
				text = append(text, plain...)
			}
		}
		if strings.Contains(string(text), canary) {
			d.t.Errorf("%s has the secret", path)
		}
		return err
	}))
}

// TestCMPRenewal has the certificate on the card sign an update, and the confirmation of
// the new one too.
func TestCMPRenewal(t *testing.T) {
	for name, c := range cards() {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s, d := newCMPServer(t), newCard(t, c[0], c[1], c[2])
			s.registrar(s.ca, x509.Certificate{UnknownExtKeyUsage: []asn1.ObjectIdentifier{{1, 3, 6, 1, 5, 5, 7, 3, 28}}})
			old := d.certify(c[1], s.ca, x509.Certificate{
				Subject: pkix.Name{CommonName: "Floppy Head"}, EmailAddresses: []string{"floppy@example.com"}, SubjectKeyId: []byte{1, 2, 3},
			})
			s.issued = append(s.issued, old)
			o := Options{Issuer: s.url, Renew: true, Roots: s.ca.Roots(t), Now: time.Now()}
			_, err := d.enroll(c[1], o)
			check(t, err)
			made := s.issued[1]
			if !bytes.Equal(d.stored(c[1]), made.Raw) || s.confirmed != "accepted" || !slices.Equal(made.EmailAddresses, old.EmailAddresses) {
				t.Errorf("%s, %v", s.confirmed, made.EmailAddresses)
			}
			if !slices.Equal(s.messages, []int{bodyKUR, bodyCertConf}) || len(s.signers) != 2 || !s.signers[1].Equal(old) {
				t.Errorf("%v by %d", s.messages, len(s.signers))
			}
		})
	}
}

// TestCMPByOfficer has the officer's card sign, and never asks for a secret.
func TestCMPByOfficer(t *testing.T) {
	s, d, officer := newCMPServer(t), newCard(t, "openpgp-3.4", "OPENPGP.3", "p256"), newCard(t, "piv-yubikey-5", "PIV.9A", "p256")
	s.by, s.signs = s.ca, s.ca.Key
	own := officer.certify("PIV.9A", s.ca, x509.Certificate{Subject: pkix.Name{CommonName: "Officer"}})
	o := d.orders(s.url, "CN=Floppy Head", s.ca.Roots(t))
	o.IssuerDesk, o.IssuerKey = officer.desk(), "PIV.9A"
	_, err := d.enroll("OPENPGP.3", o)
	check(t, err)
	if s.confirmed != "accepted" || !s.signers[0].Equal(own) {
		t.Errorf("%s", s.confirmed)
	}
}

// TestCMPAnswers has an answer changed in one thing each.
func TestCMPAnswers(t *testing.T) {
	other := certs.NewAuthority(t, "CA") // with the same name
	stranger := must(ecdsa.GenerateKey(elliptic.P256(), rand.Reader))
	first := func(change func(*cmpReply)) func(*cmpServer) {
		return func(s *cmpServer) {
			s.edit = func(a *cmpReply) {
				if a.kind == bodyCP {
					change(a)
				}
			}
		}
	}
	status := func(code int, text string, fail byte) pkiStatus {
		return pkiStatus{
			Status: code, Text: []asn1.RawValue{{Tag: asn1.TagUTF8String, Bytes: []byte(text)}},
			Fail: asn1.BitString{Bytes: []byte{fail}, BitLength: 8},
		}
	}
	for name, test := range map[string]struct {
		set  func(*cmpServer)
		code problem.Code
		why  string
	}{
		"another secret":      {first(func(a *cmpReply) { a.secret = "other" }), problem.Mismatch, "does not verify"},
		"no protection":       {first(func(a *cmpReply) { a.secret = "" }), problem.Mismatch, "not protected"},
		"another transaction": {first(func(a *cmpReply) { a.header.TransactionID = random() }), problem.Mismatch, "another transaction"},
		"no transaction":      {first(func(a *cmpReply) { a.header.TransactionID = nil }), problem.Mismatch, "another transaction"},
		"another nonce":       {first(func(a *cmpReply) { a.header.RecipNonce = random() }), problem.Mismatch, "another message"},
		"no nonce":            {first(func(a *cmpReply) { a.header.SenderNonce = nil }), problem.Mismatch, "no nonce"},
		"another version":     {first(func(a *cmpReply) { a.header.PVNO = 9 }), problem.Mismatch, "another version"},
		"much work":           {first(func(a *cmpReply) { a.iterations = 100_001 }), problem.Mismatch, "too much work"},
		"another kind":        {first(func(a *cmpReply) { a.kind = bodyPKIConf }), problem.Mismatch, "another kind"},
		"another request":     {first(func(a *cmpReply) { b := a.body.(certRep); b.Response[0].ID = 7 }), problem.Mismatch, "another request"},
		"no certificate":      {first(func(a *cmpReply) { b := a.body.(certRep); b.Response[0].Pair = certifiedKeyPair{} }), problem.Mismatch, "no certificate"},
		"an encrypted one":    {first(encrypted), problem.Mismatch, "encrypted"},
		"rejected": {first(func(a *cmpReply) {
			a.body = certRep{Response: []certResponse{{ID: -1, Status: status(2, "Not\x1b[31m today", 0x40)}}}
		}), problem.Failed, "It said: Not [31m today [badMessageCheck]"},
		"an error":               {first(func(a *cmpReply) { a.kind, a.body = bodyError, []any{status(2, "no", 0x80)} }), problem.Failed, "It said: no [badAlg]"},
		"an unproven error":      {first(func(a *cmpReply) { a.kind, a.body, a.secret = bodyError, []any{status(2, "no", 0x80)}, "" }), problem.Failed, "Nothing proves"},
		"an unproven wait":       {first(func(a *cmpReply) { a.kind, a.body, a.secret = bodyError, []any{status(3, "later", 0)}, "" }), problem.Failed, "Nothing proves"},
		"garbage":                {first(func(a *cmpReply) { a.raw = []byte("<html>") }), problem.Mismatch, "Not a CMP message"},
		"nothing":                {first(func(a *cmpReply) { a.raw = []byte{} }), problem.Mismatch, "Not a CMP message"},
		"a huge length":          {first(func(a *cmpReply) { a.raw = []byte{0x30, 0x84, 0xFF, 0xFF, 0xFF, 0xFF} }), problem.Mismatch, "Not a CMP message"},
		"nesting":                {first(func(a *cmpReply) { a.raw = bytes.Repeat([]byte{0x30, 0x80}, 1<<18) }), problem.Mismatch, "Not a CMP message"},
		"cut off":                {first(func(a *cmpReply) { whole := a.encode(); a.raw = whole[:len(whole)-9] }), problem.Mismatch, "Not a CMP message"},
		"a megabyte and more":    {first(func(a *cmpReply) { a.raw = make([]byte, maxAnswer+1) }), problem.Mismatch, "longer than"},
		"of another CA":          {func(s *cmpServer) { s.ca = other }, problem.Mismatch, "does not chain"},
		"signed by a stranger":   {first(func(a *cmpReply) { a.key = stranger }), problem.Mismatch, "does not verify"},
		"signed by a like-named": {first(func(a *cmpReply) { a.key, a.extra = other.Key, []*x509.Certificate{other.Certificate} }), problem.Mismatch, "does not"},
		"for another key":        {func(s *cmpServer) { s.public = stranger.Public() }, problem.Mismatch, ""},
		"of a CA":                {issues(x509.Certificate{IsCA: true, BasicConstraintsValid: true}), problem.Mismatch, "of a CA"},
		"expired":                {issues(x509.Certificate{NotAfter: time.Now().Add(-time.Minute)}), problem.Mismatch, "expired"},
		"another's mail address": {issues(x509.Certificate{EmailAddresses: []string{"boss@example.com"}}), problem.Mismatch, "boss@example.com"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s, d := newCMPServer(t), newCard(t, "openpgp-3.4", "OPENPGP.3", "p256")
			roots := s.ca.Roots(t)
			d.secrets[secret.IssuerSecret] = s.secret
			test.set(s)
			_, err := d.enroll("OPENPGP.3", d.orders(s.url, "CN=Floppy Head", roots))
			if !problem.Is(err, test.code) || !strings.Contains(err.Error(), test.why) || strings.Contains(fmt.Sprintf("%+v", err), s.secret) {
				t.Errorf("%v", err)
			}
			if d.stored("OPENPGP.3") != nil {
				t.Error("there is a certificate on the card")
			}
			if s.confirmed == "accepted" || len(s.issued) == 1 && test.set != nil && (s.template != nil || s.public != nil) && s.confirmed != "rejected" {
				t.Errorf("confirmed: %q", s.confirmed)
			}
		})
	}
}

func encrypted(a *cmpReply) {
	pair := &a.body.(certRep).Response[0].Pair
	pair.Encrypted, pair.Certificate = asn1.RawValue{Class: asn1.ClassContextSpecific, Tag: 1, IsCompound: true, Bytes: pair.Certificate.Bytes}, asn1.RawValue{}
}

func issues(template x509.Certificate) func(*cmpServer) {
	template.Subject = pkix.Name{CommonName: "Floppy Head"}
	if template.NotAfter.IsZero() {
		template.NotAfter = time.Now().Add(time.Hour)
	}
	template.NotBefore = time.Now().Add(-time.Hour)
	return func(s *cmpServer) { s.template = &template }
}

// TestCMPSigners has answers signed by many: only the CA may, and whom it certified for
// that.
func TestCMPSigners(t *testing.T) {
	ra := []asn1.ObjectIdentifier{{1, 3, 6, 1, 5, 5, 7, 3, 28}}
	for name, test := range map[string]struct {
		set  func(*testing.T, *cmpServer)
		pins func(*testing.T, *cmpServer) []*cert.Certificate // nil for the CA
		why  string                                           // empty if it is believed
	}{
		"the CA": {set: func(_ *testing.T, s *cmpServer) { s.by, s.signs = s.ca, s.ca.Key }},
		"its RA": {set: func(_ *testing.T, s *cmpServer) { s.registrar(s.ca, x509.Certificate{UnknownExtKeyUsage: ra}) }},
		"another CA": {set: func(t *testing.T, s *cmpServer) {
			other := certs.NewAuthority(t, "CA")
			s.registrar(other, x509.Certificate{UnknownExtKeyUsage: ra})
			s.edit = func(a *cmpReply) { a.extra = append(a.extra, other.Certificate) }
		}, why: "does not chain"},
		"anybody whom the CA certified": {
			set: func(_ *testing.T, s *cmpServer) { s.registrar(s.ca, x509.Certificate{}) }, why: "not certified to answer for it",
		},
		"an RA of yesterday": {
			set: func(_ *testing.T, s *cmpServer) {
				s.registrar(s.ca, x509.Certificate{UnknownExtKeyUsage: ra, NotBefore: time.Now().Add(-48 * time.Hour), NotAfter: time.Now().Add(-24 * time.Hour)})
			}, why: "expired",
		},
		"one that was named": {
			set: func(_ *testing.T, s *cmpServer) { s.registrar(s.ca, x509.Certificate{}) },
			pins: func(t *testing.T, s *cmpServer) []*cert.Certificate {
				return certs.All(t, s.by.Certificate, s.ca.Certificate)
			},
		},
		"another name": {
			set: func(_ *testing.T, s *cmpServer) {
				s.by, s.signs = s.ca, s.ca.Key
				s.edit = func(a *cmpReply) {
					a.header.Sender = nameOf(must(asn1.Marshal(pkix.Name{CommonName: "Other"}.ToRDNSequence())))
				}
			}, why: "does not verify",
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s, d := newCMPServer(t), newCard(t, "openpgp-3.4", "OPENPGP.3", "p256")
			test.set(t, s)
			s.issued = append(s.issued, d.certify("OPENPGP.3", s.ca, x509.Certificate{Subject: pkix.Name{CommonName: "Floppy Head"}}))
			o := Options{Issuer: s.url, Renew: true, Roots: s.ca.Roots(t), Now: time.Now()}
			if test.pins != nil {
				o.Roots = test.pins(t, s)
			}
			_, err := d.enroll("OPENPGP.3", o)
			if test.why == "" && (err != nil || s.confirmed != "accepted") {
				t.Errorf("%v, %s", err, s.confirmed)
			}
			if test.why != "" && (!problem.Is(err, problem.Mismatch) || !strings.Contains(err.Error(), test.why)) {
				t.Error(err)
			}
		})
	}
}

// TestCMPFingerprint pins the CA by its fingerprint.
func TestCMPFingerprint(t *testing.T) {
	s, d := newCMPServer(t), newCard(t, "openpgp-3.4", "OPENPGP.3", "p256")
	d.secrets[secret.IssuerSecret] = s.secret
	at := fmt.Sprintf("%s?fingerprint=%x", s.url, sha256.Sum256(certs.NewAuthority(t, "CA").Raw))
	if _, err := d.enroll("OPENPGP.3", d.orders(at, "CN=x", nil)); !problem.Is(err, problem.Mismatch) || !strings.Contains(err.Error(), "fingerprint") {
		t.Error(err)
	}
	at = fmt.Sprintf("%s?fingerprint=%X", s.url, sha256.Sum256(s.ca.Raw))
	_, err := d.enroll("OPENPGP.3", d.orders(at, "CN=x", nil))
	check(t, err)
}

// TestCMPWants refuses what cannot be believed before anything is sent, or any card signs.
func TestCMPWants(t *testing.T) {
	s, d := newCMPServer(t), newCard(t, "openpgp-3.4", "OPENPGP.3", "p256")
	d.secrets[secret.IssuerSecret] = s.secret
	d.certify("OPENPGP.3", s.ca, x509.Certificate{Subject: pkix.Name{CommonName: "x"}})
	overTLS := strings.Replace(s.url, "cmp+http:", "cmp+https:", 1)
	d.before = func(c iso7816.Command) error {
		if c.INS == 0x2A || c.INS == 0x88 {
			t.Error("the card signs")
		}
		return nil
	}
	officer := d.orders(overTLS, "CN=x", nil)
	officer.IssuerKey = "OPENPGP.3"
	for name, o := range map[string]Options{
		"HTTP": d.orders(s.url, "CN=x", nil), "an officer": officer, "a renewal": {Issuer: overTLS, Renew: true, Now: time.Now()},
	} {
		if _, err := d.enroll("OPENPGP.3", o); !problem.Is(err, problem.Usage) || len(s.messages) > 0 {
			t.Errorf("%s: %v, %v", name, err, s.messages)
		}
	}
}

// TestCMPWaits goes on with a request across runs, and gets one certificate.
func TestCMPWaits(t *testing.T) {
	s, d := newCMPServer(t), newCard(t, "openpgp-3.4", "OPENPGP.3", "p256")
	d.secrets[secret.IssuerSecret] = s.secret
	s.waits = 3
	o := d.orders(s.url, "CN=x", s.ca.Roots(t))
	for range 2 {
		_, err := d.enroll("OPENPGP.3", o)
		if !problem.Is(err, problem.Failed) || !strings.Contains(err.Error(), "again in 1m30s") {
			t.Fatal(err)
		}
	}
	d.keepsNo(s.secret)
	_, err := d.enroll("OPENPGP.3", o)
	check(t, err)
	if len(s.issued) != 1 || s.confirmed != "accepted" || !slices.Equal(s.messages, []int{bodyP10CR, bodyPollReq, bodyPollReq, bodyPollReq, bodyCertConf}) {
		t.Errorf("%d certificates, %s, %v", len(s.issued), s.confirmed, s.messages)
	}
}

// TestCMPOtherSubject confirms a certificate only when its names were accepted, in whatever
// run that is.
func TestCMPOtherSubject(t *testing.T) {
	s, d := newCMPServer(t), newCard(t, "openpgp-3.4", "OPENPGP.3", "p256")
	d.secrets[secret.IssuerSecret] = s.secret
	s.template = &x509.Certificate{Subject: pkix.Name{CommonName: "Floppy"}, NotAfter: time.Now().Add(time.Hour)}
	o := d.orders(s.url, "CN=Floppy Head", s.ca.Roots(t))
	if _, err := d.enroll("OPENPGP.3", o); !problem.Is(err, problem.Mismatch) || s.confirmed != "" {
		t.Errorf("%v, %s", err, s.confirmed)
	}
	o.AcceptNames = true
	_, err := d.enroll("OPENPGP.3", o)
	check(t, err)
	if s.confirmed != "accepted" || len(s.issued) != 1 {
		t.Errorf("%s, %d certificates", s.confirmed, len(s.issued))
	}
}

// TestCMPConfirmsLater confirms the certificate that is on the card already.
func TestCMPConfirmsLater(t *testing.T) {
	s, d := newCMPServer(t), newCard(t, "openpgp-3.4", "OPENPGP.3", "p256")
	d.secrets[secret.IssuerSecret] = s.secret
	s.edit = func(a *cmpReply) {
		if a.kind == bodyPKIConf {
			a.raw = []byte("?")
		}
	}
	o := d.orders(s.url, "CN=Floppy Head", s.ca.Roots(t))
	if _, err := d.enroll("OPENPGP.3", o); !problem.Is(err, problem.Mismatch) || !strings.Contains(err.Error(), "the certificate is on the card") {
		t.Error(err)
	}
	s.edit = nil
	_, err := d.enroll("OPENPGP.3", o)
	check(t, err)
	if len(s.issued) != 1 || !slices.Equal(s.messages, []int{bodyP10CR, bodyCertConf, bodyCertConf}) {
		t.Errorf("%d certificates, %v", len(s.issued), s.messages)
	}
}

// TestCMPImplicitly sends no confirmation if none is expected.
func TestCMPImplicitly(t *testing.T) {
	s, d := newCMPServer(t), newCard(t, "openpgp-3.4", "OPENPGP.3", "p256")
	d.secrets[secret.IssuerSecret] = s.secret
	s.edit = func(a *cmpReply) {
		a.header.GeneralInfo = []pkiInfo{{Type: asn1.ObjectIdentifier{1, 3, 6, 1, 5, 5, 7, 4, 13}, Value: asn1.NullRawValue}}
	}
	_, err := d.enroll("OPENPGP.3", d.orders(s.url, "CN=Floppy Head", s.ca.Roots(t)))
	check(t, err)
	if !slices.Equal(s.messages, []int{bodyP10CR}) {
		t.Error(s.messages)
	}
}

// TestCMPCardRemoved pulls the card out at each of its commands: the server has given one
// certificate at most, and it is on the card in the end, without another one.
func TestCMPCardRemoved(t *testing.T) {
	for at := 1; ; at++ {
		s, d := newCMPServer(t), newCard(t, "openpgp-3.4", "OPENPGP.3", "p256")
		s.by, s.signs = s.ca, s.ca.Key
		old := d.certify("OPENPGP.3", s.ca, x509.Certificate{Subject: pkix.Name{CommonName: "Floppy Head"}})
		s.issued = append(s.issued, old)
		left := at
		d.before = func(iso7816.Command) error {
			if left--; left == 0 {
				return iso7816.ErrCardRemoved
			}
			return nil
		}
		o := Options{Issuer: s.url, Renew: true, Roots: s.ca.Roots(t), Now: time.Now()}
		_, err := d.enroll("OPENPGP.3", o)
		if left > 0 {
			check(t, err)
			return
		}
		if err == nil {
			continue // what it was asked for is not needed
		}
		if !problem.Is(err, problem.CardRemoved) {
			t.Errorf("at %d: %v", at, err)
		}
		if s.confirmed == "rejected" {
			t.Errorf("at %d: the certificate was rejected", at)
		}
		_, err = d.enroll("OPENPGP.3", o)
		check(t, err)
		if len(s.issued) != 2 || s.confirmed != "accepted" || !bytes.Equal(d.stored("OPENPGP.3"), s.issued[1].Raw) {
			t.Errorf("at %d: %d certificates, %s", at, len(s.issued), s.confirmed)
		}
	}
}

// TestCMPServers has servers that do not speak CMP.
func TestCMPServers(t *testing.T) {
	ca := certs.NewAuthority(t, "CA")
	for name, test := range map[string]struct {
		answer http.HandlerFunc
		code   problem.Code
		why    string
	}{
		"another address": {func(w http.ResponseWriter, r *http.Request) {
			http.Redirect(w, r, "http://example.com/", http.StatusFound)
		}, problem.Mismatch, "another address"},
		"not there": {http.NotFound, problem.Failed, "404"},
		"endless": {func(w http.ResponseWriter, _ *http.Request) {
			for {
				if _, err := w.Write(make([]byte, 1<<16)); err != nil {
					return
				}
			}
		}, problem.Mismatch, "longer than"},
	} {
		t.Run(name, func(t *testing.T) {
			server := httptest.NewServer(test.answer)
			t.Cleanup(server.Close)
			d := newCard(t, "openpgp-3.4", "OPENPGP.3", "p256")
			d.secrets[secret.IssuerSecret] = "20261129"
			_, err := d.enroll("OPENPGP.3", d.orders("cmp+"+server.URL, "CN=x", ca.Roots(t)))
			if !problem.Is(err, test.code) || !strings.Contains(err.Error(), test.why) {
				t.Error(err)
			}
		})
	}
}

// TestDryRunSaysWhetherTheCardSigns in a renewal that has no request of PKCS#10.
func TestDryRunSaysWhetherTheCardSigns(t *testing.T) {
	ca := certs.NewAuthority(t, "root")
	d := newCard(t, "", "OPENPGP.3", "p256")
	d.certify("OPENPGP.3", ca, x509.Certificate{Subject: pkix.Name{CommonName: "me"}})
	o := d.orders("cmp+http://127.0.0.1:1/pkix", "", ca.Roots(t))
	o.Renew, o.DryRun, o.Names = true, true, csr.Options{}
	report, err := d.enroll("OPENPGP.3", o)
	check(t, err)
	if !report.Plan.Signed {
		t.Error("the card would sign the update")
	}
}
