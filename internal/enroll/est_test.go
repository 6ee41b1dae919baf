package enroll

import (
	"bytes"
	"crypto"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/asn1"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/cardctl/cardctl/internal/csr"
	"github.com/cardctl/cardctl/internal/problem"
	"github.com/cardctl/cardctl/internal/secret"
	"github.com/cardctl/cardctl/test/certs"
	"github.com/cardctl/cardctl/test/issuers"
)

// options are those of an enrolment with a server.
func (d *simulated) options(issuer string, root *certs.Authority) Options {
	o := Options{
		Issuer: issuer, Names: csr.Options{Subject: "CN=me,O=Snake Oil", Emails: []string{"me@example.org"}, ExtKeyUsage: []string{"clientAuth"}},
		IssuerDesk: d.desk(), Now: time.Now(),
	}
	if root != nil {
		o.Roots = root.Roots(d.t)
	}
	return o
}

// leaf is the certificate on the card, nil for none.
func (d *simulated) leaf(ref string) *x509.Certificate {
	d.t.Helper()
	der := d.stored(ref)
	if len(der) == 0 {
		return nil
	}
	stored, err := x509.ParseCertificate(der)
	check(d.t, err)
	return stored
}

// TestESTEnrolsAndRenews gets certificates for cards and keys of every kind, and renews
// them: the card is the TLS client then.
func TestESTEnrolsAndRenews(t *testing.T) {
	s := newESTServer(t, &tls.Config{ClientAuth: tls.VerifyClientCertIfGiven})
	for _, test := range []struct{ profile, ref, algorithm string }{
		{"", "OPENPGP.3", "p256"}, {"", "OPENPGP.1", "rsa2048"},
		{"piv-yubikey-5.7", "PIV.9A", "p256"}, {"piv-yubikey-5.7", "PIV.9C", "p384"}, {"piv-yubikey-5.7", "PIV.9A", "rsa2048"},
	} {
		t.Run(test.ref+" "+test.algorithm, func(t *testing.T) {
			d := newCard(t, test.profile, test.ref, test.algorithm)
			o := d.options(s.address(""), s.root)
			if _, err := d.enroll(test.ref, o); err != nil {
				t.Fatal(err)
			}
			first := d.leaf(test.ref)
			if first.Subject.CommonName != "me" || len(first.EmailAddresses) != 1 || len(s.last.PeerCertificates) != 0 {
				t.Errorf("%s %s", first.Subject, first.EmailAddresses)
			}
			o.Renew, o.Names, o.Issuer = true, csr.Options{}, ""
			if _, err := d.enroll(test.ref, o); err != nil {
				t.Fatal(err)
			}
			second := d.leaf(test.ref)
			if second.SerialNumber.Cmp(first.SerialNumber) == 0 || !bytes.Equal(second.RawSubject, first.RawSubject) {
				t.Errorf("%s %s", second.SerialNumber, second.Subject)
			}
			if len(s.last.PeerCertificates) == 0 || !s.last.PeerCertificates[0].Equal(first) {
				t.Error("the card was not the TLS client")
			}
		})
	}
}

// csrAttrs encodes CsrAttrs.
func csrAttrs(t testing.TB, list ...any) []byte {
	t.Helper()
	var content []byte
	for _, one := range list {
		der, err := asn1.Marshal(one)
		check(t, err)
		content = append(content, der...)
	}
	der, err := asn1.Marshal(asn1.RawValue{Tag: asn1.TagSequence, IsCompound: true, Bytes: content})
	check(t, err)
	return der
}

type attributeWithValues struct {
	Type   asn1.ObjectIdentifier
	Values []any `asn1:"set"`
}

