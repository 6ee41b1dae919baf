package ca

import (
	"bytes"
	"context"
	"crypto"
	"crypto/ecdh"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/asn1"
	"encoding/hex"
	"encoding/pem"
	"fmt"
	"math/big"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/cardctl/cardctl/internal/cert"
	"github.com/cardctl/cardctl/internal/csr"
	"github.com/cardctl/cardctl/internal/desk"
	"github.com/cardctl/cardctl/internal/problem"
	"github.com/cardctl/cardctl/internal/pubkey"
	"github.com/cardctl/cardctl/internal/secret"
)

// tlv is an element of DER.
func tlv(t *testing.T, tag int, content ...[]byte) []byte {
	t.Helper()
	der, err := asn1.Marshal(asn1.RawValue{Class: tag & 0xC0 >> 6, IsCompound: tag&0x20 != 0, Tag: tag & 0x1F, Bytes: slices.Concat(content...)})
	if err != nil {
		t.Fatal(err)
	}
	return der
}

// attribute is a name with one attribute, of an OID below 2.5.4 or that in DER.
func attribute(t *testing.T, oid string, tag int, value string) []byte {
	t.Helper()
	return tlv(t, 0x30, tlv(t, 0x31, tlv(t, 0x30, tlv(t, 6, []byte(oid)), tlv(t, tag, []byte(value)))))
}

const (
	commonName = "\x55\x04\x03"
	country    = "\x55\x04\x06"
	mailInName = "\x2a\x86\x48\x86\xf7\x0d\x01\x09\x01"
)

// handmade is a request with these bytes as subject and alternative names.
func handmade(t *testing.T, subject, altNames []byte) []byte {
	t.Helper()
	k, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	public, err := x509.MarshalPKIXPublicKey(k.Public())
	if err != nil {
		t.Fatal(err)
	}
	var attributes []byte
	if altNames != nil {
		extension := tlv(t, 0x30, tlv(t, 6, []byte("\x55\x1d\x11")), tlv(t, 4, tlv(t, 0x30, altNames)))
		attributes = tlv(t, 0x30, tlv(t, 6, []byte("\x2a\x86\x48\x86\xf7\x0d\x01\x09\x0e")), tlv(t, 0x31, tlv(t, 0x30, extension)))
	}
	info := tlv(t, 0x30, []byte{2, 1, 0}, subject, public, tlv(t, 0xA0, attributes))
	digest := sha256.Sum256(info)
	signature, err := ecdsa.SignASN1(rand.Reader, k, digest[:])
	if err != nil {
		t.Fatal(err)
	}
	algorithm := tlv(t, 0x30, tlv(t, 6, []byte("\x2a\x86\x48\xce\x3d\x04\x03\x02")))
	return tlv(t, 0x30, info, algorithm, tlv(t, 3, []byte{0}, signature))
}

