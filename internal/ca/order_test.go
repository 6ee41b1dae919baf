package ca

import (
	"context"
	"crypto"
	"crypto/ecdh"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/asn1"
	"errors"
	"fmt"
	"math/big"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/cardctl/cardctl/internal/cert"
	"github.com/cardctl/cardctl/internal/csr"
	"github.com/cardctl/cardctl/internal/desk"
	"github.com/cardctl/cardctl/internal/problem"
	"github.com/cardctl/cardctl/internal/secret"
)

// What a request asks for and a profile does not list is not in the certificate, and is
// told.
func TestOnlyWhatTheProfileLists(t *testing.T) {
	c := newCA(t, InitOptions{})
	asks := csr.Options{
		Subject: "CN=a", Emails: []string{"a@example.com"}, DNS: []string{"a.example.com"}, IPs: []string{"192.0.2.1"}, UPNs: []string{"a@corp.example"},
		KeyUsage: []string{"keyCertSign"}, ExtKeyUsage: []string{"serverAuth"},
		Extensions: []string{"2.5.29.19=critical,30030101FF", "1.3.6.1.4.1.311.25.2=3000", "2.5.29.30=critical,3000"},
	}
	issued, parsed := issue(t, c, Order{Request: request(t, asks), Profile: profile(t, "client")})
	switch {
	case parsed.IsCA, parsed.KeyUsage != x509.KeyUsageDigitalSignature, !slices.Equal(parsed.ExtKeyUsage, []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth}):
		t.Errorf("a CA: %v, usages %v and %v", parsed.IsCA, parsed.KeyUsage, parsed.ExtKeyUsage)
	case len(parsed.IPAddresses) > 0, !slices.Equal(parsed.DNSNames, []string{"a.example.com"}), !slices.Equal(parsed.EmailAddresses, []string{"a@example.com"}):
		t.Errorf("names %v, %v, %v", parsed.IPAddresses, parsed.DNSNames, parsed.EmailAddresses)
	case strings.Contains(string(parsed.Raw), "corp.example"):
		t.Error("it has the UPN")
	}
	for _, oid := range []asn1.ObjectIdentifier{cert.OIDSecurityID, {2, 5, 29, 30}} {
		if slices.ContainsFunc(parsed.Extensions, func(x pkix.Extension) bool { return x.Id.Equal(oid) }) {
			t.Errorf("it has %s", oid)
		}
	}
	const dropped = 5 // the address, the UPN, and three extensions
	if len(issued.Dropped) != dropped {
		t.Errorf("told: %q", issued.Dropped)
	}
}

func TestUsagesGoWithTheKey(t *testing.T) {
	c := newCA(t, InitOptions{})
	long, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		t.Fatal(err)
	}
	agreement, err := ecdh.X25519().GenerateKey(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	for _, test := range []struct {
		profile string
		key     crypto.PublicKey
		want    x509.KeyUsage
	}{
		{"server", long.Public(), x509.KeyUsageDigitalSignature | x509.KeyUsageKeyEncipherment},
		{"mail", agreement.Public(), x509.KeyUsageKeyAgreement},
	} {
		_, parsed := issue(t, c, Order{PublicKey: test.key, Names: csr.Options{Subject: "CN=" + test.profile}, Profile: profile(t, test.profile)})
		if parsed.KeyUsage != test.want {
			t.Errorf("%s: usages %v, want %v", test.profile, parsed.KeyUsage, test.want)
		}
	}
}

