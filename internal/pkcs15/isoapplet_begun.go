package pkcs15

import (
	"bytes"
	"context"

	"github.com/cardctl/cardctl/internal/iso7816"
	"github.com/cardctl/cardctl/internal/secret"
)

// fileBegun is a file of our own, which OpenSC's profile has no use for. While a
// key is put on the card it holds the ID: pkcs15-init enters the private key
// first and the public one last, which nobody can read from an applet later. A
// private key without a public one is of no use then, and may be made anew;
// without the file it may be somebody's.
const fileBegun = 0x431E

var everybody = []byte{0xFF, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00}

// putKey notes on the applet that a key is about to be put on it, for the case
// that it is pulled out between the private key and the public one. A card that
// does not take the note works without; the key is complete, whether the note can
// be taken away or not.
func (d isoApplet) putKey(ctx context.Context, what string, k NewKey, pin *secret.Bytes, job call) error {
	err := d.in(ctx, func() error { return d.native.begin(ctx, k.ID) })
	if err != nil && iso7816.StatusOf(err) == 0 {
		return d.card.explain(err, what)
	}
	if err := d.openSC.putKey(ctx, what, k, pin, job); err != nil {
		return err
	}
	_ = d.in(ctx, func() error { return d.native.deleteFile(ctx, fileBegun) })
	return nil
}

func begunNote(id []byte) []byte { return iso7816.AppendTLV(nil, tagOctets, id) }

func (a *applet) begin(ctx context.Context, id []byte) error {
	note := begunNote(id)
	if err := a.createFile(ctx, fileBegun, len(note), everybody); err != nil {
		return err
	}
	return a.update(ctx, 0, note)
}

func (d isoApplet) begun(ctx context.Context, id []byte) (bool, error) {
	found, err := d.card.Directory(ctx)
	if err != nil || found.Key(id) == nil || found.PublicKey(id) != nil || found.Certificate(id) != nil {
		return false, err
	}
	var raw []byte
	err = d.in(ctx, func() error { raw, err = d.native.file(ctx, path(fileApplication, fileBegun)); return err })
	if iso7816.StatusOf(err) != 0 {
		return false, nil
	}
	return err == nil && bytes.Equal(raw, begunNote(id)), d.card.explain(err, "searching for an interrupted key")
}