// Names that RFC 5280 does not allow, or that programs take for others, are in no
// certificate.
func TestOddNamesOfRequests(t *testing.T) {
	c := newCA(t, InitOptions{})
	good := attribute(t, commonName, asn1.TagUTF8String, "good")
	for what, der := range map[string][]byte{
		"not UTF-8":             handmade(t, attribute(t, commonName, asn1.TagUTF8String, "\xff"), nil),
		"a NUL":                 handmade(t, attribute(t, commonName, asn1.TagUTF8String, "a\x00b"), nil),
		"an escape":             handmade(t, attribute(t, commonName, asn1.TagUTF8String, "\x1b[31m"), nil),
		"written backwards":     handmade(t, attribute(t, commonName, asn1.TagUTF8String, "\u202egpj.exe"), nil),
		"nothing":               handmade(t, attribute(t, commonName, asn1.TagUTF8String, ""), nil),
		"65 characters":         handmade(t, attribute(t, commonName, asn1.TagUTF8String, strings.Repeat("a", 65)), nil),
		"a sequence":            handmade(t, attribute(t, commonName, 0x30, "\x05\x00"), nil),
		"an at sign":            handmade(t, attribute(t, commonName, asn1.TagPrintableString, "a@b"), nil),
		"a long country":        handmade(t, attribute(t, country, asn1.TagPrintableString, "Germany"), nil),
		"another letter":        handmade(t, attribute(t, country, asn1.TagUTF8String, "Ö1"), nil),
		"an empty set":          handmade(t, tlv(t, 0x30, tlv(t, 0x31)), tlv(t, 0x82, []byte("a.example"))),
		"a mail address":        handmade(t, attribute(t, mailInName, asn1.TagIA5String, "root"), nil),
		"a NUL in a host":       handmade(t, good, tlv(t, 0x82, []byte("good.example\x00.evil.example"))),
		"an empty host":         handmade(t, good, tlv(t, 0x82)),
		"an address as a host":  handmade(t, good, tlv(t, 0x82, []byte("192.0.2.1"))),
		"a constructed host":    handmade(t, good, tlv(t, 0xA2, []byte("\x16\x01a"))),
		"a mailbox of no host":  handmade(t, good, tlv(t, 0x81, []byte("root"))),
		"a URI without a place": handmade(t, good, tlv(t, 0x86, []byte("a"))),
	} {
		p := profile(t, "client")
		received, err := csr.Read(der)
		if err == nil {
			_, err = c.Issue(t.Context(), nil, atDesk(), Order{Request: received, Profile: p}, time.Now())
		}
		if !problem.Is(err, problem.Mismatch) {
			t.Errorf("%s: %v", what, err)
		}
	}
	if list, err := c.List(t.Context(), 0, time.Now()); err != nil || len(list) > 0 {
		t.Errorf("%v, %v", list, err)
	}
}

// Strings of old types become those that RFC 5280 wants, and a mail address in a subject
// becomes an alternative name, or is left out.
func TestSubjectsOfRequests(t *testing.T) {
	c := newCA(t, InitOptions{})
	for what, test := range map[string]struct {
		subject       []byte
		profile, want string
		emails        []string
		dropped       int
	}{
		"two bytes a character": {attribute(t, commonName, asn1.TagBMPString, "\x00b\x00m\x00p"), "client", "CN=bmp", nil, 0},
		"Teletex":               {attribute(t, commonName, asn1.TagT61String, "T\xe9"), "client", "CN=Té", nil, 0},
		"a country":             {attribute(t, country, asn1.TagUTF8String, "DE"), "client", "C=DE", nil, 0},
		"mail for a client":     {attribute(t, mailInName, asn1.TagIA5String, "a@example.com"), "client", "a@example.com", []string{"a@example.com"}, 0},
		"mail for a server":     {attribute(t, mailInName, asn1.TagIA5String, "a@example.com"), "server", "", nil, 1},
	} {
		received, err := csr.Read(handmade(t, test.subject, tlv(t, 0x82, []byte("www.example.com"))))
		if err != nil {
			t.Fatalf("%s: %v", what, err)
		}
		issued, parsed := issue(t, c, Order{Request: received, Profile: profile(t, test.profile)})
		if !strings.Contains(issued.Subject, test.want) || !slices.Equal(parsed.EmailAddresses, test.emails) || len(issued.Dropped) != test.dropped {
			t.Errorf("%s: %q, %v, %v", what, issued.Subject, parsed.EmailAddresses, issued.Dropped)
		}
		lints(t, issued.DER)
	}
}

// Nobody else gets the name or the key of the CA.
func TestTheCAIsAlone(t *testing.T) {
	c := newCA(t, InitOptions{})
	o := Order{Request: request(t, csr.Options{Subject: "O=EXAMPLE"}), Names: csr.Options{Subject: "CN=desk  ca,O=EXAMPLE"}, Profile: profile(t, "sub")}
	if _, err := c.Issue(t.Context(), nil, atDesk(), o, time.Now()); !problem.Is(err, problem.Mismatch) || !strings.Contains(err.Error(), "the subject is that of the CA") {
		t.Error(err)
	}
	o = Order{PublicKey: c.certificate.PublicKey, Names: csr.Options{Subject: "CN=a"}, Profile: profile(t, "client")}
	if _, err := c.Issue(t.Context(), nil, atDesk(), o, time.Now()); !problem.Is(err, problem.Mismatch) || !strings.Contains(err.Error(), "the key is that of the CA") {
		t.Error(err)
	}
}

