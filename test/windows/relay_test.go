//go:build stack

package windows

import (
	"bytes"
	"encoding/binary"
	"errors"
	"io"
	"net"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"
	"unicode/utf16"

	"github.com/ebfe/scard"
)

// The functions of testdata/winscard.c, and the codes that differ there.
const (
	establish = iota + 1
	cancel
	listReaders
	statusChange
	connect
	reconnect
	disconnect
	begin
	end
	status
	transmit
	control
)

const (
	success             = 0
	invalidHandle       = 0x80100003 // SCARD_E_INVALID_HANDLE
	resetCard           = 0x80100068 // SCARD_W_RESET_CARD
	unsupportedLite     = 0x8010001F // SCARD_E_UNSUPPORTED_FEATURE of PC/SC lite, SCARD_E_UNEXPECTED of Windows
	unsupportedFeature  = 0x80100022 // SCARD_E_UNSUPPORTED_FEATURE of Windows
	statePresent        = 2          // SCARD_PRESENT: a number on Windows
	stateSpecific       = 6          // SCARD_SPECIFIC
	controlCode         = 0x00310000 // SCARD_CTL_CODE(0)
	controlCodeLite     = 0x42000000
	idleTime            = 5 * time.Second
	nameLength, atrSize = 128, 36
)

// call and answer are as testdata/winscard.c describes them.
type (
	call   struct{ Function, A, B, C, D, Size uint32 }
	answer struct{ Code, X, Y, Size uint32 }
)

// readerEntry is SCARD_READERSTATE on the line.
type readerEntry struct {
	Current, Event, Size uint32
	ATR                  [atrSize]byte
	Name                 [nameLength]uint16
}

// relay is the smart-card service of Windows. PC/SC lite does its work; what Windows
// does differently is done here: a card is reset that is idle for five seconds within a
// transaction, states are numbers, and control codes and one error have other values.
type relay struct {
	listener net.Listener
	resets   atomic.Int32  // by that rule
	down     atomic.Uint32 // the code of a service that does not run

	mu       sync.Mutex
	contexts map[uint32]*scard.Context
	last     uint32
}

func newRelay(t *testing.T) *relay {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	r := &relay{listener: listener, contexts: map[uint32]*scard.Context{}}
	t.Cleanup(func() { _ = listener.Close() })
	go func() {
		for {
			line, err := listener.Accept()
			if err != nil {
				return
			}
			go r.serve(line)
		}
	}()
	return r
}

func (r *relay) port() string {
	_, port, _ := net.SplitHostPort(r.listener.Addr().String())
	return port
}

// serve works for one context, until its program releases it or ends.
func (r *relay) serve(line net.Conn) {
	c := &client{relay: r, cards: map[uint32]*heldCard{}}
	defer func() {
		_ = line.Close()
		c.close()
	}()
	for {
		var ask call
		if binary.Read(line, binary.LittleEndian, &ask) != nil {
			return
		}
		in := make([]byte, ask.Size)
		if _, err := io.ReadFull(line, in); err != nil {
			return
		}
		said, out := c.carryOut(ask, in)
		said.Size = uint32(len(out))
		var message bytes.Buffer
		_ = binary.Write(&message, binary.LittleEndian, said)
		message.Write(out)
		if _, err := line.Write(message.Bytes()); err != nil {
			return
		}
	}
}

// client is one context.
type client struct {
	relay   *relay
	number  uint32
	context *scard.Context
	cards   map[uint32]*heldCard
	last    uint32
}

func (c *client) close() {
	for _, card := range c.cards {
		card.stop()
		_ = card.card.Disconnect(scard.ResetCard) // as Windows does for a program that ends
	}
	if c.context == nil {
		return
	}
	c.relay.mu.Lock()
	delete(c.relay.contexts, c.number)
	c.relay.mu.Unlock()
	_ = c.context.Release()
}

// codeOf is the code that Windows has for an error.
func codeOf(err error) uint32 {
	var code scard.Error
	switch {
	case err == nil:
		return success
	case !errors.As(err, &code):
		return uint32(scard.ErrInternalError)
	case uint32(code) == unsupportedLite:
		return unsupportedFeature
	}
	return uint32(code)
}

func (c *client) carryOut(ask call, in []byte) (answer, []byte) {
	switch ask.Function {
	case establish:
		return c.establish(), nil
	case cancel:
		c.relay.mu.Lock()
		defer c.relay.mu.Unlock()
		if context, ok := c.relay.contexts[ask.A]; ok {
			return answer{Code: codeOf(context.Cancel())}, nil
		}
		return answer{Code: invalidHandle}, nil
	}
	if c.context == nil {
		return answer{Code: invalidHandle}, nil
	}
	switch ask.Function {
	case listReaders:
		names, err := c.context.ListReaders()
		return answer{Code: codeOf(err)}, wide(strings.Join(names, "\x00") + "\x00\x00")
	case statusChange:
		return c.statusChange(ask, in)
	case connect:
		card, err := c.context.Connect(narrow(in), scard.ShareMode(ask.A), scard.Protocol(ask.B))
		if err != nil {
			return answer{Code: codeOf(err)}, nil
		}
		c.last++
		c.cards[c.last] = &heldCard{card: card, relay: c.relay}
		return answer{X: c.last, Y: uint32(card.ActiveProtocol())}, nil
	}
	card, ok := c.cards[ask.A]
	if !ok {
		return answer{Code: invalidHandle}, nil
	}
	if ask.Function == disconnect {
		delete(c.cards, ask.A)
	}
	return card.carryOut(ask, in)
}

