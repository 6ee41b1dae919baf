package pcsc

import "time"

// system is one application context of the PC/SC resource manager, as far as
// it is used here (PC/SC part 5, 3.2). Its calls block.
type system interface {
	listReaders() ([]string, error)
	// getStatusChange returns as soon as a reader differs from its current
	// state, and codeTimeout where none did.
	getStatusChange(states []readerState, timeout time.Duration) error
	cancel() error
	connect(reader string) (card, error)
	release() error
}

// card is a connection to a card, shared with others until beginTransaction.
// Its calls block.
type card interface {
	// protocolT0 says that commands go out as T=0 TPDUs.
	protocolT0() bool
	// atr is an error if the card was reset or removed, or is not ready to be
	// spoken to.
	atr() ([]byte, error)
	// sync returns when the reader has done what it was told before.
	sync()
	beginTransaction() error
	endTransaction(reset bool) error
	reconnect() error
	disconnect(reset bool) error
	transmit(apdu []byte) ([]byte, error)
}

// readerState is SCARD_READERSTATE.
type readerState struct {
	reader         string
	current, event stateFlag
	atr            []byte
}

// stateFlag is a state of a reader; the upper 16 bits count its events.
type stateFlag uint32

const (
	stateChanged     stateFlag = 0x0002
	stateUnknown     stateFlag = 0x0004
	stateUnavailable stateFlag = 0x0008
	statePresent     stateFlag = 0x0020
	stateExclusive   stateFlag = 0x0080
	stateInUse       stateFlag = 0x0100
	stateMute        stateFlag = 0x0200
)
