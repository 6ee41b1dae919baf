package pkcs15

import (
	"bytes"
	"context"

	"github.com/cardctl/cardctl/internal/iso7816"
)

// fileBegun is a file of our own, which OpenSC's profile has no use for. While a
// key is put on the card it holds the ID: pkcs15-init enters the private key
// first and the public one last, which nobody can read from an applet later. A
// private key without a public one is of no use then, and may be made anew;
// without the file it may be somebody's.
const fileBegun = 0x431E

var everybody = []byte{0xFF, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00}

// begin notes on an applet that a key with this ID is about to be put on it. A
// card that does not take the note works without.
func (c *Card) begin(ctx context.Context, id []byte) error {
	if c.applet == nil {
		return nil
	}
	err := c.direct(ctx, func() error {
		if err := c.applet.ready(ctx); err != nil {
			return err
		}
		note := iso7816.AppendTLV(nil, tagOctets, id)
		if err := c.applet.createFile(ctx, fileBegun, len(note), everybody); err != nil {
			return err
		}
		return c.applet.update(ctx, 0, note)
	})
	if iso7816.StatusOf(err) != 0 {
		return nil
	}
	return err
}

// finish takes the note away. The key is complete, whether that works or not.
func (c *Card) finish(ctx context.Context) {
	if c.applet == nil {
		return
	}
	_ = c.direct(ctx, func() error {
		if err := c.applet.ready(ctx); err != nil {
			return err
		}
		return c.applet.deleteFile(ctx, fileBegun)
	})
}

// Begun reports whether the private key with this ID is what an interrupted
// GenerateKey or StoreKey left: it has neither a public key nor a certificate,
// and it was noted that it was begun.
func (c *Card) Begun(ctx context.Context, id []byte) (bool, error) {
	if c.applet == nil {
		return false, nil
	}
	d, err := c.Directory(ctx)
	if err != nil || d.Key(id) == nil || d.PublicKey(id) != nil || d.Certificate(id) != nil {
		return false, err
	}
	begun := false
	err = c.direct(ctx, func() error {
		if err := c.applet.ready(ctx); err != nil {
			return err
		}
		raw, err := c.applet.file(ctx, path(fileApplication, fileBegun))
		begun = err == nil && bytes.Equal(raw, iso7816.AppendTLV(nil, tagOctets, id))
		return err
	})
	if iso7816.StatusOf(err) != 0 {
		return false, nil
	}
	return begun, c.explain(err, "looking for a key that was begun")
}
