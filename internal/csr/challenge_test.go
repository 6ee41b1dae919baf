package csr

import (
	"context"
	"crypto"
	"crypto/x509"
	"io"
	"regexp"
	"strings"
	"testing"

	"github.com/cardctl/cardctl/internal/problem"
	"github.com/cardctl/cardctl/internal/secret"
)

// countedSigner counts its signatures.
type countedSigner struct {
	crypto.Signer
	made int
}

func (c *countedSigner) Sign(random io.Reader, digest []byte, opts crypto.SignerOpts) ([]byte, error) {
	c.made++
	return c.Signer.Sign(random, digest, opts)
}

// TestOpenSSLReadsTheChallengePassword has OpenSSL verify requests of every kind of key, and
// show the attribute.
func TestOpenSSLReadsTheChallengePassword(t *testing.T) {
	requests := map[string]struct {
		signer crypto.Signer
		o      Options
	}{
		"other curve": {newOpenSSLSigner(t, "-algorithm", "EC", "-pkeyopt", "ec_paramgen_curve:brainpoolP256r1"), Options{}},
		"PSS":         {signer(t, "rsa2048"), Options{PSS: true, Digest: "sha384"}},
	}
	for name, key := range signers() {
		requests[name] = struct {
			signer crypto.Signer
			o      Options
		}{key, Options{Emails: []string{"user@example.com"}}}
	}
	for name, test := range requests {
		for password, want := range map[string]string{
			"Sesame 1+1=2?": "PRINTABLESTRING", "open_sesame@home": "UTF8STRING", "Öffne dich": "UTF8STRING",
			strings.Repeat("ä", maxChallenge): "UTF8STRING",
		} {
			test.o.Subject = "CN=Floppy Head"
			request, err := Parse(test.o)
			if err != nil {
				t.Fatal(err)
			}
			request.Challenge = secret.New([]byte(password))
			counted := &countedSigner{Signer: test.signer}
			der, err := Build(t.Context(), counted, request)
			if err != nil || counted.made != 1 {
				t.Errorf("%s: %d signatures, %v", name, counted.made, err)
				continue
			}
			verify(t, PEMRequest(der))
			shown := openssl(t, der, "asn1parse", "-inform", "DER")
			attribute := regexp.MustCompile(`OBJECT +:challengePassword\n.*SET +\n.*prim: ` + want + ` +:` + regexp.QuoteMeta(password) + `\n`)
			if !attribute.MatchString(shown) {
				t.Errorf("%s: no %s %q in\n%s", name, want, password, shown)
			}
			if name == "other curve" {
				continue
			}
			read, err := x509.ParseCertificateRequest(der)
			if err != nil || len(read.EmailAddresses) != len(test.o.Emails) {
				t.Errorf("%s: %v, %v", name, read.EmailAddresses, err)
			}
		}
	}
}

// TestAttributesAreInTheOrderOfDER puts the shorter attribute first (X.690, 11.6).
func TestAttributesAreInTheOrderOfDER(t *testing.T) {
	for _, password := range []string{"a", strings.Repeat("a", maxChallenge)} {
		request, err := Parse(Options{Subject: "CN=x", DNS: []string{"example.com"}})
		if err != nil {
			t.Fatal(err)
		}
		request.Challenge = secret.New([]byte(password))
		der, err := Build(t.Context(), signer(t, "ed25519"), request)
		if err != nil {
			t.Fatal(err)
		}
		extension := strings.Index(string(der), "\x2A\x86\x48\x86\xF7\x0D\x01\x09\x0E")
		challenge := strings.Index(string(der), "\x2A\x86\x48\x86\xF7\x0D\x01\x09\x07")
		if first := len(password) == 1; extension < 0 || challenge < 0 || (challenge < extension) != first {
			t.Errorf("%d characters: the extensions at %d, the challenge password at %d", len(password), extension, challenge)
		}
	}
}

func TestAChallengePasswordIsChecked(t *testing.T) {
	ask := func(password string) secret.Asker {
		return func(_ context.Context, r secret.Request) (*secret.Bytes, error) {
			if r.Name != secret.ChallengePassword || !r.Optional {
				t.Errorf("asked for %+v", r)
			}
			if password == "" {
				return nil, nil
			}
			return secret.New([]byte(password)), nil
		}
	}
	if password, err := AskChallenge(t.Context(), ask("")); password != nil || err != nil {
		t.Errorf("%v, %v", password, err)
	}
	most := strings.Repeat("ä", maxChallenge)
	if password, err := AskChallenge(t.Context(), ask(most)); err != nil || string(password.Reveal()) != most {
		t.Error(err)
	}
	password, err := AskChallenge(t.Context(), ask(most+"ä"))
	if password != nil || !problem.Is(err, problem.Usage) || strings.Contains(err.Error(), "ä") {
		t.Errorf("%v, %v", password, err)
	}
}

func TestARequestWithoutChallengeHasNone(t *testing.T) {
	request := build(t, "p256", Options{Subject: "CN=x"})
	if shown := openssl(t, request, "asn1parse"); strings.Contains(shown, "challengePassword") {
		t.Error(shown)
	}
}
