package enroll

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/sha256"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/base64"
	"encoding/hex"
	"encoding/pem"
	"errors"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/cardctl/cardctl/internal/csr"
	"github.com/cardctl/cardctl/internal/desk"
	"github.com/cardctl/cardctl/internal/family"
	"github.com/cardctl/cardctl/internal/key"
	"github.com/cardctl/cardctl/internal/problem"
	"github.com/cardctl/cardctl/internal/secret"
	"github.com/cardctl/cardctl/test/certs"
)

const attestingProfile = "piv-yubikey-5.7"

// enrolls has a key certified, for a common name.
func (d *simulated) enrolls(ref, issuer, commonName string, ca *certs.Authority, more ...func(*Options)) error {
	d.t.Helper()
	o := Options{Issuer: issuer, Names: csr.Options{Subject: "CN=" + commonName}, Now: time.Now(), IssuerDesk: d.desk()}
	if ca != nil {
		o.Roots = ca.Roots(d.t)
	}
	for _, change := range more {
		change(&o)
	}
	a := d.access()
	a.Confirm = func(context.Context, desk.Question) error { return nil }
	_, err := Enroll(d.t.Context(), d.desk(), a, ref, o)
	return err
}

// is fails unless an error has a code, and the words.
func is(t *testing.T, err error, code problem.Code, words ...string) {
	t.Helper()
	var p *problem.Error
	if !errors.As(err, &p) || p.Code != code {
		t.Fatalf("%v, want %s", err, code)
	}
	for _, word := range words {
		if !strings.Contains(err.Error(), word) {
			t.Errorf("%v: nothing of %q", err, word)
		}
	}
}

func TestACME(t *testing.T) {
	for _, algorithm := range []string{"p256", "rsa2048", "ed25519"} {
		t.Run(algorithm, func(t *testing.T) {
			s := newACMEServer(t)
			s.badNonces = 2
			d := newCard(t, attestingProfile, "PIV.9A", algorithm)
			check(t, d.enrolls("PIV.9A", s.address(""), "any", s.ca))
			s.badNonces = 0
			sum := sha256.Sum256(s.ca.Raw)
			check(t, d.enrolls("PIV.9A", s.address("?fingerprint="+hex.EncodeToString(sum[:])), "another", nil)) // an account of its own
			if len(s.accounts) != 2 {
				t.Errorf("%d accounts", len(s.accounts))
			}
		})
	}
}

func TestACMEKeysThatServersDoNotTake(t *testing.T) {
	s := newACMEServer(t)
	d := newCard(t, attestingProfile, "PIV.9A", "p384")
	is(t, d.enrolls("PIV.9A", s.address(""), "any", s.ca), problem.NotSupported, "P-256, RSA and Ed25519")
	openpgp := newCard(t, "openpgp-yubikey-5.7", "OPENPGP.3", "p256")
	is(t, openpgp.enrolls("OPENPGP.3", s.address(""), "any", s.ca), problem.NotSupported, "does not name its serial")
	if len(s.asked) > 0 {
		t.Errorf("the server was asked for %q", s.asked)
	}
}

func TestACMEExternalAccount(t *testing.T) {
	s := newACMEServer(t)
	s.macKeys = map[string][]byte{"desk": []byte("0123456789abcdef0123456789abcdef"), "other": []byte("fedcba9876543210fedcba9876543210")}
	d := newCard(t, attestingProfile, "PIV.9A", "p256")
	is(t, d.enrolls("PIV.9A", s.address(""), "any", s.ca), problem.Usage, "external account binding", "ID@")
	for _, wrong := range []string{"!", "c2hvcnQ"} {
		d.secrets[secret.IssuerSecret] = wrong
		is(t, d.enrolls("PIV.9A", s.of("desk"), "any", s.ca), problem.Usage, "not the key of an external account")
	}
	d.secrets[secret.IssuerSecret] = base64.RawURLEncoding.EncodeToString(s.macKeys["desk"])
	for range 2 { // the server binds one account only, so it has to be the same
		check(t, d.enrolls("PIV.9A", s.of("desk"), "any", s.ca))
	}
	err := d.enrolls("PIV.9A", s.of("other"), "any", s.ca)
	is(t, err, problem.Failed, "a wrong binding")
	if strings.Contains(err.Error(), d.secrets[secret.IssuerSecret]) {
		t.Errorf("the error has the secret in it: %v", err)
	}
	if len(s.accounts) != 1 {
		t.Errorf("%d accounts", len(s.accounts))
	}
}

