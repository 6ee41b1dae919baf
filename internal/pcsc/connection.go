package pcsc

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"time"

	"github.com/cardctl/cardctl/internal/iso7816"
	"github.com/cardctl/cardctl/internal/secret"
)

// connection is a card within a transaction, except while it is released. It has
// an application context of its own, so that a call that hangs blocks nothing
// else.
type connection struct {
	reader   string
	answer   []byte // answer to reset
	patience patience

	turn     sync.Mutex // held while the library works on the card
	system   system
	card     card
	held     bool   // within a transaction
	fresh    bool   // nothing was sent in this transaction yet
	closed   bool   // for good
	inserted uint16 // insertions of the reader when the connection was made
	removed  bool   // the card was taken out since
}

// connect blocks until the transaction has begun. A context that ends is seen
// between two calls only.
func connect(ctx context.Context, establish func() (system, error), reader string) (*connection, error) {
	s, err := establish()
	if err != nil {
		return nil, err
	}
	c := &connection{reader: reader, system: s}
	if err := c.begin(ctx); err != nil {
		_ = s.release()
		return nil, err
	}
	return c, nil
}

// A program that had the card and has just ended, or was ended, keeps it a
// little longer: the resource manager resets the card first. Meanwhile the card
// is not shared, or has no power, or PC/SC lite has not agreed with it on a
// protocol yet.
const (
	lettingGoTime  = time.Second
	lettingGoPause = 20 * time.Millisecond
)

func connectCard(ctx context.Context, s system, reader string) (card, error) {
	c, err := s.connect(reader)
	for end := settled(ctx); (unsettled(err) || errors.Is(err, codeSharingViolation)) && time.Now().Before(end); {
		if rest(ctx, lettingGoPause) != nil {
			break
		}
		c, err = s.connect(reader)
	}
	return c, err
}

// settled is when the card should be usable: in time to say that it is not,
// before ctx ends.
func settled(ctx context.Context) time.Time {
	now := time.Now()
	end, limited := ctx.Deadline()
	if half := end.Sub(now) / 2; limited && half < lettingGoTime {
		return now.Add(half)
	}
	return now.Add(lettingGoTime)
}

// unsettled reports whether err is that of a card that is being reset.
func unsettled(err error) bool {
	for _, c := range []code{codeResetCard, codeProtocolMismatch, codeUnpoweredCard, codeUnresponsiveCard} {
		if errors.Is(err, c) {
			return true
		}
	}
	return false
}

// settle does something with a card of which nothing is expected yet, and, while
// the card is being reset, does it again. The transaction goes on; a call that
// fails so did not reach the card.
func settle(ctx context.Context, c card, f func() error) error {
	err := f()
	for end := settled(ctx); unsettled(err) && time.Now().Before(end); {
		if err = reconnect(ctx, c); err == nil {
			err = f()
		}
		if unsettled(err) && rest(ctx, lettingGoPause) != nil {
			break
		}
	}
	return err
}

// reconnect acknowledges a reset. PC/SC lite refuses that while another program
// is in a transaction.
func reconnect(ctx context.Context, c card) error {
	err := c.reconnect()
	for errors.Is(err, codeSharingViolation) && rest(ctx, lettingGoPause) == nil {
		err = c.reconnect()
	}
	return err
}

func (c *connection) begin(ctx context.Context) error {
	card, err := connectCard(ctx, c.system, c.reader)
	if err != nil {
		return err
	}
	if c.answer, err = lock(ctx, card); err == nil {
		c.inserted, err = insertions(c.system, c.reader)
	}
	if err != nil {
		_ = card.disconnect(false)
		return err
	}
	c.card, c.held, c.fresh = card, true, true
	return nil
}

// lock begins the transaction, and returns the answer to reset. That the card was
// reset in the meantime does not matter: nothing is taken to be selected.
func lock(ctx context.Context, c card) (atr []byte, err error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	if err := settle(ctx, c, c.beginTransaction); err != nil {
		return nil, err
	}
	// PC/SC lite opens the lock of a program that was killed before it resets
	// the card. So a reset may be under way still, and what is sent now be lost
	// with it. It is over when the reader has answered something else.
	c.sync()
	err = settle(ctx, c, func() error {
		atr, err = c.atr()
		return err
	})
	if err != nil {
		_ = c.endTransaction(false)
	}
	return atr, err
}

func (c *connection) ATR() []byte { return slices.Clone(c.answer) }

