package key

import (
	"context"
	"crypto"
	"encoding/hex"
	"fmt"
	"io"
	"slices"
	"strings"

	"github.com/cardctl/cardctl/internal/pkcs15"
	"github.com/cardctl/cardctl/internal/problem"
	"github.com/cardctl/cardctl/internal/secret"
)

// OpenPKCS15 finds the key that a reference names on a PKCS#15 card. The slot
// may be empty. The Closer lets the card go.
func OpenPKCS15(ctx context.Context, card *pkcs15.Card, ref Reference, access Access) (Key, io.Closer, error) {
	if ref.Application != PKCS15 {
		return nil, nil, problem.New(problem.Usage, "%s is not a key of a PKCS#15 card", ref).Hint("--key PKCS15.45")
	}
	id, err := hex.DecodeString(ref.ID)
	if err != nil {
		return nil, nil, problem.New(problem.Usage, "%s: the ID is not hex", ref).Because("It has two digits a byte, as in PKCS15.45.")
	}
	k := &pkcs15Key{card: card, ref: ref, id: id, access: access}
	if _, err := card.PINs(ctx); err != nil {
		return nil, nil, Explain(err, ref.String(), "")
	}
	return k, card, nil
}

// pkcs15Key is a Key on a PKCS#15 card.
type pkcs15Key struct {
	card   *pkcs15.Card
	ref    Reference
	id     []byte
	access Access
}

func (k *pkcs15Key) Reference() Reference { return k.ref }

// Occupant tells of the key by its public half, or by its entry in the card's
// directory where the card has no public half for it. What an interrupted
// Generate or Import left is no key: nobody knows its public half.
func (k *pkcs15Key) Occupant(ctx context.Context) (*Occupant, error) {
	private, err := k.private(ctx)
	if err != nil || private == nil {
		return nil, err
	}
	public, err := k.card.PublicKey(ctx, k.id)
	if err != nil {
		return nil, k.explain(err, "")
	}
	if public != nil {
		occupant := occupantOf(public)
		return &occupant, nil
	}
	begun, err := k.card.Begun(ctx, k.id)
	if err != nil || begun {
		return nil, k.explain(err, "")
	}
	return &Occupant{Fingerprint: private.Fingerprint(), Algorithm: Algorithm(private.Algorithm())}, nil
}

// private is the private key's entry in the directory, nil where there is none.
func (k *pkcs15Key) private(ctx context.Context) (*pkcs15.PrivateKey, error) {
	private, err := k.card.Key(ctx, k.id)
	return private, k.explain(err, "")
}

// needed is the private key, which has to be there.
func (k *pkcs15Key) needed(ctx context.Context) (*pkcs15.PrivateKey, error) {
	private, err := k.private(ctx)
	if err != nil || private != nil {
		return private, err
	}
	d, err := k.card.Directory(ctx)
	if err != nil {
		return nil, k.explain(err, "")
	}
	var others []string
	for _, other := range d.Keys {
		others = append(others, fmt.Sprintf("PKCS15.%X", other.ID))
	}
	there := "There are no keys on it."
	if len(others) > 0 {
		there = "There are " + strings.Join(others, ", ") + "."
	}
	return nil, problem.New(problem.NotFound, "%s: there is no such key on the card", k.ref).Because("%s", there).
		Hint("cardctl gen-key --key %s makes one", k.ref)
}

func (k *pkcs15Key) Public(ctx context.Context) (crypto.PublicKey, error) {
	if _, err := k.needed(ctx); err != nil {
		return nil, err
	}
	public, err := k.card.PublicKey(ctx, k.id)
	if err != nil {
		return nil, k.explain(err, "")
	}
	if public == nil {
		return nil, problem.New(problem.NotFound, "%s: the card does not tell the public key", k.ref).
			Because("There is a private key, and neither a public key nor a certificate with its ID.").
			Hint("write the certificate with pkcs15-init, or replace the key")
	}
	return public, nil
}

// withPIN asks for the PIN, after a look at the tries left, and has it used
// once. A PIN that was verified is not asked for again.
func (k *pkcs15Key) withPIN(ctx context.Context, use func(p pkcs15.PIN, pin *secret.Bytes) error) error {
	return k.askPIN(ctx, false, use)
}

// withWriterPIN is withPIN with the PIN that certificates are written with.
func (k *pkcs15Key) withWriterPIN(ctx context.Context, use func(p pkcs15.PIN, pin *secret.Bytes) error) error {
	return k.askPIN(ctx, true, use)
}

func (k *pkcs15Key) askPIN(ctx context.Context, toWrite bool, use func(p pkcs15.PIN, pin *secret.Bytes) error) error {
	p, err := k.card.PINFor(ctx, k.id, toWrite)
	if err != nil {
		return k.explain(err, "")
	}
	return AskPKCS15PIN(ctx, p, secret.PIN, k.access, func(pin *secret.Bytes) error { return use(p, pin) })
}