// TestACMEServersThatLie has servers answer wrongly, at every point.
func TestACMEServersThatLie(t *testing.T) {
	const another = "https://another.example.com"
	says := func(path, text string) func(*acmeServer) {
		return func(s *acmeServer) {
			s.fault = func(asked string, w http.ResponseWriter) bool {
				if asked == path {
					_, _ = w.Write([]byte(strings.NewReplacer("BASE", s.base, "PLAIN", strings.Replace(s.base, "https", "http", 1)).Replace(text)))
				}
				return asked == path
			}
		}
	}
	public := func() any {
		key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
		check(t, err)
		return key.Public()
	}
	makes := func(of func(s *acmeServer, public any) *x509.Certificate) func(*acmeServer) {
		return func(s *acmeServer) {
			s.makes = func(public any) []byte {
				return pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: of(s, public).Raw})
			}
		}
	}
	for name, row := range map[string]struct {
		fault func(*acmeServer)
		code  problem.Code
		words string
	}{
		"a directory that is no JSON":          {says("/directory", "<html>"), problem.Mismatch, "not the JSON"},
		"an empty directory":                   {says("/directory", "{}"), problem.Mismatch, "another server"},
		"a directory of another server":        {says("/directory", `{"newNonce":"`+another+`","newAccount":"`+another+`","newOrder":"`+another+`"}`), problem.Mismatch, "another server"},
		"nonces of another server":             {says("/directory", `{"newNonce":"`+another+`","newAccount":"BASE/accounts","newOrder":"BASE/orders"}`), problem.Mismatch, "another server"},
		"orders over plain HTTP":               {says("/directory", `{"newNonce":"BASE/nonce","newAccount":"BASE/accounts","newOrder":"PLAIN/orders"}`), problem.Mismatch, "another server"},
		"a directory of 2 MB":                  {says("/directory", strings.Repeat(" ", 2<<20)), problem.Mismatch, "longer than"},
		"an order that is no JSON":             {says("/orders", "{"), problem.Mismatch, "not the JSON"},
		"an order with many authorizations":    {says("/orders", `{"authorizations":["a","b","c","d","e"]}`), problem.Mismatch, "5 authorizations"},
		"an authorization of another server":   {says("/orders", `{"authorizations":["`+another+`"]}`), problem.Mismatch, "another server"},
		"an authorization without a challenge": {says("/authz", `{"status":"pending","challenges":[{"type":"dns-01"}]}`), problem.NotSupported, "device-attest-01"},
		"an authorization that is revoked":     {says("/authz", `{"status":"revoked","challenges":[{"type":"device-attest-01","url":"BASE/challenge"}]}`), problem.Failed, "revoked"},
		"a challenge of another server":        {says("/authz", `{"status":"pending","challenges":[{"type":"device-attest-01","url":"`+another+`"}]}`), problem.Mismatch, "another server"},
		"an account without an address":        {says("/accounts", "{}"), problem.Mismatch, "does not name the account"},
		"a server without nonces": {func(s *acmeServer) {
			s.fault = func(_ string, w http.ResponseWriter) bool {
				w.Header().Del("Replay-Nonce")
				return false
			}
		}, problem.Mismatch, "no nonce"},
		"a server without a directory": {func(s *acmeServer) {
			s.fault = func(_ string, w http.ResponseWriter) bool {
				w.WriteHeader(http.StatusNotFound)
				return true
			}
		}, problem.Failed, "404"},
		"a statement that is refused":         {says("/authz", `{"status":"pending","challenges":[{"type":"device-attest-01","url":"BASE/challenge","status":"invalid","error":{"detail":"wrong serial"}}]}`), problem.Failed, "Wrong serial"},
		"an order that is refused in the end": {says("/order", `{"status":"invalid","error":{"type":"urn:x","detail":"not for you","subproblems":[{"detail":"ever"}]}}`), problem.Failed, "for you; ever"},
		"a certificate of another server":     {says("/order", `{"status":"valid","certificate":"`+another+`"}`), problem.Mismatch, "another server"},
		"a certificate that is none":          {says("/certificate", "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n"), problem.Mismatch, "the answer of"},
		"no certificate":                      {says("/certificate", ""), problem.Mismatch, "empty"},
		"a nonce that is wrong for ever":      {func(s *acmeServer) { s.badNonces = 1 << 20 }, problem.Failed, "5 nonces"},
		"the certificate of another key":      {makes(func(s *acmeServer, _ any) *x509.Certificate { return s.ca.Issue(t, x509.Certificate{}, public()) }), problem.Mismatch, ""},
		"a certificate with a host of its own": {makes(func(s *acmeServer, public any) *x509.Certificate {
			return s.ca.Issue(t, x509.Certificate{DNSNames: []string{"www.example.com"}}, public)
		}), problem.Mismatch, "which was not asked for"},
		"a certificate for the serial of other": {makes(func(s *acmeServer, public any) *x509.Certificate {
			return s.ca.Issue(t, x509.Certificate{ExtraExtensions: []pkix.Extension{{Id: []int{2, 5, 29, 17}, Value: identified(t, "12345678")}}}, public)
		}), problem.Mismatch, "which was not asked for"},
		"a certificate of another CA": {makes(func(_ *acmeServer, public any) *x509.Certificate {
			return certs.NewAuthority(t, "other").Issue(t, x509.Certificate{}, public)
		}), problem.Mismatch, "does not chain"},
		"a certificate with another subject": {makes(func(s *acmeServer, public any) *x509.Certificate {
			return s.ca.Issue(t, x509.Certificate{Subject: pkix.Name{CommonName: "root"}}, public)
		}), problem.Mismatch, "other names"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := newACMEServer(t)
			row.fault(s)
			d := newCard(t, attestingProfile, "PIV.9A", "p256")
			is(t, d.enrolls("PIV.9A", s.address(""), "any", s.ca), row.code, row.words)
		})
	}
}

