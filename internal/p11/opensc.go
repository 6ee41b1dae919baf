package p11

import (
	"context"
	"os"
)

// driverVariable is where OpenSC looks, when it is initialised, for the one card
// driver that it shall use.
const driverVariable = "OPENSC_DRIVER"

// LoadFor is Load for work on one card of which OpenSC's name for its driver is
// known; empty for Load. OpenSC then asks the card nothing for other drivers,
// which takes some 26 commands, and takes a card with several applications for
// the one that is meant. Other modules do not look. What the user has in the
// environment goes before.
func LoadFor(ctx context.Context, name, driver string) (*Module, error) {
	if _, set := os.LookupEnv(driverVariable); set || driver == "" {
		return Load(ctx, name)
	}
	if err := os.Setenv(driverVariable, driver); err != nil {
		return nil, err
	}
	defer func() { _ = os.Unsetenv(driverVariable) }()
	return Load(ctx, name)
}
