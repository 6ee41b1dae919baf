package keygen

import (
	"context"
	"crypto"
	"strings"
	"time"

	"github.com/cardctl/cardctl/internal/advice"
	"github.com/cardctl/cardctl/internal/key"
	"github.com/cardctl/cardctl/internal/problem"
)

// unknown is what names, after plain, a key without a fingerprint: the card does not
// report it, or whether there is one.
const unknown = "UNKNOWN"

// mayWrite refuses to overwrite a key other than the one that is named. If nothing brings
// it back, that is asked too.
func mayWrite(ctx context.Context, k key.Key, occupant *key.Occupant, o Options) error {
	if err := mayReplace(k, occupant, o.Replace); err != nil || occupant == nil {
		return err
	}
	if lost := key.LostForGood(k); lost != "" {
		return o.Confirm.Ask(ctx, advice.Question{Deed: "Replace", Subject: inWords(occupant), Lost: lost})
	}
	return nil
}

func mayReplace(k key.Key, occupant *key.Occupant, replace string) error {
	named := plain(replace)
	switch {
	case occupant == nil:
		// Nothing is lost: the key to replace went with an interrupted
		// command, which is run again.
		return nil
	case occupant.Fingerprint == "" && named == unknown:
		return nil
	case occupant.Unknown:
		return problem.New(problem.Refused, "the card does not report whether the slot holds a key").
			Because("The new key would replace any key that is in it, which would be lost permanently.").
			AllowedBy(advice.Set(advice.Replace, strings.ToLower(unknown))).
			Advise(advice.Do(advice.ShowCard))
	case occupant.Fingerprint == "":
		return problem.New(problem.Refused, "the slot holds a key that the card does not report").
			Because("The new key would replace it, and it would be lost permanently.").
			AllowedBy(advice.Set(advice.Replace, strings.ToLower(unknown))).
			Advise(advice.Do(advice.ShowCard))
	case named == plain(occupant.Fingerprint):
		return nil
	case named == "":
		return problem.New(problem.Refused, "the slot already holds a key").
			Because("The new key would replace %s, which would be lost permanently.", inWords(occupant)).
			AllowedBy(advice.Set(advice.Replace, occupant.Fingerprint)).
			Advise(advice.Do(advice.ShowCard))
	}
	return problem.New(problem.Refused, "the key to replace is not the one in this slot").
		Because("%s was given, but %s holds %s.", other(named, occupant), k.Reference(), inWords(occupant)).
		Advise(advice.Do(advice.ShowCard))
}

// other is a fingerprint that is not the occupant's. What is not as long may be
// no fingerprint, but a secret in the wrong place.
func other(named string, occupant *key.Occupant) string {
	if len(named) == len(plain(occupant.Fingerprint)) {
		return named
	}
	return "Something else"
}

func inWords(o *key.Occupant) string {
	words := "the " + string(o.Algorithm) + " key " + o.Fingerprint
	if !o.Created.IsZero() {
		words += ", created on " + o.Created.UTC().Format(time.RFC3339)
	}
	return words
}

// plain is a fingerprint without what people and programs put between the
// digits.
func plain(fingerprint string) string {
	s := strings.NewReplacer(" ", "", ":", "", "-", "", ".", "").Replace(strings.ToUpper(fingerprint))
	return strings.TrimPrefix(s, "0X")
}

// publicOf is the public half of a private key of any kind that a card may
// take.
func publicOf(private crypto.PrivateKey) (crypto.PublicKey, error) {
	withPublic, ok := private.(interface{ Public() crypto.PublicKey })
	if !ok {
		return nil, problem.New(problem.NotSupported, "a key of this type cannot be imported").
			Because("The key is neither RSA nor elliptic-curve (%T).", private)
	}
	return withPublic.Public(), nil
}
