package p11

import (
	"errors"
	"fmt"

	"github.com/miekg/pkcs11"
)

// Code is a return value of PKCS#11, CK_RV.
type Code uint

// String is the name in the specification and what it means.
func (c Code) String() string {
	name, meaning := c.Name(), c.Meaning()
	if meaning == "" {
		return name
	}
	return name + " " + meaning
}

// Name is the name in the specification; a vendor's code is shown as
// CKR_VENDOR_DEFINED and its distance from it, what nobody defined in hex.
func (c Code) Name() string {
	if r, ok := returnValues[c]; ok {
		return r.name
	}
	if c > pkcs11.CKR_VENDOR_DEFINED {
		return fmt.Sprintf("CKR_VENDOR_DEFINED+0x%X", uint(c-pkcs11.CKR_VENDOR_DEFINED))
	}
	return fmt.Sprintf("CKR 0x%08X", uint(c))
}

// Meaning is what the specification says of the code, in words, or nothing.
func (c Code) Meaning() string { return returnValues[c].meaning }

// CallError is a PKCS#11 function that returned something but CKR_OK.
type CallError struct {
	Function string // as in the specification: C_Login
	Code     Code
}

func (e *CallError) Error() string {
	return fmt.Sprintf("%s failed [%s]", e.Function, e.Code)
}

// CodeOf is the return value that err carries, or CKR_OK where it carries none.
func CodeOf(err error) Code {
	var e *CallError
	if errors.As(err, &e) {
		return e.Code
	}
	return pkcs11.CKR_OK
}

// isUnsupported reports whether a module said that this cannot be done, with
// this key or at all, and not that doing it went wrong.
func (c Code) isUnsupported() bool {
	switch c {
	case pkcs11.CKR_MECHANISM_INVALID, pkcs11.CKR_MECHANISM_PARAM_INVALID,
		pkcs11.CKR_FUNCTION_NOT_SUPPORTED, pkcs11.CKR_KEY_FUNCTION_NOT_PERMITTED,
		pkcs11.CKR_KEY_TYPE_INCONSISTENT, pkcs11.CKR_KEY_SIZE_RANGE:
		return true
	}
	return false
}

// isGone reports whether the token went away.
func (c Code) isGone() bool {
	switch c {
	case pkcs11.CKR_DEVICE_REMOVED, pkcs11.CKR_TOKEN_NOT_PRESENT,
		pkcs11.CKR_TOKEN_NOT_RECOGNIZED, pkcs11.CKR_SLOT_ID_INVALID:
		return true
	}
	return false
}

// isLost reports whether the token ended the session.
func (c Code) isLost() bool {
	return c == pkcs11.CKR_SESSION_HANDLE_INVALID || c == pkcs11.CKR_SESSION_CLOSED
}

// isVague reports whether the code may mean anything, and also that the token
// went away.
func (c Code) isVague() bool {
	switch c {
	case pkcs11.CKR_GENERAL_ERROR, pkcs11.CKR_FUNCTION_FAILED, pkcs11.CKR_DEVICE_ERROR,
		pkcs11.CKR_SESSION_HANDLE_INVALID, pkcs11.CKR_SESSION_CLOSED,
		pkcs11.CKR_TOKEN_NOT_RECOGNIZED, // OpenSC's for a command that the card refuses
		pkcs11.CKR_OBJECT_HANDLE_INVALID, pkcs11.CKR_KEY_HANDLE_INVALID:
		return true
	}
	return false
}
