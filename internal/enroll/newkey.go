package enroll

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"

	"github.com/cardctl/cardctl/internal/advice"
	"github.com/cardctl/cardctl/internal/cert"
	"github.com/cardctl/cardctl/internal/family"
	"github.com/cardctl/cardctl/internal/key"
	"github.com/cardctl/cardctl/internal/keygen"
	"github.com/cardctl/cardctl/internal/problem"
	"github.com/cardctl/cardctl/internal/pubkey"
)

// replaced is the certificate of the key whose place the new key has already taken, when an
// earlier command was interrupted; nil if there was none.
func (r *run) replaced(ctx context.Context) (*cert.Certificate, error) {
	if r.record.Of != nil {
		return cert.Parse(r.record.Of)
	}
	old, err := cert.ParseStored(r.order.Current)
	if err != nil || len(r.order.Current) == 0 {
		return nil, nil
	}
	before := *r.order
	before.PublicKey = old.PublicKey
	record, err := remembered(&before)
	if err != nil || !record.Replacing {
		return nil, err
	}
	r.record.Certifier = record.Certifier
	return old, nil
}

// newKey has the card generate a key in the place of the one whose certificate is renewed.
// Both are remembered: the same command goes on after an interruption, and loses no other
// key.
func (r *run) newKey(ctx context.Context, of *cert.Certificate) error {
	if !pubkey.Same(of.PublicKey, r.order.PublicKey) {
		return r.newKeyIs(ctx, of) // it was generated before
	}
	occupant, err := r.key.Occupant(ctx)
	if err != nil {
		return err
	}
	if occupant == nil { // what it is replaced by is refused then
		occupant = &key.Occupant{}
	}
	question := advice.Question{
		Deed: "Replace", Subject: fmt.Sprintf("the key %s in %s", occupant.Fingerprint, r.order.Ref),
		Lost: "It will be lost permanently, and what is encrypted for it can no longer be read.",
	}
	if err := r.here.Access.Confirm.Ask(ctx, question); err != nil {
		return err
	}
	r.record.Replacing = true
	if err := r.record.write(); err != nil {
		return err
	}
	spec := key.Spec{Algorithm: key.AlgorithmOf(r.order.PublicKey), Usage: occupant.Usage}
	if _, ok := r.key.(key.WithPolicies); ok {
		spec.PINPolicy, spec.TouchPolicy = occupant.PINPolicy, occupant.TouchPolicy
	}
	_, err = keygen.GenerateOn(ctx, r.key, keygen.Options{Spec: spec, Replace: occupant.Fingerprint, Confirm: r.here.Access.Confirm})
	if err != nil {
		return err
	}
	return r.newKeyIs(ctx, of)
}

// newKeyIs goes on with the key that is in the place now.
func (r *run) newKeyIs(ctx context.Context, of *cert.Certificate) (err error) {
	before, certifier := r.record.path, r.record.Certifier
	if r.order.PublicKey, err = r.key.Public(ctx); err != nil {
		return err
	}
	if r.record, err = remembered(r.order); err != nil {
		return err
	}
	r.record.Of, r.record.Certifier = of.Raw, certifier
	if err := r.record.write(); err != nil {
		return err
	}
	if before != r.record.path {
		if err := os.Remove(before); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return err
		}
	}
	return nil
}

// fixedPlace refuses a new key where keys have no places of their own.
func fixedPlace(reference string) error {
	_, f, err := family.Parse(reference)
	if err != nil || f.Name == nil {
		return err
	}
	return problem.New(problem.NotSupported, "a new key does not take the place of %s", reference).
		Because("Keys of tokens have their own names.").
		Advise(advice.Do(advice.GenerateKey, advice.Set(advice.Key, reference), advice.Fill(advice.KeyID)))
}
