package key

import (
	"slices"
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
}

// Usage is one thing a key may be used for.
type Usage string

// The usages of the command line's contract.
const (
	Sign    Usage = "sign"
	Decrypt Usage = "decrypt"
	Derive  Usage = "derive"
)

// ParseUsage reads what a user types after --usage.
func ParseUsage(s string) (Usage, error) {
	u := Usage(strings.ToLower(s))
	if !slices.Contains([]Usage{Sign, Decrypt, Derive}, u) {
		return "", problem.New(problem.Usage, "%q is not a usage of a key", s).Because("The usages are sign, decrypt, derive.")
	}
	return u, nil
}
