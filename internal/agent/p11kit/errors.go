package p11kit

import (
	"context"
	"crypto/rsa"
	"errors"

	"github.com/cardctl/cardctl/internal/problem"
	"github.com/cardctl/cardctl/internal/secret"
)

// valueOf is what a program gets to know of a failure.
func valueOf(err error) rv {
	var known *problem.Error
	switch {
	case err == nil:
		return ckrOK
	case errors.Is(err, context.Canceled), errors.Is(err, context.DeadlineExceeded), errors.Is(err, secret.ErrCancelled):
		return ckrFunctionCanceled
	case errors.Is(err, rsa.ErrDecryption):
		return ckrEncryptedDataInvalid
	case errors.As(err, &known):
		return valueOfCode(known.Code)
	case errors.Is(err, errors.ErrUnsupported):
		return ckrMechanismInvalid
	}
	return ckrFunctionFailed
}

func valueOfCode(code problem.Code) rv {
	switch code {
	case problem.PINIncorrect:
		return ckrPINIncorrect
	case problem.PINBlocked, problem.TriesUnknown:
		return ckrPINLocked
	case problem.Interrupted:
		return ckrFunctionCanceled
	case problem.Refused:
		return ckrFunctionRejected
	case problem.CardRemoved, problem.CardChanged:
		return ckrDeviceRemoved
	case problem.NotSupported:
		return ckrMechanismInvalid
	case problem.CardBusy, problem.NotFound:
		return ckrDeviceError
	}
	return ckrFunctionFailed
}
