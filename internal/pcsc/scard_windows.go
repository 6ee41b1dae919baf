package pcsc

import (
	"errors"
	"slices"
	"time"
	"unsafe"

	"golang.org/x/sys/windows"
)

const (
	scopeSystem = 2 // SCARD_SCOPE_SYSTEM
	shareShared = 2 // SCARD_SHARE_SHARED
	protocolT0  = 1 // SCARD_PROTOCOL_T0
	protocolT1  = 2 // SCARD_PROTOCOL_T1
	leaveCard   = 0 // SCARD_LEAVE_CARD
	resetCard   = 1 // SCARD_RESET_CARD

	maxATR      = 36                 // bytes of rgbAtr
	maxResponse = 65536 + 2          // data and status word
	forever     = 0xFFFFFFFF         // INFINITE
	featureCtl  = 3400<<2 | 0x310000 // SCARD_CTL_CODE(CM_IOCTL_GET_FEATURE_REQUEST)
)

// establish opens an application context (SCardEstablishContext).
func establish() (system, error) {
	w, err := loadWinscard()
	if err != nil {
		return nil, err
	}
	var context uintptr
	if err := returned(w.establishContext.Call(scopeSystem, 0, 0, uintptr(unsafe.Pointer(&context)))); err != nil {
		return nil, err
	}
	return windowsSystem{w, context}, nil
}

type windowsSystem struct {
	*winscard
	context uintptr
}

// listReaders asks for the length of the list, and then for the list.
func (s windowsSystem) listReaders() ([]string, error) {
	var length uint32 // characters
	if err := returned(s.winscard.listReaders.Call(s.context, 0, 0, uintptr(unsafe.Pointer(&length)))); err != nil || length == 0 {
		return nil, err
	}
	list := make([]uint16, length)
	err := returned(s.winscard.listReaders.Call(s.context, 0, uintptr(unsafe.Pointer(&list[0])), uintptr(unsafe.Pointer(&length))))
	if err != nil {
		return nil, err
	}
	return names(list), nil
}

// names are the texts of a list in which each ends with a zero, and the list with
// another.
func names(list []uint16) []string {
	var all []string
	for {
		end := slices.Index(list, 0)
		if end <= 0 {
			return all
		}
		all = append(all, windows.UTF16ToString(list[:end]))
		list = list[end+1:]
	}
}

// windowsReaderState is SCARD_READERSTATEW.
type windowsReaderState struct {
	reader         *uint16
	userData       uintptr
	current, event uint32
	atrLength      uint32
	atr            [maxATR]byte
}

func (s windowsSystem) getStatusChange(states []readerState, timeout time.Duration) error {
	if len(states) == 0 {
		return nil
	}
	list := make([]windowsReaderState, len(states))
	for i, state := range states {
		name, err := windows.UTF16PtrFromString(state.reader)
		if err != nil {
			return codeUnknownReader
		}
		list[i] = windowsReaderState{reader: name, current: uint32(state.current)}
	}
	err := returned(s.winscard.getStatusChange.Call(s.context, milliseconds(timeout), uintptr(unsafe.Pointer(&list[0])), uintptr(len(list))))
	if err != nil {
		return err
	}
	for i, state := range list {
		states[i].event = stateFlag(state.event)
		states[i].atr = slices.Clone(state.atr[:min(state.atrLength, maxATR)])
	}
	return nil
}

// milliseconds is a time as Windows takes it; one below 0 does not end.
func milliseconds(d time.Duration) uintptr {
	if d < 0 {
		return forever
	}
	return uintptr(min(d.Milliseconds(), forever-1))
}

func (s windowsSystem) cancel() error  { return returned(s.winscard.cancel.Call(s.context)) }
func (s windowsSystem) release() error { return returned(s.releaseContext.Call(s.context)) }

func (s windowsSystem) connect(reader string) (card, error) {
	name, err := windows.UTF16PtrFromString(reader)
	if err != nil {
		return nil, codeUnknownReader
	}
	c := &windowsCard{winscard: s.winscard}
	err = returned(s.winscard.connect.Call(s.context, uintptr(unsafe.Pointer(name)), shareShared, protocolT0|protocolT1,
		uintptr(unsafe.Pointer(&c.handle)), uintptr(unsafe.Pointer(&c.protocol))))
	switch {
	case err != nil:
		return nil, err
	case c.protocol != protocolT0 && c.protocol != protocolT1:
		return nil, errors.Join(codeProtocolMismatch, c.disconnect(false))
	}
	return c, nil
}

// windowsCard is a SCARDHANDLE, and the protocol that was agreed on.
type windowsCard struct {
	*winscard
	handle   uintptr
	protocol uint32
}

func (c *windowsCard) protocolT0() bool { return c.protocol == protocolT0 }

func (c *windowsCard) atr() ([]byte, error) {
	var nameLength, state, protocol uint32
	atr := make([]byte, maxATR)
	length := uint32(len(atr))
	err := returned(c.status.Call(c.handle, 0, uintptr(unsafe.Pointer(&nameLength)), uintptr(unsafe.Pointer(&state)),
		uintptr(unsafe.Pointer(&protocol)), uintptr(unsafe.Pointer(&atr[0])), uintptr(unsafe.Pointer(&length))))
	switch {
	case err != nil:
		return nil, err
	case protocol != c.protocol:
		return nil, codeProtocolMismatch
	}
	return atr[:min(length, maxATR)], nil
}

// sync asks the reader for its features (PC/SC part 10, 2.2): a question that waits for
// its turn there and does not reach the card.
func (c *windowsCard) sync() {
	var length uint32
	out := make([]byte, 256)
	_ = returned(c.control.Call(c.handle, featureCtl, 0, 0,
		uintptr(unsafe.Pointer(&out[0])), uintptr(len(out)), uintptr(unsafe.Pointer(&length))))
}

func (c *windowsCard) beginTransaction() error {
	return returned(c.winscard.beginTransaction.Call(c.handle))
}

func (c *windowsCard) endTransaction(reset bool) error {
	return returned(c.winscard.endTransaction.Call(c.handle, disposition(reset)))
}

func (c *windowsCard) reconnect() error {
	return returned(c.winscard.reconnect.Call(c.handle, shareShared, protocolT0|protocolT1, leaveCard, uintptr(unsafe.Pointer(&c.protocol))))
}

func (c *windowsCard) disconnect(reset bool) error {
	return returned(c.winscard.disconnect.Call(c.handle, disposition(reset)))
}

func disposition(reset bool) uintptr {
	if reset {
		return resetCard
	}
	return leaveCard
}

// ioRequest is SCARD_IO_REQUEST: a protocol, and the length of this structure.
type ioRequest struct{ protocol, length uint32 }

func (c *windowsCard) transmit(apdu []byte) ([]byte, error) {
	protocol := ioRequest{c.protocol, uint32(unsafe.Sizeof(ioRequest{}))}
	answer := make([]byte, maxResponse)
	length := uint32(len(answer))
	err := returned(c.winscard.transmit.Call(c.handle, uintptr(unsafe.Pointer(&protocol)), uintptr(unsafe.Pointer(&apdu[0])), uintptr(len(apdu)),
		0, uintptr(unsafe.Pointer(&answer[0])), uintptr(unsafe.Pointer(&length))))
	if err != nil {
		return nil, err
	}
	return answer[:min(length, maxResponse)], nil
}
