package chain

import (
	"bytes"
	"context"
	"encoding/pem"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/cardctl/cardctl/internal/cert"
)

// authority makes certificates with OpenSSL, which makes kinds that crypto/x509 cannot.
type authority struct {
	testing.TB
	dir string
}

func newAuthority(t testing.TB) authority { return authority{t, t.TempDir()} }

func (a authority) openssl(args ...string) {
	a.Helper()
	cmd := exec.Command("openssl", args...)
	cmd.Dir = a.dir
	var stderr bytes.Buffer
	cmd.Stderr = &stderr
	if err := cmd.Run(); err != nil {
		a.Fatalf("openssl %s: %v\n%s", strings.Join(args, " "), err, stderr.Bytes())
	}
}

// key makes a private key NAME.key: a curve, or an algorithm.
func (a authority) key(name, kind string) {
	a.Helper()
	switch kind {
	case "RSA", "RSA-PSS":
		a.openssl("genpkey", "-algorithm", kind, "-pkeyopt", "rsa_keygen_bits:2048", "-out", name+".key")
	case "RSA-512":
		a.openssl("genrsa", "-out", name+".key", "512")
	case "ED448", "ED25519":
		a.openssl("genpkey", "-algorithm", kind, "-out", name+".key")
	case "DSA":
		a.openssl("dsaparam", "-genkey", "-out", name+".key", "1024")
	default:
		a.openssl("ecparam", "-name", kind, "-genkey", "-noout", "-out", name+".key")
	}
}

const caExtensions = "basicConstraints=critical,CA:TRUE"

// root makes a self-signed certificate NAME.pem of NAME.key.
func (a authority) root(name, extensions string, options ...string) *cert.Certificate {
	a.Helper()
	a.write(name+".ext", "[req]\ndistinguished_name=dn\n[dn]\n[v3]\n"+extensions+"\n")
	a.openssl(append([]string{"req", "-x509", "-new", "-key", name + ".key", "-subj", "/O=Snake Oil/CN=" + name, "-days", "3650",
		"-config", name + ".ext", "-extensions", "v3", "-out", name + ".pem"}, options...)...)
	return a.read(name)
}

// issue makes a certificate NAME.pem of NAME.key by CA.
func (a authority) issue(name, ca, extensions string, options ...string) *cert.Certificate {
	a.Helper()
	a.write(name+".ext", extensions+"\n")
	subject := "/O=Snake Oil/CN=" + name
	for i, option := range options {
		if option == "-subj" {
			subject, options = options[i+1], append(options[:i:i], options[i+2:]...)
			break
		}
	}
	a.openssl("req", "-new", "-key", name+".key", "-utf8", "-subj", subject, "-out", name+".csr")
	a.openssl(append([]string{"x509", "-req", "-in", name + ".csr", "-CA", ca + ".pem", "-CAkey", ca + ".key", "-CAcreateserial", "-days", "3650",
		"-extfile", name + ".ext", "-out", name + ".pem"}, options...)...)
	return a.read(name)
}

func (a authority) write(name, text string) {
	a.Helper()
	if err := os.WriteFile(filepath.Join(a.dir, name), []byte(text), 0o600); err != nil {
		a.Fatal(err)
	}
}

func (a authority) read(name string) *cert.Certificate {
	a.Helper()
	text, err := os.ReadFile(filepath.Join(a.dir, name+".pem"))
	if err != nil {
		a.Fatal(err)
	}
	block, _ := pem.Decode(text)
	c, err := cert.Parse(block.Bytes)
	if err != nil {
		a.Fatal(err)
	}
	return c
}

// verify has an issuer of one kind and a leaf below it.
func verify(t *testing.T, leaf *cert.Certificate, roots ...*cert.Certificate) error {
	t.Helper()
	return Verify(t.Context(), leaf, Options{Roots: roots, At: time.Now()})
}

func wantFailure(t *testing.T, err error, words ...string) {
	t.Helper()
	var f *Failure
	if !errors.As(err, &f) {
		t.Fatalf("error %v", err)
	}
	for _, w := range words {
		if !strings.Contains(f.Why, w) {
			t.Errorf("no %q in %q", w, f.Why)
		}
	}
}

