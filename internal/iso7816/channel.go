package iso7816

import (
	"bytes"
	"context"
	"errors"
	"fmt"
)

// Bounds on what a card may make us do for one command.
const (
	maxAnswer       = 1 << 17 // bytes
	maxGetResponses = 1 << 10
	chainBlock      = 254 // bytes; 255 is refused by some T=0 readers
)

// ErrAnswerTooLong is a card that goes on answering 61xx.
var ErrAnswerTooLong = errors.New("the card's answer has no end")

// Channel sends commands of any length to a card and gathers their answers.
// It is not safe for concurrent use.
type Channel struct {
	card     Transmitter
	can      Capabilities
	learned  learned
	verified bool
	selected []byte // what SELECT chose, while nothing but GET DATA was sent since
}

// learned is what a card has shown about what it announces.
type learned struct {
	noExtended, noChaining, extended bool
}

// NewChannel returns a channel to a card with the capabilities it announces.
func NewChannel(card Transmitter, can Capabilities) *Channel {
	return &Channel{card: card, can: can}
}

// Announce replaces what the card is known to be able to do, once an
// application told more than the ATR. What the card has shown counts more.
func (c *Channel) Announce(can Capabilities) {
	can.ExtendedLength = (can.ExtendedLength || c.learned.extended) && !c.learned.noExtended
	can.Chaining = can.Chaining && !c.learned.noChaining
	c.can = can
}

// Doubt is for an answer that came with 9000 and is cut: the other of short
// and extended length is used from now on. Some cards answer with the length
// modulo 256 where the command was short.
func (c *Channel) Doubt() {
	c.learned.extended = !c.can.ExtendedLength
	c.learned.noExtended = c.can.ExtendedLength
	c.can.ExtendedLength = !c.can.ExtendedLength
}

// Capabilities is what the channel at present takes the card to be able to do.
func (c *Channel) Capabilities() Capabilities { return c.can }

// Verified reports whether a PIN was sent, or the card was convinced of a key,
// so that it must be reset before others get it.
func (c *Channel) Verified() bool { return c.verified }

// Send sends the command and returns the whole answer without the status word.
// A status word other than 9000 is a *StatusError; the answer that came with a
// warning is returned with it.
func (c *Channel) Send(ctx context.Context, cmd Command) ([]byte, error) {
	if (carriesPIN(cmd.INS) || cmd.INS == InsExternalAuthenticate) && len(cmd.Data) > 0 {
		c.verified = true
	}
	if cmd.INS != InsGetData {
		c.selected = nil
	}
	answer, status, err := c.deliver(ctx, cmd)
	if err != nil {
		c.selected = nil
		return nil, fmt.Errorf("%s: %w", InstructionName(cmd.INS), err)
	}
	if status != StatusOK {
		return answer, &StatusError{Status: status, INS: cmd.INS}
	}
	return answer, nil
}

// SendProtected sends a command under secure messaging, in one APDU of the
// length asked for and in no other way: its MAC was computed over that form. It
// is sent once, for the card may have carried it out whatever it answers, and
// counts its MACs. As after a PIN, the card has to be reset before others get it.
func (c *Channel) SendProtected(ctx context.Context, cmd Command, extended bool) ([]byte, error) {
	c.verified, c.selected = true, nil
	answer, status, err := c.once(ctx, cmd, extended)
	if err != nil {
		return nil, fmt.Errorf("a protected command: %w", err)
	}
	if status != StatusOK {
		return answer, &StatusError{Status: status, INS: cmd.INS}
	}
	return answer, nil
}

func carriesPIN(ins byte) bool {
	return ins == InsVerify || ins == InsChangeReferenceData || ins == InsResetRetryCounter
}

// deliver chooses how the command travels. A way that was announced and is
// refused before any data was taken is given up for good.
func (c *Channel) deliver(ctx context.Context, cmd Command) ([]byte, Status, error) {
	if len(cmd.Data) <= MaxShortData {
		if cmd.Ne <= MaxShortNe || !c.can.ExtendedLength || carriesPIN(cmd.INS) {
			return c.exchange(ctx, shorten(cmd), false)
		}
		answer, status, err := c.exchange(ctx, cmd, true)
		if err != nil || !refusesExtended(status) {
			return answer, status, err
		}
		c.giveUpExtended()
		return c.exchange(ctx, shorten(cmd), false)
	}
	if c.can.ExtendedLength && c.fits(cmd) || !c.can.Chaining {
		answer, status, err := c.exchange(ctx, cmd, true)
		if err != nil || !refusesExtended(status) {
			return answer, status, err
		}
		c.giveUpExtended()
		if !c.can.Chaining {
			// Neither way is announced or left: the one not tried may work.
			return c.chain(ctx, cmd)
		}
	}
	answer, status, err := c.chain(ctx, cmd)
	if err == nil && status == StatusChainingNotSupported {
		c.can.Chaining, c.learned.noChaining = false, true
		return c.exchange(ctx, cmd, true)
	}
	return answer, status, err
}

