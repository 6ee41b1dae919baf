package key

import (
	"context"
	"errors"
	"slices"
	"strconv"
	"strings"

	"github.com/cardctl/cardctl/internal/iso7816"
	"github.com/cardctl/cardctl/internal/openpgp"
	"github.com/cardctl/cardctl/internal/problem"
)

// preferred is the algorithm that is tried first when none is asked for.
func preferred(data *openpgp.ApplicationRelatedData, slot openpgp.Slot) Algorithm {
	if !data.Extended.AlgorithmsChangeable {
		return Algorithm(data.Key(slot).Attributes.Name())
	}
	if data.AID.Version() < 0x0300 {
		return RSA2048
	}
	return P256
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
	var status *iso7816.StatusError
	if !errors.As(refusal, &status) || status.Status == iso7816.StatusSecurityNotSatisfied {
		return refusal
	}
	able, err := k.card.AlgorithmInformation(ctx)
	if err != nil && !errors.As(err, &status) {
		return err
	}
	var names []string
	for _, candidate := range able[k.slot] {
		if candidate.Name() == string(algorithm) && !slices.Equal(candidate, wanted) {
			return k.card.PutAttributes(ctx, k.slot, candidate)
		}
		if !slices.Contains(names, candidate.Name()) {
			names = append(names, candidate.Name())
		}
	}
	p := problem.New(problem.NotSupported, "the card cannot make a %s key here [%s]", algorithm, status.Status)
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