var (
	ecPublicKey       = asn1.ObjectIdentifier{1, 2, 840, 10045, 2, 1}
	secp256r1         = asn1.ObjectIdentifier{1, 2, 840, 10045, 3, 1, 7}
	secp384r1         = asn1.ObjectIdentifier{1, 3, 132, 0, 34}
	rsaEncryption     = asn1.ObjectIdentifier{1, 2, 840, 113549, 1, 1, 1}
	rsassaPSS         = asn1.ObjectIdentifier{1, 2, 840, 113549, 1, 1, 10}
	ecdsaWithSHA384   = asn1.ObjectIdentifier{1, 2, 840, 10045, 4, 3, 3}
	sha1OID           = asn1.ObjectIdentifier{1, 3, 14, 3, 2, 26}
	sha512OID         = asn1.ObjectIdentifier{2, 16, 840, 1, 101, 3, 4, 2, 3}
	challengePassword = asn1.ObjectIdentifier{1, 2, 840, 113549, 1, 9, 7}
	extensionReq      = asn1.ObjectIdentifier{1, 2, 840, 113549, 1, 9, 14}
	macAddress        = asn1.ObjectIdentifier{1, 3, 6, 1, 1, 1, 1, 22}
)

// TestCSRAttributes has servers ask for what RFC 7030, 4.5.2, and RFC 9908 name.
func TestCSRAttributes(t *testing.T) {
	usage, err := asn1.Marshal([]asn1.ObjectIdentifier{{1, 3, 6, 1, 5, 5, 7, 3, 4}})
	check(t, err)
	san, err := asn1.Marshal([]asn1.RawValue{{Class: asn1.ClassContextSpecific, Tag: 1, Bytes: []byte("admin@example.org")}})
	check(t, err)
	extensions := attributeWithValues{extensionReq, []any{[]pkix.Extension{
		{Id: asn1.ObjectIdentifier{2, 5, 29, 32}, Value: []byte{0x30, 0x06, 0x30, 0x04, 0x06, 0x02, 0x2A, 0x03}}, {Id: asn1.ObjectIdentifier{2, 5, 29, 17}, Value: san},
		{Id: asn1.ObjectIdentifier{2, 5, 29, 37}, Value: usage},
	}}}
	curve := func(oid asn1.ObjectIdentifier) any { return attributeWithValues{ecPublicKey, []any{oid}} }
	for _, test := range []struct {
		what, ref, algorithm, digest string
		attributes                   []byte
		code                         problem.Code
		signed                       x509.SignatureAlgorithm
		notes                        []string
	}{
		{what: "nothing", ref: "PIV.9A", algorithm: "p256", signed: x509.ECDSAWithSHA256},
		{what: "empty", ref: "PIV.9A", algorithm: "p256", attributes: csrAttrs(t), signed: x509.ECDSAWithSHA256},
		{what: "the curve and the digest", ref: "PIV.9A", algorithm: "p384", attributes: csrAttrs(t, curve(secp384r1), ecdsaWithSHA384), signed: x509.ECDSAWithSHA384},
		{what: "one of two curves", ref: "PIV.9A", algorithm: "p256", attributes: csrAttrs(t, curve(secp384r1), curve(secp256r1)), signed: x509.ECDSAWithSHA256},
		{what: "another curve", ref: "PIV.9A", algorithm: "p256", attributes: csrAttrs(t, curve(secp384r1)), code: problem.NotSupported},
		{what: "a curve alone", ref: "PIV.9A", algorithm: "p256", attributes: csrAttrs(t, secp384r1), code: problem.NotSupported},
		{what: "another kind", ref: "PIV.9A", algorithm: "p256", attributes: csrAttrs(t, rsaEncryption), code: problem.NotSupported},
		{what: "this length", ref: "PIV.9A", algorithm: "rsa2048", attributes: csrAttrs(t, attributeWithValues{rsaEncryption, []any{2048}}), signed: x509.SHA256WithRSA},
		{what: "another length", ref: "PIV.9A", algorithm: "rsa2048", attributes: csrAttrs(t, attributeWithValues{rsaEncryption, []any{4096}}), code: problem.NotSupported},
		{what: "a digest", ref: "PIV.9A", algorithm: "p256", attributes: csrAttrs(t, sha512OID), signed: x509.ECDSAWithSHA512},
		{what: "an old digest", ref: "PIV.9A", algorithm: "p256", attributes: csrAttrs(t, sha1OID), code: problem.NotSupported},
		{what: "not this digest", ref: "PIV.9A", algorithm: "p256", digest: "sha256", attributes: csrAttrs(t, sha512OID), code: problem.NotSupported},
		{what: "PSS", ref: "PIV.9A", algorithm: "rsa2048", attributes: csrAttrs(t, rsassaPSS), signed: x509.SHA256WithRSAPSS},
		{what: "PSS of a card without", ref: "OPENPGP.3", algorithm: "rsa2048", attributes: csrAttrs(t, rsassaPSS), code: problem.NotSupported},
		{what: "a digest of an Ed25519 key", ref: "OPENPGP.3", algorithm: "ed25519", attributes: csrAttrs(t, sha512OID), code: problem.NotSupported},
		{
			what: "extensions, names among them", ref: "PIV.9A", algorithm: "p256", attributes: csrAttrs(t, extensions), signed: x509.ECDSAWithSHA256,
			notes: []string{"2.5.29.17", "2.5.29.37"},
		},
		{
			what: "what nobody knows", ref: "PIV.9A", algorithm: "p256", attributes: csrAttrs(t, attributeWithValues{extensionReq, []any{macAddress}}, macAddress),
			signed: x509.ECDSAWithSHA256, notes: []string{"1.3.6.1.1.1.1.22", "1.3.6.1.1.1.1.22"},
		},
		{what: "garbage", ref: "PIV.9A", algorithm: "p256", attributes: []byte{0x30, 0x80, 0x01}, code: problem.Mismatch},
	} {
		t.Run(test.what, func(t *testing.T) {
			s := newESTServer(t, &tls.Config{})
			s.attributes = test.attributes
			profile := "piv-yubikey-5.7"
			if strings.HasPrefix(test.ref, "OPENPGP") {
				profile = ""
			}
			d := newCard(t, profile, test.ref, test.algorithm)
			o := d.options(s.address(""), s.root)
			o.Names.Digest = test.digest
			report, err := d.enroll(test.ref, o)
			if test.code != "" {
				if !problem.Is(err, test.code) || len(s.requests) > 0 {
					t.Errorf("%v, %d requests", err, len(s.requests))
				}
				return
			}
			check(t, err)
			request, err := x509.ParseCertificateRequest(s.requests[0])
			check(t, err)
			if request.SignatureAlgorithm != test.signed || len(report.Notes) != len(test.notes) {
				t.Errorf("%s, %q", request.SignatureAlgorithm, report.Notes)
			}
			for i, note := range test.notes {
				if !strings.Contains(report.Notes[i], note) {
					t.Errorf("%q", report.Notes)
				}
			}
			if len(request.EmailAddresses) != 1 || request.EmailAddresses[0] != "me@example.org" {
				t.Errorf("%s", request.EmailAddresses)
			}
			wantsPolicy := bytes.Contains(test.attributes, []byte{0x2A, 0x03})
			if has := bytes.Contains(s.requests[0], []byte{0x06, 0x03, 0x55, 0x1D, 0x20}); has != wantsPolicy {
				t.Errorf("the policy is there: %t", has)
			}
		})
	}
}

