package pkcs15

import (
	"context"
	"crypto"
	"errors"
	"slices"
	"strings"

	"github.com/cardctl/cardctl/internal/advice"
	"github.com/cardctl/cardctl/internal/key"
	"github.com/cardctl/cardctl/internal/pin"
	app "github.com/cardctl/cardctl/internal/pkcs15"
	"github.com/cardctl/cardctl/internal/problem"
	"github.com/cardctl/cardctl/internal/pubkey"
	"github.com/cardctl/cardctl/internal/secret"
)

// place is a key, or a place for one, on a PKCS#15 card.
type place struct {
	card *Card
	ref  key.Reference
	id   []byte
	seen *seen // nil where it was not looked at
}

// seen is the key in a place, as it was when somebody was asked for the asked-th
// time.
type seen struct {
	fingerprint string // empty for none
	asked       int
}

func (k *place) Reference() key.Reference { return k.ref }

// Occupant tells of the key by its public half, or by its entry in the card's
// directory where the card has no public half for it. What an interrupted
// Generate or Import left is no key: nobody knows its public half.
func (k *place) Occupant(ctx context.Context) (*key.Occupant, error) {
	occupant, err := k.occupant(ctx)
	if err == nil {
		k.saw(occupant)
	}
	return occupant, err
}

func (k *place) saw(there *key.Occupant) {
	k.seen = &seen{asked: k.card.asked}
	if there != nil {
		k.seen.fingerprint = there.Fingerprint
	}
}

// unchanged refuses a key that is not the one that was looked at: another program
// may have written to the card while somebody was asked.
func (k *place) unchanged(ctx context.Context) error {
	was := k.seen
	if was == nil || was.asked == k.card.asked {
		return nil
	}
	if _, err := k.Occupant(ctx); err != nil || k.seen.fingerprint == was.fingerprint {
		return err
	}
	k.seen = was
	return key.ChangedMeanwhile(k.ref.String()+": the key has changed since it was read", "the card", key.Untouched)
}

func (k *place) occupant(ctx context.Context) (*key.Occupant, error) {
	private, err := k.private(ctx)
	if err != nil || private == nil {
		return nil, err
	}
	public, err := k.card.app.PublicKey(ctx, k.id)
	if err != nil {
		return nil, k.explain(err, "")
	}
	occupant := &key.Occupant{Label: private.Label}
	for _, u := range private.Usage.Names() {
		occupant.Usage = append(occupant.Usage, key.Usage(u))
	}
	if public != nil {
		occupant.Fingerprint, occupant.Algorithm = pubkey.Fingerprint(public), key.AlgorithmOf(public)
		return occupant, nil
	}
	begun, err := k.card.app.Begun(ctx, k.id)
	if err != nil || begun {
		return nil, k.explain(err, "")
	}
	occupant.Fingerprint, occupant.Algorithm = private.Fingerprint(), key.Algorithm(private.Algorithm())
	return occupant, nil
}

// private is the private key's entry in the directory, nil where there is none.
func (k *place) private(ctx context.Context) (*app.PrivateKey, error) {
	private, err := k.card.app.Key(ctx, k.id)
	return private, k.explain(err, "")
}

// needed is the private key, which has to be there.
func (k *place) needed(ctx context.Context) (*app.PrivateKey, error) {
	private, err := k.private(ctx)
	if err != nil || private != nil {
		return private, err
	}
	d, err := k.card.app.Directory(ctx)
	if err != nil {
		return nil, k.explain(err, "")
	}
	var others []string
	for _, other := range d.Keys {
		others = append(others, referenceTo(other.ID).String())
	}
	there := "The card has no keys."
	if len(others) > 0 {
		there = "Keys on the card: " + strings.Join(others, ", ") + "."
	}
	return nil, problem.New(problem.NotFound, "%s: the card has no such key", k.ref).Because("%s", there).
		Advise(advice.Do(advice.GenerateKey, advice.Set(advice.Key, k.ref.Text)))
}

func (k *place) Public(ctx context.Context) (crypto.PublicKey, error) {
	if _, err := k.needed(ctx); err != nil {
		return nil, err
	}
	public, err := k.card.app.PublicKey(ctx, k.id)
	if err != nil {
		return nil, k.explain(err, "")
	}
	if public == nil {
		return nil, problem.New(problem.NotFound, "%s: the card does not show the public key", k.ref).
			Because("The private key has neither a public key nor a certificate with its ID. Write its certificate with pkcs15-init, or replace the key.").
			Advise(advice.Do(advice.ShowCard))
	}
	k.saw(&key.Occupant{Fingerprint: pubkey.Fingerprint(public)})
	return public, nil
}