func TestCAsThatCannotBe(t *testing.T) {
	c := newCA(t, InitOptions{})
	agreement, err := ecdh.X25519().GenerateKey(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"sub", "client"} {
		o := Order{PublicKey: agreement.Public(), Names: csr.Options{Subject: "CN=a"}, Profile: profile(t, name)}
		if _, err := c.Issue(t.Context(), nil, atDesk(), o, time.Now()); !problem.Is(err, problem.NotSupported) {
			t.Errorf("%s with a key that signs nothing: %v", name, err)
		}
	}
	o := Order{Request: request(t, csr.Options{Emails: []string{"a@example.com"}}), Profile: profile(t, "client"), IsCA: true}
	if _, err := c.Issue(t.Context(), nil, atDesk(), o, time.Now()); !problem.Is(err, problem.Usage) || !strings.Contains(err.Error(), "a CA needs a subject") {
		t.Errorf("a CA without a name: %v", err)
	}
}

// Below a CA whose certificate says that there is none below it, there is none.
func TestNoCABelowTheLast(t *testing.T) {
	root := newCA(t, InitOptions{})
	c := newCA(t, InitOptions{Subject: "CN=Sub", Parent: &Parent{Directory: root.dir, Access: atDesk()}})
	o := Order{Request: request(t, csr.Options{Subject: "CN=a"}), Profile: profile(t, "sub")}
	if _, err := c.Issue(t.Context(), nil, atDesk(), o, time.Now()); !problem.Is(err, problem.NotSupported) {
		t.Error(err)
	}
	o.Profile = profile(t, "client")
	issue(t, c, o)
}

func TestMoreWeakKeys(t *testing.T) {
	good, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		t.Fatal(err)
	}
	square := new(big.Int).Mul(good.Primes[0], good.Primes[0])
	if err := weak(&rsa.PublicKey{N: square, E: 65537}); err == nil || !strings.Contains(err.Error(), "close to each") {
		t.Errorf("a square: %v", err)
	}
	if err := weak(&rsa.PublicKey{N: new(big.Int).Mul(good.N, big.NewInt(7)), E: 65537}); err == nil || !strings.Contains(err.Error(), "small factor") {
		t.Errorf("a multiple of 7: %v", err)
	}
	zeros, err := ecdh.X25519().NewPublicKey(make([]byte, 32))
	if err != nil {
		t.Fatal(err)
	}
	if err := weak(zeros); !problem.Is(err, problem.Mismatch) {
		t.Errorf("zeros: %v", err)
	}
}

func TestKeysThatAreNone(t *testing.T) {
	brainpool := []byte("\x2b\x24\x03\x03\x02\x08\x01\x01\x07")
	for what, info := range map[string][]byte{
		"not on the curve": tlv(t, 0x30, tlv(t, 0x30, tlv(t, 6, []byte("\x2a\x86\x48\xce\x3d\x02\x01")), tlv(t, 6, brainpool)), tlv(t, 3, []byte{0, 4}, bytes.Repeat([]byte{0x11}, 64))),
		"DSA":              tlv(t, 0x30, tlv(t, 0x30, tlv(t, 6, []byte("\x2a\x86\x48\xce\x38\x04\x01"))), tlv(t, 3, []byte{0, 2, 1, 2})),
	} {
		public, err := pubkey.Parse(info)
		if err != nil {
			t.Fatalf("%s: %v", what, err)
		}
		if err := weak(public); !problem.Is(err, problem.Mismatch) || !strings.Contains(err.Error(), what) {
			t.Errorf("%s: %v", what, err)
		}
	}
}