func (c *Channel) giveUpExtended() {
	c.can.ExtendedLength, c.learned.noExtended = false, true
}

func (c *Channel) fits(cmd Command) bool {
	const header = 4 + 3 + 2
	return c.can.MaxCommand == 0 || len(cmd.Data)+header <= c.can.MaxCommand
}

func shorten(cmd Command) Command {
	cmd.Ne = min(cmd.Ne, MaxShortNe)
	return cmd
}

func refusesExtended(s Status) bool {
	return s == StatusWrongLength || s == StatusCLANotSupported
}

// chain sends the data in blocks of short commands (ISO/IEC 7816-4, 5.3.3).
// A block refused ends the chain.
func (c *Channel) chain(ctx context.Context, cmd Command) ([]byte, Status, error) {
	block := cmd
	block.CLA |= ClassChaining
	block.Ne = 0
	rest := cmd.Data
	for first := true; len(rest) > MaxShortData; first = false {
		block.Data, rest = rest[:chainBlock], rest[chainBlock:]
		answer, status, err := c.exchange(ctx, block, false)
		if err != nil {
			return nil, 0, err
		}
		if status != StatusOK {
			if first && status == StatusCLANotSupported {
				status = StatusChainingNotSupported
			}
			return answer, status, nil
		}
	}
	last := shorten(cmd)
	last.Data = rest
	return c.exchange(ctx, last, false)
}

// exchange sends one command APDU, once more with the card's Le where it
// answers 6Cxx, and fetches the rest of the answer.
func (c *Channel) exchange(ctx context.Context, cmd Command, extended bool) ([]byte, Status, error) {
	answer, status, err := c.transmit(ctx, cmd, extended)
	if err != nil {
		return nil, 0, err
	}
	if status>>8 == 0x6C {
		cmd.Ne = shortNe(byte(status))
		if answer, status, err = c.transmit(ctx, cmd, false); err != nil {
			return nil, 0, err
		}
	}
	return c.rest(ctx, cmd, answer, status)
}

// once sends one command APDU, whatever it answers, and fetches the rest of the
// answer.
func (c *Channel) once(ctx context.Context, cmd Command, extended bool) ([]byte, Status, error) {
	answer, status, err := c.transmit(ctx, cmd, extended)
	if err != nil {
		return nil, 0, err
	}
	return c.rest(ctx, cmd, answer, status)
}

// rest fetches the rest of an answer while the card answers 61xx. A card that
// refuses the rest did not refuse the command: that is an error of its own.
func (c *Channel) rest(ctx context.Context, cmd Command, answer []byte, status Status) ([]byte, Status, error) {
	for round := 0; status>>8 == 0x61; round++ {
		next := Command{CLA: cmd.CLA & classChannel, INS: InsGetResponse, Ne: shortNe(byte(status))}
		var part []byte
		var err error
		if part, status, err = c.transmit(ctx, next, false); err != nil {
			return nil, 0, err
		}
		if len(part) == 0 && status>>8 == 0x61 || round >= maxGetResponses || len(answer)+len(part) > maxAnswer {
			return nil, 0, ErrAnswerTooLong
		}
		answer = append(answer, part...)
		if kind := status >> 8; kind != 0x61 && kind > 0x63 && status != StatusOK {
			return nil, 0, &StatusError{Status: status, INS: InsGetResponse}
		}
	}
	return answer, status, nil
}

func (c *Channel) transmit(ctx context.Context, cmd Command, extended bool) ([]byte, Status, error) {
	if err := ctx.Err(); err != nil {
		return nil, 0, err
	}
	apdu, err := cmd.Encode(extended)
	if err != nil {
		return nil, 0, err
	}
	defer clear(apdu) // it may hold a PIN
	answer, err := c.card.Transmit(ctx, apdu)
	if err != nil {
		return nil, 0, err
	}
	n := len(answer) - 2
	if n < 0 || n > MaxExtendedNe {
		return nil, 0, fmt.Errorf("%w: an answer of %d bytes", ErrEncoding, len(answer))
	}
	return answer[:n:n], Status(answer[n])<<8 | Status(answer[n+1]), nil
}

// Select selects an application by its AID or the beginning of it
// (ISO/IEC 7816-4, 11.2.2) and returns the file control information, if any.
func (c *Channel) Select(ctx context.Context, aid []byte) ([]byte, error) {
	answer, err := c.Send(ctx, Command{INS: InsSelect, P1: 0x04, Data: aid, Ne: MaxShortNe})
	if err == nil {
		c.selected = bytes.Clone(aid)
	}
	return answer, err
}

// Selected reports whether the card is as Select of this AID left it: nothing
// was sent since but what reads data objects.
func (c *Channel) Selected(aid []byte) bool { return c.selected != nil && bytes.Equal(c.selected, aid) }
