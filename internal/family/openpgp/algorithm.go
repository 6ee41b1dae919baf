package openpgp

import (
	"context"
	"slices"
	"strings"

	"github.com/cardctl/cardctl/internal/advice"
	"github.com/cardctl/cardctl/internal/iso7816"
	"github.com/cardctl/cardctl/internal/key"
	app "github.com/cardctl/cardctl/internal/openpgp"
	"github.com/cardctl/cardctl/internal/problem"
)

// candidates are the algorithms to try: the one that was asked for, or else P256
// and then RSA2048, as far as it can be known that the card has them.
func candidates(data *app.ApplicationRelatedData, slot app.Slot, algorithm key.Algorithm) ([]key.Algorithm, error) {
	wanted := []key.Algorithm{key.P256, key.RSA2048}
	switch {
	case algorithm != "":
		wanted = []key.Algorithm{algorithm}
	case !data.Extended.AlgorithmsChangeable:
		wanted = []key.Algorithm{key.Algorithm(data.Key(slot).Attributes.Name())}
	}
	var possible []key.Algorithm
	var refused error
	for _, candidate := range wanted {
		if err := checkAlgorithm(data, slot, candidate); err != nil {
			refused = err
			continue
		}
		possible = append(possible, candidate)
	}
	if len(possible) == 0 {
		return nil, refused
	}
	return possible, nil
}

// cannot reports whether a card refused an algorithm, rather than the PIN or
// for a failure.
func cannot(err error) bool {
	switch iso7816.StatusOf(err) {
	case iso7816.StatusWrongData, iso7816.StatusFunctionNotSupported, iso7816.StatusReferenceNotFound,
		iso7816.StatusConditionsNotSatisfied, iso7816.StatusUnknown:
		return true
	}
	return problem.Is(err, problem.NotSupported)
}

// checkAlgorithm refuses what can be known to fail before the card is touched.
func checkAlgorithm(data *app.ApplicationRelatedData, slot app.Slot, algorithm key.Algorithm) error {
	current := data.Key(slot).Attributes.Name()
	if string(algorithm) == current {
		return nil
	}
	refused := problem.New(problem.NotSupported, "%s is not possible for the %s key", algorithm, slot)
	if _, rsa := algorithm.RSABits(); !rsa {
		if _, ok := app.CurveAttributes(slot, string(algorithm)); !ok {
			if algorithm == key.X25519 {
				return refused.Because("An X25519 key can only decrypt, and only OPENPGP.2 decrypts.").Advise(withSlot(app.Decryption))
			}
			return refused.Because("An %s key can only sign, and only OPENPGP.1 and OPENPGP.3 sign.", algorithm).Advise(withSlot(app.Authentication))
		}
		if data.AID.Version() < 0x0300 {
			return refused.Because("OpenPGP cards of version %s support only RSA.", data.AID.VersionString()).Advise(withoutAlgorithm())
		}
	}
	if !data.Extended.AlgorithmsChangeable {
		return refused.Because("This slot of the card supports only %s.", current).Advise(withoutAlgorithm())
	}
	return nil
}

// withSlot is the same with the key of another slot.
func withSlot(slot app.Slot) advice.Advice {
	return advice.Repeat(advice.Set(advice.Key, referenceOf(slot).Text))
}

// withoutAlgorithm leaves the algorithm to the card.
func withoutAlgorithm() advice.Advice { return advice.Repeat().Without(advice.Algorithm) }

// putAttributes writes the attributes in the form that the card shows to be
// its own. Where it refuses them, its list of algorithms is asked.
func (k *slotKey) putAttributes(ctx context.Context, data *app.ApplicationRelatedData, algorithm key.Algorithm) error {
	wanted := k.attributesLikeTheCards(data, algorithm)
	refusal := k.writeAttributes(ctx, wanted)
	if !cannot(refusal) {
		return refusal
	}
	able, err := k.able(ctx)
	if err != nil {
		return err
	}
	for _, candidate := range able {
		if candidate.Name() == string(algorithm) && !slices.Equal(candidate, wanted) {
			return k.writeAttributes(ctx, candidate)
		}
	}
	return k.unable(refusal, algorithm, able)
}

// writeAttributes looks what the attributes are where the answer does not tell.
func (k *slotKey) writeAttributes(ctx context.Context, wanted app.Attributes) error {
	selected, err := k.application(ctx)
	if err != nil {
		return err
	}
	k.changing(k.slot)
	err = selected.PutAttributes(ctx, k.slot, wanted)
	if !unexpected(err) {
		return err
	}
	_, data, failed := k.again(ctx)
	if failed == nil && data.Key(k.slot).Attributes.Name() == wanted.Name() {
		return nil
	}
	return err
}

// able is the card's list of algorithms for the slot, empty where it has none.
func (k *slotKey) able(ctx context.Context) ([]app.Attributes, error) {
	selected, err := k.application(ctx)
	if err != nil {
		return nil, err
	}
	able, err := selected.AlgorithmInformation(ctx)
	if err != nil && iso7816.StatusOf(err) == 0 {
		return nil, err
	}
	return able[k.slot], nil
}

// unable says that the card has no such keys, and which others it knows.
func (k *slotKey) unable(refusal error, algorithm key.Algorithm, able []app.Attributes) error {
	var names []string
	for _, candidate := range able {
		name := candidate.Name()
		_, curve := candidate.Curve()
		if usable := curve || candidate.RSABits() != 0; usable && name != string(algorithm) && !slices.Contains(names, name) {
			names = append(names, name)
		}
	}
	p := problem.New(problem.NotSupported, "the card does not support %s in this slot [%s]", algorithm, iso7816.StatusOf(refusal))
	p.Cause = refusal
	p.Advise(withoutAlgorithm())
	if len(names) > 0 {
		p.Because("Algorithms for the %s key: %s.", k.slot, strings.Join(names, ", "))
	}
	return p
}

// attributesLikeTheCards takes an RSA slot of the card, this one first, as the
// example for exponent length and import format.
func (k *slotKey) attributesLikeTheCards(data *app.ApplicationRelatedData, algorithm key.Algorithm) app.Attributes {
	bits, rsa := algorithm.RSABits()
	if !rsa {
		attributes, _ := app.CurveAttributes(k.slot, string(algorithm))
		return attributes
	}
	for _, slot := range append([]app.Slot{k.slot}, app.Signature, app.Decryption, app.Authentication) {
		if example := data.Key(slot).Attributes; example.RSABits() != 0 {
			return example.WithRSABits(bits)
		}
	}
	return app.RSAAttributes(bits)
}