// Answers of OCSP are of keys whose answers are read.
func TestKeysThatAnswerNothing(t *testing.T) {
	c := newCA(t, InitOptions{Algorithm: "ed25519"})
	no := atDesk()
	no.Ask = func(context.Context, secret.Request) (*secret.Bytes, error) {
		return nil, problem.New(problem.Usage, "asked for the password")
	}
	if _, err := c.SignOCSP(t.Context(), nil, no, Responder{}, nil, time.Now()); !problem.Is(err, problem.NotSupported) {
		t.Error(err)
	}
	_, signer, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	der, err := x509.MarshalPKCS8PrivateKey(signer)
	if err != nil {
		t.Fatal(err)
	}
	delegated := Responder{Key: file(t, "ocsp.key", pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: der}))}
	if _, err := c.SignOCSP(t.Context(), nil, atDesk(), delegated, nil, time.Now()); !problem.Is(err, problem.NotSupported) {
		t.Error(err)
	}
}

// Everybody signs for a point of small order: with zeros, one message in eight or so.
func TestForgeableKeys(t *testing.T) {
	forged := slices.Concat([]byte{1}, make([]byte, ed25519.SignatureSize-1))
	for _, text := range smallPoints() {
		point, err := hex.DecodeString(text)
		if err != nil {
			t.Fatal(err)
		}
		holds := false
		for i := range 256 {
			holds = holds || ed25519.Verify(point, []byte{byte(i)}, forged)
		}
		if !holds {
			t.Errorf("%s is not forged", text)
		}
		negative := slices.Clone(point)
		negative[len(negative)-1] |= 0x80
		for _, p := range [][]byte{point, negative} {
			if err := weak(ed25519.PublicKey(p)); !problem.Is(err, problem.Mismatch) {
				t.Errorf("%X: %v", p, err)
			}
		}
	}
	good, _, err := ed25519.GenerateKey(rand.Reader)
	if err != nil || weak(good) != nil {
		t.Error(err, weak(good))
	}
}

// That of another CA with the same serial number is not meant.
func TestTheSerialNumberOfAnother(t *testing.T) {
	c := newCA(t, InitOptions{})
	issued, _ := issue(t, c, Order{Request: request(t, csr.Options{Subject: "CN=a"}), Profile: profile(t, "client")})
	own, err := cert.Parse(issued.DER)
	if err != nil {
		t.Fatal(err)
	}
	if serial, err := c.Issued(t.Context(), own); err != nil || serial != issued.Serial {
		t.Errorf("%q, %v", serial, err)
	}
	other := *own
	other.Raw = slices.Concat(own.Raw[:len(own.Raw)-1], []byte{^own.Raw[len(own.Raw)-1]})
	if _, err := c.Issued(t.Context(), &other); !problem.Is(err, problem.Mismatch) {
		t.Error(err)
	}
	// A line of index.txt that was taken over may have no certificate.
	if _, err := c.db.ExecContext(t.Context(), "UPDATE certificates SET der = x''"); err != nil {
		t.Fatal(err)
	}
	if serial, err := c.Issued(t.Context(), own); err != nil || serial != issued.Serial {
		t.Errorf("%q, %v", serial, err)
	}
	stranger := newCA(t, InitOptions{})
	if _, err := stranger.db.ExecContext(t.Context(), "INSERT INTO certificates (serial, authority, der, subject, name, public_key, not_after, issued, profile) VALUES (?, 1, x'', '', '', '', 0, 0, '')", issued.Serial); err != nil {
		t.Fatal(err)
	}
	if _, err := stranger.Issued(t.Context(), own); !problem.Is(err, problem.Mismatch) {
		t.Error(err)
	}
}