// TestTheRequestIsLinkedToTheConnection has a server ask for tls-unique (RFC 7030, 3.5).
func TestTheRequestIsLinkedToTheConnection(t *testing.T) {
	for _, renew := range []bool{false, true} {
		s := newESTServer(t, &tls.Config{ClientAuth: tls.VerifyClientCertIfGiven})
		s.attributes = csrAttrs(t, challengePassword)
		d := newCard(t, "", "OPENPGP.3", "p256")
		o := d.options(s.address(""), s.root)
		if o.Renew = renew; renew {
			d.certify("OPENPGP.3", s.ca, x509.Certificate{Subject: pkix.Name{CommonName: "me"}})
		}
		if _, err := d.enroll("OPENPGP.3", o); err != nil {
			t.Fatal(err)
		}
		if unique := base64.StdEncoding.EncodeToString(s.last.TLSUnique); s.password != unique || s.last.Version != tls.VersionTLS12 || unique == "" {
			t.Errorf("%q is not %q", s.password, unique)
		}
		if renew != (len(s.last.PeerCertificates) > 0) {
			t.Error("the card was not the client")
		}
	}
}

// TestAServerWithoutTLS12CannotHaveALink is refused before a card signs.
func TestAServerWithoutTLS12CannotHaveALink(t *testing.T) {
	s := newESTServer(t, &tls.Config{MinVersion: tls.VersionTLS13})
	s.attributes = csrAttrs(t, challengePassword)
	d := newCard(t, "", "OPENPGP.3", "p256")
	before := d.count
	if _, err := d.enroll("OPENPGP.3", d.options(s.address(""), s.root)); !problem.Is(err, problem.NotSupported) || d.count != before {
		t.Errorf("%v, %d commands", err, d.count-before)
	}
}

