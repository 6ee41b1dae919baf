package token

import (
	"context"

	"github.com/cardctl/cardctl/internal/p11"
	"github.com/cardctl/cardctl/internal/pin"
	"github.com/cardctl/cardctl/internal/pkcs15"
)

// askOpenSC asks pkcs15-tool how many tries a PIN has left, for OpenSC's module
// raises no flag also where the card does not tell it. What the tool does not show
// for exactly that PIN is not known.
func askOpenSC(ctx context.Context, of p11.Token, r p11.Role, env []string) (pin.Tries, error) {
	left, err := pkcs15.Tools{Env: env}.TriesIn(ctx, of.SlotDescription, of.Label, r == p11.SecurityOfficer)
	if err != nil {
		return pin.Unknown(), ctx.Err()
	}
	return pin.OfNumber(left), nil
}
