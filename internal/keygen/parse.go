package keygen

import (
	"bytes"
	"context"
	"crypto"
	"crypto/x509"
	"encoding/pem"
	"fmt"
	"slices"
	"strings"

	"github.com/cardctl/cardctl/internal/advice"
	"github.com/cardctl/cardctl/internal/cert"
	"github.com/cardctl/cardctl/internal/key"
	"github.com/cardctl/cardctl/internal/packaging"
	"github.com/cardctl/cardctl/internal/pkcs12"
	"github.com/cardctl/cardctl/internal/problem"
	"github.com/cardctl/cardctl/internal/secret"
)

// MaxFile is the greatest length in bytes of a file that ParsePrivateKey reads.
const MaxFile = 1 << 20

// ParsePrivateKey reads a private key of a file, and the certificates beside
// it: PKCS#12, PKCS#8 plain and encrypted, PKCS#1, SEC1, OpenSSH, in whatever
// packaging, told apart by what is in the file and not by its name. Of several
// keys in PKCS#12 it is the one with this name, or whose fingerprint begins with
// it. The result is what key.Key's Import takes, of a kind that key.Algorithms
// lists; other kinds are a problem.NotSupported. The password is asked for where
// one is needed. A file that is something else, or damaged, or that the password
// does not open, is a problem.Mismatch.
//
// What was decrypted is wiped; data is the caller's to wipe.
func ParsePrivateKey(ctx context.Context, data []byte, name string, ask secret.Asker) (crypto.PrivateKey, []*cert.Certificate, error) {
	private, certificates, err := parse(ctx, data, name, ask)
	if err != nil {
		return nil, nil, err
	}
	public, err := publicOf(private)
	if err != nil {
		return nil, nil, err
	}
	if algorithm := key.AlgorithmOf(public); !slices.Contains(key.Algorithms(), algorithm) {
		return nil, nil, problem.New(problem.NotSupported, "%s keys are not supported", algorithm).
			Because("Supported algorithms: %s.", listed(key.Algorithms()))
	}
	return private, certificates, nil
}

func listed(algorithms []key.Algorithm) string {
	names := make([]string, len(algorithms))
	for i, a := range algorithms {
		names[i] = string(a)
	}
	return strings.Join(names, ", ")
}

func parse(ctx context.Context, data []byte, name string, ask secret.Asker) (crypto.PrivateKey, []*cert.Certificate, error) {
	switch {
	case len(data) > MaxFile:
		return nil, nil, problem.New(problem.Mismatch, "the file is too large to be a key").
			Because("The file is longer than %d bytes.", MaxFile)
	case len(bytes.TrimSpace(data)) == 0:
		return nil, nil, problem.New(problem.Mismatch, "the file is empty")
	}
	contents := packaging.Open(data)
	defer contents.Wipe()
	f, err := sort(contents)
	switch {
	case err != nil:
		return nil, nil, err
	case contents.Damaged > 0:
		return nil, nil, problem.New(problem.Mismatch, "a PEM block of the file is damaged or incomplete").
			Because("%d of its %d blocks can be read.", len(contents.Blocks), len(contents.Blocks)+contents.Damaged)
	case len(contents.Blocks) == 0:
		unknown := packaging.Name(data)
		return nil, nil, notAKey(unknown.Name).Advise(unknown.Next)
	case f.pkcs12 != nil:
		return fromPKCS12(ctx, f.pkcs12, name, ask)
	case len(f.keys) > 1:
		return nil, nil, problem.New(problem.Mismatch, "the file has %d private keys", len(f.keys)).
			Because("An import needs a file with exactly one private key.")
	case len(f.keys) == 1:
		private, err := parseBlock(ctx, f.keys[0], ask)
		return private, f.certificates, err
	case len(f.certificates) > 0:
		return nil, nil, notAKey("a certificate without its private key")
	}
	return nil, nil, notAKey(fmt.Sprintf("PEM of type %q", strings.Join(f.others, ", ")))
}

