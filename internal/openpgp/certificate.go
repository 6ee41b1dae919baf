package openpgp

import (
	"context"
	"fmt"
	"slices"

	"github.com/cardctl/cardctl/internal/iso7816"
)

// Status words that cards use for a data object that is not there.
var absent = []iso7816.Status{
	iso7816.StatusReferenceNotFound, iso7816.StatusFileNotFound, iso7816.StatusRecordNotFound, 0x8800,
}

// Certificate reads the certificate of a slot from DO 7F21 (4.4.3.1), as it is
// stored; nil where there is none.
func (c *Card) Certificate(ctx context.Context, slot Slot) ([]byte, error) {
	if err := c.selectCertificate(ctx, slot); err != nil {
		return nil, err
	}
	value, err := c.GetData(ctx, certificates)
	switch status := iso7816.StatusOf(err); {
	case slices.Contains(absent, status):
		return nil, nil
	case err != nil:
		return nil, err
	}
	if value = template(value, certificates); len(value) == 0 {
		return nil, nil
	}
	return value, nil
}

// PutCertificate writes the certificate of a slot, after PW3 was verified. An
// empty value removes it.
func (c *Card) PutCertificate(ctx context.Context, slot Slot, value []byte) error {
	if err := c.selectCertificate(ctx, slot); err != nil {
		return err
	}
	return c.PutData(ctx, certificates, value)
}

// certificates is the tag of the cardholder certificates.
const certificates iso7816.Tag = 0x7F21

// unknown is the occurrence when it is not known which one is selected.
const unknown = -1

// leaveCertificate notes that another data object is read or written: some
// cards go back to the first certificate then.
func (c *Card) leaveCertificate(tag iso7816.Tag) {
	if tag != certificates && c.current != 0 {
		c.current = unknown
	}
}

// selectCertificate is SELECT DATA (7.2.5) of one of the certificates. The
// first is selected with the application.
func (c *Card) selectCertificate(ctx context.Context, slot Slot) error {
	if c.current == slot.occurrence() {
		return nil
	}
	path := iso7816.AppendTLV(nil, 0x60, iso7816.AppendTLV(nil, 0x5C, iso7816.AppendTag(nil, certificates)))
	withLength := append([]byte{byte(len(path))}, path...)
	if c.pathLength {
		path = withLength
	}
	err := c.selectData(ctx, slot, path)
	if iso7816.Refused(err) && !c.pathLength && c.wantsPathLength() && c.selectData(ctx, slot, withLength) == nil {
		c.pathLength, err = true, nil
	}
	if err != nil {
		return fmt.Errorf("certificate of the %s key: %w", slot, err)
	}
	c.current = slot.occurrence()
	return nil
}

func (c *Card) selectData(ctx context.Context, slot Slot, path []byte) error {
	_, err := c.ch.Send(ctx, iso7816.Command{INS: iso7816.InsSelectData, P1: byte(slot.occurrence()), P2: 0x04, Data: path})
	return err
}

// wantsPathLength reports whether the card may be one of those that want a byte before
// the path, which says how long it is.
func (c *Card) wantsPathLength() bool {
	return c.data != nil && c.data.AID.Manufacturer() == yubico
}