// TestTheLinkedConnectionEnds while the card signs: the request is not sent on another one.
func TestTheLinkedConnectionEnds(t *testing.T) {
	s := newESTServer(t, &tls.Config{})
	s.attributes = csrAttrs(t, challengePassword)
	asked := 0
	s.answer = func(w http.ResponseWriter, r *http.Request) bool {
		if asked += strings.Count(r.URL.Path, "csrattrs"); asked == 2 {
			w.Header().Set("Connection", "close")
		}
		return false
	}
	d := newCard(t, "", "OPENPGP.3", "p256")
	_, err := d.enroll("OPENPGP.3", d.options(s.address(""), s.root))
	if !problem.Is(err, problem.Failed) || !strings.Contains(err.Error(), "ended before the request was sent") || len(s.requests) > 0 {
		t.Errorf("%v, %d requests", err, len(s.requests))
	}
}

// TestAPasswordForTheServer is asked for if the server asks, and once.
func TestAPasswordForTheServer(t *testing.T) {
	s := newESTServer(t, &tls.Config{})
	s.user = "alice:correct-736451"
	for _, test := range []struct {
		user, password string
		code           problem.Code
	}{{"alice", "correct-736451", ""}, {"alice", "wrong-736452", problem.Failed}, {"", "", problem.Usage}} {
		d := newCard(t, "", "OPENPGP.3", "p256")
		d.secrets[secret.IssuerSecret] = test.password
		s.paths = nil
		_, err := d.enroll("OPENPGP.3", d.options(s.address(test.user), s.root))
		if test.code == "" && err != nil || test.code != "" && !problem.Is(err, test.code) {
			t.Errorf("%s: %v", test.user, err)
		}
		if err != nil && strings.Contains(fmt.Sprintf("%+v", err), "73645") {
			t.Errorf("the error has the password: %v", err)
		}
		posts := strings.Count(strings.Join(s.paths, "\n"), "POST")
		if want := map[bool]int{true: 2, false: 1}[test.user != ""]; posts != want {
			t.Errorf("%d requests, not %d", posts, want)
		}
	}
}

// TestTheCATakesItsTime has the same request sent again, not before it is time, and no other.
func TestTheCATakesItsTime(t *testing.T) {
	for _, linked := range []bool{false, true} {
		s := newESTServer(t, &tls.Config{})
		if s.wait = 2; linked {
			s.attributes = csrAttrs(t, challengePassword)
		}
		d := newCard(t, "", "OPENPGP.3", "p256")
		o := d.options(s.address(""), s.root)
		for i, step := range []struct {
			after    time.Duration
			requests int
		}{{0, 1}, {time.Minute, 1}, {3 * time.Minute, 2}, {6 * time.Minute, 3}} {
			now := o
			now.Now = o.Now.Add(step.after)
			_, err := d.enroll("OPENPGP.3", now)
			if done := i == 3; done != (err == nil) || err != nil && !strings.Contains(err.Error(), "has not decided yet") {
				t.Errorf("after %s: %v", step.after, err)
			}
			if len(s.requests) != step.requests {
				t.Errorf("after %s: %d requests, not %d", step.after, len(s.requests), step.requests)
			}
		}
		if same := bytes.Equal(s.requests[0], s.requests[2]); same == linked {
			t.Errorf("linked %t: the same request %t", linked, same)
		}
	}
}

// TestTheServerIsPinned by the fingerprint of a certificate in its chain, or of its root,
// which it does not send.
func TestTheServerIsPinned(t *testing.T) {
	s := newESTServer(t, &tls.Config{})
	other := certs.NewAuthority(t, "other")
	for what, test := range map[string]struct {
		of    *certs.Authority
		known *certs.Authority
		code  problem.Code
	}{
		"the CA in the chain": {s.ca, nil, ""}, "the root": {s.root, nil, ""}, "both": {s.ca, s.root, ""},
		"another one": {other, nil, problem.Mismatch}, "the CA, and another root": {s.ca, other, problem.Mismatch},
	} {
		d := newCard(t, "", "OPENPGP.3", "p256")
		s.requests = nil
		_, err := d.enroll("OPENPGP.3", d.options(pinnedTo(s.address(""), test.of), test.known))
		if test.code == "" && err != nil || test.code != "" && (!problem.Is(err, test.code) || len(s.requests) > 0) {
			t.Errorf("%s: %v, %d requests", what, err, len(s.requests))
		}
	}
}

