package iso7816

import (
	"errors"
	"fmt"
)

// Status is the status word SW1-SW2 of an answer.
type Status uint16

// Status words of ISO/IEC 7816-4, 5.6, that callers tell apart.
const (
	StatusOK                     Status = 0x9000
	StatusTerminated             Status = 0x6285
	StatusMemoryFailure          Status = 0x6581
	StatusWrongLength            Status = 0x6700
	StatusChannelNotSupported    Status = 0x6881
	StatusLastCommandExpected    Status = 0x6883
	StatusChainingNotSupported   Status = 0x6884
	StatusSecurityNotSatisfied   Status = 0x6982
	StatusPINBlocked             Status = 0x6983
	StatusReferenceUnusable      Status = 0x6984
	StatusConditionsNotSatisfied Status = 0x6985
	StatusWrongData              Status = 0x6A80
	StatusFunctionNotSupported   Status = 0x6A81
	StatusFileNotFound           Status = 0x6A82
	StatusRecordNotFound         Status = 0x6A83
	StatusNoSpace                Status = 0x6A84
	StatusWrongP1P2              Status = 0x6A86
	StatusReferenceNotFound      Status = 0x6A88
	StatusWrongOffset            Status = 0x6B00
	StatusINSNotSupported        Status = 0x6D00
	StatusCLANotSupported        Status = 0x6E00
	StatusUnknown                Status = 0x6F00

	statusMessagingNotSupported Status = 0x6882
	statusWrongFileKind         Status = 0x6981
	statusMessagingMissing      Status = 0x6987
	statusMessagingWrong        Status = 0x6988
	statusLengthNotTLV          Status = 0x6A85
	statusLengthNotP1P2         Status = 0x6A87
	statusFileExists            Status = 0x6A89
	statusNameExists            Status = 0x6A8A
)

var meanings = map[Status]string{
	StatusOK:                     "done",
	0x6281:                       "part of the answer may be corrupted",
	0x6282:                       "end of file reached",
	0x6283:                       "selected file deactivated",
	StatusTerminated:             "in termination state",
	0x6300:                       "no information given, state changed",
	0x6400:                       "execution error",
	0x6500:                       "no information given, state changed",
	StatusMemoryFailure:          "memory failure",
	0x6600:                       "security-related issue",
	StatusWrongLength:            "wrong length",
	StatusChannelNotSupported:    "logical channel not supported",
	statusMessagingNotSupported:  "secure messaging not supported",
	StatusLastCommandExpected:    "last command of the chain expected",
	StatusChainingNotSupported:   "command chaining not supported",
	statusWrongFileKind:          "command incompatible with file structure",
	StatusSecurityNotSatisfied:   "security status not satisfied",
	StatusPINBlocked:             "authentication method blocked",
	StatusReferenceUnusable:      "reference data not usable",
	StatusConditionsNotSatisfied: "conditions of use not satisfied",
	0x6986:                       "command not allowed",
	statusMessagingMissing:       "secure messaging objects missing",
	statusMessagingWrong:         "incorrect secure messaging objects",
	0x6999:                       "applet could not be selected",
	StatusWrongData:              "incorrect parameters in the data field",
	StatusFunctionNotSupported:   "function not supported",
	StatusFileNotFound:           "file or application not found",
	StatusRecordNotFound:         "record not found",
	StatusNoSpace:                "not enough memory space",
	statusLengthNotTLV:           "Nc inconsistent with TLV structure",
	StatusWrongP1P2:              "incorrect parameters P1-P2",
	statusLengthNotP1P2:          "Nc inconsistent with parameters P1-P2",
	StatusReferenceNotFound:      "referenced data not found",
	statusFileExists:             "file already exists",
	statusNameExists:             "DF name already exists",
	StatusWrongOffset:            "wrong parameters P1-P2",
	StatusINSNotSupported:        "instruction code not supported or invalid",
	StatusCLANotSupported:        "class not supported",
	StatusUnknown:                "no precise diagnosis",
}

// Lacks reports whether the card says that it does not have what was asked for, or not the
// command for it.
func (s Status) Lacks() bool {
	switch s {
	case StatusFileNotFound, StatusRecordNotFound, StatusReferenceNotFound, StatusWrongP1P2, StatusWrongOffset,
		StatusFunctionNotSupported, StatusCLANotSupported, StatusINSNotSupported:
		return true
	}
	return false
}

// Meaning is what ISO/IEC 7816-4 says of the status word, in words.
func (s Status) Meaning() string {
	if m, ok := meanings[s]; ok {
		return m
	}
	if tries, ok := s.TriesLeft(); ok {
		if tries == 1 {
			return "verification failed, 1 try left"
		}
		return fmt.Sprintf("verification failed, %d tries left", tries)
	}
	switch s >> 8 {
	case 0x61:
		return "more answer bytes available"
	case 0x62, 0x63:
		return "warning"
	case 0x64, 0x65:
		return "execution error"
	case 0x66:
		return "security-related issue"
	case 0x6C:
		return "wrong Le field"
	case 0x68:
		return "function in class byte not supported"
	case 0x69:
		return "command not allowed"
	case 0x6A:
		return "wrong parameters"
	}
	return "unknown status word"
}