// TestACMEServersThatWantAnotherName has the error say what such servers accept.
func TestACMEServersThatWantAnotherName(t *testing.T) {
	s := newACMEServer(t)
	s.fault = func(asked string, w http.ResponseWriter) bool {
		if asked == "/finalize" {
			s.refuse(w, "badCSR", "unacceptable")
		}
		return asked == "/finalize"
	}
	d := newCard(t, attestingProfile, "PIV.9A", "p256")
	err := d.enrolls("PIV.9A", s.address(""), "any", s.ca)
	is(t, err, problem.Failed, "unacceptable", "no other common name than the serial")
	serial := ""
	d.with("PIV.9A", func(ctx context.Context, _ family.At, k key.Key) error {
		holder, err := k.Holder(ctx)
		serial = holder.Serial
		return err
	})
	others := func(path string) bool { return path != "/finalize" }
	if n := len(slices.DeleteFunc(slices.Clone(s.asked), others)); n != 1 {
		t.Errorf("it was asked %d times", n)
	}
	if err := d.enrolls("PIV.9A", s.address(""), serial, s.ca); strings.Contains(err.Error(), "common name") {
		t.Errorf("%v", err)
	}
}

// TestACMEAnswersThatAreLost are asked for again, but for those to what makes something.
func TestACMEAnswersThatAreLost(t *testing.T) {
	for path, times := range map[string]int{"/order": 2, "/certificate": 2, "/orders": 1, "/finalize": 1} {
		t.Run(path, func(t *testing.T) {
			s := newACMEServer(t)
			left := 2
			s.fault = func(asked string, _ http.ResponseWriter) bool {
				if asked == path && left > 0 {
					left--
					panic(http.ErrAbortHandler)
				}
				return false
			}
			d := newCard(t, attestingProfile, "PIV.9A", "p256")
			err := d.enrolls("PIV.9A", s.address(""), "any", s.ca)
			if lost := 2 - left; lost != times {
				t.Errorf("%d answers were lost, %v", lost, err)
			}
			if times == 1 {
				is(t, err, problem.Failed, "could not be reached")
			} else {
				check(t, err)
			}
		})
	}
}

// TestACMEAcceptedNames has a certificate with another subject wait for a person, who takes
// it with the alternative name that the statement brings.
func TestACMEAcceptedNames(t *testing.T) {
	s := newACMEServer(t)
	s.makes = func(public any) []byte {
		identifiers, _ := s.order["identifiers"].([]map[string]string)
		return pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: s.ca.Issue(t, x509.Certificate{
			Subject:         pkix.Name{CommonName: "another"},
			ExtraExtensions: []pkix.Extension{{Id: []int{2, 5, 29, 17}, Value: identified(t, identifiers[0]["value"])}},
		}, public).Raw})
	}
	d := newCard(t, attestingProfile, "PIV.9A", "p256")
	is(t, d.enrolls("PIV.9A", s.address(""), "any", s.ca), problem.Mismatch, "other names")
	check(t, d.enrolls("PIV.9A", s.address(""), "any", s.ca, func(o *Options) { o.AcceptNames = true }))
	if n := len(slices.DeleteFunc(slices.Clone(s.asked), func(path string) bool { return path != "/orders" })); n != 1 {
		t.Errorf("ordered %d times", n)
	}
}

