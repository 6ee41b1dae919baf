// Package openpgp uses the OpenPGP application on a smart card, versions 2.0 to
// 3.4, as the "Functional Specification of the OpenPGP application on ISO Smart
// Card Operating Systems" 3.4.1 defines it; section numbers in this package are
// of that document. It sends what it is asked to send: what may be overwritten,
// and what a person is asked first, is left to its callers.
package openpgp

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"fmt"

	"github.com/cardctl/cardctl/internal/iso7816"
)

// AID is the beginning of the application identifier of every OpenPGP card:
// the RID of the FSFE and the application number (4.2.1).
func AID() []byte { return []byte{0xD2, 0x76, 0x00, 0x01, 0x24, 0x01} }

// ErrNotOpenPGP is a card that has no OpenPGP application.
var ErrNotOpenPGP = errors.New("the card has no OpenPGP application")

// ErrMalformed is an answer that does not have the form the specification
// gives it.
var ErrMalformed = errors.New("the card's answer is malformed")

// Card is a card whose OpenPGP application is selected. It remembers what it
// has read, so that no fact is asked for twice.
type Card struct {
	ch         *iso7816.Channel
	terminated bool
	data       *ApplicationRelatedData
	kdf        *KDF
	verified   map[PasswordRef]bool
	plain      map[PasswordRef]bool // not derived, although the card has a KDF
	current    int                  // the occurrence of 7F21 that SELECT DATA chose, or unknown
	pathLength bool                 // SELECT DATA wants to know how long its path is
	lent       Slot                 // what INTERNAL AUTHENTICATE uses, 0 for its own key
}

// Select selects the application (7.2.1), unless it was just selected. A card in
// termination state is selected too: Terminated tells.
func Select(ctx context.Context, ch *iso7816.Channel) (*Card, error) {
	c := &Card{ch: ch, verified: map[PasswordRef]bool{}}
	if ch.Selected(AID()) {
		return c, nil
	}
	const notSelectable iso7816.Status = 0x6999 // of Java Cards
	_, err := ch.Select(ctx, AID())
	switch status := iso7816.StatusOf(err); {
	case err == nil:
	case status == iso7816.StatusTerminated:
		c.terminated = true
	case iso7816.Refused(err) || status == notSelectable:
		return nil, fmt.Errorf("%w: %w", ErrNotOpenPGP, err)
	default:
		return nil, err
	}
	return c, nil
}

// Terminated reports whether the application was terminated and waits for
// ACTIVATE FILE.
func (c *Card) Terminated() bool { return c.terminated }

// Forget drops what was remembered of the card's data, after a write to it.
func (c *Card) Forget() { c.data = nil }

// ReadApplicationID reads DO 4F (4.2.1).
func (c *Card) ReadApplicationID(ctx context.Context) (ApplicationID, error) {
	raw, err := c.GetData(ctx, 0x4F)
	if err != nil {
		return ApplicationID{}, err
	}
	return ParseApplicationID(template(raw, 0x4F))
}

// NamesOpenPGP reports whether the answer to SELECT (7.2.1) is that of an OpenPGP
// application: the name in its control information begins with AID.
func NamesOpenPGP(answer []byte) bool {
	for _, outer := range []iso7816.Tag{0x6F, 0x62, 0x64} {
		if name, ok := iso7816.FindTLV(template(answer, outer), 0x84); ok && bytes.HasPrefix(name, AID()) {
			return true
		}
	}
	return false
}

// ApplicationRelatedData reads DO 6E (4.4.1), once.
func (c *Card) ApplicationRelatedData(ctx context.Context) (*ApplicationRelatedData, error) {
	if c.data != nil {
		return c.data, nil
	}
	c.leaveCertificate(0x6E)
	raw, err := c.sendForTemplate(ctx, getData(0x6E))
	if err != nil {
		return nil, err
	}
	data, err := ParseApplicationRelatedData(raw)
	if err != nil {
		return nil, err
	}
	c.data = data
	c.ch.Announce(data.Capabilities())
	return data, nil
}

// GetData is GET DATA (7.2.6).
func (c *Card) GetData(ctx context.Context, tag iso7816.Tag) ([]byte, error) {
	c.leaveCertificate(tag)
	return c.ch.Send(ctx, getData(tag))
}

func getData(tag iso7816.Tag) iso7816.Command {
	return iso7816.Command{INS: iso7816.InsGetData, P1: byte(tag >> 8), P2: byte(tag), Ne: iso7816.MaxExtendedNe}
}

// sendForTemplate sends a command that only reads, and is answered by a
// template. Where the answer is cut it is sent once more, in the other length.
func (c *Card) sendForTemplate(ctx context.Context, cmd iso7816.Command) ([]byte, error) {
	answer, err := c.ch.Send(ctx, cmd)
	if _, cut := iso7816.ParseTLVs(answer); err != nil || cut == nil {
		return answer, err
	}
	c.ch.Doubt()
	return c.ch.Send(ctx, cmd)
}

// PutData is PUT DATA (7.2.8).
func (c *Card) PutData(ctx context.Context, tag iso7816.Tag, value []byte) error {
	c.leaveCertificate(tag)
	_, err := c.ch.Send(ctx, iso7816.Command{
		INS: iso7816.InsPutData, P1: byte(tag >> 8), P2: byte(tag), Data: value,
	})
	return err
}

// template returns what is inside the data object tag, which some cards send
// with its tag and some without.
func template(raw []byte, tag iso7816.Tag) []byte {
	if object, _, err := iso7816.ParseTLV(raw); err == nil && object.Tag == tag {
		return object.Value
	}
	return raw
}

// ApplicationID is the application identifier (4.2.1), 16 bytes.
type ApplicationID [16]byte

// Version is the version of the specification, 0x0304 for 3.4.
func (a ApplicationID) Version() uint16 { return binary.BigEndian.Uint16(a[6:8]) }

// VersionString is the version as people write it: "3.4".
func (a ApplicationID) VersionString() string { return fmt.Sprintf("%d.%d", a[6], a[7]) }

// yubico is the number of Yubico.
const yubico = 0x0006

// Manufacturer is the number that the FSFE gave to the manufacturer.
func (a ApplicationID) Manufacturer() uint16 { return binary.BigEndian.Uint16(a[8:10]) }

// Serial is manufacturer and number, 12 hex digits.
func (a ApplicationID) Serial() string { return fmt.Sprintf("%X", a[8:14]) }

func (a ApplicationID) String() string { return fmt.Sprintf("%X", a[:]) }

// ParseApplicationID reads DO 4F.
func ParseApplicationID(b []byte) (id ApplicationID, err error) {
	if len(b) != len(id) || !bytes.HasPrefix(b, AID()) {
		return id, fmt.Errorf("%w: %d bytes of application identifier", ErrMalformed, len(b))
	}
	return ApplicationID(b), nil
}
