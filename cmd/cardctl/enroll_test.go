package main

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/asn1"
	"encoding/pem"
	"fmt"
	"math/big"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/cardctl/cardctl/internal/ca"
	"github.com/cardctl/cardctl/internal/cardsim"
	"github.com/cardctl/cardctl/internal/csr"
)

// newEnrolDesk has a key on the card, and a CA in a file.
func newEnrolDesk(t *testing.T) *testDesk {
	t.Helper()
	d := newDesk(t, "CARDCTL_ISSUER_SECRET=4815162342")
	for _, line := range fileCA {
		d.must(d.words(strings.ReplaceAll(line, "env:CARDCTL_PIN", "env:CARDCTL_ISSUER_SECRET"))...)
	}
	return d
}

const enrol = "enroll -k OPENPGP.3 --subject CN=a --issuer ca:$W/ca?profile=client"

// TestEnrolledOnce pulls the card out at every command: the same command goes on, and
// only one certificate is issued.
func TestEnrolledOnce(t *testing.T) {
	const most = 30
	for after := 1; after < most; after++ {
		d := newEnrolDesk(t)
		r := d.run(context.Background(), d.words(enrol), cardsim.RemoveAfter(after))
		if r.exit == 0 {
			if after < 5 {
				t.Fatalf("done after %d commands", after)
			}
			return
		}
		d.must(d.words(enrol)...)
		if listed := d.must(d.words("ca list $W/ca -o json")...).stdout; strings.Count(listed, "serialNumber") != 1 {
			t.Errorf("pulled after command %d: %s", after, listed)
		}
		if files, err := filepath.Glob(filepath.Join(d.state, "enrolment", "*.json")); err != nil || len(files) != 1 {
			t.Errorf("%q, %v", files, err)
		}
	}
	t.Error("it never ends")
}

// answering is an issuer of a test, which changes what it certifies.
type answering struct {
	root    *x509.Certificate
	rootKey *ecdsa.PrivateKey
}

func newAnswering(t *testing.T) *answering {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "Issuer"}, NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().AddDate(5, 0, 0),
		IsCA: true, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageCertSign,
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, &key.PublicKey, key)
	if err != nil {
		t.Fatal(err)
	}
	root, err := x509.ParseCertificate(der)
	if err != nil {
		t.Fatal(err)
	}
	return &answering{root, key}
}

func (a *answering) certificate(t *testing.T, request []byte, change func(*x509.Certificate), by *answering) []byte {
	t.Helper()
	read, err := csr.Read(request)
	if err != nil {
		t.Fatal(err)
	}
	c := &x509.Certificate{
		SerialNumber: big.NewInt(77), RawSubject: read.RawSubject, NotBefore: time.Now().Add(-time.Minute), NotAfter: time.Now().AddDate(0, 0, 30),
		EmailAddresses: []string{"a@example.com"}, ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth},
		BasicConstraintsValid: true,
	}
	public := read.PublicKey
	change(c)
	if c.PublicKey != nil {
		public = c.PublicKey
	}
	der, err := x509.CreateCertificate(rand.Reader, c, by.root, public, by.rootKey)
	if err != nil {
		t.Fatal(err)
	}
	return pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der})
}

// withSID names a Windows account.
func withSID(sid string) func(*x509.Certificate) {
	return func(c *x509.Certificate) {
		x, err := ca.SecurityIdentifier(sid)
		if err != nil {
			panic(err)
		}
		c.ExtraExtensions = append(c.ExtraExtensions, x)
	}
}