// TestACMEOrdersThatNeverEnd are given up.
func TestACMEOrdersThatNeverEnd(t *testing.T) {
	for _, status := range []string{"pending", "processing"} {
		s := newACMEServer(t)
		s.fault = func(asked string, w http.ResponseWriter) bool {
			if asked == "/order" {
				_, _ = w.Write([]byte(`{"status":"` + status + `","finalize":"` + s.base + `/finalize"}`))
			}
			return asked == "/order"
		}
		d := newCard(t, attestingProfile, "PIV.9A", "p256")
		a, err := Open(s.address(""))
		check(t, err)
		issuer, ok := a.(*acmeIssuer)
		if !ok {
			t.Fatalf("%T", a)
		}
		issuer.patience = time.Second
		d.with("PIV.9A", func(ctx context.Context, here family.At, k key.Key) error {
			public, err := k.Public(ctx)
			check(t, err)
			card := &onCard{Key: k, here: here, o: &Options{Now: time.Now()}}
			_, err = issuer.Issue(ctx, &Order{Ref: "PIV.9A", PublicKey: public, Card: card, PKCS10: []byte{}, Roots: s.ca.Roots(t), Now: time.Now})
			is(t, err, problem.Failed, "in time")
			return nil
		})
	}
}

// TestACMEOrdersThatAreResumed are those of an external account, which a later run can act
// for: it makes no second order, unless the first came to nothing.
func TestACMEOrdersThatAreResumed(t *testing.T) {
	for _, external := range []bool{true, false} {
		s := newACMEServer(t)
		d := newCard(t, attestingProfile, "PIV.9A", "p256")
		address := s.address("")
		if external {
			s.macKeys = map[string][]byte{"desk": []byte("0123456789abcdef0123456789abcdef")}
			d.secrets[secret.IssuerSecret] = base64.RawURLEncoding.EncodeToString(s.macKeys["desk"])
			address = s.of("desk")
		}
		slow := true
		s.fault = func(asked string, w http.ResponseWriter) bool {
			if asked == "/order" && slow {
				_, _ = w.Write([]byte(`{"status":"processing"}`))
			}
			return asked == "/order" && slow
		}
		d.with("PIV.9A", func(ctx context.Context, here family.At, k key.Key) error {
			public, err := k.Public(ctx)
			check(t, err)
			signer, err := k.Signer(ctx)
			check(t, err)
			request, err := csr.Parse(csr.Options{Subject: "CN=any"})
			check(t, err)
			der, err := csr.Build(ctx, signer, request)
			check(t, err)
			o := &Order{
				Ref: "PIV.9A", PublicKey: public, Card: &onCard{Key: k, here: here, o: &Options{Now: time.Now()}}, PKCS10: der,
				Roots: s.ca.Roots(t), Now: time.Now, Access: d.access(),
			}
			run := func() (Answer, error) {
				a, err := Open(address)
				check(t, err)
				issuer, _ := a.(*acmeIssuer)
				issuer.patience = time.Second
				return issuer.Issue(ctx, o)
			}
			answer, err := run()
			is(t, err, problem.Failed, "in time")
			if (answer.Waiting != nil) != external {
				t.Errorf("external account %v: %s is remembered", external, answer.Waiting)
			}
			if !external {
				return nil
			}
			slow, o.Waiting = false, answer.Waiting
			answer, err = run()
			check(t, err)
			if len(answer.Certificates) == 0 || answer.Waiting != nil {
				t.Errorf("%+v", answer)
			}
			orders := 0
			for _, path := range s.asked {
				if path == "/orders" {
					orders++
				}
			}
			if orders != 1 {
				t.Errorf("%d orders", orders)
			}
			return nil
		})
	}
}

// TestACMEServersThatAreNotTrusted sends them nothing.
func TestACMEServersThatAreNotTrusted(t *testing.T) {
	s := newACMEServer(t)
	d := newCard(t, attestingProfile, "PIV.9A", "p256")
	is(t, d.enrolls("PIV.9A", s.address(""), "any", nil), problem.Mismatch, "is not trusted")
	is(t, d.enrolls("PIV.9A", s.address(""), "any", certs.NewAuthority(t, "other")), problem.Mismatch, "is not trusted")
	is(t, d.enrolls("PIV.9A", s.address("?fingerprint="+strings.Repeat("00", 32)), "any", s.ca), problem.Mismatch, "is not trusted")
	if len(s.asked) > 0 {
		t.Errorf("asked for %q", s.asked)
	}
}
