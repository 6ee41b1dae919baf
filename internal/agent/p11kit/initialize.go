package p11kit

import "context"

// handshake is what a client says first.
const handshake = "PRIVATE-GNOME-KEYRING-PKCS11-PROTOCOL-V-1"

// initialize is C_Initialize (section 5.4).
func (c *client) initialize(ctx context.Context, a arguments, _ *writer) rv {
	if string(a.arrays[0]) != handshake {
		return ckrGeneralError
	}
	if c.initialized {
		return ckrCryptokiAlreadyInitialized
	}
	slots, err := c.cards.look(ctx)
	if err != nil {
		return valueOf(err)
	}
	c.initialized = true
	c.watch.start(ctx, slots)
	return ckrOK
}

// finalize is C_Finalize (section 5.4).
func (c *client) finalize(context.Context, arguments, *writer) rv {
	for _, s := range c.sessions {
		c.close(s)
	}
	c.initialized = false
	c.watch.stop()
	return ckrOK
}
