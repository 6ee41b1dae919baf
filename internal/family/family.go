// Package family lists the kinds of cards, and finds the one for a reference,
// an application or a card in a reader. What a kind of card is, is left to the
// folder of its name.
package family

import (
	"slices"
	"strings"

	"github.com/cardctl/cardctl/internal/advice"
	"github.com/cardctl/cardctl/internal/card"
	"github.com/cardctl/cardctl/internal/family/javacard"
	"github.com/cardctl/cardctl/internal/family/openpgp"
	"github.com/cardctl/cardctl/internal/family/piv"
	"github.com/cardctl/cardctl/internal/family/pkcs15"
	"github.com/cardctl/cardctl/internal/family/token"
	"github.com/cardctl/cardctl/internal/key"
	"github.com/cardctl/cardctl/internal/problem"
)

// All are the families. A card that several know is called what the first
// calls it, and works without --app on the first that can open it.
func All() []card.Family {
	return []card.Family{openpgp.Family(), piv.Family(), pkcs15.Family(), javacard.Family(), token.Family()}
}

// Apps are the names in --app of the families for which has is true.
func Apps(has func(card.Family) bool) []string {
	var names []string
	for _, f := range All() {
		if has(f) {
			names = append(names, f.Apps...)
		}
	}
	return names
}

// HasKeys reports whether a family has keys and PINs that can be used.
func HasKeys(f card.Family) bool { return f.Open != nil && f.Example != "" }

// ByApp is the family of a name in --app.
func ByApp(app string) (card.Family, bool) {
	for _, f := range All() {
		if slices.Contains(f.Apps, app) {
			return f, true
		}
	}
	return card.Family{}, false
}

// Parse reads what a user types after --key, and finds the family that holds
// such keys.
func Parse(reference string) (key.Reference, card.Family, error) {
	for _, f := range All() {
		if f.Parse == nil {
			continue
		}
		ref, ours, err := f.Parse(reference)
		if ours || err != nil {
			return ref, f, err
		}
	}
	var forms []string
	for _, f := range All() {
		if f.Syntax != "" {
			forms = append(forms, f.Syntax)
		}
	}
	last := len(forms) - 1
	return key.Reference{}, card.Family{}, problem.New(problem.Usage, "this is not a key reference").
		Because("Valid references: %s or %s.", strings.Join(forms[:last], ", "), forms[last]).
		Advise(advice.Do(advice.ShowCard))
}