// TestAnswersOfAnESTServerThatAreWrong never get to the card.
func TestAnswersOfAnESTServerThatAreWrong(t *testing.T) {
	other := certs.NewAuthority(t, "other")
	on := func(path string, with http.HandlerFunc) func(*estServer) {
		return func(s *estServer) {
			s.answer = func(w http.ResponseWriter, r *http.Request) bool {
				if !strings.HasSuffix(r.URL.Path, path) {
					return false
				}
				with(w, r)
				return true
			}
		}
	}
	text := func(text string) http.HandlerFunc {
		return func(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, text) }
	}
	endless := func(w http.ResponseWriter, r *http.Request) {
		for r.Context().Err() == nil {
			if _, err := w.Write(bytes.Repeat([]byte("A"), 1<<16)); err != nil {
				return
			}
		}
	}
	status := func(code int, header, value string) http.HandlerFunc {
		return func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set(header, value)
			w.WriteHeader(code)
			_, _ = io.WriteString(w, "no, \x1b[31mnever\u202e!")
		}
	}
	enrolled := func(s *estServer, issue func(*x509.Certificate)) { s.issue = issue }
	for what, test := range map[string]struct {
		set  func(*estServer)
		code problem.Code
	}{
		"no CA certificates":          {on("cacerts", http.NotFound), problem.Failed},
		"garbage for CA certificates": {on("cacerts", text("garbage!")), problem.Mismatch},
		"base64 of garbage":           {on("cacerts", text("Z2FyYmFnZQ==")), problem.Mismatch},
		"nothing":                     {on("cacerts", text("")), problem.Mismatch},
		"endless CA certificates":     {on("cacerts", endless), problem.Mismatch},
		"endless attributes":          {on("csrattrs", endless), problem.Mismatch},
		"attributes that fail":        {on("csrattrs", status(500, "Content-Type", "text/plain")), problem.Failed},
		"an endless certificate":      {on("simpleenroll", endless), problem.Mismatch},
		"garbage":                     {on("simpleenroll", text("garbage")), problem.Mismatch},
		"a refusal":                   {on("simpleenroll", status(403, "Content-Type", "text/plain")), problem.Failed},
		"a redirect":                  {on("simpleenroll", status(302, "Location", "https://127.0.0.1:1/")), problem.Mismatch},
		"a digest authentication":     {on("simpleenroll", status(401, "WWW-Authenticate", `Digest realm="x"`)), problem.NotSupported},
		"the certificate of another": {on("simpleenroll", func(w http.ResponseWriter, _ *http.Request) {
			(&estServer{}).certificates(w, other.Raw)
		}), problem.Mismatch},
		"another name": {func(s *estServer) {
			enrolled(s, func(c *x509.Certificate) { c.RawSubject, c.Subject = nil, pkix.Name{CommonName: "root"} })
		}, problem.Mismatch},
		"another address": {func(s *estServer) {
			enrolled(s, func(c *x509.Certificate) { c.ExtraExtensions, c.DNSNames = nil, []string{"www.example.org"} })
		}, problem.Mismatch},
		"a longer life": {func(s *estServer) {
			enrolled(s, func(c *x509.Certificate) { c.NotAfter = time.Now().AddDate(9, 0, 0) })
		}, problem.Mismatch},
		"another issuer": {func(s *estServer) { s.ca = other }, problem.Mismatch},
		"an expired one": {func(s *estServer) {
			enrolled(s, func(c *x509.Certificate) { c.NotAfter = time.Now().Add(-time.Minute) })
		}, problem.Mismatch},
	} {
		t.Run(what, func(t *testing.T) {
			s := newESTServer(t, &tls.Config{})
			test.set(s)
			d := newCard(t, "", "OPENPGP.3", "p256")
			o := d.options(s.address("alice"), s.root)
			o.Days = 40
			_, err := d.enroll("OPENPGP.3", o)
			if !problem.Is(err, test.code) {
				t.Errorf("%v", err)
			}
			if err != nil && strings.ContainsAny(err.Error(), "\x1b\u202e") {
				t.Errorf("%q", err)
			}
			if d.leaf("OPENPGP.3") != nil {
				t.Error("a certificate is on the card")
			}
		})
	}
}