func TestSignaturesOfEveryKind(t *testing.T) {
	for name, test := range map[string]struct {
		kind    string
		options []string
		wrong   []string // words of the failure, none where it verifies
	}{
		"P-256":                      {"prime256v1", nil, nil},
		"brainpoolP256r1":            {"brainpoolP256r1", nil, nil},
		"brainpoolP384r1":            {"brainpoolP384r1", []string{"-sha384"}, nil},
		"brainpoolP512r1":            {"brainpoolP512r1", []string{"-sha512"}, nil},
		"brainpoolP256t1":            {"brainpoolP256t1", nil, nil},
		"brainpoolP384t1":            {"brainpoolP384t1", nil, nil},
		"brainpoolP512t1":            {"brainpoolP512t1", nil, nil},
		"secp256k1":                  {"secp256k1", nil, nil},
		"secp224r1":                  {"secp224r1", nil, nil},
		"Ed448":                      {"ED448", nil, nil},
		"Ed25519":                    {"ED25519", nil, nil},
		"RSA":                        {"RSA", nil, nil},
		"PSS with 20 bytes of salt":  {"RSA", []string{"-sigopt", "rsa_padding_mode:pss", "-sigopt", "rsa_pss_saltlen:20"}, nil},
		"PSS without salt":           {"RSA", []string{"-sigopt", "rsa_padding_mode:pss", "-sigopt", "rsa_pss_saltlen:0"}, nil},
		"PSS with the longest salt":  {"RSA", []string{"-sigopt", "rsa_padding_mode:pss", "-sigopt", "rsa_pss_saltlen:-2"}, nil},
		"an RSA-PSS key":             {"RSA-PSS", nil, nil},
		"SHA-3":                      {"prime256v1", []string{"-sha3-256"}, nil},
		"SHA-1":                      {"prime256v1", []string{"-sha1"}, []string{"is signed with SHA-1, which is not secure"}},
		"SHA-1 and RSA":              {"RSA", []string{"-sha1"}, []string{"SHA-1"}},
		"PSS with SHA-1":             {"RSA", []string{"-sha1", "-sigopt", "rsa_padding_mode:pss"}, []string{"SHA-1"}},
		"PSS with another MGF":       {"RSA", []string{"-sigopt", "rsa_padding_mode:pss", "-sigopt", "rsa_mgf1_md:sha512"}, []string{"cannot be checked here: RSASSA-PSS"}},
		"MD5":                        {"RSA", []string{"-md5"}, []string{"MD5"}},
		"a short RSA key":            {"RSA-512", []string{"-sha256"}, []string{"an RSA key of 512 bits"}},
		"a curve without arithmetic": {"brainpoolP320r1", nil, []string{"cannot be checked here: brainpoolP320r1"}},
		"a binary curve":             {"sect283r1", nil, []string{"cannot be checked here: sect283r1"}},
		"DSA":                        {"DSA", nil, []string{"cannot be checked here: DSA"}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			a := newAuthority(t)
			a.key("ca", test.kind)
			a.key("leaf", "prime256v1")
			ca := a.root("ca", caExtensions)
			leaf := a.issue("leaf", "ca", "basicConstraints=CA:FALSE", test.options...)
			err := verify(t, leaf, ca)
			if len(test.wrong) > 0 {
				wantFailure(t, err, test.wrong...)
			} else if err != nil {
				t.Error(err)
			}
			if issuers := Issuers(leaf, []*cert.Certificate{leaf, ca}, 10); len(issuers) != 1 || !issuers[0].Equal(ca) {
				t.Errorf("issuers %v", issuers)
			}
			if len(test.wrong) > 0 {
				return
			}
			forged := *leaf
			forged.Signature = bytes.Clone(leaf.Signature)
			forged.Signature[len(forged.Signature)-1] ^= 1
			if err := CheckSignature(&forged, ca); !errors.Is(err, ErrWrong) {
				t.Errorf("a changed signature: %v", err)
			}
			forged.Signature = leaf.Signature
			forged.RawTBSCertificate = append(bytes.Clone(leaf.RawTBSCertificate), 0)
			if err := CheckSignature(&forged, ca); !errors.Is(err, ErrWrong) {
				t.Errorf("changed content: %v", err)
			}
		})
	}
}

