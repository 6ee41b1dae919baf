package doctor

import (
	"context"
	"strings"
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
		check.Result, check.Detail = Warn, "a "+kind+" with the keys that it came with or the test keys, which others know, in: "+strings.Join(open, "; ")
		check.Hint = "cardctl applet set-keys --generate --keys-file FILE"
	case len(own) > 0:
		check.Detail = "no keys that others are known to have on the " + kind + " in: " + strings.Join(own, "; ")
	default:
		check.Result, check.Detail = Skip, "no card that is managed with keys and that nobody uses"
	}
	return check
}
