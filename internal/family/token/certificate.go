package token

import (
	"bytes"
	"context"

	"github.com/cardctl/cardctl/internal/cert"
	"github.com/cardctl/cardctl/internal/key"
	"github.com/cardctl/cardctl/internal/p11"
	"github.com/cardctl/cardctl/internal/problem"
	"github.com/cardctl/cardctl/internal/pubkey"
)

// HoldsChain is true: a certificate is an object as any other.
func (k *place) HoldsChain() bool { return true }

// CertificateLimit is 0: PKCS#11 tells no limit.
func (k *place) CertificateLimit(context.Context) (int, error) { return 0, nil }

func (k *place) Certificate(ctx context.Context) ([]byte, error) {
	c, err := k.certificate(ctx)
	if c == nil {
		return nil, err
	}
	return c.DER, nil
}

// certificate is the one that is stored for the key, nil where there is none.
// One that has the name and no key, as a deleted key leaves it, counts.
func (k *place) certificate(ctx context.Context) (*p11.StoredCertificate, error) {
	stored, err := k.stored(ctx)
	if err != nil {
		return nil, err
	}
	if stored != nil {
		if c := certificateOf(stored.Certificates, stored); c != nil {
			return c, nil
		}
	}
	return certificateOf(k.contents.NamedCertificates(k.uri), &p11.StoredKey{}), nil
}

// certificateOf is the one certificate of a key: one for its public key rather
// than a foreign one with its ID, one with its ID rather than one without, and
// of several the one that was issued last.
func certificateOf(certificates []p11.StoredCertificate, stored *p11.StoredKey) *p11.StoredCertificate {
	var best *p11.StoredCertificate
	for i := range certificates {
		if c := &certificates[i]; best == nil || better(c, best, stored) {
			best = c
		}
	}
	return best
}

func better(c, than *p11.StoredCertificate, stored *p11.StoredKey) bool {
	if own, its := c.Matches(stored.Public), than.Matches(stored.Public); own != its {
		return own
	}
	if named, its := bytes.Equal(c.ID, stored.ID), bytes.Equal(than.ID, stored.ID); named != its {
		return named
	}
	return c.Parsed() != nil && than.Parsed() != nil && c.Parsed().NotBefore.After(than.Parsed().NotBefore)
}

// PutCertificate writes the new certificate before it removes the old one, so
// that a token that is full keeps what it has. Issuers that are on the token
// already are not written again.
func (k *place) PutCertificate(ctx context.Context, leaf []byte, chain [][]byte) error {
	what := k.ref.String() + ": writing the certificate"
	parsed, issuers, err := parseChain(leaf, chain)
	if err != nil {
		return problem.Wrap(problem.Mismatch, err, what)
	}
	if err := k.login(ctx); err != nil {
		return err
	}
	k.forget() // what was read long ago may not be there any more
	stored, err := k.needed(ctx)
	if err != nil {
		return err
	}
	if stored.Public != nil && !pubkey.Same(stored.Public, parsed.PublicKey) {
		return changedMeanwhile(what + ": the key has changed since it was read")
	}
	there := k.contents.Certificates
	old, err := k.certificate(ctx)
	if err != nil {
		return key.Explain(err, what, "")
	}
	k.forget()
	for _, issuer := range issuers {
		if holds(there, issuer) {
			continue
		}
		if _, err := k.session.WriteCertificate(ctx, issuer, nil, ""); err != nil {
			return key.Explain(err, what, "")
		}
	}
	written, err := k.session.WriteCertificate(ctx, parsed, idOf(stored), stored.Label)
	if err != nil {
		return key.Explain(err, what, "")
	}
	k.written = &written
	if old != nil {
		err = k.session.DeleteCertificate(ctx, *old)
	}
	return key.Explain(err, what, "The new certificate is on the token, and so is the old one.")
}

// idOf is the ID that the certificate has to share with the key.
func idOf(stored *p11.StoredKey) []byte {
	if len(stored.ID) > 0 {
		return stored.ID
	}
	return p11.KeyID(stored.Public)
}

func parseChain(leaf []byte, chain [][]byte) (*cert.Certificate, []*cert.Certificate, error) {
	parsed, err := cert.Parse(leaf)
	if err != nil {
		return nil, nil, err
	}
	var issuers []*cert.Certificate
	for _, der := range chain {
		issuer, err := cert.Parse(der)
		if err != nil {
			return nil, nil, err
		}
		issuers = append(issuers, issuer)
	}
	return parsed, issuers, nil
}

func holds(certificates []p11.StoredCertificate, wanted *cert.Certificate) bool {
	for _, c := range certificates {
		if bytes.Equal(c.DER, wanted.Raw) {
			return true
		}
	}
	return false
}

// ReadBackCertificate reads the certificate that was written last, or else what
// is there now.
func (k *place) ReadBackCertificate(ctx context.Context) ([]byte, error) {
	if k.written == nil {
		k.forget()
		return k.Certificate(ctx)
	}
	der, err := k.session.ReadCertificate(ctx, *k.written)
	return der, key.Explain(err, k.ref.String()+": reading the certificate", "")
}

// DeleteCertificate removes the certificate of the key. Its issuers' stay:
// other certificates may need them.
func (k *place) DeleteCertificate(ctx context.Context) error {
	what := k.ref.String() + ": deleting the certificate"
	if err := k.login(ctx); err != nil {
		return err
	}
	c, err := k.certificate(ctx)
	if c == nil {
		return err
	}
	k.forget()
	k.written = nil
	return key.Explain(k.session.DeleteCertificate(ctx, *c), what, "")
}