func TestWeakKeys(t *testing.T) {
	good, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		t.Fatal(err)
	}
	close := new(big.Int).Mul(good.Primes[0], nextPrime(good.Primes[0]))
	roca := big.NewInt(1)
	for range 600 {
		roca.Mul(roca, big.NewInt(65537)) // and so a power of it modulo each small prime
	}
	for what, k := range map[string]*rsa.PublicKey{
		"at least 2048 bits": {N: new(big.Int).Rsh(good.N, 1024), E: 65537},
		"less than 65537":    {N: good.N, E: 3},
		"not odd":            {N: good.N, E: 65538},
		"modulus is even":    {N: new(big.Int).Sub(good.N, big.NewInt(1)), E: 65537},
		"close to each":      {N: close, E: 65537},
		"ROCA":               {N: roca, E: 65537},
	} {
		if err := weak(k); err == nil || !strings.Contains(err.Error(), what) {
			t.Errorf("%s: %v", what, err)
		}
	}
	p224, err := ecdsa.GenerateKey(elliptic.P224(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	if err := weak(p224.Public()); err == nil {
		t.Error("P-224 passes")
	}
	if err := weak(good.Public()); err != nil {
		t.Error(err)
	}
	if isROCA(good.N) {
		t.Error("a good key is said to be ROCA")
	}
}

func nextPrime(p *big.Int) *big.Int {
	const rounds = 20
	for next := new(big.Int).Add(p, big.NewInt(2)); ; next.Add(next, big.NewInt(2)) {
		if next.ProbablyPrime(rounds) {
			return next
		}
	}
}

// A sub CA has the constraints that were asked for, and Go obeys them.
func TestNameConstraints(t *testing.T) {
	c := newCA(t, InitOptions{})
	o := Order{
		Request: request(t, csr.Options{Subject: "CN=Sub"}), Profile: profile(t, "sub"),
		Permit: []string{"example.com", "@example.com", "192.0.2.0/24", "O=Example", "a@example.com", "@.example.com"}, Exclude: []string{"secret.example.com", "192.0.2.7"},
	}
	_, parsed := issue(t, c, o)
	if !parsed.IsCA || parsed.MaxPathLen != 0 || !slices.Equal(parsed.PermittedDNSDomains, []string{"example.com"}) ||
		!slices.Equal(parsed.ExcludedDNSDomains, []string{"secret.example.com"}) || len(parsed.PermittedIPRanges) != 1 || parsed.PermittedIPRanges[0].String() != "192.0.2.0/24" || len(parsed.ExcludedIPRanges) != 1 || parsed.ExcludedIPRanges[0].String() != "192.0.2.7/32" {
		t.Errorf("%+v", parsed)
	}
	for _, odd := range []string{"", "two words", "http://example.com/", "*.example.com", ".example.com", "example.com.", "@", "a@", "a@b@c", "@*.b", "192.0.2.0/33", "-a"} {
		o.Permit = []string{odd}
		if _, err := c.Issue(t.Context(), nil, atDesk(), o, time.Now()); !problem.Is(err, problem.Usage) {
			t.Errorf("%q: %v", odd, err)
		}
	}
	o.Profile = profile(t, "client")
	if _, err := c.Issue(t.Context(), nil, atDesk(), o, time.Now()); !problem.Is(err, problem.Usage) {
		t.Errorf("constraints of no CA: %v", err)
	}
}

func TestItEndsWithTheCA(t *testing.T) {
	c := newCA(t, InitOptions{Days: 10})
	o := Order{Request: request(t, csr.Options{Subject: "CN=a"}), Profile: profile(t, "client")}
	issued, parsed := issue(t, c, o)
	if !issued.Shortened || !parsed.NotAfter.Equal(c.certificate.NotAfter) {
		t.Errorf("%+v", issued)
	}
	for _, when := range []time.Duration{-time.Hour, 20 * 24 * time.Hour} {
		if _, err := c.Issue(t.Context(), nil, atDesk(), o, time.Now().Add(when)); !problem.Is(err, problem.Mismatch) {
			t.Errorf("%s from now: %v", when, err)
		}
	}
}

// A certificate that cannot be stored is given to nobody.
func TestNothingIsIssuedThatIsNotStored(t *testing.T) {
	c := newCA(t, InitOptions{})
	if _, err := c.db.ExecContext(t.Context(), "CREATE TRIGGER full BEFORE INSERT ON certificates BEGIN SELECT RAISE(ABORT, 'disk full'); END"); err != nil {
		t.Fatal(err)
	}
	issued, err := c.Issue(t.Context(), nil, atDesk(), Order{Request: request(t, csr.Options{Subject: "CN=a"}), Profile: profile(t, "client")}, time.Now())
	if !problem.Is(err, problem.Failed) || issued.DER != nil || !strings.Contains(err.Error(), "not issued") {
		t.Errorf("%v, %d bytes", err, len(issued.DER))
	}
}

// Neither a clock that goes back nor one that stands makes a number smaller.
func TestNumbersOfCRLsRise(t *testing.T) {
	c := newCA(t, InitOptions{})
	now := time.Now().Add(time.Hour)
	last := int64(0)
	for _, at := range []time.Time{now, now, now.Add(-time.Minute), now.Add(time.Minute)} {
		list, err := c.SignCRL(t.Context(), nil, atDesk(), 7, at)
		if err != nil {
			t.Fatal(err)
		}
		if list.Number <= last {
			t.Errorf("number %d after %d", list.Number, last)
		}
		last = list.Number
	}
	if last != now.Add(time.Minute).Unix() {
		t.Errorf("number %d is not the time", last)
	}
}

// A revoked certificate stays in the list until one after its end.
func TestExpiredOnesLeaveTheList(t *testing.T) {
	c := newCA(t, InitOptions{})
	now := time.Now()
	issued, err := c.Issue(t.Context(), nil, atDesk(), Order{Request: request(t, csr.Options{Subject: "CN=a"}), Profile: profile(t, "client"), Days: 1}, now)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := c.Revoke(t.Context(), atDesk(), issued.Serial, "superseded", now); err != nil {
		t.Fatal(err)
	}
	for i, want := range []int{1, 1, 0} {
		list, err := c.SignCRL(t.Context(), nil, atDesk(), 7, now.Add(time.Duration(i)*2*24*time.Hour))
		if err != nil {
			t.Fatal(err)
		}
		if list.Revoked != want {
			t.Errorf("list %d has %d entries, want %d", i, list.Revoked, want)
		}
	}
}

func TestQuestions(t *testing.T) {
	c := newCA(t, InitOptions{})
	o := Order{Request: request(t, csr.Options{Subject: "CN=a"}), Profile: profile(t, "client")}
	issued, _ := issue(t, c, o)
	no := atDesk()
	no.Confirm = func(context.Context, desk.Question) error { return problem.New(problem.Refused, "no") }
	no.Ask = func(context.Context, secret.Request) (*secret.Bytes, error) {
		return nil, errors.New("asked for the password")
	}
	o.Request = request(t, csr.Options{Subject: "CN=A"}) // the same name, RFC 5280, 7.1
	if _, err := c.Issue(t.Context(), nil, no, o, time.Now()); !problem.Is(err, problem.Refused) {
		t.Errorf("a name that is taken: %v", err)
	}
	if _, err := c.Revoke(t.Context(), no, issued.Serial, "superseded", time.Now()); !problem.Is(err, problem.Refused) {
		t.Errorf("revocation: %v", err)
	}
	if list, err := c.List(t.Context(), 0, time.Now()); err != nil || len(list) != 1 || list[0].State != Valid {
		t.Errorf("%+v, %v", list, err)
	}
}

func TestWeakKeysGetNothing(t *testing.T) {
	c := newCA(t, InitOptions{})
	good, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		t.Fatal(err)
	}
	o := Order{PublicKey: &rsa.PublicKey{N: good.N, E: 3}, Names: csr.Options{Subject: "CN=a"}, Profile: profile(t, "client")}
	if _, err := c.Issue(t.Context(), nil, atDesk(), o, time.Now()); !problem.Is(err, problem.Mismatch) {
		t.Error(err)
	}
}

