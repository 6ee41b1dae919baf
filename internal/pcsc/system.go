package pcsc

import (
	"fmt"
	"time"
)

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

// code is a return code of the PC/SC API.
type code uint32

const (
	codeCancelled          code = 0x80100002
	codeInvalidHandle      code = 0x80100003
	codeInvalidParameter   code = 0x80100004
	codeInsufficientBuffer code = 0x80100008
	codeUnknownReader      code = 0x80100009
	codeTimeout            code = 0x8010000A
	codeSharingViolation   code = 0x8010000B
	codeNoSmartCard        code = 0x8010000C
	codeProtocolMismatch   code = 0x8010000F
	codeNotReady           code = 0x80100010
	codeCommError          code = 0x80100013
	codeNotTransacted      code = 0x80100016
	codeReaderUnavailable  code = 0x80100017
	codeNoService          code = 0x8010001D
	codeServiceStopped     code = 0x8010001E
	codeNoReadersAvailable code = 0x8010002E
	codeUnresponsiveCard   code = 0x80100066
	codeUnpoweredCard      code = 0x80100067
	codeResetCard          code = 0x80100068
	codeRemovedCard        code = 0x80100069
	codeSecurityViolation  code = 0x8010006A
)

var codeMeanings = map[code]string{
	codeCancelled:          "SCARD_E_CANCELLED cancelled",
	codeInvalidHandle:      "SCARD_E_INVALID_HANDLE invalid handle",
	codeInvalidParameter:   "SCARD_E_INVALID_PARAMETER invalid parameter",
	codeInsufficientBuffer: "SCARD_E_INSUFFICIENT_BUFFER insufficient buffer",
	codeUnknownReader:      "SCARD_E_UNKNOWN_READER unknown reader",
	codeTimeout:            "SCARD_E_TIMEOUT timeout",
	codeSharingViolation:   "SCARD_E_SHARING_VIOLATION sharing violation",
	codeNoSmartCard:        "SCARD_E_NO_SMARTCARD no card in the reader",
	codeProtocolMismatch:   "SCARD_E_PROTO_MISMATCH protocol mismatch",
	codeNotReady:           "SCARD_E_NOT_READY reader not ready",
	codeCommError:          "SCARD_F_COMM_ERROR communication error",
	codeNotTransacted:      "SCARD_E_NOT_TRANSACTED transaction failed",
	codeReaderUnavailable:  "SCARD_E_READER_UNAVAILABLE reader unavailable",
	codeNoService:          "SCARD_E_NO_SERVICE service not running",
	codeServiceStopped:     "SCARD_E_SERVICE_STOPPED service stopped",
	codeNoReadersAvailable: "SCARD_E_NO_READERS_AVAILABLE no readers",
	codeUnresponsiveCard:   "SCARD_W_UNRESPONSIVE_CARD card does not answer to reset",
	codeUnpoweredCard:      "SCARD_W_UNPOWERED_CARD card not powered",
	codeResetCard:          "SCARD_W_RESET_CARD card was reset",
	codeRemovedCard:        "SCARD_W_REMOVED_CARD card was removed",
	codeSecurityViolation:  "SCARD_W_SECURITY_VIOLATION access denied",
}

func (c code) Error() string {
	if meaning, ok := codeMeanings[c]; ok {
		return meaning
	}
	return fmt.Sprintf("PC/SC error %08X", uint32(c))
}
