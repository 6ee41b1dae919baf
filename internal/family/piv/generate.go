package piv

import (
	"context"
	"crypto"
	"errors"
	"slices"

	"github.com/cardctl/cardctl/internal/advice"
	"github.com/cardctl/cardctl/internal/iso7816"
	"github.com/cardctl/cardctl/internal/key"
	app "github.com/cardctl/cardctl/internal/piv"
	"github.com/cardctl/cardctl/internal/problem"
	"github.com/cardctl/cardctl/internal/pubkey"
)

// What is in the slot when making a key ended with an error.
const (
	stateSame    = "The previous key is still in the slot."
	stateMade    = "A new key is in the slot."
	stateUnknown = "It is not known which key is in the slot now."
)

// Generate has the card make a key. The certificate of the key before would be taken for
// that of the new one, and is deleted.
func (k *slotKey) Generate(ctx context.Context, spec key.Spec) (*key.Generated, error) {
	what := "gen-key " + k.ref.String()
	algorithms, err := k.candidates(spec)
	if err != nil {
		return nil, err
	}
	before, err := k.confirmed(ctx)
	if err != nil {
		return nil, k.explain(err, "")
	}
	stale, err := k.staleCertificate(ctx, before)
	if err == nil {
		err = k.checkFirmware(ctx, algorithms[0])
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
	public, err := k.make(ctx, algorithms, spec)
	if err != nil {
		return nil, explain(err, what, k.after(ctx, err, before))
	}
	made := generated(public)
	if made.Unreported, err = k.reportsNothing(ctx); err != nil {
		return nil, explain(err, what, stateMade)
	}
	k.forget()
	return made, explain(k.replaced(ctx, made, stale), what, stateMade)
}

// generated describes a new key.
func generated(public crypto.PublicKey) *key.Generated {
	return &key.Generated{
		Occupant: key.Occupant{Fingerprint: pubkey.Fingerprint(public), Algorithm: key.AlgorithmOf(public)},
		Public:   public, Keygrip: key.Keygrip(public),
	}
}

// replaced deletes the certificate of the key before, if there was one.
func (k *slotKey) replaced(ctx context.Context, made *key.Generated, stale []byte) error {
	k.saw(&found{state: present, public: made.Public, algorithm: made.Algorithm})
	if stale != nil {
		made.StaleCertificate = stale
		err := k.deleteCertificate(ctx)
		if err == nil {
			err = k.keepHistory(ctx, k.slot, 0)
		}
		if err != nil {
			return key.Explain(err, "deleting the certificate of the previous key", "")
		}
	}
	k.certificate = &stored{}
	return nil
}

// reportsNothing says that the card has neither metadata nor statements, so that the
// public key is told once.
func (k *slotKey) reportsNothing(ctx context.Context) (bool, error) {
	selected, err := k.application(ctx)
	if err != nil || !errors.Is(k.metadata[byte(k.slot)].err, errors.ErrUnsupported) {
		return false, err
	}
	_, err = selected.Attest(ctx, k.slot)
	if err != nil && !app.Unanswered(err) {
		return false, err
	}
	return errors.Is(err, errors.ErrUnsupported), nil
}

// make has the card make a key of the first algorithm that it has.
func (k *slotKey) make(ctx context.Context, algorithms []app.Algorithm, spec key.Spec) (crypto.PublicKey, error) {
	selected, err := k.application(ctx)
	if err != nil {
		return nil, err
	}
	k.access.Notify("generating the key on the card")
	for i, algorithm := range algorithms {
		var public crypto.PublicKey
		public, err = selected.Generate(ctx, k.slot, algorithm, pinPolicies[spec.PINPolicy], touchPolicies[spec.TouchPolicy])
		if err == nil {
			return public, nil
		}
		if !slices.Contains(noAlgorithm, iso7816.StatusOf(err)) {
			return nil, err
		}
		if i == len(algorithms)-1 {
			name, _ := algorithm.Name()
			p := problem.New(problem.NotSupported, "the card cannot generate this key [%s]", iso7816.StatusOf(err)).
				Because("It refused %s in this slot with these policies.", name).Advise(advice.Repeat().Without(advice.Algorithm))
			p.Cause = err
			return nil, p
		}
	}
	return nil, err
}

// noAlgorithm are answers of cards that do not have an algorithm, a slot or a policy.
var noAlgorithm = []iso7816.Status{
	iso7816.StatusWrongData, iso7816.StatusWrongP1P2, iso7816.StatusFunctionNotSupported, iso7816.StatusReferenceNotFound,
}

// candidates are the algorithms to try: the one that was asked for, or else P-256 and
// then RSA 2048. What cannot be is refused.
func (k *slotKey) candidates(spec key.Spec) ([]app.Algorithm, error) {
	switch {
	case spec.Label != "":
		return nil, problem.New(problem.NotSupported, "a PIV card does not store key labels").Advise(advice.Repeat().Without(advice.Label))
	case spec.Algorithm == "":
		return []app.Algorithm{app.P256, app.RSA2048}, nil
	}
	algorithm, ok := app.AlgorithmNamed(string(spec.Algorithm))
	if !ok {
		return nil, problem.New(problem.NotSupported, "PIV cards do not have %s keys", spec.Algorithm).Advise(advice.Repeat().Without(advice.Algorithm))
	}
	for _, usage := range spec.Usage {
		if !slices.Contains(usagesOf(algorithm), usage) {
			return nil, problem.New(problem.NotSupported, "a %s key cannot be used to %s", spec.Algorithm, usage).
				Advise(advice.Repeat().Without(advice.Usage))
		}
	}
	return []app.Algorithm{algorithm}, nil
}

// usagesOf are what keys of an algorithm can do on a PIV card.
func usagesOf(algorithm app.Algorithm) []key.Usage {
	switch algorithm {
	case app.P256, app.P384:
		return []key.Usage{key.Sign, key.Derive}
	case app.Ed25519:
		return []key.Usage{key.Sign}
	case app.X25519:
		return []key.Usage{key.Derive}
	}
	return []key.Usage{key.Sign, key.Decrypt}
}

// The policies as users name them; nothing is the card's own choice.
var (
	pinPolicies   = map[string]app.PINPolicy{"never": app.PINNever, "once": app.PINOnce, "always": app.PINAlways}
	touchPolicies = map[string]app.TouchPolicy{"never": app.TouchNever, "always": app.TouchAlways, "cached": app.TouchCached}
)

// Policies are when a use of a key can need the PIN and a touch.
func (k *slotKey) Policies() (pin, touch []string) {
	return []string{"never", "once", "always"}, []string{"never", "always", "cached"}
}

// Algorithms are those that no PIV card is known to lack, and those of newer YubiKeys
// where the firmware tells.
func (k *slotKey) Algorithms(ctx context.Context) ([]key.Algorithm, error) {
	algorithms := []key.Algorithm{key.RSA2048, key.P256, key.P384}
	firmware, err := k.version(ctx)
	if err != nil {
		return nil, k.explain(err, "")
	}
	if firmware.Since(5, 7) {
		algorithms = []key.Algorithm{key.RSA2048, key.RSA3072, key.RSA4096, key.P256, key.P384, key.Ed25519, key.X25519}
	}
	if weakRSA(firmware) {
		algorithms = algorithms[1:]
	}
	return algorithms, nil
}

// checkFirmware refuses RSA keys on firmware that makes weak ones. A card with GET
// METADATA is newer.
func (k *slotKey) checkFirmware(ctx context.Context, algorithm app.Algorithm) error {
	_, told := k.metadata[byte(k.slot)]
	if told && k.metadata[byte(k.slot)].err == nil || !slices.Contains(usagesOf(algorithm), key.Decrypt) {
		return nil
	}
	firmware, err := k.version(ctx)
	if err != nil || !weakRSA(firmware) {
		return err
	}
	return problem.New(problem.NotSupported, "RSA keys that this card generates are weak").
		Because("Firmware %s has CVE-2017-15361: its RSA keys can be computed from the public key.", firmware).
		Advise(advice.Repeat(advice.Set(advice.Algorithm, string(key.P256))))
}

// staleCertificate is the certificate beside the key that is replaced; nil for none. A
// slot without a key and with a certificate is not written: the certificate may be all
// that is left of a key that was moved.
func (k *slotKey) staleCertificate(ctx context.Context, before *found) ([]byte, error) {
	der, err := k.Certificate(ctx)
	switch {
	case err != nil && key.Unreachable(ctx, err):
		return nil, err
	case err != nil: // there, and not readable
		der = []byte{}
	case der == nil:
		return nil, nil
	}
	if before.state == empty {
		return nil, problem.New(problem.Refused, "the slot holds a certificate but no key").
			Because("The new key would make it wrong, so it would have to be deleted.").
			Advise(advice.Do(advice.DeleteCertificate, advice.Set(advice.Key, k.ref.Text)))
	}
	return der, nil
}

// confirmed is what is in the slot. Another key than the one of which the caller was told,
// and asked, is refused.
func (k *slotKey) confirmed(ctx context.Context) (*found, error) {
	now, err := k.look(ctx)
	if err == nil && k.shown != nil {
		err = k.unchanged(ctx, k.shown)
	}
	return now, err
}

// manageConfirmed is manage, if the slot is as the caller was told before and after it.
func (k *slotKey) manageConfirmed(ctx context.Context) error {
	before, err := k.confirmed(ctx)
	if err == nil {
		err = k.manage(ctx)
	}
	if err == nil {
		err = k.unchanged(ctx, before)
	}
	return err
}

// unchanged refuses a slot that is not as it was looked at: another program may have
// written to the card while somebody was asked.
func (k *slotKey) unchanged(ctx context.Context, before *found) error {
	now, err := k.look(ctx)
	if err != nil || now == before || now.same(before) {
		return err
	}
	return key.ChangedMeanwhile(k.ref.String()+": the key has changed since it was read", "the card", key.Untouched)
}

func (f *found) same(other *found) bool {
	if f.state != other.state || f.algorithm != other.algorithm || (f.public == nil) != (other.public == nil) {
		return false
	}
	return f.public == nil || pubkey.Same(f.public, other.public)
}

// forget drops what was read of the slot.
func (k *slotKey) forget() {
	k.found, k.certificate, k.shown = nil, nil, nil
	delete(k.metadata, byte(k.slot))
}

// after says what is in the slot when making a key ended with err.
func (k *slotKey) after(ctx context.Context, err error, before *found) string {
	var told *problem.Error
	switch {
	case iso7816.Refused(err) || errors.As(err, &told) && told.Code == problem.NotSupported:
		return key.Untouched
	case key.Unreachable(ctx, err):
		return stateUnknown
	}
	k.forget()
	now, failed := k.look(ctx)
	switch {
	case failed != nil || now.state == unknown || now.certified || now.public == nil && now.state == present:
		return stateUnknown
	case now.same(before) && now.state == empty:
		return key.Untouched
	case now.same(before):
		return stateSame
	}
	return stateMade
}
