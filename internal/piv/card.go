// Package piv uses the PIV card application of NIST SP 800-73-4 and -5, and the
// commands that Yubico adds to it; section numbers in this package are those of
// SP 800-73-4, part 2, unless part 1 is named. Every part of an answer may be
// missing, for cards differ in what they tell. It sends what it is asked to send:
// what may be overwritten, and what a person is asked first, is left to its callers.
package piv

import (
	"bytes"
	"context"
	"errors"
	"fmt"

	"github.com/cardctl/cardctl/internal/iso7816"
)

// AID is the application identifier without its version: RID of NIST, and PIX
// (part 1, 2.2), 9 bytes. There are cards that do not take less, or the version.
func AID() []byte { return []byte{0xA0, 0x00, 0x00, 0x03, 0x08, 0x00, 0x00, 0x10, 0x00} }

// ridLength is how much of the name is NIST's; there are cards that take no more of it.
const ridLength = 5

// ErrNotPIV is a card that has no PIV application.
var ErrNotPIV = errors.New("the card has no PIV application")

// ErrMalformed is an answer that does not have the form the specification gives it.
var ErrMalformed = errors.New("the card's answer is malformed")

// Card is a card whose PIV application is selected.
type Card struct {
	ch *iso7816.Channel
	// lacks are the instructions that the card answered not to have.
	lacks map[byte]bool
}

// Select selects the application (3.1.1), unless it was just selected. Command
// chaining is what every PIV card has; extended length is what the card says.
func Select(ctx context.Context, ch *iso7816.Channel) (*Card, error) {
	c := newCard(ch)
	if ch.Selected(AID()) {
		return c, nil
	}
	const notSelectable iso7816.Status = 0x6999 // of Java Cards
	answer, err := ch.Select(ctx, AID())
	if iso7816.StatusOf(err) == iso7816.StatusFileNotFound {
		if other, failed := ch.Select(ctx, AID()[:ridLength]); failed == nil && Names(other) {
			answer, err = other, nil
		}
	}
	switch status := iso7816.StatusOf(err); {
	case err == nil && Names(answer):
		return c, nil
	case err == nil:
		return c, c.prove(ctx)
	case iso7816.Refused(err) || status == notSelectable:
		return nil, fmt.Errorf("%w [%s]", ErrNotPIV, status)
	}
	return nil, err
}

func newCard(ch *iso7816.Channel) *Card {
	can := ch.Capabilities()
	can.Chaining = true
	ch.Announce(can)
	return &Card{ch: ch, lacks: map[byte]bool{}}
}

// Knows has a card that was selected again go on with what it was found not to have.
func (c *Card) Knows(before *Card) { c.lacks = before.lacks }

// Names reports whether the answer to SELECT is that of a PIV card: its application
// property template (table 3) has the PIX of AID, or all of it.
func Names(answer []byte) bool {
	for _, path := range [][]iso7816.Tag{{0x61, 0x4F}, {0x6F, 0x84}, {0x6F, 0x61, 0x4F}, {0x4F}} {
		name, ok := iso7816.FindTLV(answer, path...)
		if ok && (bytes.HasPrefix(name, AID()[5:]) || bytes.HasPrefix(name, AID()[:5])) {
			return true
		}
	}
	return false
}

// Prove is Select of a card that was just selected, and did not give its name.
func Prove(ctx context.Context, ch *iso7816.Channel) error {
	return newCard(ch).prove(ctx)
}

// prove asks a card for PIV's data that answered SELECT without a name: there are
// cards that answer 9000 to every name. Each PIV card has a discovery object, or a
// card holder unique identifier.
func (c *Card) prove(ctx context.Context) error {
	for _, object := range []Object{Discovery, CHUID} {
		value, err := c.GetData(ctx, object)
		switch {
		case err == nil && value != nil:
			return nil
		case err != nil && iso7816.StatusOf(err) == 0 && !errors.Is(err, ErrMalformed):
			return err
		}
	}
	return fmt.Errorf("%w: it does not give its name", ErrNotPIV)
}

// ask sends a command that not every card has. What a card answered once not to
// have is not asked for again: errors.ErrUnsupported.
func (c *Card) ask(ctx context.Context, cmd iso7816.Command) ([]byte, error) {
	if c.lacks[cmd.INS] {
		return nil, fmt.Errorf("%w: %s", errors.ErrUnsupported, instructionName(cmd.INS))
	}
	answer, err := c.ch.Send(ctx, cmd)
	switch iso7816.StatusOf(err) {
	case iso7816.StatusINSNotSupported, iso7816.StatusCLANotSupported, iso7816.StatusFunctionNotSupported:
		c.lacks[cmd.INS] = true
		return nil, fmt.Errorf("%w: %s [%s]", errors.ErrUnsupported, instructionName(cmd.INS), iso7816.StatusOf(err))
	}
	return answer, err
}

// Instruction bytes of Yubico.
const (
	insMove     = 0xF6
	insMetadata = 0xF7
	insSerial   = 0xF8
	insAttest   = 0xF9
	insVersion  = 0xFD
	insImport   = 0xFE
)

func instructionName(ins byte) string {
	switch ins {
	case insMove:
		return "MOVE KEY"
	case insImport:
		return "IMPORT ASYMMETRIC KEY"
	case insMetadata:
		return "GET METADATA"
	case insSerial:
		return "GET SERIAL"
	case insAttest:
		return "ATTEST"
	case insVersion:
		return "GET VERSION"
	case insReset:
		return "RESET"
	case insSetRetries:
		return "SET PIN RETRIES"
	case insSetManagementKey:
		return "SET MANAGEMENT KEY"
	}
	return iso7816.InstructionName(ins)
}
