package pkcs12_test

import (
	"bytes"
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"errors"
	"math/big"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/cardctl/cardctl/internal/pkcs12"
	"github.com/cardctl/cardctl/internal/problem"
	"github.com/cardctl/cardctl/internal/secret"
)

// bench is a directory with key.pem, cert.pem for it, and keys.pem, which has
// another key before.
type bench struct {
	dir string
	key *ecdsa.PrivateKey
}

func newBench(t *testing.T) *bench {
	t.Helper()
	b := &bench{dir: t.TempDir()}
	var blocks [][]byte
	for range 2 {
		key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
		if err != nil {
			t.Fatal(err)
		}
		der, err := x509.MarshalPKCS8PrivateKey(key)
		if err != nil {
			t.Fatal(err)
		}
		b.key = key
		blocks = append(blocks, pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: der}))
	}
	template := &x509.Certificate{SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "leaf"}, NotAfter: time.Now().Add(time.Hour)}
	der, err := x509.CreateCertificate(rand.Reader, template, template, b.key.Public(), b.key)
	if err != nil {
		t.Fatal(err)
	}
	b.write(t, "key.pem", blocks[1])
	b.write(t, "keys.pem", slices.Concat(blocks...))
	b.write(t, "cert.pem", pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der}))
	return b
}

func (b *bench) write(t *testing.T, name string, content []byte) {
	t.Helper()
	if err := os.WriteFile(filepath.Join(b.dir, name), content, 0o600); err != nil {
		t.Fatal(err)
	}
}

// export is openssl pkcs12 -export, with the password "secret" unless the
// options say another.
func (b *bench) export(t *testing.T, options ...string) []byte {
	t.Helper()
	if !slices.Contains(options, "-passout") {
		options = append(options, "-passout", "pass:secret")
	}
	cmd := exec.Command("openssl", append([]string{"pkcs12", "-export", "-in", "cert.pem"}, options...)...)
	cmd.Dir = b.dir
	var stderr bytes.Buffer
	cmd.Stderr = &stderr
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("%v: %v\n%s", cmd.Args, err, &stderr)
	}
	return out
}

func typed(password string) secret.Asker {
	return func(context.Context, secret.Request) (*secret.Bytes, error) { return secret.New([]byte(password)), nil }
}

func TestOpen(t *testing.T) {
	b := newBench(t)
	withKey := func(options ...string) []byte {
		return b.export(t, append([]string{"-inkey", "key.pem"}, options...)...)
	}
	pbes2 := func(cipher string, options ...string) []byte {
		return withKey(append([]string{"-keypbe", cipher, "-certpbe", cipher}, options...)...)
	}
	for name, file := range map[string][]byte{
		"as OpenSSL 3 does":          withKey(),
		"as OpenSSL 1 did":           withKey("-legacy"),
		"AES-128":                    pbes2("AES-128-CBC"),
		"AES-192":                    pbes2("AES-192-CBC"),
		"AES-256":                    pbes2("AES-256-CBC"),
		"AES-256, MAC with SHA-1":    pbes2("AES-256-CBC", "-macalg", "sha1"),
		"AES-256, MAC with SHA-512":  pbes2("AES-256-CBC", "-macalg", "sha512"),
		"triple DES of PKCS#12":      pbes2("PBE-SHA1-3DES", "-legacy", "-macalg", "sha1"),
		"RC2 of 40 bits":             pbes2("PBE-SHA1-RC2-40", "-legacy", "-macalg", "sha1"),
		"certificates not encrypted": withKey("-certpbe", "NONE"),
		"the empty password":         withKey("-passout", "pass:"),
		"a friendly name":            withKey("-name", "Ünterwegs"),
	} {
		t.Run(name, func(t *testing.T) {
			if !pkcs12.Is(file) {
				t.Error("it is not taken for PKCS#12")
			}
			got, err := pkcs12.Open(t.Context(), file, typed("secret"))
			if err != nil {
				t.Fatal(err)
			}
			if !b.key.Equal(got.Private) || len(got.Certificates) != 1 || got.Certificates[0].Subject.CommonName() != "leaf" {
				t.Errorf("got %d certificates and another key", len(got.Certificates))
			}
		})
	}
}

// severalKeys is a file that OpenSSL does not make, and GnuTLS does.
func severalKeys(t *testing.T, b *bench) []byte {
	t.Helper()
	cmd := exec.Command("certtool", "--to-p12", "--outder", "--load-privkey", "keys.pem", "--p12-name", "two", "--password", "secret")
	cmd.Dir = b.dir
	var stderr bytes.Buffer
	cmd.Stderr = &stderr
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("%v: %v\n%s", cmd.Args, err, &stderr)
	}
	return out
}

func TestOpenRefuses(t *testing.T) {
	b := newBench(t)
	whole := b.export(t, "-inkey", "key.pem")
	nobody := func(context.Context, secret.Request) (*secret.Bytes, error) {
		return nil, problem.New(problem.Usage, "nobody there")
	}
	for name, test := range map[string]struct {
		file []byte
		ask  secret.Asker
		code problem.Code
		says string
	}{
		"a wrong password":      {whole, typed("guess"), problem.Mismatch, "does not open"},
		"nobody to ask":         {whole, nobody, problem.Usage, "nobody there"},
		"no key":                {b.export(t, "-nokeys"), typed("secret"), problem.Mismatch, "no private key"},
		"no certificate":        {b.export(t, "-inkey", "key.pem", "-nocerts"), typed("secret"), problem.Mismatch, "could not be read"},
		"no MAC":                {b.export(t, "-inkey", "key.pem", "-nomac"), typed("secret"), problem.Mismatch, "could not be read"},
		"a cipher of nobody's":  {b.export(t, "-inkey", "key.pem", "-keypbe", "CAMELLIA-256-CBC"), typed("secret"), problem.NotSupported, "not supported"},
		"RC4":                   {b.export(t, "-inkey", "key.pem", "-legacy", "-keypbe", "PBE-SHA1-RC4-128"), typed("secret"), problem.NotSupported, "not supported"},
		"the first half":        {whole[:len(whole)/2], typed("secret"), problem.Mismatch, "could not be read"},
		"several keys":          {severalKeys(t, b), typed("secret"), problem.Mismatch, "several private keys"},
		"BER with open lengths": {append([]byte{0x30, 0x80}, whole[4:]...), typed("secret"), problem.Mismatch, "could not be read"},
	} {
		t.Run(name, func(t *testing.T) {
			_, err := pkcs12.Open(t.Context(), test.file, test.ask)
			var p *problem.Error
			if !errors.As(err, &p) || p.Code != test.code || !strings.Contains(err.Error(), test.says) {
				t.Fatalf("got %v, want %s and %q", err, test.code, test.says)
			}
			if p.Next.IsZero() && test.code != problem.Usage {
				t.Error("nothing is said to do next")
			}
			if strings.Contains(err.Error(), "secret") || strings.Contains(err.Error(), "guess") {
				t.Error("the password is in the error")
			}
		})
	}
}

func TestOpenIsInterrupted(t *testing.T) {
	file := newBench(t).export(t, "-inkey", "key.pem", "-iter", "1000000", "-passout", "pass:")
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Millisecond)
	defer cancel()
	if _, err := pkcs12.Open(ctx, file, typed("secret")); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("got %v", err)
	}
}
