package pcsc

import "fmt"

// code is a return code of the PC/SC API.
type code uint32

// The codes after which something else is done.
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

// codeMeanings has every code of PC/SC lite (pcsclite.h) and of Windows (winerror.h),
// with its name. The same number has two names in PC/SC lite.
var codeMeanings = map[code]string{
	0x80100001:             "SCARD_F_INTERNAL_ERROR internal error of the PC/SC service",
	codeCancelled:          "SCARD_E_CANCELLED cancelled",
	codeInvalidHandle:      "SCARD_E_INVALID_HANDLE invalid handle",
	codeInvalidParameter:   "SCARD_E_INVALID_PARAMETER invalid parameter",
	0x80100005:             "SCARD_E_INVALID_TARGET missing or invalid startup information",
	0x80100006:             "SCARD_E_NO_MEMORY not enough memory",
	0x80100007:             "SCARD_F_WAITED_TOO_LONG internal timer expired",
	codeInsufficientBuffer: "SCARD_E_INSUFFICIENT_BUFFER insufficient buffer",
	codeUnknownReader:      "SCARD_E_UNKNOWN_READER unknown reader",
	codeTimeout:            "SCARD_E_TIMEOUT timeout",
	codeSharingViolation:   "SCARD_E_SHARING_VIOLATION sharing violation",
	codeNoSmartCard:        "SCARD_E_NO_SMARTCARD no card in the reader",
	0x8010000D:             "SCARD_E_UNKNOWN_CARD unknown card name",
	0x8010000E:             "SCARD_E_CANT_DISPOSE card cannot be released as requested",
	codeProtocolMismatch:   "SCARD_E_PROTO_MISMATCH protocol mismatch",
	codeNotReady:           "SCARD_E_NOT_READY reader not ready",
	0x80100011:             "SCARD_E_INVALID_VALUE invalid value",
	0x80100012:             "SCARD_E_SYSTEM_CANCELLED cancelled by the system",
	codeCommError:          "SCARD_F_COMM_ERROR communication error",
	0x80100014:             "SCARD_F_UNKNOWN_ERROR internal error of unknown origin",
	0x80100015:             "SCARD_E_INVALID_ATR invalid answer to reset",
	codeNotTransacted:      "SCARD_E_NOT_TRANSACTED transaction failed",
	codeReaderUnavailable:  "SCARD_E_READER_UNAVAILABLE reader unavailable",
	0x80100018:             "SCARD_P_SHUTDOWN PC/SC service shutting down",
	0x80100019:             "SCARD_E_PCI_TOO_SMALL receive buffer too small",
	0x8010001A:             "SCARD_E_READER_UNSUPPORTED reader not supported by its driver",
	0x8010001B:             "SCARD_E_DUPLICATE_READER reader name not unique",
	0x8010001C:             "SCARD_E_CARD_UNSUPPORTED card not supported",
	codeNoService:          "SCARD_E_NO_SERVICE service not running",
	codeServiceStopped:     "SCARD_E_SERVICE_STOPPED service stopped",
	0x8010001F:             "SCARD_E_UNEXPECTED unexpected error, or in PC/SC lite SCARD_E_UNSUPPORTED_FEATURE feature not supported",
	0x80100020:             "SCARD_E_ICC_INSTALLATION no provider for this card",
	0x80100021:             "SCARD_E_ICC_CREATEORDER unsupported order of creation",
	0x80100022:             "SCARD_E_UNSUPPORTED_FEATURE feature not supported",
	0x80100023:             "SCARD_E_DIR_NOT_FOUND directory not found on the card",
	0x80100024:             "SCARD_E_FILE_NOT_FOUND file not found on the card",
	0x80100025:             "SCARD_E_NO_DIR not a directory of the card",
	0x80100026:             "SCARD_E_NO_FILE not a file of the card",
	0x80100027:             "SCARD_E_NO_ACCESS access to the file denied",
	0x80100028:             "SCARD_E_WRITE_TOO_MANY not enough memory on the card",
	0x80100029:             "SCARD_E_BAD_SEEK invalid position in the file",
	0x8010002A:             "SCARD_E_INVALID_CHV invalid PIN",
	0x8010002B:             "SCARD_E_UNKNOWN_RES_MNG unknown error below the PC/SC service",
	0x8010002C:             "SCARD_E_NO_SUCH_CERTIFICATE certificate not found",
	0x8010002D:             "SCARD_E_CERTIFICATE_UNAVAILABLE certificate not available",
	codeNoReadersAvailable: "SCARD_E_NO_READERS_AVAILABLE no readers",
	0x8010002F:             "SCARD_E_COMM_DATA_LOST data lost between reader and card",
	0x80100030:             "SCARD_E_NO_KEY_CONTAINER key container not found",
	0x80100031:             "SCARD_E_SERVER_TOO_BUSY PC/SC service too busy",
	0x80100032:             "SCARD_E_PIN_CACHE_EXPIRED cached PIN expired",
	0x80100033:             "SCARD_E_NO_PIN_CACHE PIN cannot be cached",
	0x80100034:             "SCARD_E_READ_ONLY_CARD card is read-only",
	0x80100065:             "SCARD_W_UNSUPPORTED_CARD answer to reset not supported",
	codeUnresponsiveCard:   "SCARD_W_UNRESPONSIVE_CARD card does not answer to reset",
	codeUnpoweredCard:      "SCARD_W_UNPOWERED_CARD card not powered",
	codeResetCard:          "SCARD_W_RESET_CARD card was reset",
	codeRemovedCard:        "SCARD_W_REMOVED_CARD card was removed",
	codeSecurityViolation:  "SCARD_W_SECURITY_VIOLATION access denied",
	0x8010006B:             "SCARD_W_WRONG_CHV wrong PIN",
	0x8010006C:             "SCARD_W_CHV_BLOCKED PIN blocked",
	0x8010006D:             "SCARD_W_EOF end of the file",
	0x8010006E:             "SCARD_W_CANCELLED_BY_USER cancelled by the user",
	0x8010006F:             "SCARD_W_CARD_NOT_AUTHENTICATED no PIN presented",
	0x80100070:             "SCARD_W_CACHE_ITEM_NOT_FOUND not in the cache",
	0x80100071:             "SCARD_W_CACHE_ITEM_STALE outdated in the cache",
	0x80100072:             "SCARD_W_CACHE_ITEM_TOO_BIG too large for the cache",
}

// Error is the name and the meaning of the code. Some functions return a code of the
// operating system, which explains it itself.
func (c code) Error() string {
	if meaning, ok := codeMeanings[c]; ok {
		return meaning
	}
	if meaning := systemMeaning(c); meaning != "" {
		return fmt.Sprintf("error %d of the operating system: %s", uint32(c), meaning)
	}
	return fmt.Sprintf("unknown PC/SC error %08X", uint32(c))
}