// found is what a file has, sorted.
type found struct {
	certificates []*cert.Certificate
	keys         []packaging.Block
	pkcs12       []byte
	others       []string
}

func sort(contents packaging.Contents) (f found, err error) {
	for _, block := range contents.Blocks {
		switch {
		case pkcs12.Is(block.Bytes):
			f.pkcs12 = block.Bytes
		case block.Label == "CERTIFICATE":
			certificate, err := cert.Parse(bytes.Clone(block.Bytes))
			if err != nil {
				return f, damaged("the certificate next to the key", err)
			}
			f.certificates = append(f.certificates, certificate)
		case block.Label == "", strings.HasSuffix(block.Label, "PRIVATE KEY"):
			f.keys = append(f.keys, block)
		case block.Label != "EC PARAMETERS" && !slices.Contains(f.others, block.Label):
			f.others = append(f.others, block.Label)
		}
	}
	return f, nil
}

// parseBlock reads a PEM block whose label ends in PRIVATE KEY, or one without a label.
func parseBlock(ctx context.Context, block packaging.Block, ask secret.Asker) (crypto.PrivateKey, error) {
	switch block.Label {
	case "OPENSSH PRIVATE KEY":
		return parseOpenSSH(ctx, block.Bytes, ask)
	case "", "PRIVATE KEY", "ENCRYPTED PRIVATE KEY", "RSA PRIVATE KEY", "EC PRIVATE KEY":
	default:
		return nil, problem.New(problem.NotSupported, "keys of type %q are not supported", block.Label).
			Because("Supported algorithms: %s.", listed(key.Algorithms()))
	}
	if block.Label == "" {
		if err := notDER(block.Bytes); err != nil {
			return nil, err
		}
	}
	if block.DEKInfo == "" {
		return parseDER(ctx, block.Bytes, ask)
	}
	der, err := decryptLegacyPEM(ctx, block, ask)
	if err != nil {
		return nil, err
	}
	defer secret.Wipe(der)
	private, err := parseDER(ctx, der, ask)
	if err != nil {
		return nil, wrongPassword(err) // the padding was right by chance
	}
	return private, nil
}

// decryptLegacyPEM decrypts what OpenSSL wrote before PKCS#8 (RFC 1421).
func decryptLegacyPEM(ctx context.Context, block packaging.Block, ask secret.Asker) ([]byte, error) {
	password, err := ask(ctx, passwordOf("the private key"))
	if err != nil {
		return nil, err
	}
	defer password.Wipe()
	old := &pem.Block{Type: block.Label, Bytes: block.Bytes, Headers: map[string]string{"DEK-Info": block.DEKInfo}}
	//lint:ignore SA1019 files encrypted like this exist, and reading one makes nothing worse
	der, err := x509.DecryptPEMBlock(old, password.Reveal())
	if err != nil {
		return nil, wrongPassword(err)
	}
	return der, nil
}

func passwordOf(what string) secret.Request {
	return secret.Request{Name: secret.Password, Label: "password of " + what}
}

func wrongPassword(cause error) error {
	p := problem.New(problem.Mismatch, "the password does not open the private key").
		Because("The file needs the password that it was created with, not a card PIN.").
		Advise(advice.Repeat(advice.Ask(secret.Password)))
	p.Cause = cause
	return p
}

// tooMuchWork is a key that is in bounds of its format, but not of this machine.
func tooMuchWork(what string) *problem.Error {
	return problem.New(problem.NotSupported, "%s asks for too much work", what)
}

func notAKey(kind string) *problem.Error {
	return problem.New(problem.Mismatch, "the file is not a private key").
		Because("The file holds %s, but a private key in PKCS#8, PKCS#12, PKCS#1, SEC1 or OpenSSH is needed.", kind)
}

func damaged(what string, cause error) error {
	p := problem.New(problem.Mismatch, "%s is damaged or incomplete", what)
	p.Cause = cause
	return p
}
