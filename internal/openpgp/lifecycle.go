package openpgp

import (
	"context"

	"github.com/cardctl/cardctl/internal/iso7816"
)

// Terminate is TERMINATE DF (7.2.16): it needs PW3 verified, or PW1 and PW3
// blocked. Nothing on the card can be used until Activate.
func (c *Card) Terminate(ctx context.Context) error {
	_, err := c.ch.Send(ctx, iso7816.Command{INS: iso7816.InsTerminateDF})
	if err == nil {
		c.reset(true)
	}
	return err
}

// Activate is ACTIVATE FILE (7.2.17): after it a terminated application is as
// it came from the factory.
func (c *Card) Activate(ctx context.Context) error {
	_, err := c.ch.Send(ctx, iso7816.Command{INS: iso7816.InsActivateFile})
	if err == nil {
		c.reset(false)
	}
	return err
}

func (c *Card) reset(terminated bool) {
	c.terminated, c.data, c.kdf, c.current, c.lent = terminated, nil, nil, 0, 0
	clear(c.verified)
	clear(c.plain)
}
