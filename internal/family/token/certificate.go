package token

import (
	"bytes"
	"context"
	"fmt"
	"slices"

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

// certificate is the one that is stored for the key, nil where there is none. One
// that has the name and no key, as a deleted key leaves it, counts.
func (k *place) certificate(ctx context.Context) (*p11.StoredCertificate, error) {
	if k.chosen != nil {
		return k.chosen, nil
	}
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

// Shelved are the certificates with the public key of this one, and those with its
// names, the best first.
func (k *place) Shelved(ctx context.Context) ([]key.Shelved, error) {
	stored, err := k.stored(ctx)
	if err != nil {
		return nil, err
	}
	if stored == nil {
		stored = &p11.StoredKey{}
	}
	all := k.contents.Certificates
	if !k.complete && stored.Public != nil {
		if all, err = k.session.Certificates(ctx); err != nil {
			return nil, key.Explain(err, k.ref.String(), "")
		}
	}
	own := slices.DeleteFunc(slices.Clone(all), func(c p11.StoredCertificate) bool {
		return !c.Matches(stored.Public) && (len(stored.ID) == 0 || !bytes.Equal(c.ID, stored.ID))
	})
	if len(own) == 0 {
		own = k.contents.NamedCertificates(k.uri)
	}
	slices.SortStableFunc(own, func(a, b p11.StoredCertificate) int {
		switch {
		case better(&a, &b, stored):
			return -1
		case better(&b, &a, stored):
			return 1
		}
		return 0
	})
	var shelved []key.Shelved
	for i := range own {
		shelved = append(shelved, key.Shelved{DER: own[i].DER, Astray: astray(&own[i], stored)})
	}
	if len(own) > 0 {
		k.chosen = &own[0]
	}
	return shelved, nil
}

// astray is why programs do not find the certificate of a key, empty where they do:
// they look for the ID of the key.
func astray(c *p11.StoredCertificate, stored *p11.StoredKey) string {
	switch {
	case stored.Public == nil || !stored.HasPublic && !stored.HasPrivate || !c.Matches(stored.Public):
		return ""
	case len(stored.ID) == 0:
		return "The key has no ID, by which programs find its certificate."
	case !bytes.Equal(c.ID, stored.ID):
		return fmt.Sprintf("Programs do not find it: its ID is %X, and that of its key is %X.", c.ID, stored.ID)
	}
	return ""
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
	stored, err := k.loggedInFor(ctx, what, parsed)
	if err != nil {
		return err
	}
	old, err := k.certificate(ctx)
	if err != nil {
		return key.Explain(err, what, "")
	}
	k.forget()
	if _, err := k.addIssuers(ctx, issuers); err != nil {
		return key.Explain(err, what, "")
	}
	if err := k.giveID(ctx, stored); err != nil {
		return key.Explain(err, what, "")
	}
	written, err := k.write(ctx, parsed, stored)
	if err != nil {
		return key.Explain(err, what, "")
	}
	k.written = &written
	if old != nil && !bytes.Equal(old.DER, leaf) {
		err = k.session.DeleteCertificate(ctx, *old)
	}
	return key.Explain(err, what, "The new certificate is on the token, and so is the old one.")
}

// write writes the certificate, or moves it where it is on the token already.
func (k *place) write(ctx context.Context, parsed *cert.Certificate, stored *p11.StoredKey) (p11.StoredCertificate, error) {
	there, err := k.session.CertificateWith(ctx, parsed.Raw)
	switch {
	case err != nil:
		return p11.StoredCertificate{}, err
	case there != nil:
		return k.moveCertificate(ctx, *there, parsed, stored)
	}
	return k.session.WriteCertificate(ctx, parsed, idOf(stored), stored.Label)
}

// loggedInFor is the key, after the login, to which the certificate belongs. What was
// read is read again where time passed: it may not be there any more.
func (k *place) loggedInFor(ctx context.Context, what string, certificate *cert.Certificate) (*p11.StoredKey, error) {
	read, asked := k.contents, k.token.asked
	if err := k.login(ctx); err != nil {
		return nil, err
	}
	k.forget()
	if asked == k.token.asked && read != nil {
		if meant := read.Named(k.uri); len(meant) == 1 && len(meant[0].ID) > 0 && !meant[0].MayBeDivided() {
			k.contents = read
		}
	}
	stored, err := k.needed(ctx)
	if err != nil {
		return nil, err
	}
	if stored.Public != nil && !pubkey.Same(stored.Public, certificate.PublicKey) {
		return nil, changedMeanwhile(what + ": the key has changed since it was read")
	}
	return stored, nil
}

// addIssuers writes those that are not there, and returns their number.
func (k *place) addIssuers(ctx context.Context, issuers []*cert.Certificate) (int, error) {
	added := 0
	for _, issuer := range issuers {
		there, err := k.session.CertificateWith(ctx, issuer.Raw)
		if err != nil || there != nil {
			if err != nil {
				return added, err
			}
			continue
		}
		written, err := k.session.WriteCertificate(ctx, issuer, nil, "")
		if err != nil {
			return added, err
		}
		der, err := k.session.ReadCertificate(ctx, written)
		if err == nil && !bytes.Equal(der, issuer.Raw) {
			err = problem.New(problem.Failed, "the issuer's certificate on the token is not the one that was written")
		}
		if err != nil {
			return added, err
		}
		added++
	}
	return added, nil
}

// giveID gives a key without an ID that of its public key, and both halves of a key the same.
func (k *place) giveID(ctx context.Context, stored *p11.StoredKey) error {
	if stored.Public == nil {
		return nil
	}
	if len(stored.ID) > 0 {
		joined, err := k.session.JoinHalves(ctx, *stored)
		if joined {
			k.mended = append(k.mended, fmt.Sprintf("The public half of the key had another ID, and now has %X, too.", stored.ID))
		}
		return err
	}
	gave, err := k.session.GiveID(ctx, *stored, p11.KeyID(stored.Public))
	if gave {
		k.mended = append(k.mended, fmt.Sprintf("The key had no ID, and now has %X.", idOf(stored)))
	}
	return err
}

// Complete gives the certificate the ID of its key, and the key one where it has
// none, and adds issuers.
func (k *place) Complete(ctx context.Context, leaf []byte, chain [][]byte) (issuersAdded int, err error) {
	what := k.ref.String() + ": completing the certificate"
	parsed, issuers, err := parseChain(leaf, chain)
	if err != nil {
		return 0, problem.Wrap(problem.Mismatch, err, what)
	}
	there, err := k.session.CertificateWith(ctx, leaf)
	if err != nil {
		return 0, key.Explain(err, what, "")
	}
	missing, err := k.missingIssuers(ctx, issuers)
	if err != nil {
		return 0, key.Explain(err, what, "")
	}
	stored, err := k.needed(ctx)
	if err != nil {
		return 0, err
	}
	lost := there != nil && !bytes.Equal(there.ID, idOf(stored))
	if !lost && len(stored.ID) > 0 && len(missing) == 0 {
		return 0, nil
	}
	if stored, err = k.loggedInFor(ctx, what, parsed); err != nil {
		return 0, err
	}
	k.forget()
	err = k.giveID(ctx, stored)
	if err == nil && lost {
		_, err = k.moveCertificate(ctx, *there, parsed, stored)
	}
	added := 0
	if err == nil {
		added, err = k.addIssuers(ctx, missing)
	}
	return added, key.Explain(err, what, "")
}

// Mended tells what of names was put right.
func (k *place) Mended() []string { return k.mended }

func shownID(id []byte) string {
	if len(id) == 0 {
		return "empty"
	}
	return fmt.Sprintf("%X", id)
}

// moveCertificate gives a certificate the ID of its key. Where the module does not
// let it be changed, it is written again and then removed where it was.
func (k *place) moveCertificate(ctx context.Context, there p11.StoredCertificate, parsed *cert.Certificate, stored *p11.StoredKey) (p11.StoredCertificate, error) {
	if bytes.Equal(there.ID, idOf(stored)) {
		return there, nil
	}
	moved := there
	changed, err := k.session.SetCertificateID(ctx, there, idOf(stored))
	if err == nil && !changed {
		moved, err = k.writeInstead(ctx, there, parsed, stored)
	}
	if err == nil {
		k.mended = append(k.mended, fmt.Sprintf("The ID of the certificate was %s, and is now that of its key, %X.", shownID(there.ID), idOf(stored)))
	}
	return moved, err
}

func (k *place) writeInstead(ctx context.Context, there p11.StoredCertificate, parsed *cert.Certificate, stored *p11.StoredKey) (p11.StoredCertificate, error) {
	written, err := k.session.WriteCertificate(ctx, parsed, idOf(stored), stored.Label)
	if err != nil {
		return there, err
	}
	der, err := k.session.ReadCertificate(ctx, written)
	if err == nil && !bytes.Equal(der, there.DER) {
		err = problem.New(problem.Failed, "the certificate on the token is not the one that was written")
	}
	if err != nil {
		return written, err
	}
	return written, k.session.DeleteCertificate(ctx, there)
}

func (k *place) missingIssuers(ctx context.Context, issuers []*cert.Certificate) ([]*cert.Certificate, error) {
	var missing []*cert.Certificate
	for _, issuer := range issuers {
		there, err := k.session.CertificateWith(ctx, issuer.Raw)
		if err != nil {
			return nil, err
		}
		if there == nil {
			missing = append(missing, issuer)
		}
	}
	return missing, nil
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

// ReadBackCertificate reads the certificate that was written last, or else what
// is there now.
func (k *place) ReadBackCertificate(ctx context.Context) ([]byte, error) {
	if k.written == nil {
		k.forget()
		k.chosen = nil
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
	k.written, k.chosen = nil, nil
	return key.Explain(k.session.DeleteCertificate(ctx, *c), what, "")
}