// PIN is the one that protects the key, or the one that certificates are written
// with.
func (k *place) PIN(ctx context.Context, p key.Purpose) (pin.PIN, error) {
	own, err := k.card.app.PINOf(ctx, k.id, p == key.ToStore)
	if err != nil {
		return pin.PIN{}, k.explain(err, "")
	}
	return k.card.pin(own), nil
}

// with has the PIN for a purpose sent, by the policy, unless the key has become
// another one meanwhile; own is that PIN as the card knows it.
func (k *place) with(ctx context.Context, p key.Purpose, use func(own app.PIN, value *secret.Bytes) error) error {
	own, err := k.card.app.PINFor(ctx, k.id, p == key.ToStore)
	if err != nil {
		return err
	}
	counted, err := k.card.counted(ctx, own)
	if err != nil {
		return err
	}
	return k.card.access.Policy.Send(ctx, counted, func(ctx context.Context, value *secret.Bytes) error {
		if err := k.unchanged(ctx); err != nil {
			return err
		}
		return use(own, value)
	})
}

// Holder is what programs know the card by.
func (k *place) Holder(ctx context.Context) (key.Holder, error) {
	d, err := k.card.read(ctx)
	if err != nil {
		return key.Holder{}, err
	}
	h := key.Holder{
		Card: k.card.holder(), Serial: k.card.identity.Serial, Driver: k.card.app.Driver(), SeveralPINs: d != nil && d.UserPINs() > 1,
		CertificateID: k.id,
	}
	if h.SeveralPINs {
		h.Token, err = k.TokenLabel(ctx)
	}
	return h, err
}

// TokenLabel is that of key.TokenNamer.
func (k *place) TokenLabel(ctx context.Context) (string, error) {
	label, err := k.card.app.ModuleLabel(ctx, k.id)
	return label, k.explain(err, "")
}

// Algorithms are those that nothing is known against.
func (k *place) Algorithms(ctx context.Context) ([]key.Algorithm, error) {
	return slices.DeleteFunc(key.Algorithms(), func(a key.Algorithm) bool {
		return k.card.app.CheckAlgorithm(ctx, string(a)) != nil
	}), nil
}

func (k *place) explain(err error, state string) error {
	return key.Explain(err, k.ref.String(), state)
}

const lookAgain = "It is not known what is on the card now. Run the same command again to continue."

func (k *place) Generate(ctx context.Context, spec key.Spec) (*key.Generated, error) {
	if spec.Algorithm == "" {
		spec.Algorithm = key.Algorithm(k.card.app.DefaultAlgorithm())
	}
	return k.make(ctx, spec, nil, func(n app.NewKey, pin *secret.Bytes) error {
		k.notify("generating the key on the card, which takes a while")
		return k.card.app.GenerateKey(ctx, n, pin)
	})
}

func (k *place) Import(ctx context.Context, private crypto.PrivateKey, spec key.Spec) (*key.Generated, error) {
	signer, ok := private.(crypto.Signer)
	if !ok {
		return nil, problem.New(problem.NotSupported, "%s: this card does not support keys of this kind", k.ref).
			Because("On PKCS#15 cards, OpenSC supports RSA, p256, p384 and p521.")
	}
	spec.Algorithm = key.AlgorithmOf(signer.Public())
	return k.make(ctx, spec, k.card.app.CheckImport, func(n app.NewKey, pin *secret.Bytes) error {
		return k.card.app.StoreKey(ctx, n, private, pin)
	})
}

func (k *place) notify(message string) {
	if k.card.access.Notify != nil {
		k.card.access.Notify(message)
	}
}

// make puts a key into the slot, after removing the one that is there if check,
// which may be nil, has nothing against it, and reads it back.
func (k *place) make(ctx context.Context, spec key.Spec, check func(context.Context, app.PIN, *secret.Bytes) error, put func(app.NewKey, *secret.Bytes) error) (*key.Generated, error) {
	if err := k.card.app.CheckAlgorithm(ctx, string(spec.Algorithm)); err != nil {
		return nil, k.explain(err, "")
	}
	n := app.NewKey{ID: k.id, Label: spec.Label, Algorithm: string(spec.Algorithm)}
	var err error
	if n.Usage, err = usages(spec); err != nil {
		return nil, k.explain(err, "")
	}
	if n.Label == "" {
		n.Label = "Key " + k.ref.ID
	}
	old, err := k.private(ctx)
	if err != nil {
		return nil, err
	}
	removed := false
	var there []string // the IDs before
	err = k.with(ctx, key.ToMake, func(p app.PIN, pin *secret.Bytes) error {
		n.PIN = p
		if old != nil && check != nil {
			if err := check(ctx, p, pin); err != nil {
				return err
			}
		}
		if old != nil {
			if err := k.card.app.DeleteObjects(ctx, app.KindKey, k.id, p, pin); err != nil {
				return err
			}
			removed = true
		}
		if there, err = k.card.numbered(ctx); err != nil {
			return err
		}
		return put(n, pin)
	})
	switch {
	case err == nil:
		return k.readBack(ctx, there)
	case removed:
		return nil, k.lost(ctx, err)
	}
	return nil, k.explain(err, k.stateAfter(ctx, err))
}

