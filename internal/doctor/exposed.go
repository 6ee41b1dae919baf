package doctor

import (
	"context"
	"fmt"
	"strings"

	"github.com/cardctl/cardctl/internal/advice"
	"github.com/cardctl/cardctl/internal/key"
	"github.com/cardctl/cardctl/internal/problem"
)

// exposedCards warns of cards with PINs and keys of the factory, and with keys that can be
// computed. Of cards that do not report whether they have such, that is said.
func (e *examination) exposedCards(ctx context.Context) Check {
	check := Check{Name: "factory-values", Result: Skip, Detail: "no idle card that can have factory values to check"}
	var bad, unknown, good []string
	for _, c := range e.probe.ExposedCards(ctx) {
		var names []string
		for _, value := range c.Factory {
			names = append(names, value.Name)
		}
		if len(names) > 0 {
			bad = append(bad, fmt.Sprintf("The %s in %s has factory values, which anyone knows: %s.", c.Kind, c.Reader, strings.Join(names, ", ")))
			check.Next = c.Factory[0].Change
		}
		if len(c.Weak) > 0 {
			bad = append(bad, fmt.Sprintf("The %s in %s has RSA keys that can be computed from their public keys (%s), unless they were imported: %s.",
				c.Kind, c.Reader, c.Why, strings.Join(c.Weak, ", ")))
			if check.Next.IsZero() {
				check.Next = advice.Do(advice.GenerateKey, advice.Set(advice.Key, c.Weak[0]), advice.Set(advice.Algorithm, string(key.P256)), advice.Fill(advice.Replace))
			}
		}
		switch {
		case len(c.Unknown) > 0:
			unknown = append(unknown, fmt.Sprintf("The %s in %s does not report whether it has factory values: %s.", c.Kind, c.Reader, strings.Join(c.Unknown, ", ")))
		case len(names) == 0:
			good = append(good, fmt.Sprintf("The %s in %s reports no factory values.", c.Kind, c.Reader))
		}
	}
	switch {
	case len(bad) > 0:
		check.Result = Warn
	case len(good) > 0:
		check.Result = Pass
	}
	if said := problem.Sentences(append(append(bad, unknown...), good...)...); said != "" {
		check.Detail = said
	}
	return check
}
