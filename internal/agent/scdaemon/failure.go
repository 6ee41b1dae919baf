package scdaemon

import (
	"context"
	"errors"
	"fmt"

	"github.com/cardctl/cardctl/internal/problem"
	"github.com/cardctl/cardctl/internal/secret"
)

// code is an error code of libgpg-error.
type code uint32

const (
	errGeneral        code = 1
	errNoPublicKey    code = 9
	errNotFound       code = 27
	errNoData         code = 58
	errNotSupported   code = 60
	errTooLarge       code = 67
	errInvalidData    code = 79
	errNoPINEntry     code = 85
	errBadPIN         code = 87
	errInvalidName    code = 88
	errCancelled      code = 99
	errCard           code = 108
	errCardRemoved    code = 110
	errCardNotPresent code = 112
	errNotConfirmed   code = 114
	errPINBlocked     code = 130
	errFalse          code = 256
	errLineTooLong    code = 263
	errUnknownCommand code = 275
	errSyntax         code = 276
	errParameter      code = 280
)

func (c code) String() string {
	switch c {
	case errNoPublicKey:
		return "No public key"
	case errNotFound:
		return "Not found"
	case errNoData:
		return "No data"
	case errNotSupported:
		return "Not supported"
	case errTooLarge:
		return "Provided object is too large"
	case errInvalidData:
		return "Invalid data"
	case errNoPINEntry:
		return "No pinentry"
	case errBadPIN:
		return "Bad PIN"
	case errInvalidName:
		return "Invalid name"
	case errCancelled:
		return "Operation cancelled"
	case errCard:
		return "Card error"
	case errCardRemoved:
		return "Card removed"
	case errCardNotPresent:
		return "Card not present"
	case errNotConfirmed:
		return "Not confirmed"
	case errPINBlocked:
		return "PIN blocked"
	case errFalse:
		return "False"
	case errLineTooLong:
		return "Line too long"
	case errUnknownCommand:
		return "Unknown IPC command"
	case errSyntax:
		return "IPC syntax error"
	case errParameter:
		return "IPC parameter error"
	}
	return "General error"
}

// failure is an answer ERR.
type failure struct {
	code   code
	detail string
}

func fail(c code, format string, args ...any) *failure {
	return &failure{c, fmt.Sprintf(format, args...)}
}

func (f *failure) Error() string {
	if f.detail == "" {
		return f.code.String()
	}
	return f.code.String() + ": " + f.detail
}

// wire is what follows ERR. The upper bits say that the error is scdaemon's.
func (f *failure) wire() string {
	const source = 6
	text := fmt.Sprintf("%d %s <SCD>", source<<24|f.code, f.code)
	if f.detail != "" {
		text += " - " + f.detail
	}
	return text
}

// explain is the answer to an error.
func explain(err error) *failure {
	var f *failure
	if errors.As(err, &f) {
		return f
	}
	return &failure{codeOf(err), err.Error()}
}

func codeOf(err error) code {
	if errors.Is(err, context.Canceled) || errors.Is(err, secret.ErrCancelled) {
		return errCancelled
	}
	var p *problem.Error
	if !errors.As(err, &p) {
		return errGeneral
	}
	switch p.Code {
	case problem.PINIncorrect:
		return errBadPIN
	case problem.PINBlocked, problem.TriesUnknown:
		return errPINBlocked
	case problem.Interrupted:
		return errCancelled
	case problem.CardRemoved, problem.CardChanged:
		return errCardRemoved
	case problem.NotFound:
		return errNoPublicKey
	case problem.NotSupported:
		return errNotSupported
	case problem.Refused:
		return errNotConfirmed
	case problem.CardBusy:
		return errCard
	case problem.Usage:
		return errNoPINEntry
	}
	return errGeneral
}
