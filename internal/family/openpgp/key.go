package key

import (
	"bytes"
	"context"
	"crypto"
	"errors"
	"fmt"

	"github.com/cardctl/cardctl/internal/iso7816"
	"github.com/cardctl/cardctl/internal/openpgp"
	"github.com/cardctl/cardctl/internal/problem"
)

// Open finds the key that a reference names on the card at the other end of
// the channel. The slot may be empty.
func Open(ctx context.Context, ch *iso7816.Channel, ref Reference, access Access) (Key, error) {
	if ref.Application != OpenPGP {
		return nil, problem.New(problem.NotSupported, "%s: keys of this kind are not supported yet", ref).
			Because("This version of cardctl knows keys of OpenPGP cards, PKCS#15 cards and PKCS#11 tokens.")
	}
	card, err := openpgp.Select(ctx, ch)
	if err != nil {
		return nil, Explain(err, ref.String(), "")
	}
	if card.Terminated() {
		return nil, problem.New(problem.NotSupported, "%s: the card's OpenPGP application is terminated", ref).
			Because("It was erased and not started again.").Hint("cardctl init")
	}
	k := &openPGPKey{card: card, ref: ref, slot: openpgp.Slot(ref.ID[0] - '0'), access: access}
	if _, err := card.ApplicationRelatedData(ctx); err != nil {
		return nil, Explain(err, ref.String(), "")
	}
	return k, nil
}

// openPGPKey is a Key on an OpenPGP card.
type openPGPKey struct {
	card   *openpgp.Card
	ref    Reference
	slot   openpgp.Slot
	access Access
	public crypto.PublicKey
}

func (k *openPGPKey) Reference() Reference { return k.ref }

func (k *openPGPKey) Occupant(ctx context.Context) (*Occupant, error) {
	data, err := k.card.ApplicationRelatedData(ctx)
	if err != nil {
		return nil, Explain(err, k.ref.String(), "")
	}
	slot := data.Key(k.slot)
	named := slot.Fingerprint != [20]byte{}
	if slot.State == openpgp.KeyAbsent || slot.State == openpgp.KeyStateUnknown && !named && !k.readable(ctx) {
		return nil, ctx.Err()
	}
	occupant := &Occupant{
		Fingerprint: fmt.Sprintf("%X", slot.Fingerprint[:]), Created: slot.Created,
		Algorithm: Algorithm(slot.Attributes.Name()),
	}
	if named {
		return occupant, nil
	}
	public, err := k.Public(ctx)
	if err != nil {
		return nil, err
	}
	fingerprint, err := openpgp.Fingerprint(k.slot, public, slot.Created)
	if err != nil {
		return nil, Explain(err, k.ref.String(), "")
	}
	occupant.Fingerprint = fmt.Sprintf("%X", fingerprint[:])
	occupant.Unfinished = slot.State != openpgp.KeyStateUnknown
	return occupant, nil
}

// readable tells, on cards that do not say, whether there is a key.
func (k *openPGPKey) readable(ctx context.Context) bool {
	_, err := k.Public(ctx)
	return err == nil
}

func (k *openPGPKey) Public(ctx context.Context) (crypto.PublicKey, error) {
	if k.public != nil {
		return k.public, nil
	}
	public, err := k.card.PublicKey(ctx, k.slot)
	if err != nil {
		return nil, Explain(err, k.ref.String(), "")
	}
	k.public = public
	return public, nil
}

func (k *openPGPKey) Certificate(ctx context.Context) ([]byte, error) {
	if err := k.hasCertificate(ctx); err != nil {
		return nil, err
	}
	value, err := k.card.Certificate(ctx, k.slot)
	return value, Explain(err, k.ref.String()+": reading the certificate", "")
}

func (k *openPGPKey) ReadBackCertificate(ctx context.Context) ([]byte, error) {
	return k.Certificate(ctx)
}

func (k *openPGPKey) CertificateLimit(ctx context.Context) (int, error) {
	data, err := k.card.ApplicationRelatedData(ctx)
	if err != nil {
		return 0, Explain(err, k.ref.String(), "")
	}
	return data.Extended.MaxCertificate, nil
}

// HoldsChain is false: DO 7F21 has room for one certificate.
func (k *openPGPKey) HoldsChain() bool { return false }

func (k *openPGPKey) PutCertificate(ctx context.Context, leaf []byte, chain [][]byte) error {
	if len(chain) > 0 {
		return problem.New(problem.NotSupported, "%s: an OpenPGP card stores no issuers' certificates", k.ref)
	}
	return k.writeCertificate(ctx, bytes.Clone(leaf))
}

func (k *openPGPKey) DeleteCertificate(ctx context.Context) error {
	return k.writeCertificate(ctx, nil)
}

func (k *openPGPKey) writeCertificate(ctx context.Context, value []byte) error {
	if err := k.hasCertificate(ctx); err != nil {
		return err
	}
	if err := Unlock(ctx, k.card, openpgp.PW3, k.access); err != nil {
		return Explain(err, k.ref.String(), "")
	}
	return Explain(k.card.PutCertificate(ctx, k.slot, value), k.ref.String()+": writing the certificate", "")
}

// hasCertificate refuses the slots for whose certificate the card has no
// place.
func (k *openPGPKey) hasCertificate(ctx context.Context) error {
	data, err := k.card.ApplicationRelatedData(ctx)
	if err != nil {
		return Explain(err, k.ref.String(), "")
	}
	if !data.HasCertificate(k.slot) {
		return problem.New(problem.NotSupported, "%s: this card has no place for its certificate", k.ref).
			Because("An OpenPGP card of version %s stores one certificate, that of OPENPGP.3.", data.AID.VersionString())
	}
	return nil
}

var errNotStored = errors.New("the card confirmed a write and did not keep it")
