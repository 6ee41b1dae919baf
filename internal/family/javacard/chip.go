package inventory

import (
	"context"
	"errors"

	"github.com/cardctl/cardctl/internal/gp"
	"github.com/cardctl/cardctl/internal/iso7816"
)

// describeChip gives a Java card the serial of its chip, where it tells it and
// has no application with a serial of its own.
func (c *Card) describeChip(ctx context.Context, ch *iso7816.Channel) error {
	domain := false
	for _, a := range c.Applications {
		if a.Name != "gp" && a.Name != "muscle" {
			return nil
		}
		domain = domain || a.Name == "gp"
	}
	if !domain {
		return nil
	}
	var refused *iso7816.StatusError
	issuer, err := gp.Discover(ctx, ch, nil)
	if err == nil {
		var production *gp.CPLC
		if production, err = issuer.CPLC(ctx); err == nil {
			c.Serial = production.Serial()
		}
	}
	if errors.As(err, &refused) || errors.Is(err, gp.ErrMalformed) || errors.Is(err, gp.ErrNoSecurityDomain) {
		return nil
	}
	return err
}
