package keygen

import (
	"context"
	"crypto"

	"github.com/cardctl/cardctl/internal/desk"
	"github.com/cardctl/cardctl/internal/family"
	"github.com/cardctl/cardctl/internal/key"
)

// Wish is what the user says of a new key, as it was typed.
type Wish struct {
	// Key is the reference of its place.
	Key string
	// Algorithm is empty for the card's choice.
	Algorithm string
	Usage     []string
	// Label and ID name it where keys have names; ID is in hex.
	Label, ID string
	// Name chooses one of several keys in a file.
	Name string
	// Replace is the fingerprint of the key that may be overwritten.
	Replace string
	// PINPolicy and TouchPolicy are when a use of the key needs the PIN or a touch.
	PINPolicy, TouchPolicy string
}

// Parse checks everything that does not need the card, and completes the
// reference with the names of the key.
func (w Wish) Parse() (reference string, o Options, err error) {
	o.Replace, o.PINPolicy, o.TouchPolicy = w.Replace, w.PINPolicy, w.TouchPolicy
	for _, word := range w.Usage {
		u, err := key.ParseUsage(word)
		if err != nil {
			return "", o, err
		}
		o.Usage = append(o.Usage, u)
	}
	if w.Algorithm != "" {
		if o.Algorithm, err = key.ParseAlgorithm(w.Algorithm); err != nil {
			return "", o, err
		}
	}
	ref, label, err := family.Name(w.Key, w.ID, w.Label)
	o.Label = label
	return ref.String(), o, err
}

// Generate makes the key that is wished for on the card that is meant.
func Generate(ctx context.Context, d *desk.Desk, a desk.Access, w Wish) (report Report, err error) {
	reference, o, err := w.Parse()
	if err != nil {
		return report, err
	}
	err = family.WithKey(ctx, d, reference, a, func(ctx context.Context, here family.At, k key.Key) error {
		o.Confirm = here.Access.Confirm
		report, err = GenerateOn(ctx, k, o)
		report.Reader = here.Place
		return err
	})
	return report, err
}

// Then is done with a key that was imported, before the card is let go.
type Then func(ctx context.Context, here family.At, k key.Key) error

// Import puts a private key on the card that is meant.
func Import(ctx context.Context, d *desk.Desk, a desk.Access, private crypto.PrivateKey, w Wish, then Then) (report Report, err error) {
	reference, o, err := w.Parse()
	if err != nil {
		return report, err
	}
	err = family.WithKey(ctx, d, reference, a, func(ctx context.Context, here family.At, k key.Key) error {
		o.Confirm = here.Access.Confirm
		report, err = ImportOn(ctx, k, private, o)
		report.Reader = here.Place
		if err != nil {
			return err
		}
		return then(ctx, here, k)
	})
	return report, err
}

// Delete removes the key that the fingerprint names from the card that is meant.
func Delete(ctx context.Context, d *desk.Desk, a desk.Access, reference, fingerprint string) (report Report, err error) {
	err = family.WithKey(ctx, d, reference, a, func(ctx context.Context, here family.At, k key.Key) error {
		report, err = DeleteOn(ctx, k, fingerprint, here.Access.Confirm)
		report.Reader = here.Place
		return err
	})
	return report, err
}

// Algorithms are those that the place of a key can have, all where none is named.
func Algorithms(ctx context.Context, d *desk.Desk, a desk.Access, reference string) (names []string, err error) {
	if _, _, err := family.Parse(reference); err != nil {
		for _, algorithm := range key.Algorithms() {
			names = append(names, string(algorithm))
		}
		return names, nil
	}
	err = family.WithKey(ctx, d, reference, a, func(ctx context.Context, _ family.At, k key.Key) error {
		able, err := k.Algorithms(ctx)
		for _, algorithm := range able {
			names = append(names, string(algorithm))
		}
		return err
	})
	return names, err
}

// Usages are what a key can be for, as the user names it.
func Usages() []string { return []string{string(key.Sign), string(key.Decrypt), string(key.Derive)} }