// The key of another CA in the directory signs nothing.
func TestAnotherKeyInTheFile(t *testing.T) {
	c, other := newCA(t, InitOptions{}), newCA(t, InitOptions{})
	text, err := os.ReadFile(filepath.Join(other.dir, keyFile))
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(c.dir, keyFile), text, 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := c.SignCRL(t.Context(), nil, atDesk(), 7, time.Now()); !problem.Is(err, problem.Mismatch) || !strings.Contains(err.Error(), "not the key of the CA") {
		t.Error(err)
	}
	if err := os.Remove(filepath.Join(c.dir, keyFile)); err != nil {
		t.Fatal(err)
	}
	if _, err := c.SignCRL(t.Context(), nil, atDesk(), 7, time.Now()); !problem.Is(err, problem.NotFound) {
		t.Error(err)
	}
}

func TestACAIsNeverReplaced(t *testing.T) {
	c := newCA(t, InitOptions{})
	if _, err := Init(t.Context(), nil, atDesk(), c.dir, InitOptions{Subject: "CN=b"}, time.Now()); !problem.Is(err, problem.Refused) {
		t.Error(err)
	}
	empty := t.TempDir()
	no := atDesk()
	no.Ask = func(context.Context, secret.Request) (*secret.Bytes, error) {
		return nil, problem.New(problem.Usage, "no password")
	}
	if _, err := Init(t.Context(), nil, no, empty, InitOptions{Subject: "CN=b"}, time.Now()); !problem.Is(err, problem.Usage) {
		t.Error(err)
	}
	if left, err := os.ReadDir(empty); err != nil || len(left) > 0 {
		t.Errorf("%v, %v", left, err)
	}
	if _, err := Open(t.Context(), empty); !problem.Is(err, problem.NotFound) {
		t.Error(err)
	}
}

