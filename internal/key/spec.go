package key

import (
	"strings"

	"github.com/cardctl/cardctl/internal/problem"
)

// Spec is what a new key shall be.
type Spec struct {
	// Algorithm is empty for the card's choice: P256 where it can, else RSA2048.
	// Import takes it from the key.
	Algorithm Algorithm

	// Usage is empty for everything the algorithm and the place allow.
	Usage []Usage

	// Label names the key where the card keeps names; empty for the card's
	// choice.
	Label string

	// PINPolicy and TouchPolicy are when a use needs the PIN or a touch, in the words of
	// WithPolicies; empty for the card's choice.
	PINPolicy, TouchPolicy string
}

// WithPolicies is a key of a card that keeps, for each key, when a use needs the PIN or
// a touch.
type WithPolicies interface {
	// Policies are the words for them.
	Policies() (pin, touch []string)
}

// Usage is one thing a key may be used for.
type Usage string

// The usages of the command line's contract.
const (
	Sign    Usage = "sign"
	Decrypt Usage = "decrypt"
	Derive  Usage = "derive"
)

// Usages lists them all, in the order the documentation has.
func Usages() []Usage { return []Usage{Sign, Decrypt, Derive} }

// ParseUsage reads what a user types as a usage.
func ParseUsage(s string) (Usage, error) {
	var names []string
	for _, u := range Usages() {
		if string(u) == strings.ToLower(s) {
			return u, nil
		}
		names = append(names, string(u))
	}
	return "", problem.New(problem.Usage, "%q is not a key usage", s).Because("Valid usages: %s.", strings.Join(names, ", "))
}