// Transmit sends an APDU. When ctx ends it returns at once, while the card may
// still be working.
func (c *connection) Transmit(ctx context.Context, apdu []byte) ([]byte, error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	if len(apdu) < 4 {
		return nil, fmt.Errorf("%w: %d bytes", iso7816.ErrEncoding, len(apdu))
	}
	// The caller may wipe its APDU while the library still reads it.
	own := slices.Clone(apdu)
	answer, err := await(ctx,
		func() ([]byte, error) {
			defer secret.Wipe(own)
			c.turn.Lock()
			defer c.turn.Unlock()
			return c.transmit(ctx, own)
		},
		func(answer []byte, _ error) { secret.Wipe(answer) })
	return answer, err
}

func (c *connection) transmit(ctx context.Context, apdu []byte) ([]byte, error) {
	if !c.held {
		return nil, iso7816.ErrReleased
	}
	var answer []byte
	send := func() (err error) {
		form := apdu
		if c.card.protocolT0() {
			form = tpdu(apdu)
		}
		answer, err = c.card.transmit(form)
		return err
	}
	var err error
	if c.fresh {
		err = settle(ctx, c.card, send)
	} else {
		err = send()
	}
	c.fresh = false
	if err == nil && len(answer) < 2 {
		// Less than a status word is what some drivers return when the
		// card goes away in the middle.
		err = codeNotTransacted
	}
	if err != nil {
		err = c.transmitError(err)
		c.removed = c.removed || errors.Is(err, iso7816.ErrCardRemoved)
		return nil, err
	}
	// The library's buffer has room for 64 KiB, and may hold a secret.
	defer secret.Wipe(answer)
	return slices.Clone(answer), nil
}

// tpdu is a short APDU as T=0 carries it (ISO/IEC 7816-3, 12.2): P3 is always
// there, and a command with data has no Le.
func tpdu(apdu []byte) []byte {
	switch {
	case len(apdu) == 4:
		return append(apdu, 0)
	case apdu[4] != 0 && len(apdu) == 5+int(apdu[4])+1:
		return apdu[:len(apdu)-1]
	}
	return apdu
}

func (c *connection) transmitError(err error) error {
	var reason code
	if !errors.As(err, &reason) {
		return err
	}
	switch reason {
	case codeResetCard, codeProtocolMismatch:
		return fmt.Errorf("%w [%w]", iso7816.ErrCardReset, reason)
	case codeRemovedCard, codeNoSmartCard, codeReaderUnavailable, codeUnknownReader, codeInvalidHandle, codeNoService, codeServiceStopped:
		return fmt.Errorf("%w [%w]", iso7816.ErrCardRemoved, reason)
	}
	if c.gone() {
		return fmt.Errorf("%w [%w]", iso7816.ErrCardRemoved, reason)
	}
	return fmt.Errorf("%w [%w]", iso7816.ErrNotCarried, reason)
}

// noticeTime is how long the resource manager may take to notice that a card
// is gone: PC/SC lite looks every 400 ms.
const noticeTime = time.Second

// gone reports whether the card is not there any more, which an APDU cut in
// the middle does not say.
func (c *connection) gone() bool {
	states := []readerState{{reader: c.reader}}
	if c.system.getStatusChange(states, 0) != nil {
		return true
	}
	// That another program begins or ends its work with the card is a change, too.
	for end := time.Now().Add(noticeTime); states[0].event&statePresent != 0; {
		left := time.Until(end)
		if left <= 0 {
			return false
		}
		states[0].current = states[0].event &^ stateChanged
		err := c.system.getStatusChange(states, left)
		if errors.Is(err, codeTimeout) {
			return false
		}
		if err != nil {
			return true
		}
	}
	return true
}

// Close ends the transaction, with reset by resetting the card before anybody
// else can reach it. Where a command that was given up is still running, that
// happens when it ends; should the program end first, the resource manager
// does it.
func (c *connection) Close(reset bool) error {
	if c.turn.TryLock() {
		defer c.turn.Unlock()
		return c.close(reset)
	}
	go func() {
		c.turn.Lock()
		defer c.turn.Unlock()
		_ = c.close(reset)
	}()
	return nil
}

func (c *connection) close(reset bool) error {
	if c.closed {
		return nil
	}
	c.closed = true
	// A second reset is needed only where the first could not be made, and is
	// not for another card that is in the reader now.
	failed := iso7816.ErrReleased
	if c.held {
		c.held = false
		failed = c.card.endTransaction(reset)
	}
	err := c.card.disconnect(reset && failed != nil && !c.swapped())
	if released := c.system.release(); err == nil {
		err = released
	}
	if err != nil {
		if err = c.transmitError(err); errors.Is(err, iso7816.ErrCardRemoved) {
			return nil
		}
	}
	return err
}
