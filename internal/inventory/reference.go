package inventory

import (
	"context"

	"github.com/cardctl/cardctl/internal/desk"
	"github.com/cardctl/cardctl/internal/family"
	"github.com/cardctl/cardctl/internal/p11"
)

// ParseReference reads what a user types after --key, and gives it the form in
// which it is written everywhere.
func ParseReference(reference string) (string, error) {
	ref, _, err := family.Parse(reference)
	return ref.String(), err
}

// ExampleKey is a reference to a key as the card that is meant could have it; empty for
// a token, and for a card that cannot be reached or has no keys.
func ExampleKey(ctx context.Context, d *desk.Desk) string { return family.Example(ctx, d) }

// PINSource is the source of the PIN that a reference names, empty where it names none.
func PINSource(reference string) (string, error) {
	if !p11.IsURI(reference) {
		return "", nil
	}
	uri, err := p11.ParseURI(reference)
	if err != nil {
		return "", err
	}
	return uri.PINSource()
}
