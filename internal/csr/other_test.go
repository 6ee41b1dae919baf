package csr

import (
	"crypto"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
	"time"

	"github.com/cardctl/cardctl/internal/ber"
	"github.com/cardctl/cardctl/internal/cert"
	"github.com/cardctl/cardctl/internal/problem"
	"github.com/cardctl/cardctl/internal/pubkey"
)

// opensslSigner signs with a key of OpenSSL, as a token does.
type opensslSigner struct {
	t      *testing.T
	dir    string
	public crypto.PublicKey
	bad    bool
}

func newOpenSSLSigner(t *testing.T, kind ...string) *opensslSigner {
	t.Helper()
	s := &opensslSigner{t: t, dir: t.TempDir()}
	s.run(append([]string{"genpkey", "-out", "key.pem"}, kind...)...)
	s.run("pkey", "-in", "key.pem", "-pubout", "-outform", "DER", "-out", "public.der")
	var err error
	if s.public, err = pubkey.Parse(s.read("public.der")); err != nil {
		t.Fatal(err)
	}
	return s
}

func (s *opensslSigner) run(args ...string) {
	s.t.Helper()
	cmd := exec.Command("openssl", args...)
	cmd.Dir = s.dir
	if out, err := cmd.CombinedOutput(); err != nil {
		s.t.Fatalf("%v: %v\n%s", cmd.Args, err, out)
	}
}

func (s *opensslSigner) read(name string) []byte {
	s.t.Helper()
	data, err := os.ReadFile(filepath.Join(s.dir, name))
	if err != nil {
		s.t.Fatal(err)
	}
	return data
}

func (s *opensslSigner) Public() crypto.PublicKey { return s.public }

func (s *opensslSigner) Sign(_ io.Reader, digest []byte, opts crypto.SignerOpts) ([]byte, error) {
	if s.bad {
		digest = append([]byte{digest[0] ^ 1}, digest[1:]...)
	}
	if err := os.WriteFile(filepath.Join(s.dir, "digest"), digest, 0o600); err != nil {
		return nil, err
	}
	args := []string{"pkeyutl", "-sign", "-inkey", "key.pem", "-in", "digest", "-out", "signature"}
	if opts.HashFunc() == 0 {
		args = append(args, "-rawin")
	}
	s.run(args...)
	return s.read("signature"), nil
}

// selfSigned has OpenSSL verify a certificate.
func (s *opensslSigner) selfSigned(name string, r Request) {
	s.t.Helper()
	var err error
	if r.Extensions, err = extensions(Options{Emails: []string{"me@example.com"}, KeyUsage: []string{"digitalSignature"}}, false); err != nil {
		s.t.Fatal(err)
	}
	const beyondUTCTime = 365 * 60
	der, err := BuildSelfSigned(s.t.Context(), s, r, beyondUTCTime, time.Now())
	if err != nil {
		s.t.Errorf("%s: %v", name, err)
		return
	}
	if err := os.WriteFile(filepath.Join(s.dir, "certificate.pem"), PEMCertificate(der), 0o600); err != nil {
		s.t.Fatal(err)
	}
	s.run("verify", "-check_ss_sig", "-x509_strict", "-CAfile", "certificate.pem", "certificate.pem")
	c, err := cert.Parse(der)
	if err != nil || !pubkey.Same(c.PublicKey, s.public) || c.IsCA || len(c.AltNames) != 1 || c.NotAfter.Year() < 2080 {
		s.t.Errorf("%s: %+v, %v", name, c, err)
	}
}

// TestRequestsOnOtherCurves has OpenSSL verify them.
func TestRequestsOnOtherCurves(t *testing.T) {
	for name, kind := range map[string][]string{
		"brainpoolP256r1": {"-algorithm", "EC", "-pkeyopt", "ec_paramgen_curve:brainpoolP256r1"},
		"brainpoolP384r1": {"-algorithm", "EC", "-pkeyopt", "ec_paramgen_curve:brainpoolP384r1"},
		"brainpoolP512r1": {"-algorithm", "EC", "-pkeyopt", "ec_paramgen_curve:brainpoolP512r1"},
		"secp256k1":       {"-algorithm", "EC", "-pkeyopt", "ec_paramgen_curve:secp256k1"},
		"Ed448":           {"-algorithm", "ED448"},
	} {
		s := newOpenSSLSigner(t, kind...)
		subject, err := ParseName("CN=Floppy Head")
		if err != nil {
			t.Fatal(err)
		}
		der, err := Build(t.Context(), s, Request{Subject: subject})
		if err != nil {
			t.Errorf("%s: %v", name, err)
			continue
		}
		if err := os.WriteFile(filepath.Join(s.dir, "request.der"), der, 0o600); err != nil {
			t.Fatal(err)
		}
		s.run("req", "-inform", "DER", "-in", "request.der", "-verify", "-noout")
		s.selfSigned(name, Request{Subject: subject})
		if e, rest, err := ber.Read(der); err != nil || len(rest) > 0 || e.NotDER {
			t.Errorf("%s: not DER, %v", name, err)
		}
		s.bad = true
		if _, err := Build(t.Context(), s, Request{Subject: subject}); !problem.Is(err, problem.Mismatch) {
			t.Errorf("%s, a wrong signature: %v", name, err)
		}
		if _, err := BuildSelfSigned(t.Context(), s, Request{Subject: subject}, 1, time.Now()); !problem.Is(err, problem.Mismatch) {
			t.Errorf("%s, a certificate with a wrong signature: %v", name, err)
		}
	}
	s := newOpenSSLSigner(t, "-algorithm", "EC", "-pkeyopt", "ec_paramgen_curve:brainpoolP320r1")
	if _, err := Build(t.Context(), s, Request{}); !problem.Is(err, problem.NotSupported) {
		t.Errorf("brainpoolP320r1: %v", err)
	}
}