// AskPKCS15PIN asks for a PIN of a PKCS#15 card and has it used once: after a
// look at the tries left, and at its length.
func AskPKCS15PIN(ctx context.Context, p pkcs15.PIN, name secret.Name, access Access, use func(pin *secret.Bytes) error) error {
	if err := p.CheckTries(access.AllowLastTry); err != nil {
		return err
	}
	pin, err := access.Ask(ctx, secret.Request{Name: name, Label: p.Name() + " of the PKCS#15 card", Note: p.Note()})
	if err != nil {
		return err
	}
	defer pin.Wipe()
	if err := p.CheckLength(pin); err != nil {
		return err
	}
	return use(pin)
}

func (k *pkcs15Key) explain(err error, state string) error {
	return Explain(err, k.ref.String(), state)
}

const lookAgain = "What is on the card now, cardctl info shows; the same command again goes on from there."

func (k *pkcs15Key) Generate(ctx context.Context, spec Spec) (*Generated, error) {
	if spec.Algorithm == "" {
		spec.Algorithm = Algorithm(k.card.DefaultAlgorithm())
	}
	return k.make(ctx, spec, nil, func(n pkcs15.NewKey, pin *secret.Bytes) error {
		k.notify("the card makes a key, which takes a while")
		return k.card.GenerateKey(ctx, n, pin)
	})
}

func (k *pkcs15Key) Import(ctx context.Context, private crypto.PrivateKey, spec Spec) (*Generated, error) {
	signer, ok := private.(crypto.Signer)
	if !ok {
		return nil, problem.New(problem.NotSupported, "%s: this card takes no keys of this kind", k.ref).
			Because("OpenSC puts RSA keys and p256, p384 and p521 on PKCS#15 cards.")
	}
	spec.Algorithm = AlgorithmOf(signer.Public())
	return k.make(ctx, spec, k.card.CheckImport, func(n pkcs15.NewKey, pin *secret.Bytes) error {
		return k.card.StoreKey(ctx, n, private, pin)
	})
}

func (k *pkcs15Key) notify(message string) {
	if k.access.Notify != nil {
		k.access.Notify(message)
	}
}

// make puts a key into the slot, after removing the one that is there if check,
// which may be nil, has nothing against it, and reads it back.
func (k *pkcs15Key) make(ctx context.Context, spec Spec, check func(context.Context, pkcs15.PIN, *secret.Bytes) error, put func(pkcs15.NewKey, *secret.Bytes) error) (*Generated, error) {
	if err := k.card.CheckAlgorithm(ctx, string(spec.Algorithm)); err != nil {
		return nil, k.explain(err, "")
	}
	n := pkcs15.NewKey{ID: k.id, Label: spec.Label, Algorithm: string(spec.Algorithm)}
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
	state := ""
	err = k.withPIN(ctx, func(p pkcs15.PIN, pin *secret.Bytes) error {
		n.PIN = p
		if old != nil && check != nil {
			if err := check(ctx, p, pin); err != nil {
				return err
			}
		}
		state = lookAgain
		if old != nil {
			if err := k.card.DeleteObjects(ctx, pkcs15.KindKey, k.id, p, pin); err != nil {
				return err
			}
			state = "The key that was in its place is gone. " + lookAgain
		}
		return put(n, pin)
	})
	if err != nil {
		return nil, k.explain(err, state)
	}
	return k.readBack(ctx)
}

// usages are what the new key is for: what was asked for, or else what its
// algorithm allows.
func usages(spec Spec) ([]string, error) {
	_, isRSA := spec.Algorithm.rsaBits()
	if len(spec.Usage) == 0 {
		if isRSA {
			return []string{string(Sign), string(Decrypt)}, nil
		}
		return []string{string(Sign)}, nil
	}
	var names []string
	for _, u := range spec.Usage {
		if isRSA && u == Derive || !isRSA && u == Decrypt {
			return nil, problem.New(problem.NotSupported, "%s keys cannot %s", spec.Algorithm, u)
		}
		if !slices.Contains(names, string(u)) {
			names = append(names, string(u))
		}
	}
	return names, nil
}

// readBack looks whether the key is on the card: pkcs15-init is known to
// succeed where it did nothing.
func (k *pkcs15Key) readBack(ctx context.Context) (*Generated, error) {
	occupant, err := k.Occupant(ctx)
	if err != nil {
		return nil, k.explain(err, lookAgain)
	}
	if occupant == nil {
		return nil, problem.New(problem.Failed, "%s: pkcs15-init said that it was done, and there is no key", k.ref).
			Hint("cardctl info shows what is on the card")
	}
	public, err := k.Public(ctx)
	if err != nil {
		return nil, k.explain(err, lookAgain)
	}
	return &Generated{Occupant: *occupant, Public: public, Keygrip: Keygrip(public)}, nil
}

func (k *pkcs15Key) Delete(ctx context.Context) error {
	if _, err := k.needed(ctx); err != nil {
		return err
	}
	err := k.withPIN(ctx, func(p pkcs15.PIN, pin *secret.Bytes) error {
		return k.card.DeleteObjects(ctx, pkcs15.KindKey, k.id, p, pin)
	})
	return k.explain(err, "")
}