// TestAnswersOfIssuers has an issuer answer what was not asked for: nothing of it comes to
// the card.
func TestAnswersOfIssuers(t *testing.T) {
	const ask = "enroll -k OPENPGP.3 --subject CN=a,O=Oil --email a@example.com --ext-key-usage clientAuth --days 60 --issuer command:cat<$W/answer"
	own, stranger := newAnswering(t), newAnswering(t)
	for name, test := range map[string]struct {
		change func(*x509.Certificate)
		by     *answering
		answer func(good []byte) []byte
		exit   int
		says   string
		more   string
	}{
		"what was asked for": {},
		"with a root":        {more: " --issuer-ca $W/root"},
		"of another CA":      {by: stranger, more: " --issuer-ca $W/root", exit: 8, says: "does not chain to the issuer"},
		"another mail address": {
			change: func(c *x509.Certificate) { c.EmailAddresses = append(c.EmailAddresses, "boss@example.com") }, exit: 8,
			says: `the alternative name "boss@example.com", which was not asked for`,
		},
		"another mail address, and accepted": {
			change: func(c *x509.Certificate) { c.EmailAddresses = append(c.EmailAddresses, "boss@example.com") }, exit: 8,
			says: "not asked for", more: " --accept-names",
		},
		"a host name":     {change: func(c *x509.Certificate) { c.DNSNames = []string{"vpn.example.com"} }, exit: 8, says: "vpn.example.com"},
		"no mail address": {change: func(c *x509.Certificate) { c.EmailAddresses = nil }, exit: 8, says: `It lacks the alternative name "a@example.com". The certificate is remembered.`},
		"no organisation": {change: func(c *x509.Certificate) { c.RawSubject, c.Subject = nil, pkix.Name{CommonName: "a"} }, exit: 8, says: "Its subject lacks O=Oil."},
		"another person": {change: func(c *x509.Certificate) {
			c.RawSubject, c.Subject = nil, pkix.Name{CommonName: "b", Organization: []string{"Oil"}}
		}, exit: 8, says: "Its subject lacks CN=a. Its subject has CN=b."},
		"no organisation, accepted": {
			change: func(c *x509.Certificate) { c.RawSubject, c.Subject = nil, pkix.Name{CommonName: "a"} }, more: " --accept-names",
		},
		"a security identifier": {
			change: func(c *x509.Certificate) {
				c.ExtraExtensions = []pkix.Extension{{Id: asn1.ObjectIdentifier{1, 3, 6, 1, 4, 1, 311, 25, 2}, Value: []byte{0x30, 0}}}
			}, exit: 8, says: "the security identifier of a Windows account, which was not asked for",
		},
		"the security identifier": {change: withSID("S-1-5-21-500"), more: " --sid S-1-5-21-500"},
		"the security identifier of another": {
			change: withSID("S-1-5-21-5001"), more: " --sid S-1-5-21-500", exit: 8, says: "the security identifier of a Windows account, which was not asked for",
		},
		"no security identifier": {more: " --sid S-1-5-21-500", exit: 8, says: "It lacks the security identifier of the Windows account."},
		"of a clock ahead":       {change: func(c *x509.Certificate) { c.NotBefore = time.Now().Add(2 * time.Minute) }},
		"a CA":                   {change: func(c *x509.Certificate) { c.IsCA = true }, exit: 8, says: "It is that of a CA."},
		"expired": {change: func(c *x509.Certificate) {
			c.NotAfter = time.Now().Add(-time.Second)
			c.NotBefore = c.NotAfter.AddDate(0, 0, -1)
		}, exit: 8, says: "It expired on"},
		"of tomorrow":   {change: func(c *x509.Certificate) { c.NotBefore = time.Now().AddDate(0, 0, 1) }, exit: 8, says: "It is not valid before"},
		"a longer life": {change: func(c *x509.Certificate) { c.NotAfter = time.Now().AddDate(0, 0, 62) }, exit: 8, says: "longer than 60 days"},
		"no purpose":    {change: func(c *x509.Certificate) { c.ExtKeyUsage = []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth} }, exit: 8, says: "It lacks the extended key usage 1.3.6.1.5.5.7.3.2."},
		"any purpose":   {change: func(c *x509.Certificate) { c.ExtKeyUsage = []x509.ExtKeyUsage{x509.ExtKeyUsageAny} }},
		"another key":   {change: func(c *x509.Certificate) { c.PublicKey = &stranger.rootKey.PublicKey }, exit: 8, says: "the certificate is not for the key on the card"},
		"nothing":       {answer: func([]byte) []byte { return nil }, exit: 8, says: "the file is empty"},
		"garbage":       {answer: func([]byte) []byte { return []byte("<html>") }, exit: 8, says: "the answer of the command"},
		"a long answer": {answer: func(good []byte) []byte { return append(good, make([]byte, 1<<21)...) }, exit: 8, says: "the answer of the command is too long"},
		"with its issuer": {answer: func(good []byte) []byte {
			return append(good, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: own.root.Raw})...)
		}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			d := newEnrolDesk(t)
			d.writeFile("root", pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: own.root.Raw}))
			request := d.must(d.words("gen-csr -k OPENPGP.3 --subject CN=a,O=Oil")...).stdout
			by, change := own, func(*x509.Certificate) {}
			if test.by != nil {
				by = test.by
			}
			if test.change != nil {
				change = test.change
			}
			answer := own.certificate(t, []byte(request), change, by)
			if test.answer != nil {
				answer = test.answer(answer)
			}
			d.writeFile("answer", answer)
			r := d.run(t.Context(), d.words(ask+test.more))
			if r.exit != test.exit || !strings.Contains(strings.Join(strings.Fields(r.stderr), " "), test.says) {
				t.Errorf("exit %d: %s", r.exit, r.stderr)
			}
			if got := len(d.info().Certificates); got != 0 && test.exit != 0 || got != 1 && test.exit == 0 {
				t.Errorf("%d certificates on the card", got)
			}
		})
	}
}