// Several commands at once give each certificate a number of its own.
func TestSideBySide(t *testing.T) {
	c := newCA(t, InitOptions{})
	const commands = 4
	var done sync.WaitGroup
	for i := range commands {
		o := Order{Request: request(t, csr.Options{Subject: fmt.Sprintf("CN=%d", i)}), Profile: profile(t, "client")}
		done.Go(func() {
			own, err := Open(t.Context(), c.dir)
			if err != nil {
				t.Error(err)
				return
			}
			if _, err := own.Issue(t.Context(), nil, atDesk(), o, time.Now()); err != nil {
				t.Error(err)
			}
			if err := own.Close(); err != nil {
				t.Error(err)
			}
		})
	}
	done.Wait()
	serials := map[string]bool{}
	list, err := c.List(t.Context(), 0, time.Now())
	for _, e := range list {
		serials[e.Serial] = true
	}
	if err != nil || len(serials) != commands {
		t.Errorf("%d certificates, %v", len(serials), err)
	}
}

func TestProfilesThatCannotBeUsed(t *testing.T) {
	for text, want := range map[string]string{
		"":                                      "empty",
		"days: 0\nkeyUsage: [digitalSignature]": "days",
		"days: 1":                               "keyUsage",
		"days: 1\nkeyUsage: [a]\nno: 1":         "unknown field",
		"days: [":                               "[1:",
		"days: 1\nkeyUsage: [digitalSignature]\npathLength: 1": "pathLength",
		"days: 1\nkeyUsage: [digitalSignature]\ncopy: [upn]":   "copy has upn",
		strings.Repeat("#", maxProfile+1):                      "too long",
	} {
		if _, err := parseProfile([]byte(text)); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%.40q: %v", text, err)
		}
	}
	if _, err := ReadProfile(t.Context(), filepath.Join(t.TempDir(), "none.yaml")); !problem.Is(err, problem.NotFound) {
		t.Error(err)
	}
}

func TestSerialNumbers(t *testing.T) {
	for text, want := range map[string]string{"5d:3a": "5D3A", "0x05D3A": "5D3A", "1": "01", "00a1": "A1", "serial=5D3A": "5D3A"} {
		if got, err := ParseSerial(text); err != nil || got != want {
			t.Errorf("%q: %q, %v", text, got, err)
		}
	}
	for _, text := range []string{"", "0", "xyz", "-5"} {
		if got, err := ParseSerial(text); err == nil {
			t.Errorf("%q: %q", text, got)
		}
	}
}
