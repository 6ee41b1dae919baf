package openpgp

import (
	"context"
	"slices"

	"github.com/cardctl/cardctl/internal/iso7816"
)

// PrivateObject is a data object for private use (4.4.1), up to the length that the
// extended capabilities tell.
type PrivateObject struct {
	Tag   iso7816.Tag
	Value []byte // nil where Protected
	// Protected says that the card does not show it unless By was verified, which is 0
	// where the specification lets everybody read it.
	Protected bool
	By        PasswordRef
}

// PrivateObjects reads DO 0101 to 0104 without a password: those that the card has.
func (c *Card) PrivateObjects(ctx context.Context) ([]PrivateObject, error) {
	const first, third, fourth iso7816.Tag = 0x0101, 0x0103, 0x0104
	by := map[iso7816.Tag]PasswordRef{third: PW1, fourth: PW3}
	var list []PrivateObject
	for tag := first; tag <= fourth; tag++ {
		value, err := c.GetData(ctx, tag)
		object := PrivateObject{Tag: tag, Value: value, By: by[tag]}
		switch status := iso7816.StatusOf(err); {
		case status == iso7816.StatusSecurityNotSatisfied:
			object.Protected = true
		case status != 0 && (slices.Contains(absent, status) || iso7816.Refused(err)):
			continue
		case err != nil:
			return list, err
		}
		list = append(list, object)
	}
	return list, nil
}