// TestRefusedAnswerIsNotKept asks again after an answer that no flag lets pass, and goes on
// with one that a flag does.
func TestRefusedAnswerIsNotKept(t *testing.T) {
	d := newEnrolDesk(t)
	own := newAnswering(t)
	counting := fmt.Sprintf("command:echo>>%[1]s/asked;cat<%[1]s/answer", d.state)
	ask := []string{"enroll", "-k", "OPENPGP.3", "--subject", "CN=a,O=Oil", "--email", "a@example.com", "--issuer", counting}
	request := d.must(d.words("gen-csr -k OPENPGP.3 --subject CN=a,O=Oil")...).stdout
	answers := func(change func(*x509.Certificate)) {
		d.writeFile("answer", own.certificate(t, []byte(request), change, own))
	}
	asked := func() int {
		content, err := os.ReadFile(filepath.Join(d.state, "asked"))
		if err != nil {
			t.Fatal(err)
		}
		return len(content)
	}
	answers(func(c *x509.Certificate) { c.DNSNames = []string{"vpn.example.com"} })
	if r := d.run(t.Context(), ask); r.exit != 8 || asked() != 1 {
		t.Fatalf("%+v, asked %d times", r, asked())
	}
	answers(func(c *x509.Certificate) { c.RawSubject, c.Subject = nil, pkix.Name{CommonName: "a"} })
	if r := d.run(t.Context(), ask); r.exit != 8 || asked() != 2 || !strings.Contains(r.stderr, "--accept-names") {
		t.Fatalf("%+v, asked %d times", r, asked())
	}
	if r := d.run(t.Context(), append(ask, "--accept-names")); r.exit != 0 || asked() != 2 {
		t.Fatalf("%+v, asked %d times", r, asked())
	}
	if info := d.info(); len(info.Certificates) != 1 {
		t.Errorf("%+v", info.Certificates)
	}
}

// remembering is a desk whose card has a certificate, and an issuer of a test that answers
// another name.
func remembering(t *testing.T) (d *testDesk, ask []string) {
	t.Helper()
	d = newEnrolDesk(t)
	request := d.must(d.words("gen-csr -k OPENPGP.3 --subject CN=a")...).stdout
	d.writeFile("answer", newAnswering(t).certificate(t, []byte(request), func(c *x509.Certificate) {
		c.RawSubject, c.Subject, c.EmailAddresses = nil, pkix.Name{CommonName: "b"}, nil
	}, newAnswering(t)))
	d.must(d.words(enrol)...)
	return d, []string{"enroll", "-k", "OPENPGP.3", "--subject", "CN=a", "--issuer", "command:cat<" + filepath.Join(d.state, "answer")}
}

// TestEachRequestIsAsked answers the question for one request, which says nothing about
// another one.
func TestEachRequestIsAsked(t *testing.T) {
	d, ask := remembering(t)
	before := d.info().Certificates
	if r := d.run(t.Context(), append(ask, "--yes")); r.exit != 8 || !strings.Contains(r.stderr, "remembered") {
		t.Fatalf("%+v", r)
	}
	for name, args := range map[string][]string{
		"the same request":  append(ask, "--accept-names"),
		"of another issuer": d.words(enrol + "&"),
	} {
		if r := d.run(t.Context(), args); r.exit != 9 {
			t.Errorf("%s: %+v", name, r)
		}
	}
	if after := d.info().Certificates; after[0].SHA256 != before[0].SHA256 {
		t.Error("the certificate was replaced")
	}
}

// TestWhoRenews asks another issuer in vain: the certificate on the card is still of the one
// before.
func TestWhoRenews(t *testing.T) {
	d, ask := remembering(t)
	for _, issuer := range []string{"command:false", ask[len(ask)-1]} {
		if r := d.run(t.Context(), append(ask[:len(ask)-1:len(ask)-1], issuer, "--yes")); r.exit == 0 {
			t.Fatalf("%+v", r)
		}
		if r := d.must("renew", "-k", "OPENPGP.3", "--ask-anew", "--dry-run"); !strings.Contains(r.stdout, "?profile=client") {
			t.Errorf("after %s: %s", issuer, r.stdout)
		}
	}
}

// TestNothingCanBeRemembered takes the directory away while the issuer is asked.
func TestNothingCanBeRemembered(t *testing.T) {
	d, ask := remembering(t)
	ask[len(ask)-1] += fmt.Sprintf("; cd %s && rm -r enrolment && touch enrolment", d.state)
	r := d.run(t.Context(), append(ask, "--yes"))
	if r.exit != 8 || !strings.Contains(r.stderr, "The certificate is lost") {
		t.Errorf("%+v", r)
	}
	if err := os.Remove(filepath.Join(d.state, "enrolment")); err != nil {
		t.Fatal(err)
	}
	r = d.run(t.Context(), append(ask, "--yes", "--accept-names"))
	if r.exit != 1 || !strings.Contains(r.stderr, "the certificate is on the card") {
		t.Errorf("%+v", r)
	}
	if now := d.info().Certificates; now[0].Subject != "CN=b" {
		t.Errorf("%+v", now)
	}
}

// TestRefusedForANewKey goes on with the new key after an answer that is refused: the one
// before is gone.
func TestRefusedForANewKey(t *testing.T) {
	d := newEnrolDesk(t)
	d.must(d.words(enrol)...)
	again := []string{"renew", "-k", "OPENPGP.3", "--new-key", "--yes"}
	if r := d.run(t.Context(), append(again, d.words("--issuer command:cat<$W/ca/ca.pem")...)); r.exit != 8 {
		t.Fatalf("%+v", r)
	}
	d.must(again...)
	info := d.info()
	if len(info.Certificates) != 1 || !info.Certificates[0].MatchesKey {
		t.Errorf("%+v", info.Certificates)
	}
	d.must("renew", "-k", "OPENPGP.3")
}
