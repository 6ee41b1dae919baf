package key

import (
	"context"
	"slices"
	"strconv"
	"strings"

	"github.com/cardctl/cardctl/internal/iso7816"
	"github.com/cardctl/cardctl/internal/openpgp"
	"github.com/cardctl/cardctl/internal/problem"
)

// candidates are the algorithms to try: the one that was asked for, or else
// P256 and then RSA2048, as far as it can be known that the card has them.
func candidates(data *openpgp.ApplicationRelatedData, slot openpgp.Slot, algorithm Algorithm) []Algorithm {
	switch {
	case algorithm != "":
		return []Algorithm{algorithm}
	case !data.Extended.AlgorithmsChangeable:
		return []Algorithm{Algorithm(data.Key(slot).Attributes.Name())}
	case data.AID.Version() < 0x0300:
		return []Algorithm{RSA2048}
	}
	return []Algorithm{P256, RSA2048}
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
func checkAlgorithm(data *openpgp.ApplicationRelatedData, slot openpgp.Slot, algorithm Algorithm) error {
	current := data.Key(slot).Attributes.Name()
	if string(algorithm) == current {
		return nil
	}
	refused := problem.New(problem.NotSupported, "%s is not possible for the %s key", algorithm, slot)
	if _, rsa := algorithm.rsaBits(); !rsa {
		if _, ok := openpgp.CurveAttributes(slot, string(algorithm)); !ok {
			if algorithm == X25519 {
				return refused.Because("An X25519 key can only decrypt: its place is OPENPGP.2.")
			}
			return refused.Because("An %s key can only sign: its place is OPENPGP.1 or OPENPGP.3.", algorithm)
		}
		if data.AID.Version() < 0x0300 {
			return refused.Because("An OpenPGP card of version %s has RSA only.", data.AID.VersionString())
		}
	}
	if !data.Extended.AlgorithmsChangeable {
		return refused.Because("This card can make %s keys only.", current)
	}
	return nil
}

func (a Algorithm) rsaBits() (int, bool) {
	digits, ok := strings.CutPrefix(string(a), "rsa")
	bits, err := strconv.Atoi(digits)
	return bits, ok && err == nil
}

// putAttributes writes the attributes in the form that the card shows to be
// its own. Where it refuses them, its list of algorithms is asked.
func (k *openPGPKey) putAttributes(ctx context.Context, data *openpgp.ApplicationRelatedData, algorithm Algorithm) error {
	wanted := k.attributesLikeTheCards(data, algorithm)
	refusal := k.card.PutAttributes(ctx, k.slot, wanted)
	if !cannot(refusal) {
		return refusal
	}
	able, err := k.able(ctx)
	if err != nil {
		return err
	}
	for _, candidate := range able {
		if candidate.Name() == string(algorithm) && !slices.Equal(candidate, wanted) {
			return k.card.PutAttributes(ctx, k.slot, candidate)
		}
	}
	return k.unable(refusal, algorithm, able)
}

// able is the card's list of algorithms for the slot, empty where it has none.
func (k *openPGPKey) able(ctx context.Context) ([]openpgp.Attributes, error) {
	able, err := k.card.AlgorithmInformation(ctx)
	if err != nil && iso7816.StatusOf(err) == 0 {
		return nil, err
	}
	return able[k.slot], nil
}

// unable says that the card has no such keys, and which others it knows.
func (k *openPGPKey) unable(refusal error, algorithm Algorithm, able []openpgp.Attributes) error {
	var names []string
	for _, candidate := range able {
		name := candidate.Name()
		_, curve := candidate.Curve()
		if usable := curve || candidate.RSABits() != 0; usable && name != string(algorithm) && !slices.Contains(names, name) {
			names = append(names, name)
		}
	}
	p := problem.New(problem.NotSupported, "the card cannot have a %s key here [%s]", algorithm, iso7816.StatusOf(refusal))
	p.Cause = refusal
	if len(names) > 0 {
		p.Because("For the %s key it knows %s.", k.slot, strings.Join(names, ", "))
	}
	return p
}

// attributesLikeTheCards takes an RSA slot of the card, this one first, as the
// example for exponent length and import format.
func (k *openPGPKey) attributesLikeTheCards(data *openpgp.ApplicationRelatedData, algorithm Algorithm) openpgp.Attributes {
	bits, rsa := algorithm.rsaBits()
	if !rsa {
		attributes, _ := openpgp.CurveAttributes(k.slot, string(algorithm))
		return attributes
	}
	for _, slot := range append([]openpgp.Slot{k.slot}, openpgp.Signature, openpgp.Decryption, openpgp.Authentication) {
		if example := data.Key(slot).Attributes; example.RSABits() != 0 {
			return example.WithRSABits(bits)
		}
	}
	return openpgp.RSAAttributes(bits)
}
