// Package piv is the family of PIV cards (NIST SP 800-73-4). It recognises them
// by their application and by references to their keys; they cannot be used
// yet.
package piv

import (
	"slices"
	"strconv"
	"strings"

	"github.com/cardctl/cardctl/internal/advice"
	"github.com/cardctl/cardctl/internal/card"
	"github.com/cardctl/cardctl/internal/key"
	"github.com/cardctl/cardctl/internal/problem"
)

// Family is the family of PIV cards.
func Family() card.Family {
	return card.Family{
		Apps:   []string{"piv"},
		Kind:   "PIV card",
		Parse:  parse,
		Probes: []card.Probe{{App: "piv", Type: "PIV card", AID: applicationID()}},
	}
}

// applicationID is the AID of the PIV card application without its version.
func applicationID() []byte { return []byte{0xA0, 0x00, 0x00, 0x03, 0x08, 0x00, 0x00, 0x10, 0x00} }

// name is the first word of references to keys.
const name = "PIV"

// parse reads PIV.9A. Case does not matter.
func parse(reference string) (key.Reference, bool, error) {
	word, slot, found := strings.Cut(strings.ToUpper(reference), ".")
	if !found || word != name {
		return key.Reference{}, false, nil
	}
	if !isSlot(slot) {
		return key.Reference{}, false, problem.New(problem.Usage, "a PIV card has no such key slot").
			Because("PIV cards are not supported yet.").Advise(advice.Do(advice.ShowCard))
	}
	return key.Reference{Family: name, ID: slot, Text: name + "." + slot}, true, nil
}

// isSlot knows the slots of SP 800-73-4, part 1, table 4b, and that of the key
// that attests the others.
func isSlot(slot string) bool {
	if slices.Contains([]string{"9A", "9C", "9D", "9E", "F9"}, slot) {
		return true
	}
	const firstRetired, lastRetired = 0x82, 0x95
	n, err := strconv.ParseUint(slot, 16, 8)
	return err == nil && len(slot) == 2 && n >= firstRetired && n <= lastRetired
}
