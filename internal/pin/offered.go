package pin

import (
	"context"

	"github.com/cardctl/cardctl/internal/secret"
)

// Offered asks for a PIN that the user may leave out, which is nil then. It is sent later,
// by Given.
func (p *Policy) Offered(ctx context.Context, what PIN) (*secret.Bytes, error) {
	left := Unknown()
	if what.Tries != nil {
		var err error
		if left, err = what.Tries(ctx, false); err != nil {
			return nil, err
		}
	}
	request := what.request(left)
	request.Optional = true
	value, err := p.Ask(ctx, request, what)
	if err != nil || value == nil {
		return nil, err
	}
	if err := p.Check(what, left); err != nil {
		value.Wipe()
		return nil, err
	}
	return value, nil
}
