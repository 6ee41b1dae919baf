//go:build cgo && !windows

package pcsc

import (
	"errors"
	"time"

	"github.com/ebfe/scard"
)

// establish opens an application context (SCardEstablishContext).
func establish() (system, error) {
	context, err := scard.EstablishContext()
	if err != nil {
		return nil, coded(err)
	}
	return scardSystem{context}, nil
}

// coded is err as the code it carries.
func coded(err error) error {
	var e scard.Error
	if errors.As(err, &e) {
		return code(e)
	}
	return err
}

func disposition(reset bool) scard.Disposition {
	if reset {
		return scard.ResetCard
	}
	return scard.LeaveCard
}

type scardSystem struct{ context *scard.Context }

func (s scardSystem) listReaders() ([]string, error) {
	names, err := s.context.ListReaders()
	return names, coded(err)
}

func (s scardSystem) getStatusChange(states []readerState, timeout time.Duration) error {
	list := make([]scard.ReaderState, len(states))
	for i, state := range states {
		list[i] = scard.ReaderState{Reader: state.reader, CurrentState: scard.StateFlag(state.current)}
	}
	if err := s.context.GetStatusChange(list, timeout); err != nil {
		return coded(err)
	}
	for i, state := range list {
		states[i].event, states[i].atr = stateFlag(state.EventState), state.Atr
	}
	return nil
}

func (s scardSystem) cancel() error  { return coded(s.context.Cancel()) }
func (s scardSystem) release() error { return coded(s.context.Release()) }

func (s scardSystem) connect(reader string) (card, error) {
	c, err := s.context.Connect(reader, scard.ShareShared, scard.ProtocolAny)
	if err != nil {
		return nil, coded(err)
	}
	return usable(scardCard{c})
}

// usable lets a card go that speaks neither T=0 nor T=1.
func usable(c scardCard) (card, error) {
	switch c.card.ActiveProtocol() {
	case scard.ProtocolT0, scard.ProtocolT1:
		return c, nil
	}
	return nil, errors.Join(codeProtocolMismatch, c.disconnect(false))
}

type scardCard struct{ card *scard.Card }

func (c scardCard) protocolT0() bool { return c.card.ActiveProtocol() == scard.ProtocolT0 }

func (c scardCard) atr() ([]byte, error) {
	status, err := c.card.Status()
	if err != nil {
		return nil, coded(err)
	}
	if status.ActiveProtocol != c.card.ActiveProtocol() {
		return nil, codeProtocolMismatch
	}
	return status.Atr, nil
}

// featureRequest is CM_IOCTL_GET_FEATURE_REQUEST (PC/SC part 10, 2.2): a question
// to the reader, which waits for its turn there and does not reach the card.
const featureRequest = 3400

func (c scardCard) sync() { _, _ = c.card.Control(scard.CtlCode(featureRequest), nil) }

func (c scardCard) beginTransaction() error { return coded(c.card.BeginTransaction()) }

func (c scardCard) endTransaction(reset bool) error {
	return coded(c.card.EndTransaction(disposition(reset)))
}

func (c scardCard) reconnect() error {
	return coded(c.card.Reconnect(scard.ShareShared, scard.ProtocolAny, scard.LeaveCard))
}

func (c scardCard) disconnect(reset bool) error {
	return coded(c.card.Disconnect(disposition(reset)))
}

func (c scardCard) transmit(apdu []byte) ([]byte, error) {
	answer, err := c.card.Transmit(apdu)
	return answer, coded(err)
}