// lost says what is on the card where the previous key was deleted, and no new one was
// completed.
func (k *place) lost(ctx context.Context, err error) error {
	state := "The previous key is lost. " + lookAgain
	if !key.Unreachable(ctx, err) {
		k.card.app.Forget()
		if there, failed := k.private(ctx); failed == nil && there == nil {
			state = "The previous key is lost, and the card has no key " + k.ref.String() + "."
		}
	}
	err = k.explain(err, state)
	var p *problem.Error
	if errors.As(err, &p) && p.Next.IsZero() {
		p.Advise(advice.Repeat().Without(advice.Replace))
	}
	return err
}

// stateAfter is what is known of the card after something that would have changed
// it.
func (k *place) stateAfter(ctx context.Context, err error) string {
	switch {
	case app.Full(err) && !key.Unreachable(ctx, err):
		k.card.app.Forget()
		if d, failed := k.card.app.Directory(ctx); failed == nil {
			return "It holds: " + strings.Join(contents(d), ", ") + "."
		}
		return lookAgain
	case app.Unsettled(err):
		return lookAgain
	}
	return key.Untouched
}

// usages are what the new key is for: what was asked for, or else what its
// algorithm allows.
func usages(spec key.Spec) ([]string, error) {
	_, isRSA := spec.Algorithm.RSABits()
	if len(spec.Usage) == 0 {
		if isRSA {
			return []string{string(key.Sign), string(key.Decrypt)}, nil
		}
		return []string{string(key.Sign)}, nil
	}
	var names []string
	for _, u := range spec.Usage {
		if isRSA && u == key.Derive || !isRSA && u == key.Decrypt {
			return nil, problem.New(problem.NotSupported, "%s keys cannot %s", spec.Algorithm, u).
				Advise(advice.Repeat().Without(advice.Usage))
		}
		if !slices.Contains(names, string(u)) {
			names = append(names, string(u))
		}
	}
	return names, nil
}

// numbered are the IDs of the keys of a card that may give a new key another ID than
// it was told: one that is reached through OpenSC alone.
func (c *Card) numbered(ctx context.Context) ([]string, error) {
	if c.app.Known() {
		return nil, nil
	}
	d, err := c.app.Directory(ctx)
	if err != nil {
		return nil, err
	}
	var ids []string
	for _, k := range d.Keys {
		ids = append(ids, string(k.ID))
	}
	return ids, nil
}

// follow goes on with the ID that the card gave to the only key which was not there.
// requested is the reference that it was told then.
func (k *place) follow(ctx context.Context, there []string) (requested string, err error) {
	now, err := k.card.numbered(ctx)
	if err != nil || slices.Contains(now, string(k.id)) {
		return "", err
	}
	fresh := slices.DeleteFunc(now, func(id string) bool { return slices.Contains(there, id) })
	if len(fresh) == 1 {
		requested = k.ref.String()
		k.id = []byte(fresh[0])
		k.ref = referenceTo(k.id)
	}
	return requested, nil
}

// readBack looks whether the key is on the card: pkcs15-init is known to
// succeed where it did nothing. there are the IDs that the card had before.
func (k *place) readBack(ctx context.Context, there []string) (*key.Generated, error) {
	requested, err := k.follow(ctx, there)
	if err != nil {
		return nil, k.explain(err, lookAgain)
	}
	occupant, err := k.Occupant(ctx)
	if err != nil {
		return nil, k.explain(err, lookAgain)
	}
	if occupant == nil {
		return nil, problem.New(problem.Failed, "%s: pkcs15-init reported success, but the card has no key", k.ref).
			Advise(advice.Do(advice.ShowCard))
	}
	public, err := k.Public(ctx)
	if err != nil {
		return nil, k.explain(err, lookAgain)
	}
	return &key.Generated{
		Occupant: *occupant, Public: public, Keygrip: key.Keygrip(public), Requested: requested,
		OnlyPKCS1: pubkey.IsRSA(public) && k.card.app.OnlyPKCS1(),
	}, nil
}

func (k *place) Delete(ctx context.Context) error {
	if _, err := k.needed(ctx); err != nil {
		return err
	}
	err := k.with(ctx, key.ToMake, func(p app.PIN, pin *secret.Bytes) error {
		return k.card.app.DeleteObjects(ctx, app.KindKey, k.id, p, pin)
	})
	if err != nil {
		return k.explain(err, k.stateAfter(ctx, err))
	}
	return nil
}
