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
	chainBlock      = 254 // bytes; 255 is refused by some T=0 readers, and by a card with Le
)

// ErrAnswerTooLong is a card that goes on answering 61xx.
var ErrAnswerTooLong = errors.New("the card's answer has no end")

// ErrAnswerLost is a command that the card ended normally, and whose answer it
// then did not hand over.
var ErrAnswerLost = errors.New("the card did not hand over its answer")

// Channel sends commands of any length to a card and gathers their answers.
// It is not safe for concurrent use.
type Channel struct {
	card     Transmitter
	can      Capabilities
	learned  learned
	verified bool
	selected []byte // what SELECT chose, while nothing but GET DATA was sent since
	tooLong  bool   // the last command was refused in both ways that a long one can travel
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
	if (carriesPIN(cmd.INS) || convinces(cmd)) && len(cmd.Data) > 0 {
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
		return answer, &StatusError{Status: status, INS: cmd.INS, TooLong: c.tooLong}
	}
	return answer, nil
}

// SendProtected sends a command under secure messaging, once, in one APDU of the
// length asked for and in no other way: its MAC was computed over that form and
// its place in the session. As after a PIN, the card has to be reset before
// others get it.
func (c *Channel) SendProtected(ctx context.Context, cmd Command, extended bool) ([]byte, error) {
	c.verified, c.selected = true, nil
	answer, status, err := c.transmit(ctx, cmd, extended) // and not again
	if err == nil {
		answer, status, err = c.fetch(ctx, cmd, answer, status)
	}
	if err != nil {
		return nil, fmt.Errorf("a protected command: %w", err)
	}
	if status != StatusOK {
		return answer, &StatusError{Status: status, INS: cmd.INS}
	}
	return answer, nil
}

// convinces reports whether a command may convince the card of a key that it is managed
// with: GENERAL AUTHENTICATE does of PIV's (SP 800-73-4, part 1, table 4b).
func convinces(cmd Command) bool {
	const pivManagementKey = 0x9B
	return cmd.INS == InsExternalAuthenticate || cmd.INS == InsGeneralAuthenticate && cmd.P2 == pivManagementKey
}

func carriesPIN(ins byte) bool {
	return ins == InsVerify || ins == InsChangeReferenceData || ins == InsResetRetryCounter
}

// deliver chooses how the command travels. A way that was announced and is
// refused before the card can have carried anything out is given up for good: by
// the length or the class of the only APDU, or of the first of a chain. What
// carries a PIN goes out in one way only.
func (c *Channel) deliver(ctx context.Context, cmd Command) ([]byte, Status, error) {
	c.tooLong = false
	short := len(cmd.Data) <= MaxShortData
	if cmd.Ne > 0 && c.can.Chaining && !carriesPIN(cmd.INS) {
		short = len(cmd.Data) <= chainBlock
	}
	switch {
	case short && (cmd.Ne <= MaxShortNe || !c.can.ExtendedLength || carriesPIN(cmd.INS)):
		return c.exchange(ctx, shorten(cmd), false)
	case carriesPIN(cmd.INS):
		return c.exchange(ctx, cmd, true)
	case short:
		answer, status, err := c.exchange(ctx, cmd, true)
		if err != nil || !refusesExtended(status) {
			return answer, status, err
		}
		c.giveUpExtended()
		return c.exchange(ctx, shorten(cmd), false)
	case c.can.ExtendedLength && c.fits(cmd) || !c.can.Chaining:
		answer, status, err := c.exchange(ctx, cmd, true)
		if err != nil || !refusesExtended(status) {
			return answer, status, err
		}
		c.giveUpExtended()
		if !c.can.Chaining {
			// Neither way is announced or left: the one not tried may work.
			answer, status, begun, err := c.chain(ctx, cmd)
			c.tooLong = !begun && err == nil && refusesChaining(status)
			return answer, status, err
		}
	}
	answer, status, begun, err := c.chain(ctx, cmd)
	if err == nil && !begun && refusesChaining(status) {
		c.can.Chaining, c.learned.noChaining = false, true
		answer, status, err = c.exchange(ctx, cmd, true)
		c.tooLong = err == nil && refusesExtended(status)
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

func refusesChaining(s Status) bool {
	return s == StatusChainingNotSupported || s == StatusCLANotSupported
}

// chain sends the data in blocks of short commands (ISO/IEC 7816-4, 5.3.3).
// A block refused ends the chain; begun says that the card took one before.
func (c *Channel) chain(ctx context.Context, cmd Command) (answer []byte, status Status, begun bool, err error) {
	block := cmd
	block.CLA |= ClassChaining
	block.Ne = 0
	rest := cmd.Data
	for len(rest) > chainBlock {
		block.Data, rest = rest[:chainBlock], rest[chainBlock:]
		answer, status, err = c.exchange(ctx, block, false)
		if err != nil || status != StatusOK {
			return answer, status, begun, err
		}
		begun = true
	}
	last := shorten(cmd)
	last.Data = rest
	answer, status, err = c.exchange(ctx, last, false)
	return answer, status, begun, err
}

// exchange sends one command APDU, once more with the card's Le if it answers
// 6Cxx to a command that may be repeated, and fetches the rest of the answer.
func (c *Channel) exchange(ctx context.Context, cmd Command, extended bool) ([]byte, Status, error) {
	answer, status, err := c.transmit(ctx, cmd, extended)
	if err == nil && status>>8 == 0x6C && cmd.mayRepeat() {
		cmd.Ne = shortNe(byte(status))
		answer, status, err = c.transmit(ctx, cmd, false)
	}
	if err != nil {
		return nil, 0, err
	}
	return c.fetch(ctx, cmd, answer, status)
}

// fetch gets the rest of an answer while the card says 61xx, which is a normal
// end of the command (ISO/IEC 7816-4, 5.6). What a command did not ask for stays
// on the card: over T=0, cards offer it to every SELECT, and the first part of an answer
// too has to be fetched.
func (c *Channel) fetch(ctx context.Context, cmd Command, answer []byte, status Status) ([]byte, Status, error) {
	enough := func() bool {
		return status>>8 == 0x61 && (cmd.Ne == 0 || cmd.Beginning && len(answer) > 0)
	}
	if enough() {
		return answer, StatusOK, nil
	}
	fetching := false
	for round := 0; status>>8 == 0x61 || fetching && status>>8 == 0x6C; round++ {
		fetching = true
		next := Command{CLA: cmd.CLA & classChannel, INS: InsGetResponse, Ne: shortNe(byte(status))}
		part, now, err := c.transmit(ctx, next, false)
		if err != nil {
			return nil, 0, err
		}
		if len(part) == 0 && now>>8 == 0x61 || round >= maxGetResponses || len(answer)+len(part) > maxAnswer {
			return nil, 0, ErrAnswerTooLong
		}
		if answer, status = append(answer, part...), now; enough() {
			return answer, StatusOK, nil
		}
	}
	if fetching && status>>8 >= 0x64 && status != StatusOK {
		return nil, 0, fmt.Errorf("%w: %s was answered [%s]", ErrAnswerLost, InstructionName(InsGetResponse), status)
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
