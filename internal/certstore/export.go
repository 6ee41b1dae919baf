package certstore

import (
	"context"
	"crypto"
	"encoding/pem"
	"strings"

	"golang.org/x/crypto/ssh"

	"github.com/cardctl/cardctl/internal/advice"
	"github.com/cardctl/cardctl/internal/cert"
	"github.com/cardctl/cardctl/internal/desk"
	"github.com/cardctl/cardctl/internal/iso7816"
	"github.com/cardctl/cardctl/internal/key"
	"github.com/cardctl/cardctl/internal/problem"
	"github.com/cardctl/cardctl/internal/pubkey"
)

// ExportFrom is the certificate of a key in DER. Where the card has PEM text, as
// other programs leave it there, the DER in it is returned.
func ExportFrom(ctx context.Context, k key.Key) ([]byte, error) {
	stored, err := certificateOf(ctx, k)
	if err != nil {
		return nil, err
	}
	der := stored
	if block, _ := pem.Decode(stored); block != nil {
		der = block.Bytes
	}
	c, err := cert.Parse(der)
	if err != nil {
		return nil, problem.New(problem.Mismatch, "what the card holds is not a certificate").
			Because("The card holds %s.", Describe(stored, nil).Unreadable).
			Advise(advice.Do(advice.ShowCard))
	}
	return c.Raw, nil
}

// certificateOf is the certificate of a key, also where programs do not look for it.
func certificateOf(ctx context.Context, k key.Key) ([]byte, error) {
	stored, err := k.Certificate(ctx)
	if err != nil {
		return nil, err
	}
	if shelf, ok := k.(key.Shelf); ok && !isFor(ctx, k, stored) {
		shelved, err := shelf.Shelved(ctx)
		if err != nil {
			return nil, err
		}
		if len(shelved) > 0 {
			stored = shelved[0].DER
		}
	}
	if len(stored) == 0 {
		return nil, errNoCertificate()
	}
	return stored, nil
}

// isFor reports whether a certificate is for a key.
func isFor(ctx context.Context, k key.Key, der []byte) bool {
	certificate, err := cert.Parse(der)
	if err != nil {
		return false
	}
	public, err := k.Public(ctx)
	return err == nil && pubkey.Same(certificate.PublicKey, public)
}

func errNoCertificate() error {
	return problem.New(problem.NotFound, "there is no certificate for this key on the card").
		Advise(advice.Do(advice.ShowCard))
}

// DeleteOn removes the certificate of a key, after confirm has agreed to it, and
// looks whether it is gone.
func DeleteOn(ctx context.Context, k key.Key, ask desk.Confirm) (Certificate, error) {
	stored, err := certificateOf(ctx, k)
	if err != nil {
		return Certificate{}, err
	}
	deleted := Describe(stored, nil)
	if pub, err := k.Public(ctx); err == nil {
		deleted = Describe(stored, pub)
	}
	question := advice.Question{Deed: "Delete", Subject: "the certificate of " + k.Reference().String(), Lost: problem.Sentences("It is for "+deleted.InWords()+".", key.LostForGood(k))}
	if err := confirm(ctx, ask, question); err != nil {
		return deleted, err
	}
	if err := remove(ctx, k); err != nil {
		return deleted, err
	}
	desk.RecordingOf(ctx).Changed(desk.Change{Ref: k.Reference().String(), Gone: desk.CertificateGone})
	return deleted, nil
}

// remove removes and reads back, whatever the card answered.
func remove(ctx context.Context, k key.Key) error {
	cause := k.DeleteCertificate(ctx)
	if cause != nil && (problem.Gone(cause) || iso7816.Refused(cause)) {
		return cause
	}
	if cause == nil {
		there, err := k.ReadBackCertificate(ctx)
		if err == nil && len(there) > 0 {
			err = problem.New(problem.Failed, "the certificate is still on the card").
				Because("The card reported success but did not delete the certificate.")
		}
		return err
	}
	ctx, stop := context.WithTimeout(context.WithoutCancel(ctx), afterwards)
	defer stop()
	switch there, err := k.ReadBackCertificate(ctx); {
	case err != nil:
		return withState(cause, "It is not known whether the certificate is still on the card.")
	case len(there) > 0:
		return withState(cause, "The certificate is still on the card.")
	}
	return withState(cause, "The certificate is no longer on the card.")
}

// Format is how a public key is written.
type Format string

// The formats of the command line's contract.
const (
	PEM Format = "pem" // SubjectPublicKeyInfo, RFC 7468, 13
	DER Format = "der" // SubjectPublicKeyInfo, RFC 5280, 4.1.2.7
	SSH Format = "ssh" // one line of authorized_keys, sshd(8)
)

// ExportPublicKey writes a public key, in PEM where the format is empty. The
// comment is for SSH only.
func ExportPublicKey(pub crypto.PublicKey, format Format, comment string) ([]byte, error) {
	if format == SSH {
		return sshLine(pub, comment)
	}
	der, err := pubkey.Marshal(pub)
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
		return nil, problem.New(problem.NotSupported, "%s keys have no SSH format", key.AlgorithmOf(pub)).
			Because("SSH supports RSA, ECDSA and Ed25519 keys.").
			Advise(advice.Repeat(advice.Set(advice.Format, string(PEM))))
	}
	line := strings.TrimSuffix(string(ssh.MarshalAuthorizedKey(public)), "\n")
	if comment = strings.Join(strings.Fields(comment), " "); comment != "" {
		line += " " + comment
	}
	return []byte(line + "\n"), nil
}
