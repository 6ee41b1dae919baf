package pkcs15

import (
	"bytes"
	"context"
	"crypto/sha1"

	"github.com/cardctl/cardctl/internal/cert"
	"github.com/cardctl/cardctl/internal/key"
	app "github.com/cardctl/cardctl/internal/pkcs15"
	"github.com/cardctl/cardctl/internal/secret"
)

func (k *place) Certificate(ctx context.Context) ([]byte, error) {
	value, err := k.card.app.Certificate(ctx, k.id)
	return value, k.explain(err, "")
}

// ReadBackCertificate reads the directory anew too: what matters is what other
// programs will find.
func (k *place) ReadBackCertificate(ctx context.Context) ([]byte, error) {
	k.card.app.Forget()
	return k.Certificate(ctx)
}

// CertificateLimit is 0: a file is made as long as the certificate, as far as
// the card has room.
func (k *place) CertificateLimit(context.Context) (int, error) { return 0, nil }

// HoldsChain is true: issuers' certificates are objects of their own.
func (k *place) HoldsChain() bool { return true }

// PutCertificate writes the certificate under the ID and the label of its key:
// pkcs15-init gives the key the label of the certificate.
func (k *place) PutCertificate(ctx context.Context, leaf []byte, chain [][]byte) error {
	private, err := k.needed(ctx)
	if err != nil {
		return err
	}
	d, err := k.card.app.Directory(ctx)
	if err != nil {
		return k.explain(err, "")
	}
	err = k.with(ctx, key.ToStore, func(p app.PIN, pin *secret.Bytes) error {
		for _, issuer := range chain {
			if err := k.putIssuer(ctx, issuer, p, pin); err != nil {
				return err
			}
		}
		return k.card.app.StoreCertificate(ctx, app.NewCertificate{
			ID: k.id, Label: private.Label, DER: leaf, Replace: d.Certificate(k.id) != nil, PIN: p, Now: k.card.access.Now(),
		}, pin)
	})
	return k.explain(err, "")
}

// Complete writes those of the issuers that are not on the card yet, and leaves the
// certificate of the key alone.
func (k *place) Complete(ctx context.Context, _ []byte, chain [][]byte) (added int, err error) {
	var missing [][]byte
	for _, der := range chain {
		id, _, err := issuerID(der)
		if err != nil {
			return 0, err
		}
		there, err := k.card.app.Certificate(ctx, id)
		if err != nil {
			return 0, k.explain(err, "")
		}
		if !bytes.Equal(there, der) {
			missing = append(missing, der)
		}
	}
	if len(missing) == 0 {
		return 0, nil
	}
	err = k.with(ctx, key.ToStore, func(p app.PIN, pin *secret.Bytes) error {
		for _, der := range missing {
			if err := k.putIssuer(ctx, der, p, pin); err != nil {
				return err
			}
			added++
		}
		return nil
	})
	return added, k.explain(err, "")
}

// issuerID is the ID under which the certificate of a CA is stored: the SHA-1 of its
// public key.
func issuerID(der []byte) ([]byte, *cert.Certificate, error) {
	issuer, err := cert.Parse(der)
	if err != nil {
		return nil, nil, err
	}
	id := sha1.Sum(issuer.RawSubjectPublicKeyInfo)
	return id[:], issuer, nil
}

// putIssuer writes the certificate of a CA, unless it is on the card.
func (k *place) putIssuer(ctx context.Context, der []byte, p app.PIN, pin *secret.Bytes) error {
	id, issuer, err := issuerID(der)
	if err != nil {
		return err
	}
	there, err := k.card.app.Certificate(ctx, id)
	if err != nil || bytes.Equal(there, der) {
		return err
	}
	label := issuer.Subject.CommonName()
	if label == "" {
		label = "CA"
	}
	return k.card.app.StoreCertificate(ctx, app.NewCertificate{
		ID: id, Label: label, DER: der, Authority: true, Replace: there != nil, PIN: p, Now: k.card.access.Now(),
	}, pin)
}

func (k *place) DeleteCertificate(ctx context.Context) error {
	err := k.with(ctx, key.ToStore, func(p app.PIN, pin *secret.Bytes) error {
		return k.card.app.DeleteCertificate(ctx, k.id, p, pin, k.card.access.Now())
	})
	return k.explain(err, "")
}
