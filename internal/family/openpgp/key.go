package openpgp

import (
	"bytes"
	"context"
	"crypto"
	"errors"
	"fmt"
	"slices"

	"github.com/cardctl/cardctl/internal/iso7816"
	"github.com/cardctl/cardctl/internal/key"
	app "github.com/cardctl/cardctl/internal/openpgp"
	"github.com/cardctl/cardctl/internal/pin"
	"github.com/cardctl/cardctl/internal/problem"
)

// slotKey is one of the card's three keys.
type slotKey struct {
	*onCard
	ref    key.Reference
	slot   app.Slot
	public crypto.PublicKey
	// attesting is what Overwritten read.
	attesting *attesting
}

func (k *slotKey) Reference() key.Reference { return k.ref }

func (k *slotKey) explain(err error, state string) error { return explain(err, k.ref.String(), state) }

func (k *slotKey) Occupant(ctx context.Context) (*key.Occupant, error) {
	_, data, err := k.data(ctx)
	if err != nil {
		return nil, k.explain(err, "")
	}
	slot := data.Key(k.slot)
	named := slot.Fingerprint != [20]byte{}
	if slot.State == app.KeyAbsent || slot.State == app.KeyStateUnknown && !named && !k.readable(ctx) {
		return nil, ctx.Err()
	}
	occupant := &key.Occupant{
		Created: slot.Created, Algorithm: key.Algorithm(slot.Attributes.Name()), Touch: slot.Touch(), TouchPolicy: touchWord(slot.Interaction), Origin: origins[slot.State],
	}
	if named {
		occupant.Fingerprint = fingerprintWord(slot.Fingerprint)
		return occupant, nil
	}
	public, err := k.Public(ctx)
	if err != nil {
		if key.Unreachable(ctx, err) {
			return nil, err
		}
		return occupant, nil // there, and not to be named
	}
	fingerprint, err := app.Fingerprint(k.slot, public, slot.Created)
	if err != nil {
		return nil, k.explain(err, "")
	}
	occupant.Fingerprint = fmt.Sprintf("%X", fingerprint[:])
	occupant.Unfinished = slot.State != app.KeyStateUnknown
	return occupant, nil
}

// readable tells, on cards that do not say, whether there is a key.
func (k *slotKey) readable(ctx context.Context) bool {
	_, err := k.Public(ctx)
	return err == nil
}

func (k *slotKey) Public(ctx context.Context) (crypto.PublicKey, error) {
	if k.public == nil {
		k.public = k.access.Expected
	}
	if k.public != nil {
		return k.public, nil
	}
	selected, err := k.application(ctx)
	if err != nil {
		return nil, k.explain(err, "")
	}
	public, err := selected.PublicKey(ctx, k.slot)
	if err != nil {
		return nil, k.explain(err, "")
	}
	k.public = public
	return public, nil
}

// Algorithms are those that the card lists for the slot, or else those that are
// not known to be impossible.
func (k *slotKey) Algorithms(ctx context.Context) ([]key.Algorithm, error) {
	_, data, err := k.data(ctx)
	if err != nil {
		return nil, k.explain(err, "")
	}
	listed, err := k.able(ctx)
	if err != nil {
		return nil, k.explain(err, "")
	}
	var names []string
	for _, attributes := range listed {
		names = append(names, attributes.Name())
	}
	return slices.DeleteFunc(key.Algorithms(), func(a key.Algorithm) bool {
		return checkAlgorithm(data, k.slot, a) != nil || len(names) > 0 && !slices.Contains(names, string(a))
	}), nil
}

// PIN is PW1 to use the key, by the number that its slot wants, and PW3 for
// everything else.
func (k *slotKey) PIN(ctx context.Context, p key.Purpose) (pin.PIN, error) {
	ref := app.PW3
	if p == key.ToUse {
		ref = app.PasswordFor(k.slot)
	}
	what, err := k.pin(ctx, ref)
	return what, k.explain(err, "")
}