func TestWhatACAMayNot(t *testing.T) {
	a := newAuthority(t)
	for _, name := range []string{"ca", "leaf", "middle", "other"} {
		a.key(name, "prime256v1")
	}
	leafOf := func(name string) *cert.Certificate {
		return a.issue("leaf", name, "basicConstraints=CA:FALSE\nsubjectAltName=DNS:a.example.com")
	}
	for name, test := range map[string]struct {
		extensions string
		words      []string
	}{
		"CA:FALSE":            {"basicConstraints=CA:FALSE", []string{"CN=ca,O=Snake Oil is not a CA certificate (CA:FALSE)"}},
		"no constraints":      {"nsComment=x", []string{"is not a CA certificate, because it has no basicConstraints"}},
		"no keyCertSign":      {caExtensions + "\nkeyUsage=cRLSign", []string{"may not sign certificates", "keyCertSign"}},
		"a critical unknown":  {caExtensions + "\n1.2.3.4=critical,DER:0500", []string{"critical extension 1.2.3.4"}},
		"another DNS domain":  {caExtensions + "\nnameConstraints=critical,permitted;DNS:example.org", []string{"do not permit a.example.com"}},
		"an excluded domain":  {caExtensions + "\nnameConstraints=critical,excluded;DNS:example.com", []string{"exclude a.example.com"}},
		"another directory":   {caExtensions + "\nnameConstraints=critical,permitted;dirName:dir\n[dir]\nO=Other", []string{"do not permit CN=leaf"}},
		"registered IDs only": {caExtensions + "\nnameConstraints=critical,permitted;RID:1.2.3", nil},
		"the directory":       {caExtensions + "\nnameConstraints=critical,permitted;dirName:dir\n[dir]\nO=snake  OIL", nil},
	} {
		t.Run(name, func(t *testing.T) {
			ca := a.root("ca", test.extensions)
			err := verify(t, leafOf("ca"), ca)
			if len(test.words) == 0 {
				if err != nil {
					t.Error(err)
				}
				return
			}
			wantFailure(t, err, test.words...)
		})
	}
	t.Run("a path that is too long", func(t *testing.T) {
		ca := a.root("ca", caExtensions+",pathlen:0")
		middle := a.issue("middle", "ca", caExtensions)
		err := Verify(t.Context(), leafOf("middle"), Options{Roots: []*cert.Certificate{ca}, Others: []*cert.Certificate{middle}, At: time.Now()})
		wantFailure(t, err, "pathLenConstraint")
	})
	t.Run("expired", func(t *testing.T) {
		ca := a.root("ca", caExtensions)
		err := Verify(t.Context(), leafOf("ca"), Options{Roots: []*cert.Certificate{ca}, At: time.Now().AddDate(20, 0, 0)})
		wantFailure(t, err, "CN=leaf,O=Snake Oil expired on")
	})
	t.Run("the same name, another key", func(t *testing.T) {
		leaf := func() *cert.Certificate { a.root("ca", caExtensions); return leafOf("ca") }()
		a.key("ca", "prime256v1")
		err := verify(t, leaf, a.root("ca", caExtensions))
		wantFailure(t, err, "none of the given certificates is the issuer of CN=leaf")
		var f *Failure
		if errors.As(err, &f); !f.NoIssuer {
			t.Error("NoIssuer is not set")
		}
	})
}

// A name in another type of string is the same name (RFC 5280, 7.1).
func TestIssuerInAnotherStringType(t *testing.T) {
	a := newAuthority(t)
	a.key("ca", "prime256v1")
	a.key("leaf", "prime256v1")
	a.root("ca", caExtensions, "-subj", "/O=Snake Oil/CN=CA", "-utf8")
	ca := a.read("ca")
	// The same CA, whose name its certificate has as PrintableString now.
	a.write("ca.ext", "[req]\ndistinguished_name=dn\nstring_mask=pkix\n[dn]\n[v3]\n"+caExtensions+"\n")
	a.openssl("req", "-x509", "-new", "-key", "ca.key", "-subj", "/O=SNAKE  oil/CN=CA", "-days", "3650", "-config", "ca.ext", "-extensions", "v3", "-out", "ca.pem")
	leaf := a.issue("leaf", "ca", "basicConstraints=CA:FALSE")
	if bytes.Equal(leaf.RawIssuer, ca.RawSubject) {
		t.Fatal("the names have one encoding")
	}
	if err := verify(t, leaf, ca); err != nil {
		t.Error(err)
	}
}

