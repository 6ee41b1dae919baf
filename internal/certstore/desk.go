package certstore

import (
	"context"
	"crypto"

	"github.com/cardctl/cardctl/internal/cert"
	"github.com/cardctl/cardctl/internal/desk"
	"github.com/cardctl/cardctl/internal/family"
	"github.com/cardctl/cardctl/internal/key"
	"github.com/cardctl/cardctl/internal/problem"
)

// Import writes the one of the certificates that is for a key to the card that
// is meant.
func Import(ctx context.Context, d *desk.Desk, a desk.Access, reference string, certificates []*cert.Certificate, o Options) (report Report, err error) {
	err = family.WithKey(ctx, d, reference, a, func(ctx context.Context, here family.At, k key.Key) error {
		o.Confirm = here.Access.Confirm
		report, err = ImportOn(ctx, k, certificates, o)
		report.Reader = here.Place
		return err
	})
	return report, err
}

// Beside writes certificates that came with a key beside it, where there is
// room for a whole chain or that of the key goes with it; report stays nil elsewhere.
func Beside(certificates []*cert.Certificate, report **Report, o Options) func(context.Context, family.At, key.Key) error {
	return func(ctx context.Context, here family.At, k key.Key) error {
		paired, ok := k.(key.Paired)
		if len(certificates) == 0 || !k.HoldsChain() && !(ok && paired.TakesCertificate()) {
			return nil
		}
		o.Confirm = here.Access.Confirm
		stored, err := ImportOn(ctx, k, certificates, o)
		*report = &stored
		return err
	}
}

// Stored is a certificate as it is on a card.
type Stored struct {
	Ref string `json:"ref"`
	Certificate
	// SerializedID names it to OpenVPN, where that uses Module.
	SerializedID string `json:"serializedId,omitempty"`
	Module       string `json:"module,omitempty"`
	// Astray is why programs do not find it by its key.
	Astray string `json:"astray,omitempty"`
}

// Export reads the certificate of a key from the card that is meant, in DER.
func Export(ctx context.Context, d *desk.Desk, a desk.Access, reference string) (stored Stored, der []byte, err error) {
	err = family.WithKey(ctx, d, reference, a, func(ctx context.Context, _ family.At, k key.Key) error {
		if der, err = ExportFrom(ctx, k); err != nil {
			return err
		}
		public, err := k.Public(ctx)
		if problem.Is(err, problem.NotFound) {
			public, err = nil, nil
		}
		stored = Stored{Ref: k.Reference().String(), Certificate: Describe(der, public)}
		return err
	})
	return stored, der, err
}

// Renewal is what becomes of the identifier of a card.
type Renewal = key.Renewal

// RenewalOf is the choice of a user.
func RenewalOf(keep, renew bool) Renewal {
	switch {
	case keep:
		return key.KeepIdentifier
	case renew:
		return key.RenewAnyway
	}
	return key.RenewIfFree
}

// Identifier is what became of the identifier of a card.
type Identifier = key.Identifier

// Deleted is what Delete removed.
type Deleted struct {
	Reader string `json:"reader"`
	Stored
	// Identifier is what became of that of the card; nil where it has none, or it was to
	// stay.
	Identifier *key.Identifier `json:"chuid,omitempty"`
}

// Delete removes the certificate of a key from the card that is meant.
func Delete(ctx context.Context, d *desk.Desk, a desk.Access, reference string, r Renewal) (deleted Deleted, err error) {
	err = family.WithKey(ctx, d, reference, a, func(ctx context.Context, here family.At, k key.Key) error {
		deleted.Reader, deleted.Ref = here.Place, k.Reference().String()
		if err := renewable(k, r); err != nil {
			return err
		}
		if deleted.Certificate, err = DeleteOn(ctx, k, here.Access.Confirm); err != nil {
			return err
		}
		deleted.Identifier, err = renew(ctx, k, r, "The certificate is deleted.")
		return err
	})
	return deleted, err
}

// PublicKey is what a card tells of the public half of a key.
type PublicKey struct {
	Ref         string `json:"ref"`
	Algorithm   string `json:"algorithm"`
	Fingerprint string `json:"fingerprint"`
	Keygrip     string `json:"keygrip"`
}

// ExportKey reads the public key of a key on the card that is meant.
func ExportKey(ctx context.Context, d *desk.Desk, a desk.Access, reference string) (told PublicKey, public crypto.PublicKey, err error) {
	err = family.WithKey(ctx, d, reference, a, func(ctx context.Context, _ family.At, k key.Key) error {
		if public, err = k.Public(ctx); err != nil {
			return err
		}
		occupant, err := k.Occupant(ctx)
		if err != nil {
			return err
		}
		told = PublicKey{Ref: k.Reference().String(), Algorithm: string(key.AlgorithmOf(public)), Keygrip: key.Keygrip(public)}
		if occupant != nil {
			told.Fingerprint = occupant.Fingerprint
		}
		return nil
	})
	return told, public, err
}