// TestAPinnedServerNamesItsCAs and what it issues has to chain to them.
func TestAPinnedServerNamesItsCAs(t *testing.T) {
	s := newESTServer(t, &tls.Config{})
	address := pinnedTo(s.address(""), s.ca)
	s.ca = certs.NewAuthority(t, "other")
	s.answer = func(w http.ResponseWriter, r *http.Request) bool {
		if strings.HasSuffix(r.URL.Path, "cacerts") {
			s.certificates(w, s.root.Raw)
		}
		return strings.HasSuffix(r.URL.Path, "cacerts")
	}
	d := newCard(t, "", "OPENPGP.3", "p256")
	if _, err := d.enroll("OPENPGP.3", d.options(address, nil)); !problem.Is(err, problem.Mismatch) || len(s.requests) != 1 {
		t.Errorf("%v", err)
	}
}

// pinnedTo is an address with the fingerprint of a CA.
func pinnedTo(address string, ca *certs.Authority) string {
	sum := crypto.SHA256.New()
	sum.Write(ca.Raw)
	return fmt.Sprintf("%s?fingerprint=%X", address, sum.Sum(nil))
}

// TestAServerThatIsNotTrusted gets nothing, also if its CA is pinned.
func TestAServerThatIsNotTrusted(t *testing.T) {
	s := newESTServer(t, &tls.Config{})
	other := certs.NewAuthority(t, "other")
	for what, template := range map[string]x509.Certificate{
		"expired": {NotBefore: time.Now().AddDate(-1, 0, 0), NotAfter: time.Now().Add(-time.Hour)}, "for another host": {DNSNames: []string{"other.example"}}, "of another CA": {},
	} {
		by := s.ca
		if what == "of another CA" {
			by = other
		}
		wrong := &estServer{t: t, root: s.root, ca: s.ca, user: "alice:736451"}
		wrong.at = issuers.Listen(t, by.Server(t, template), &tls.Config{}, wrong)
		d := newCard(t, "", "OPENPGP.3", "p256")
		for _, o := range []Options{
			d.options(wrong.address("alice"), s.root), d.options(pinnedTo(wrong.address("alice"), s.ca), s.root), d.options(pinnedTo(wrong.address("alice"), s.ca), nil),
		} {
			wrong.paths = nil
			_, err := d.enroll("OPENPGP.3", o)
			trusted := strings.Join(wrong.paths, " ")
			if what == "of another CA" && o.Roots == nil { // asked for its CAs, on a connection of their own
				trusted = strings.TrimPrefix(trusted, "GET /.well-known/est/label/cacerts")
			}
			if !problem.Is(err, problem.Mismatch) || trusted != "" {
				t.Errorf("%s, %s: %v, %q", what, o.Issuer, err, wrong.paths)
			}
		}
	}
}

// TestAServerThatAsksForACertificateInAnyCase renews, and does not enrol.
func TestAServerThatAsksForACertificateInAnyCase(t *testing.T) {
	s := newESTServer(t, &tls.Config{MinVersion: tls.VersionTLS13, ClientAuth: tls.RequireAndVerifyClientCert})
	d := newCard(t, "", "OPENPGP.3", "p256")
	o := d.options(s.address(""), s.root)
	if _, err := d.enroll("OPENPGP.3", o); !problem.Is(err, problem.Failed) || len(s.paths) > 0 {
		t.Errorf("%v", err)
	}
	first := d.certify("OPENPGP.3", s.root, x509.Certificate{Subject: pkix.Name{CommonName: "me"}})
	o.Renew = true
	if _, err := d.enroll("OPENPGP.3", o); err != nil || first.Equal(d.leaf("OPENPGP.3")) {
		t.Errorf("%v", err)
	}
}

