package inventory

import "github.com/cardctl/cardctl/internal/family"

// ParseReference reads what a user types after --key, and gives it the form in
// which it is written everywhere.
func ParseReference(reference string) (string, error) {
	ref, _, err := family.Parse(reference)
	return ref.String(), err
}

// ExampleKey is a reference as users write it.
func ExampleKey() string { return family.All()[0].Example }