// A clock that was wrong takes nothing out of the list that is right.
func TestAWrongClockShortensNoList(t *testing.T) {
	c := newCA(t, InitOptions{})
	issued, _ := issue(t, c, Order{Request: request(t, csr.Options{Subject: "CN=a"}), Profile: profile(t, "client")})
	now := time.Now()
	late := now.AddDate(3, 0, 0)
	if _, err := c.Revoke(t.Context(), atDesk(), issued.Serial, "superseded", late); err != nil {
		t.Fatal(err)
	}
	for _, at := range []time.Time{late, now} {
		list, err := c.SignCRL(t.Context(), nil, atDesk(), 7, at)
		if err != nil {
			t.Fatal(err)
		}
		parsed, err := x509.ParseRevocationList(list.DER)
		if err != nil {
			t.Fatal(err)
		}
		if at == now && (list.Revoked != 1 || parsed.RevokedCertificateEntries[0].RevocationTime.After(now)) {
			t.Errorf("%+v", parsed.RevokedCertificateEntries)
		}
	}
}

// What another command does while this one asks for the password is not undone.
func TestMeanwhile(t *testing.T) {
	c := newCA(t, InitOptions{})
	ctx, now := t.Context(), time.Now()
	o := Order{Request: request(t, csr.Options{Subject: "CN=a"}), Profile: profile(t, "client")}
	other := func(work func() error) desk.Access {
		a := atDesk()
		ask := a.Ask
		a.Ask = func(ctx context.Context, r secret.Request) (*secret.Bytes, error) {
			if err := work(); err != nil {
				t.Error(err)
			}
			return ask(ctx, r)
		}
		return a
	}
	slow := other(func() error { _, err := c.Issue(ctx, nil, atDesk(), o, now); return err })
	if _, err := c.Issue(ctx, nil, slow, o, now); !problem.Is(err, problem.Refused) {
		t.Errorf("two certificates for one name: %v", err)
	}
	slow = other(func() error { _, err := c.SignCRL(ctx, nil, atDesk(), 7, now); return err })
	if _, err := c.SignCRL(ctx, nil, slow, 7, now); !problem.Is(err, problem.Refused) {
		t.Errorf("two CRLs with one number: %v", err)
	}
}

// An init that fails leaves what others wrote meanwhile.
func TestTwoInitsAtOnce(t *testing.T) {
	dir := t.TempDir()
	slow := atDesk()
	ask := slow.Ask
	slow.Ask = func(ctx context.Context, r secret.Request) (*secret.Bytes, error) {
		if _, err := Init(ctx, nil, atDesk(), dir, InitOptions{Subject: "CN=First", Algorithm: "p256"}, time.Now()); err != nil {
			t.Error(err)
		}
		return ask(ctx, r)
	}
	if _, err := Init(t.Context(), nil, slow, dir, InitOptions{Subject: "CN=Second", Algorithm: "p256"}, time.Now()); err == nil {
		t.Error("two CAs in a directory")
	}
	c, err := Open(t.Context(), dir)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := c.SignCRL(t.Context(), nil, atDesk(), 7, time.Now()); err != nil || c.report().Subject != "CN=First" {
		t.Errorf("%+v, %v", c.report(), err)
	}
	if err := c.Close(); err != nil {
		t.Error(err)
	}
}

// What an init that was killed leaves is no CA, and that is said.
func TestAnInitThatWasKilled(t *testing.T) {
	for _, left := range [][]string{{keyFile}, {keyFile, CertificateFile}, {keyFile, CertificateFile, databaseFile}} {
		dir := t.TempDir()
		for _, name := range left {
			if err := os.WriteFile(filepath.Join(dir, name), nil, 0o600); err != nil {
				t.Fatal(err)
			}
		}
		if _, err := Open(t.Context(), dir); !problem.Is(err, problem.NotFound) || !strings.Contains(fmt.Sprint(err), "interrupted") {
			t.Errorf("%v: %v", left, err)
		}
		if _, err := Init(t.Context(), nil, atDesk(), dir, InitOptions{Subject: "CN=a"}, time.Now()); !problem.Is(err, problem.Refused) || !strings.Contains(fmt.Sprint(err), "interrupted") {
			t.Errorf("%v: %v", left, err)
		}
	}
}

