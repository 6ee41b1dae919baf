package certstore

import (
	"context"
	"crypto"
	"crypto/x509"
	"encoding/pem"
	"fmt"
	"strings"

	"golang.org/x/crypto/ssh"

	"github.com/cardctl/cardctl/internal/key"
	"github.com/cardctl/cardctl/internal/problem"
)

// Export is the certificate of a key in DER. Where the card has PEM text, as
// other programs leave it there, the DER in it is returned.
func Export(ctx context.Context, k key.Key) ([]byte, error) {
	stored, err := k.Certificate(ctx)
	if err != nil {
		return nil, err
	}
	if len(stored) == 0 {
		return nil, errNoCertificate()
	}
	der := withoutPadding(stored)
	if block, _ := pem.Decode(stored); block != nil {
		der = block.Bytes
	}
	if _, err := x509.ParseCertificate(der); err != nil {
		return nil, problem.New(problem.Mismatch, "what the card holds is not a certificate").
			Because("It is %s.", Describe(stored, nil).Unreadable).
			Hint("cardctl delete-cert removes it, cardctl import-cert writes another")
	}
	return der, nil
}

func errNoCertificate() error {
	return problem.New(problem.NotFound, "there is no certificate for this key on the card").
		Because("The place for it is empty.").Hint("cardctl info")
}

// Delete removes the certificate of a key, after confirm has agreed to it, and
// looks whether it is gone.
func Delete(ctx context.Context, k key.Key, ask func(ctx context.Context, question string) error) (Certificate, error) {
	stored, err := k.Certificate(ctx)
	if err != nil {
		return Certificate{}, err
	}
	if len(stored) == 0 {
		return Certificate{}, errNoCertificate()
	}
	deleted := Describe(stored, nil)
	if pub, err := k.Public(ctx); err == nil {
		deleted = Describe(stored, pub)
	}
	question := fmt.Sprintf("The certificate of %s is there: %s. Delete it?", k.Reference(), inWords(deleted))
	if err := confirm(ctx, ask, question); err != nil {
		return deleted, err
	}
	if err := k.DeleteCertificate(ctx); err != nil {
		return deleted, err
	}
	there, err := k.ReadBackCertificate(ctx)
	if err == nil && len(there) > 0 {
		err = problem.New(problem.Failed, "the certificate is still on the card").
			Because("The card accepted its removal and did not remove it.")
	}
	return deleted, err
}

// Format is how a public key is written.
type Format string

// The formats of the command line's contract.
const (
	PEM Format = "pem" // SubjectPublicKeyInfo, RFC 7468, 13
	DER Format = "der" // SubjectPublicKeyInfo, RFC 5280, 4.1.2.7
	SSH Format = "ssh" // one line of authorized_keys, sshd(8)
)

// ParseFormat reads what a user types after --format.
func ParseFormat(s string) (Format, error) {
	switch f := Format(strings.ToLower(s)); f {
	case PEM, DER, SSH:
		return f, nil
	}
	return "", problem.New(problem.Usage, "%q is not a format", s).Because("The formats are pem, der and ssh.")
}

// ExportPublicKey writes a public key, in PEM where the format is empty. The
// comment is for SSH only.
func ExportPublicKey(pub crypto.PublicKey, format Format, comment string) ([]byte, error) {
	if format == SSH {
		return sshLine(pub, comment)
	}
	der, err := x509.MarshalPKIXPublicKey(pub)
	switch {
	case err != nil:
		return nil, problem.Wrap(problem.NotSupported, err, "the public key cannot be encoded")
	case format == DER:
		return der, nil
	}
	return pem.EncodeToMemory(&pem.Block{Type: "PUBLIC KEY", Bytes: der}), nil
}

func sshLine(pub crypto.PublicKey, comment string) ([]byte, error) {
	public, err := ssh.NewPublicKey(pub)
	if err != nil {
		return nil, problem.New(problem.NotSupported, "%s keys have no SSH form", key.AlgorithmOf(pub)).
			Because("SSH has RSA, ECDSA and Ed25519 keys.").Hint("--format pem")
	}
	line := strings.TrimSuffix(string(ssh.MarshalAuthorizedKey(public)), "\n")
	if comment = strings.Join(strings.Fields(comment), " "); comment != "" {
		line += " " + comment
	}
	return []byte(line + "\n"), nil
}
