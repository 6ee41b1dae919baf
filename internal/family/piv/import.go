package piv

import (
	"context"
	"crypto"
	"errors"
	"fmt"
	"slices"

	"github.com/cardctl/cardctl/internal/advice"
	"github.com/cardctl/cardctl/internal/iso7816"
	"github.com/cardctl/cardctl/internal/key"
	app "github.com/cardctl/cardctl/internal/piv"
	"github.com/cardctl/cardctl/internal/problem"
	"github.com/cardctl/cardctl/internal/pubkey"
)

// Import puts a private key into the slot (Yubico). If the card does not report the key
// afterwards, it has to prove by a use that it is this one; the PIN for that is verified
// before anything is written.
func (k *slotKey) Import(ctx context.Context, private crypto.PrivateKey, spec key.Spec) (*key.Generated, error) {
	what := "import-key " + k.ref.String()
	public := private.(interface{ Public() crypto.PublicKey }).Public()
	spec.Algorithm = key.AlgorithmOf(public)
	algorithms, err := k.candidates(spec)
	if err == nil {
		err = importable(what, private)
	}
	if err == nil {
		err = k.Receives(ctx)
	}
	if err != nil {
		return nil, err
	}
	before, err := k.confirmed(ctx)
	if err != nil {
		return nil, k.explain(err, "")
	}
	stale, err := k.staleBeside(ctx, before, public)
	if err == nil {
		err = k.prepareProof(ctx, spec)
	}
	if err == nil {
		err = k.manage(ctx)
	}
	if err == nil {
		err = k.unchanged(ctx, before)
	}
	if err != nil {
		return nil, explain(err, what, key.Untouched)
	}
	if err := k.put(ctx, algorithms[0], private, spec); err != nil {
		return nil, explain(err, what, k.after(ctx, err, before))
	}
	k.forget()
	if err := k.readBack(ctx, public, spec); err != nil {
		return nil, explain(err, what, "A key was imported. It is not known whether it is this one.")
	}
	made := generated(public)
	return made, explain(k.replaced(ctx, made, stale), what, stateMade)
}

// TakesCertificate says that the certificate of an imported key is written too.
func (k *slotKey) TakesCertificate() bool { return true }

func importable(what string, private crypto.PrivateKey) error {
	err := app.Importable(private)
	if err == nil {
		return nil
	}
	return key.Wrap(problem.NotSupported, err, what+": no PIV card takes this key", "An RSA key needs two primes of equal length and the public exponent 65537.").
		Advise(advice.Do(advice.GenerateKey, advice.Fill(advice.Key)))
}

// Receives refuses a card without Yubico's command: the standard has none.
func (k *slotKey) Receives(ctx context.Context) error {
	yubico, err := k.yubico(ctx)
	if err != nil || yubico {
		return k.explain(err, "")
	}
	return problem.New(problem.NotSupported, "%s: this card takes no keys from outside", k.ref).
		Because("The PIV standard has no command for it. The card generates keys.").
		Advise(advice.Do(advice.GenerateKey, advice.Set(advice.Key, k.ref.Text)))
}

// staleBeside is the certificate beside the key that is replaced; nil for none, and for
// one that is for the new key.
func (k *slotKey) staleBeside(ctx context.Context, before *found, public crypto.PublicKey) ([]byte, error) {
	if der, err := k.Certificate(ctx); err == nil && der != nil {
		if there, err := app.PublicKeyOf(der); err == nil && pubkey.Same(there, public) {
			return nil, nil
		}
	}
	return k.staleCertificate(ctx, before)
}

// prepareProof has the PIN verified if the new key has to prove itself with it.
func (k *slotKey) prepareProof(ctx context.Context, spec key.Spec) error {
	_, err := k.about(ctx, byte(k.slot))
	if !errors.Is(err, errors.ErrUnsupported) || k.pinPolicy(&found{about: app.Metadata{PIN: pinPolicies[spec.PINPolicy]}}) == app.PINNever {
		return nil
	}
	return k.unlock(ctx, false)
}

func (k *slotKey) put(ctx context.Context, algorithm app.Algorithm, private crypto.PrivateKey, spec key.Spec) error {
	selected, err := k.application(ctx)
	if err != nil {
		return err
	}
	err = selected.Import(ctx, k.slot, algorithm, private, pinPolicies[spec.PINPolicy], touchPolicies[spec.TouchPolicy])
	if slices.Contains(noAlgorithm, iso7816.StatusOf(err)) {
		name, _ := algorithm.Name()
		p := problem.New(problem.NotSupported, "the card does not take this key [%s]", iso7816.StatusOf(err)).
			Because("It refused %s in this slot with these policies.", name).Advise(advice.Do(advice.ShowCard))
		p.Cause = err
		return p
	}
	return err
}

// readBack compares the key on the card with what was sent, or has it prove itself.
func (k *slotKey) readBack(ctx context.Context, public crypto.PublicKey, spec key.Spec) error {
	now, err := k.about(ctx, byte(k.slot))
	switch {
	case err == nil && now.Public != nil && !pubkey.Same(now.Public, public):
		return notSent(fmt.Sprintf("The card reports %s.", pubkey.Fingerprint(now.Public)))
	case err == nil && now.Public != nil:
		return nil
	case err != nil && !app.Unanswered(err):
		return err
	}
	k.saw(&found{
		state: present, public: public, algorithm: key.AlgorithmOf(public),
		about: app.Metadata{PIN: pinPolicies[spec.PINPolicy], Touch: touchPolicies[spec.TouchPolicy]},
	})
	fits, err := k.fits(ctx, public)
	if err == nil && !fits {
		err = notSent("The key did not prove that it belongs to its public half.")
	}
	if err != nil {
		k.forget()
	}
	return err
}

func notSent(why string) error {
	return problem.New(problem.Mismatch, "the key on the card is not the one that was sent").
		Because("%s", why+" Do not use the key in this slot.")
}
