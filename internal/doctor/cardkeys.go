package doctor

import (
	"context"
	"strings"

	"github.com/cardctl/cardctl/internal/advice"
)

// cardKeys warns of cards that everybody can put applets on.
func (e *examination) cardKeys(ctx context.Context) Check {
	check := Check{Name: "card-keys", Result: Pass}
	var open, own []string
	kind := ""
	for _, c := range e.probe.ManagedCards(ctx) {
		kind = c.Kind
		if c.KnownKeys {
			open = append(open, c.Reader)
		} else {
			own = append(own, c.Reader)
		}
	}
	switch {
	case len(open) > 0:
		check.Result, check.Detail = Warn, "a "+kind+" has factory or test keys, which others know, in: "+strings.Join(open, "; ")
		check.Next = advice.Do(advice.SetCardKeys, advice.Switch(advice.Generate), advice.Fill(advice.KeysFile))
	case len(own) > 0:
		check.Detail = "no factory or test keys on the " + kind + " in: " + strings.Join(own, "; ")
	default:
		check.Result, check.Detail = Skip, "no idle card with card keys to check"
	}
	return check
}
