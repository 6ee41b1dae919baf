package key

import (
	"bytes"
	"context"
	"crypto/sha1"
	"crypto/x509"

	"github.com/cardctl/cardctl/internal/pkcs15"
	"github.com/cardctl/cardctl/internal/secret"
)

func (k *pkcs15Key) Certificate(ctx context.Context) ([]byte, error) {
	value, err := k.card.Certificate(ctx, k.id)
	return value, k.explain(err, "")
}

// ReadBackCertificate reads the directory anew too: what matters is what other
// programs will find.
func (k *pkcs15Key) ReadBackCertificate(ctx context.Context) ([]byte, error) {
	k.card.Forget()
	return k.Certificate(ctx)
}

// CertificateLimit is 0: a file is made as long as the certificate, as far as
// the card has room.
func (k *pkcs15Key) CertificateLimit(context.Context) (int, error) { return 0, nil }

// HoldsChain is true: issuers' certificates are objects of their own.
func (k *pkcs15Key) HoldsChain() bool { return true }

// PutCertificate writes the certificate under the ID and the label of its key:
// pkcs15-init gives the key the label of the certificate.
func (k *pkcs15Key) PutCertificate(ctx context.Context, leaf []byte, chain [][]byte) error {
	private, err := k.needed(ctx)
	if err != nil {
		return err
	}
	d, err := k.card.Directory(ctx)
	if err != nil {
		return k.explain(err, "")
	}
	err = k.withWriterPIN(ctx, func(p pkcs15.PIN, pin *secret.Bytes) error {
		for _, issuer := range chain {
			if err := k.putIssuer(ctx, issuer, p, pin); err != nil {
				return err
			}
		}
		return k.card.StoreCertificate(ctx, pkcs15.NewCertificate{
			ID: k.id, Label: private.Label, DER: leaf, Replace: d.Certificate(k.id) != nil, PIN: p, Now: k.access.Now(),
		}, pin)
	})
	return k.explain(err, "")
}

// putIssuer writes the certificate of a CA, unless it is on the card, under the
// SHA-1 of its public key.
func (k *pkcs15Key) putIssuer(ctx context.Context, der []byte, p pkcs15.PIN, pin *secret.Bytes) error {
	issuer, err := x509.ParseCertificate(der)
	if err != nil {
		return err
	}
	id := sha1.Sum(issuer.RawSubjectPublicKeyInfo)
	there, err := k.card.Certificate(ctx, id[:])
	if err != nil || bytes.Equal(there, der) {
		return err
	}
	label := issuer.Subject.CommonName
	if label == "" {
		label = "CA"
	}
	return k.card.StoreCertificate(ctx, pkcs15.NewCertificate{
		ID: id[:], Label: label, DER: der, Authority: true, Replace: there != nil, PIN: p, Now: k.access.Now(),
	}, pin)
}

func (k *pkcs15Key) DeleteCertificate(ctx context.Context) error {
	err := k.withWriterPIN(ctx, func(p pkcs15.PIN, pin *secret.Bytes) error {
		return k.card.DeleteCertificate(ctx, k.id, p, pin, k.access.Now())
	})
	return k.explain(err, "")
}
