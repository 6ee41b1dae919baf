package keygen

import (
	"slices"
	"strings"

	"github.com/cardctl/cardctl/internal/advice"
	"github.com/cardctl/cardctl/internal/key"
	"github.com/cardctl/cardctl/internal/problem"
)

// checkPolicies refuses policies on a card that keeps none, and words that it does not
// know.
func checkPolicies(k key.Key, spec key.Spec) error {
	with, keeps := k.(key.WithPolicies)
	var pins, touches []string
	if keeps {
		pins, touches = with.Policies()
	}
	for _, policy := range []struct {
		field advice.Field
		word  string
		valid []string
	}{{advice.PINPolicy, spec.PINPolicy, pins}, {advice.TouchPolicy, spec.TouchPolicy, touches}} {
		switch {
		case policy.word == "" || slices.Contains(policy.valid, policy.word):
		case !keeps:
			return problem.New(problem.NotSupported, "%s: this card does not keep a policy for each key", k.Reference()).
				Advise(advice.Repeat().Without(policy.field))
		default:
			return problem.New(problem.Usage, "%q is not a policy of this card", policy.word).
				Because("Valid policies: %s.", strings.Join(policy.valid, ", ")).Advise(advice.Repeat(advice.Fill(policy.field)))
		}
	}
	return nil
}