// The leaf as its own CA verifies nothing, unless it signed itself.
func TestTheLeafIsNotItsOwnCA(t *testing.T) {
	a := newAuthority(t)
	a.key("ca", "prime256v1")
	a.key("leaf", "prime256v1")
	ca := a.root("ca", caExtensions)
	leaf := a.issue("leaf", "ca", "basicConstraints=CA:FALSE")
	wantFailure(t, verify(t, leaf, leaf), "none of the given certificates is the issuer")
	if err := verify(t, leaf, leaf, ca); err != nil {
		t.Error(err)
	}
	self := a.root("ca", "basicConstraints=CA:FALSE")
	if err := verify(t, self, self); err != nil {
		t.Error(err)
	}
	forged := *self
	forged.Signature = append([]byte(nil), self.Signature[:len(self.Signature)-1]...)
	if err := verify(t, &forged, &forged); err == nil {
		t.Error("a forged certificate is its own CA")
	}
}

// An issuer that crypto/x509 refuses does not spoil the chain.
func TestIssuerWithNegativeSerial(t *testing.T) {
	a := newAuthority(t)
	a.key("ca", "prime256v1")
	a.key("leaf", "prime256v1")
	ca := a.root("ca", caExtensions, "-set_serial", "-5")
	if ca.Standard() != nil || len(ca.Odd) == 0 || ca.Serial() != "-05" {
		t.Fatalf("%s, %v", ca.Serial(), ca.Odd)
	}
	if err := verify(t, a.issue("leaf", "ca", "basicConstraints=CA:FALSE"), ca); err != nil {
		t.Error(err)
	}
}

func TestVerifyEnds(t *testing.T) {
	a := newAuthority(t)
	a.key("ca", "brainpoolP512r1")
	a.key("leaf", "prime256v1")
	ca := a.root("ca", caExtensions)
	leaf := a.issue("leaf", "ca", "basicConstraints=CA:FALSE")
	var many []*cert.Certificate
	const count = 3000
	for i := range count {
		another := *ca
		another.Raw = append(bytes.Clone(ca.Raw), byte(i), byte(i>>8))
		another.Signature = nil
		many = append(many, &another)
	}
	forged := *leaf
	forged.Signature = leaf.Signature[:len(leaf.Signature)-1]
	const most = 10 * time.Second
	start := time.Now()
	wantFailure(t, Verify(t.Context(), &forged, Options{Roots: many, Others: many, At: time.Now()}), "too many of the given certificates are called CN=ca")
	if took := time.Since(start); took > most {
		t.Errorf("it took %s", took)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if err := Verify(ctx, &forged, Options{Roots: many, At: time.Now()}); !errors.Is(err, context.Canceled) {
		t.Errorf("interrupted: %v", err)
	}
}

// A certificate without basicConstraints issues nothing, except the leaf if the caller
// names it. One that says that it is no CA stays none.
func TestUnmarkedIssuer(t *testing.T) {
	a := newAuthority(t)
	for _, name := range []string{"root", "maker", "below", "no", "under", "leaf", "deep"} {
		a.key(name, "prime256v1")
	}
	root := a.root("root", caExtensions)
	unmarked := a.issue("maker", "root", "keyUsage=keyCertSign")
	refused := a.issue("no", "root", "basicConstraints=CA:FALSE")
	leaf, under := a.issue("leaf", "maker", "keyUsage=digitalSignature"), a.issue("under", "no", "keyUsage=digitalSignature")
	below := a.issue("below", "maker", caExtensions)
	deep := a.issue("deep", "below", "keyUsage=digitalSignature")
	verify := func(leaf, unmarked *cert.Certificate, others ...*cert.Certificate) error {
		return Verify(t.Context(), leaf, Options{Roots: []*cert.Certificate{root}, Others: others, At: time.Now(), Unmarked: unmarked})
	}
	if err := verify(leaf, unmarked, unmarked); err != nil {
		t.Error(err)
	}
	wantFailure(t, verify(leaf, nil, unmarked), "no basicConstraints")
	wantFailure(t, verify(under, refused, refused), "CA:FALSE")
	wantFailure(t, verify(deep, unmarked, below, unmarked), "no basicConstraints")
}
