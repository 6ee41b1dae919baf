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

	"github.com/cardctl/cardctl/internal/ber"
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
		"RC2 of 128 bits":            pbes2("PBE-SHA1-RC2-128", "-legacy", "-macalg", "sha1"),
		"triple DES with two keys":   pbes2("PBE-SHA1-2DES", "-legacy", "-macalg", "sha1"),
		"RC4 of 128 bits":            pbes2("PBE-SHA1-RC4-128", "-legacy", "-macalg", "sha1"),
		"RC4 of 40 bits":             pbes2("PBE-SHA1-RC4-40", "-legacy", "-macalg", "sha1"),
		"MAC with SHA-384":           withKey("-macalg", "sha384"),
		"MAC with MD5":               withKey("-macalg", "md5"),
		"no MAC":                     withKey("-nomac"),
		"no MAC, not encrypted":      withKey("-nomac", "-keypbe", "NONE", "-certpbe", "NONE"),
		"BER with open lengths":      opened(t, withKey()),
		"BER, not encrypted":         opened(t, withKey("-keypbe", "NONE", "-certpbe", "NONE")),
		"as NSS does":                b.nss(t, withKey("-name", "leaf")),
		"as NSS does, old":           b.nss(t, withKey("-name", "leaf"), "-c", "PKCS #12 V2 PBE With SHA-1 And 3KEY Triple DES-CBC", "-C", "PKCS #12 V2 PBE With SHA-1 And 40 Bit RC2 CBC"),
		"as Java does":               b.java(t, withKey("-name", "leaf")),
	} {
		t.Run(name, func(t *testing.T) {
			if !pkcs12.Is(file) {
				t.Error("it is not taken for PKCS#12")
			}
			got, err := pkcs12.Open(t.Context(), file, typed("secret"))
			if err != nil {
				t.Fatal(err)
			}
			b.check(t, got)
		})
	}
}

func (b *bench) check(t *testing.T, got pkcs12.Contents) {
	t.Helper()
	if len(got.Keys) != 1 || len(got.Certificates) != 1 || got.Certificates[0].Subject.CommonName() != "leaf" {
		t.Fatalf("got %d keys and %d certificates", len(got.Keys), len(got.Certificates))
	}
	if key, err := x509.ParsePKCS8PrivateKey(got.Keys[0].PKCS8); err != nil || !b.key.Equal(key) {
		t.Errorf("got another key, %v", err)
	}
}

// run runs a program in the directory.
func (b *bench) run(t *testing.T, name string, args ...string) []byte {
	t.Helper()
	cmd := exec.Command(name, args...)
	cmd.Dir = b.dir
	var stderr bytes.Buffer
	cmd.Stderr = &stderr
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("%v: %v\n%s%s", cmd.Args, err, out, &stderr)
	}
	return out
}

func (b *bench) read(t *testing.T, name string) []byte {
	t.Helper()
	data, err := os.ReadFile(filepath.Join(b.dir, name))
	if err != nil {
		t.Fatal(err)
	}
	return data
}

// nss has NSS import a file and export it again, in BER.
func (b *bench) nss(t *testing.T, file []byte, options ...string) []byte {
	t.Helper()
	db := "sql:" + t.TempDir()
	b.write(t, "in.p12", file)
	b.run(t, "certutil", "-N", "-d", db, "--empty-password")
	b.run(t, "pk12util", "-d", db, "-i", "in.p12", "-W", "secret")
	b.run(t, "pk12util", append([]string{"-d", db, "-o", "out.p12", "-n", "leaf", "-W", "secret"}, options...)...)
	out := b.read(t, "out.p12")
	if !bytes.HasPrefix(out, []byte{0x30, 0x80}) {
		t.Fatalf("NSS wrote DER: %X", out[:8])
	}
	return out
}

// java has keytool import a file into a keystore of its own.
func (b *bench) java(t *testing.T, file []byte) []byte {
	t.Helper()
	_ = os.Remove(filepath.Join(b.dir, "java.p12"))
	b.write(t, "in.p12", file)
	b.run(t, "keytool", "-importkeystore", "-srckeystore", "in.p12", "-srcstorepass", "secret",
		"-destkeystore", "java.p12", "-deststorepass", "secret", "-deststoretype", "PKCS12")
	return b.read(t, "java.p12")
}

// opened is a structure in BER: every constructed element has an open length, and every
// OCTET STRING is in segments. What is in a string stays as it is, and so the MAC right.
func opened(t *testing.T, der []byte) []byte {
	t.Helper()
	const segment = 5
	var convert func([]byte) []byte
	convert = func(data []byte) []byte {
		var out []byte
		for len(data) > 0 {
			e, rest, err := ber.Read(data)
			if err != nil {
				t.Fatal(err)
			}
			data = rest
			switch {
			case e.Constructed:
				out = append(out, e.Raw[0], 0x80)
				out = append(out, convert(e.Content)...)
				out = append(out, 0, 0)
			case e.Is(ber.OctetString) && len(e.Content) > segment:
				out = append(out, 0x24, 0x80)
				for part := range slices.Chunk(e.Content, segment) {
					out = append(out, ber.OctetString, byte(len(part)))
					out = append(out, part...)
				}
				out = append(out, 0, 0)
			default:
				out = append(out, e.Raw...)
			}
		}
		return out
	}
	return convert(der)
}

// A file without a key, and one without a certificate, are what they are.
func TestOpenPartsOfAFile(t *testing.T) {
	b := newBench(t)
	got, err := pkcs12.Open(t.Context(), b.export(t, "-nokeys"), typed("secret"))
	if err != nil || len(got.Keys) != 0 || len(got.Certificates) != 1 {
		t.Errorf("no key: %d keys, %d certificates, %v", len(got.Keys), len(got.Certificates), err)
	}
	got, err = pkcs12.Open(t.Context(), b.export(t, "-inkey", "key.pem", "-nocerts", "-name", "Ünterwegs"), typed("secret"))
	if err != nil || len(got.Keys) != 1 || len(got.Certificates) != 0 || got.Keys[0].Name != "Ünterwegs" {
		t.Errorf("no certificate: %+v, %v", got, err)
	}
	got, err = pkcs12.Open(t.Context(), severalKeys(t, b), typed("secret"))
	if err != nil || len(got.Keys) != 2 {
		t.Errorf("several keys: %d, %v", len(got.Keys), err)
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
		"a wrong password":     {whole, typed("guess"), problem.Mismatch, "does not open"},
		"nobody to ask":        {whole, nobody, problem.Usage, "nobody there"},
		"no MAC, wrong":        {b.export(t, "-inkey", "key.pem", "-nomac"), typed("guess"), problem.Mismatch, "does not open"},
		"too many iterations":  {b.export(t, "-inkey", "key.pem", "-iter", "2000001"), typed("secret"), problem.NotSupported, "too much work"},
		"a cipher of nobody's": {b.export(t, "-inkey", "key.pem", "-keypbe", "CAMELLIA-256-CBC"), typed("secret"), problem.NotSupported, "not supported"},
		"the first half":       {whole[:len(whole)/2], typed("secret"), problem.Mismatch, "could not be read"},
		"BER without an end":   {append([]byte{0x30, 0x80}, whole[4:]...), typed("secret"), problem.Mismatch, "could not be read"},
		"nested deep":          {slices.Concat([]byte{0x30, 0x80, 2, 1, 3}, bytes.Repeat([]byte{0x30, 0x80}, 1<<19)), typed("secret"), problem.Mismatch, "could not be read"},
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