func (c *client) establish() answer {
	if code := c.relay.down.Load(); code != success {
		return answer{Code: code}
	}
	context, err := scard.EstablishContext()
	if err != nil {
		return answer{Code: codeOf(err)}
	}
	c.relay.mu.Lock()
	defer c.relay.mu.Unlock()
	c.relay.last++
	c.number, c.context = c.relay.last, context
	c.relay.contexts[c.number] = context
	return answer{X: c.number}
}

func (c *client) statusChange(ask call, in []byte) (answer, []byte) {
	list := make([]readerEntry, ask.B)
	if err := binary.Read(bytes.NewReader(in), binary.LittleEndian, list); err != nil {
		return answer{Code: uint32(scard.ErrInvalidParameter)}, nil
	}
	states := make([]scard.ReaderState, len(list))
	for i, entry := range list {
		states[i] = scard.ReaderState{Reader: text(entry.Name[:]), CurrentState: scard.StateFlag(entry.Current)}
	}
	timeout := time.Duration(ask.A) * time.Millisecond
	if ask.A == 0xFFFFFFFF {
		timeout = -1
	}
	err := c.context.GetStatusChange(states, timeout)
	for i, state := range states {
		list[i].Event, list[i].Size = uint32(state.EventState), uint32(copy(list[i].ATR[:], state.Atr))
	}
	var out bytes.Buffer
	_ = binary.Write(&out, binary.LittleEndian, list)
	return answer{Code: codeOf(err)}, out.Bytes()
}

// heldCard is a card that a program is connected to.
type heldCard struct {
	relay *relay

	mu    sync.Mutex
	card  *scard.Card
	held  bool // within a transaction
	lost  bool // reset by the rule, and not reconnected since
	clock *time.Timer
}

// stop ends the watch over an idle transaction.
func (h *heldCard) stop() {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.held = false
	if h.clock != nil {
		h.clock.Stop()
	}
}

// idle resets the card of a transaction in which nothing was done for too long.
func (h *heldCard) idle() {
	h.mu.Lock()
	defer h.mu.Unlock()
	if !h.held {
		return
	}
	h.held, h.lost = false, true
	h.relay.resets.Add(1)
	_ = h.card.EndTransaction(scard.ResetCard)
}

func (h *heldCard) carryOut(ask call, in []byte) (answer, []byte) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.clock != nil {
		h.clock.Stop()
	}
	defer func() {
		if h.held {
			h.clock = time.AfterFunc(idleTime, h.idle)
		}
	}()
	switch ask.Function {
	case reconnect:
		err := h.card.Reconnect(scard.ShareMode(ask.B), scard.Protocol(ask.C), scard.Disposition(ask.D))
		h.lost = h.lost && err != nil
		return answer{Code: codeOf(err), Y: uint32(h.card.ActiveProtocol())}, nil
	case disconnect:
		h.held = false
		return answer{Code: codeOf(h.card.Disconnect(scard.Disposition(ask.B)))}, nil
	}
	if h.lost {
		return answer{Code: resetCard}, nil
	}
	switch ask.Function {
	case begin:
		err := h.card.BeginTransaction()
		h.held = h.held || err == nil
		return answer{Code: codeOf(err)}, nil
	case end:
		h.held = false
		return answer{Code: codeOf(h.card.EndTransaction(scard.Disposition(ask.B)))}, nil
	case status:
		return h.status()
	case transmit:
		out, err := h.card.Transmit(in)
		return answer{Code: codeOf(err)}, out
	case control:
		out, err := h.card.Control(controlCodeLite+(ask.B-controlCode)>>2, in)
		return answer{Code: codeOf(err)}, out
	}
	return answer{Code: unsupportedFeature}, nil
}

// status is SCardStatus, whose state is a set of bits for PC/SC lite, and a number for
// Windows.
func (h *heldCard) status() (answer, []byte) {
	now, err := h.card.Status()
	if err != nil {
		return answer{Code: codeOf(err)}, nil
	}
	said := answer{X: statePresent, Y: uint32(now.ActiveProtocol)}
	if now.State&scard.Specific != 0 {
		said.X = stateSpecific
	}
	entry := readerEntry{}
	entry.Size = uint32(copy(entry.ATR[:], now.Atr))
	copy(entry.Name[:nameLength-2], utf16.Encode([]rune(now.Reader)))
	var out bytes.Buffer
	_ = binary.Write(&out, binary.LittleEndian, entry)
	return said, out.Bytes()
}

// wide is text as Windows has it.
func wide(text string) []byte {
	var out bytes.Buffer
	_ = binary.Write(&out, binary.LittleEndian, utf16.Encode([]rune(text)))
	return out.Bytes()
}

func narrow(wide []byte) string {
	units := make([]uint16, len(wide)/2)
	_, _ = binary.Decode(wide, binary.LittleEndian, units)
	return text(units)
}

// text is what comes before the first zero.
func text(units []uint16) string {
	name, _, _ := strings.Cut(string(utf16.Decode(units)), "\x00")
	return name
}