// TestTheAnswerOfARenewalIsOfTheClient refuses a server that does not know the card.
func TestTheAnswerOfARenewalIsOfTheClient(t *testing.T) {
	s := newESTServer(t, &tls.Config{ClientAuth: tls.VerifyClientCertIfGiven})
	other := certs.NewAuthority(t, "other")
	d := newCard(t, "", "OPENPGP.3", "p256")
	d.certify("OPENPGP.3", other, x509.Certificate{Subject: pkix.Name{CommonName: "me"}})
	o := d.options(s.address(""), s.root)
	o.Renew = true
	if _, err := d.enroll("OPENPGP.3", o); !problem.Is(err, problem.Failed) || len(s.requests) > 0 {
		t.Errorf("%v", err)
	}
	if now := d.leaf("OPENPGP.3"); now.Issuer.CommonName != "other" {
		t.Errorf("the certificate is of %s", now.Issuer)
	}
}

// TestWhatESTCannotRead of an address, and of what was remembered.
func TestWhatESTCannotRead(t *testing.T) {
	if _, err := Open("est+https://ca.example/one/two"); !problem.Is(err, problem.Usage) {
		t.Errorf("%v", err)
	}
	for _, address := range []string{"est+https://ca.example", "est+https://ca.example/.well-known/est", "est+https://ca.example/.well-known/est/label"} {
		issuer, err := Open(address)
		check(t, err)
		if path := issuer.(*est).address.URL.Path; path != "/.well-known/est" && path != "/.well-known/est/label" {
			t.Errorf("%s is %s", address, path)
		}
	}
	i := &est{server: &remote{}}
	if _, err := i.Issue(t.Context(), &Order{Waiting: json.RawMessage("7"), Now: time.Now}); !problem.Is(err, problem.Failed) {
		t.Errorf("%v", err)
	}
}

// TestSignaturesThatServersName are those of RFC 4055, 5, and RFC 5758, 3.2.
func TestSignaturesThatServersName(t *testing.T) {
	rsa := func(arc int) asn1.ObjectIdentifier { return asn1.ObjectIdentifier{1, 2, 840, 113549, 1, 1, arc} }
	ecdsa := func(arc int) asn1.ObjectIdentifier { return asn1.ObjectIdentifier{1, 2, 840, 10045, 4, 3, arc} }
	for _, test := range []struct {
		oid    asn1.ObjectIdentifier
		digest crypto.Hash
		words  string
	}{
		{rsa(11), crypto.SHA256, "RSA"}, {rsa(12), crypto.SHA384, "RSA"}, {rsa(13), crypto.SHA512, "RSA"},
		{ecdsa(2), crypto.SHA256, "elliptic curves"}, {ecdsa(3), crypto.SHA384, "elliptic curves"}, {ecdsa(4), crypto.SHA512, "elliptic curves"},
		{asn1.ObjectIdentifier{1, 3, 101, 112}, 0, "Ed25519"}, {asn1.ObjectIdentifier{1, 3, 132, 0, 35}, 0, "p521"},
		{asn1.ObjectIdentifier{1, 3, 36, 3, 3, 2, 8, 1, 1, 7}, 0, "brainpoolP256r1"}, {asn1.ObjectIdentifier{1, 2, 840, 113549, 1, 1, 5}, 0, ""},
	} {
		a, err := parseCSRAttributes(csrAttrs(t, test.oid))
		check(t, err)
		if a.keysInWords() != test.words || (len(a.digests) > 0) != (test.digest != 0) || test.digest != 0 && a.digests[0] != test.digest {
			t.Errorf("%s is %+v, %q", test.oid, a, a.keysInWords())
		}
		if known := test.words != ""; known == (len(a.unknown) > 0) {
			t.Errorf("%s is %+v", test.oid, a)
		}
	}
	for _, wrong := range [][]byte{
		nil, {0x30}, csrAttrs(t, 7), csrAttrs(t, attributeWithValues{ecPublicKey, []any{7}}), csrAttrs(t, attributeWithValues{rsaEncryption, []any{-1}}),
		csrAttrs(t, attributeWithValues{extensionReq, []any{7}}), append(csrAttrs(t), 0),
	} {
		if a, err := parseCSRAttributes(wrong); err == nil {
			t.Errorf("%x is %+v", wrong, a)
		}
	}
}