func (k *slotKey) Holder(ctx context.Context) (key.Holder, error) {
	_, data, err := k.data(ctx)
	if err != nil {
		return key.Holder{}, k.explain(err, "")
	}
	holder := key.Holder{
		Card: holderOf(data.AID), Place: k.slot.String(), Serial: data.AID.Serial(), Driver: name, SharedPIN: true,
	}
	if k.slot != app.Authentication {
		holder.ShownInstead = referenceOf(app.Authentication).String()
	}
	return holder, nil
}

func (k *slotKey) Certificate(ctx context.Context) ([]byte, error) {
	selected, err := k.withCertificate(ctx)
	if err != nil {
		return nil, err
	}
	if stored, read := k.stored.of[k.slot]; read && k.stored.on == selected {
		return bytes.Clone(stored), nil
	}
	value, err := selected.Certificate(ctx, k.slot)
	what := k.ref.String() + ": reading the certificate"
	var refused *iso7816.StatusError
	switch {
	case err == nil:
		k.stored.keep(selected, k.slot, value)
		return value, nil
	case !errors.As(err, &refused):
		return value, explain(err, what, "")
	case refused.INS == iso7816.InsSelectData && slices.Contains(noPlace, refused.Status):
		return nil, withoutPlace(k.ref).Because("The card cannot select another certificate than that of OPENPGP.3 [%s].", refused.Status)
	}
	p := problem.New(problem.Failed, "%s", what).Because("%s", problem.Sentence(refused.Error()))
	p.Cause = err
	return nil, p
}

// withoutPlace is a key for whose certificate the card has no place.
func withoutPlace(ref key.Reference) *problem.Error {
	return problem.New(problem.NotSupported, "%s: this card cannot store a certificate for this key", ref)
}

func (k *slotKey) ReadBackCertificate(ctx context.Context) ([]byte, error) {
	k.stored.on = nil
	return k.Certificate(ctx)
}

func (k *slotKey) CertificateLimit(ctx context.Context) (int, error) {
	if _, err := k.withCertificate(ctx); err != nil {
		return 0, err
	}
	_, data, err := k.data(ctx)
	if err != nil {
		return 0, k.explain(err, "")
	}
	return data.Extended.MaxCertificate, nil
}

// HoldsChain is false: DO 7F21 has room for one certificate.
func (k *slotKey) HoldsChain() bool { return false }

func (k *slotKey) PutCertificate(ctx context.Context, leaf []byte, _ [][]byte) error {
	return explain(k.writeCertificate(ctx, bytes.Clone(leaf)), k.ref.String()+": writing the certificate", "")
}

// DeleteCertificate looks whether the certificate is gone where the answer does
// not tell.
func (k *slotKey) DeleteCertificate(ctx context.Context) error {
	err := k.writeCertificate(ctx, nil)
	what, state := k.ref.String()+": deleting the certificate", ""
	if unexpected(err) {
		there, failed := k.ReadBackCertificate(ctx)
		switch {
		case failed != nil:
			state = "It is not known whether the certificate is still on the card."
		case len(there) == 0:
			return nil
		default:
			state = "The card still has a certificate."
		}
	}
	return explain(err, what, state)
}

func (k *slotKey) writeCertificate(ctx context.Context, value []byte) error {
	if _, err := k.withCertificate(ctx); err != nil {
		return err
	}
	if err := k.unlock(ctx, app.PW3); err != nil {
		return explain(err, k.ref.String(), "")
	}
	selected, err := k.application(ctx)
	if err != nil {
		return err
	}
	k.stored.on = nil
	return selected.PutCertificate(ctx, k.slot, value)
}

// withCertificate refuses the slots for whose certificate the card has no
// place.
func (k *slotKey) withCertificate(ctx context.Context) (*app.Card, error) {
	selected, data, err := k.data(ctx)
	if err != nil {
		return nil, k.explain(err, "")
	}
	if !data.HasCertificate(k.slot) {
		return nil, withoutPlace(k.ref).
			Because("OpenPGP cards of version %s store only the certificate of OPENPGP.3.", data.AID.VersionString())
	}
	return selected, nil
}