// TriesLeft is the counter of 63Cx.
func (s Status) TriesLeft() (int, bool) {
	if s&0xFFF0 == 0x63C0 {
		return int(s & 0xF), true
	}
	return 0, false
}

func (s Status) String() string { return fmt.Sprintf("%04X %s", uint16(s), s.Meaning()) }

// StatusError is an answer other than 9000. INS is the instruction that was
// refused.
type StatusError struct {
	Status Status
	INS    byte
	// TooLong says that the command has more than 255 bytes of data, and that the card
	// refused its length in both ways: extended, and by chaining.
	TooLong bool
}

func (e *StatusError) Error() string {
	return fmt.Sprintf("the card refused %s [%s]", InstructionName(e.INS), e.Status)
}

// StatusOf is the status word that err carries, or 0 where it carries none.
func StatusOf(err error) Status {
	var e *StatusError
	if errors.As(err, &e) {
		return e.Status
	}
	return 0
}

// Refused reports whether err is a status word by which a card says that it
// checked a command and did not carry it out (ISO/IEC 7816-4, 5.6). It is the
// only answer after which nothing on the card has changed: a warning, an
// execution error, 6985, 6F00, a 61xx or 6Cxx that nobody asked for, a status
// word of the card's own and no answer at all also come from cards that did
// what they were told.
func Refused(err error) bool {
	switch StatusOf(err) {
	case StatusWrongLength, StatusChannelNotSupported, statusMessagingNotSupported, StatusChainingNotSupported,
		statusWrongFileKind, StatusSecurityNotSatisfied, StatusPINBlocked, StatusReferenceUnusable,
		statusMessagingMissing, statusMessagingWrong,
		StatusWrongData, StatusFunctionNotSupported, StatusFileNotFound, StatusRecordNotFound, StatusNoSpace,
		statusLengthNotTLV, StatusWrongP1P2, statusLengthNotP1P2, StatusReferenceNotFound, statusFileExists, statusNameExists,
		StatusWrongOffset, StatusINSNotSupported, StatusCLANotSupported:
		return true
	}
	return false
}

// InstructionName is the name ISO/IEC 7816-4 gives to an instruction byte.
func InstructionName(ins byte) string {
	if name, ok := instructionNames[ins]; ok {
		return name
	}
	return fmt.Sprintf("instruction %02X", ins)
}

var instructionNames = map[byte]string{
	InsVerify:               "VERIFY",
	0x21:                    "VERIFY",
	InsManageSecurity:       "MANAGE SECURITY ENVIRONMENT",
	InsChangeReferenceData:  "CHANGE REFERENCE DATA",
	InsPerformSecurityOp:    "PERFORM SECURITY OPERATION",
	InsResetRetryCounter:    "RESET RETRY COUNTER",
	InsActivateFile:         "ACTIVATE FILE",
	InsGenerateKeyPair:      "GENERATE ASYMMETRIC KEY PAIR",
	InsExternalAuthenticate: "EXTERNAL AUTHENTICATE",
	InsGetChallenge:         "GET CHALLENGE",
	InsGeneralAuthenticate:  "GENERAL AUTHENTICATE",
	InsInternalAuthenticate: "INTERNAL AUTHENTICATE",
	InsSelect:               "SELECT",
	InsSelectData:           "SELECT DATA",
	0xB0:                    "READ BINARY",
	InsGetResponse:          "GET RESPONSE",
	InsGetData:              "GET DATA",
	InsGetNextData:          "GET NEXT DATA",
	InsPutData:              "PUT DATA",
	InsPutDataOdd:           "PUT DATA",
	0xD6:                    "UPDATE BINARY",
	0xE0:                    "CREATE FILE",
	0xE4:                    "DELETE",
	InsTerminateDF:          "TERMINATE DF",
}

// Instruction bytes of ISO/IEC 7816-4, -8 and -9.
const (
	InsVerify               = 0x20
	InsManageSecurity       = 0x22
	InsChangeReferenceData  = 0x24
	InsPerformSecurityOp    = 0x2A
	InsResetRetryCounter    = 0x2C
	InsActivateFile         = 0x44
	InsGenerateKeyPair      = 0x47
	InsExternalAuthenticate = 0x82
	InsGetChallenge         = 0x84
	InsGeneralAuthenticate  = 0x87
	InsInternalAuthenticate = 0x88
	InsSelect               = 0xA4
	InsSelectData           = 0xA5
	InsGetResponse          = 0xC0
	InsGetData              = 0xCA
	InsGetNextData          = 0xCC
	InsPutData              = 0xDA
	InsPutDataOdd           = 0xDB
	InsTerminateDF          = 0xE6
)