func TestAnotherCertificateInTheDirectory(t *testing.T) {
	c, other := newCA(t, InitOptions{}), newCA(t, InitOptions{})
	path := filepath.Join(c.dir, CertificateFile)
	text, err := os.ReadFile(filepath.Join(other.dir, CertificateFile))
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, text, 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := Open(t.Context(), c.dir); !problem.Is(err, problem.Mismatch) {
		t.Error(err)
	}
	if err := os.Remove(path); err != nil {
		t.Fatal(err)
	}
	again, err := Open(t.Context(), c.dir)
	if err != nil {
		t.Fatal(err)
	}
	if err := again.Close(); err != nil {
		t.Error(err)
	}
}

// A CA that was taken over may have an old certificate: without extensions it signs all,
// with key usages what they say.
func TestOldCertificatesSignLists(t *testing.T) {
	c := newCA(t, InitOptions{})
	for what, test := range map[string]struct {
		usage x509.KeyUsage
		works bool
	}{"no key usage": {0, true}, "for certificates alone": {x509.KeyUsageCertSign, false}} {
		err := c.sign(t.Context(), nil, atDesk(), func(_ context.Context, signer crypto.Signer) error {
			old := x509.Certificate{
				SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "Old"}, NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour),
				BasicConstraintsValid: true, KeyUsage: test.usage,
			}
			der, err := x509.CreateCertificate(rand.Reader, &old, &old, signer.Public(), signer)
			if err != nil {
				return err
			}
			c.certificate, err = cert.Parse(der)
			return err
		})
		if err != nil {
			t.Fatal(err)
		}
		list, err := c.SignCRL(t.Context(), nil, atDesk(), 7, time.Now())
		if test.works != (err == nil) || !test.works && !problem.Is(err, problem.NotSupported) || test.works && len(list.DER) == 0 {
			t.Errorf("%s: %v", what, err)
		}
	}
}

func TestOddProfiles(t *testing.T) {
	for text, want := range map[string]string{
		"days: 1\nkeyUsage: [keyCertSign]":                                    "go together",
		"days: 1\nkeyUsage: [certificate sign]":                               "go together",
		"days: 1\nkeyUsage: [digitalSignature]\nkeyUsageEC: [keyCertSign]":    "go together",
		"days: 1\nca: true\nkeyUsage: [digitalSignature]":                     "go together",
		"days: 1\nkeyUsage: [keyEncipherment]":                                "keyUsageRSA",
		"days: 1\nkeyUsage: [world domination]":                               "unknown key usage",
		"days: 1\nkeyUsage: [digitalSignature]\nextKeyUsage: [a b]":           "usage",
		"days: 1\nkeyUsage: [digitalSignature]\npolicies: [1.2.840, 1.2.840]": "twice",
		"days: 1\nkeyUsage: [digitalSignature]\npolicies: [5.1]":              "policy",
		"days: 1\nkeyUsage: [digitalSignature]\n---\ndays: 2":                 "more than one",
		"days: 1\ndays: 2\nkeyUsage: [digitalSignature]":                      "already defined",
		"days: 99999999999999999999\nkeyUsage: [digitalSignature]":            "[1:",
		"days: [1]\nkeyUsage: [digitalSignature]":                             "[1:",
		"&a [*a, *a]": "",
		"days: 1\nkeyUsage: &a [&b [&c [x, x], *c, *c], *b, *b, *b, *b, *b, *b]": "",
	} {
		if _, err := parseProfile([]byte(text)); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%q: %v", text, err)
		}
	}
}

func TestSecurityIdentifiers(t *testing.T) {
	for _, odd := range []string{"S-1-", "S-1-5", "S-1--5", "S-1-5-x", "S-1-5-21\x00", "S-1-5" + strings.Repeat("-1", 16)} {
		if _, err := SecurityIdentifier(odd); !problem.Is(err, problem.Usage) {
			t.Errorf("%q: %v", odd, err)
		}
	}
}
