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
	"github.com/cardctl/cardctl/internal/pkcs12"
	"github.com/cardctl/cardctl/internal/problem"
	"github.com/cardctl/cardctl/internal/secret"
)

// MaxFile is the greatest length in bytes of a file that ParsePrivateKey reads.
const MaxFile = 1 << 20

// ParsePrivateKey reads the private key of a file, and the certificates beside
// it: PKCS#12, PKCS#8 plain and encrypted, PKCS#1, SEC1, in PEM or DER, told
// apart by what is in the file and not by its name. The result is what
// key.Key's Import takes, of a kind that key.Algorithms lists; other kinds are
// a problem.NotSupported. The password is asked for where one is needed. A file
// that is something else, or damaged, or that the password does not open, is a
// problem.Mismatch.
//
// What was decrypted is wiped; data is the caller's to wipe.
func ParsePrivateKey(ctx context.Context, data []byte, ask secret.Asker) (crypto.PrivateKey, []*cert.Certificate, error) {
	private, certificates, err := parse(ctx, data, ask)
	if err != nil {
		return nil, nil, err
	}
	public, err := publicOf(private)
	if err != nil {
		return nil, nil, err
	}
	if algorithm := key.AlgorithmOf(public); !slices.Contains(key.Algorithms(), algorithm) {
		return nil, nil, problem.New(problem.NotSupported, "no card supports %s keys", algorithm).
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

func parse(ctx context.Context, data []byte, ask secret.Asker) (crypto.PrivateKey, []*cert.Certificate, error) {
	switch {
	case len(data) > MaxFile:
		return nil, nil, problem.New(problem.Mismatch, "the file is too large to be a key").
			Because("The file is longer than %d bytes.", MaxFile)
	case len(bytes.TrimSpace(data)) == 0:
		return nil, nil, problem.New(problem.Mismatch, "the file is empty")
	case bytes.Contains(data, []byte(pemBegin)):
		return parsePEM(ctx, data, ask)
	case pkcs12.Is(data):
		contents, err := pkcs12.Open(ctx, data, ask)
		if err == nil && contents.Private == nil {
			err = notAKey("a PKCS#12 file without a private key")
		}
		return contents.Private, contents.Certificates, err
	}
	private, err := parseDER(ctx, data, ask)
	return private, nil, err
}

// pemBegin is in every PEM file, RFC 7468, 3.
const pemBegin = "-----BEGIN "

func parsePEM(ctx context.Context, data []byte, ask secret.Asker) (crypto.PrivateKey, []*cert.Certificate, error) {
	var certificates []*cert.Certificate
	var keys []*pem.Block
	var others []string
	blocks := 0
	rest := bytes.TrimPrefix(data, []byte("\xEF\xBB\xBF"))
	for {
		var block *pem.Block
		if block, rest = pem.Decode(rest); block == nil {
			break
		}
		defer secret.Wipe(block.Bytes)
		blocks++
		switch {
		case block.Type == "CERTIFICATE":
			certificate, err := cert.Parse(bytes.Clone(block.Bytes))
			if err != nil {
				return nil, nil, damaged("the certificate next to the key", err)
			}
			certificates = append(certificates, certificate)
		case strings.HasSuffix(block.Type, "PRIVATE KEY"):
			keys = append(keys, block)
		case block.Type != "EC PARAMETERS" && !slices.Contains(others, block.Type):
			others = append(others, block.Type)
		}
	}
	switch {
	case blocks < bytes.Count(data, []byte(pemBegin)):
		return nil, nil, problem.New(problem.Mismatch, "a PEM block of the file is damaged or incomplete").
			Because("%d of its %d blocks can be read.", blocks, bytes.Count(data, []byte(pemBegin)))
	case len(keys) > 1:
		return nil, nil, problem.New(problem.Mismatch, "the file has %d private keys", len(keys)).
			Because("An import needs a file with exactly one private key.")
	case len(keys) == 1:
		private, err := parseBlock(ctx, keys[0], ask)
		return private, certificates, err
	case len(certificates) > 0:
		return nil, nil, notAKey("a certificate without its private key")
	}
	return nil, nil, notAKey(fmt.Sprintf("PEM of type %q", strings.Join(others, ", ")))
}

// parseBlock reads a PEM block whose label ends in PRIVATE KEY.
func parseBlock(ctx context.Context, block *pem.Block, ask secret.Asker) (crypto.PrivateKey, error) {
	switch block.Type {
	case "OPENSSH PRIVATE KEY":
		return nil, notAKey("a key in OpenSSH's own format, which ssh-keygen converts in place").
			Advise(advice.Run("ssh-keygen", "-p", "-m", "PKCS8", "-f", "COPY"))
	case "PRIVATE KEY", "ENCRYPTED PRIVATE KEY", "RSA PRIVATE KEY", "EC PRIVATE KEY":
	default:
		return nil, problem.New(problem.NotSupported, "keys of type %q are not supported", block.Type).
			Because("Supported algorithms: %s.", listed(key.Algorithms()))
	}
	if block.Headers["DEK-Info"] == "" {
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
func decryptLegacyPEM(ctx context.Context, block *pem.Block, ask secret.Asker) ([]byte, error) {
	password, err := ask(ctx, passwordOf("the private key"))
	if err != nil {
		return nil, err
	}
	defer password.Wipe()
	//lint:ignore SA1019 files encrypted like this exist, and reading one makes nothing worse
	der, err := x509.DecryptPEMBlock(block, password.Reveal())
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

func notAKey(kind string) *problem.Error {
	return problem.New(problem.Mismatch, "the file is not a private key").
		Because("The file holds %s, but a private key in PKCS#8, PKCS#12, PKCS#1 or SEC1 is needed.", kind)
}

func damaged(what string, cause error) error {
	p := problem.New(problem.Mismatch, "%s is damaged or incomplete", what)
	p.Cause = cause
	return p
}
