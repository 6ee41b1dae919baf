package iso7816

import (
	"context"
	"fmt"
	"io"
)

// Tracer writes every APDU that passes: a line "> HEX" for each command, a
// line "< HEX" for each answer, status word last. Of a command or an answer
// that carries a secret only the header and the status word are shown, with
// asterisks for the rest, so that not even its length can be read.
type Tracer struct {
	card   Transmitter
	w      io.Writer
	secret bool // the last command's answer is a secret
	err    error
}

// NewTracer returns a Transmitter that passes everything on to card.
func NewTracer(card Transmitter, w io.Writer) *Tracer { return &Tracer{card: card, w: w} }

// Err is the first error of writing the trace.
func (t *Tracer) Err() error { return t.err }

const blank = "********"

// Transmit passes the APDU on.
func (t *Tracer) Transmit(ctx context.Context, apdu []byte) ([]byte, error) {
	t.command(apdu)
	answer, err := t.card.Transmit(ctx, apdu)
	if err == nil {
		t.answer(answer)
	}
	return answer, err
}

func (t *Tracer) command(apdu []byte) {
	cmd, _, err := ParseCommand(apdu)
	if err != nil && len(apdu) < 4 {
		t.print("> %X\n", apdu)
		return
	}
	if cmd.INS != InsGetResponse {
		t.secret = secretAnswer(cmd) || err != nil
	}
	// What cannot be parsed may be a secret in a shape we do not know.
	if err != nil || len(cmd.Data) > 0 && secretData(cmd) {
		t.print("> %X%s\n", apdu[:4], blank)
		return
	}
	t.print("> %X\n", apdu)
}

func (t *Tracer) answer(answer []byte) {
	if t.secret && len(answer) > 2 {
		t.print("< %s%X\n", blank, answer[len(answer)-2:])
		return
	}
	t.print("< %X\n", answer)
}

func (t *Tracer) print(format string, args ...any) {
	if _, err := fmt.Fprintf(t.w, format, args...); err != nil && t.err == nil {
		t.err = err
	}
}

// secretData reports whether the data field of a command carries a PIN, a key
// or what a key can be computed from.
func secretData(c Command) bool {
	switch c.CLA & 0xF0 {
	case 0x80, 0x90: // GlobalPlatform: PUT KEY, and STORE DATA, which may hold keys
		if c.INS == 0xD8 || c.INS == 0xE2 {
			return true
		}
	case 0xB0: // MUSCLE: set-up, key import, and all that takes a PIN
		switch c.INS {
		case 0x2A, 0x32, 0x40, 0x42, 0x44, 0x46:
			return true
		}
	}
	switch c.INS {
	case InsVerify, InsChangeReferenceData, InsResetRetryCounter, InsPutDataOdd:
		return true
	case InsPutData:
		switch Tag(c.P1)<<8 | Tag(c.P2) {
		case 0xD1, 0xD2, 0xD3, 0xD5, 0xF4, 0xF9: // OpenPGP: SM keys, resetting code, AES key, KDF
			return true
		}
		return c.P1 == 0x01 && secretOfMyEID(c)
	}
	return false
}

// secretOfMyEID reports whether PUT DATA to a MyEID card carries a PIN and its
// PUK, or a part of a private key.
func secretOfMyEID(c Command) bool {
	const firstPIN, lastPIN, pinAndPUK = 0x01, 0x0E, 16 // bytes
	const firstPart, lastPart = 0x82, 0x8B
	isPIN := c.P2 >= firstPIN && c.P2 <= lastPIN && len(c.Data) >= pinAndPUK
	return isPIN || c.P2 >= firstPart && c.P2 <= lastPart
}

// secretAnswer reports whether the answer to a command may be a secret: what
// was encrypted, or the secret that the command carried, sent back by a card that
// means ill. PUT KEY has check values in its answer, and what it carries is
// encrypted.
func secretAnswer(c Command) bool {
	return c.INS == InsPerformSecurityOp && c.P1 == 0x80 || secretData(c) && c.INS != 0xD8
}
