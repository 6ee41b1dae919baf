package p11

import (
	"errors"

	"github.com/cardctl/cardctl/internal/problem"
	"github.com/miekg/pkcs11"
)

// An answer that is neither CKR_OK nor a refusal that PKCS#11 defines says
// nothing of what was done: the token may have done it, and its answer got lost.

// noAnswer is a call that was begun and did not come back in time.
type noAnswer struct{ error }

func (e noAnswer) Unwrap() error { return e.error }

// uncertainError is an error that says that something is not known.
type uncertainError struct{ error }

func (e uncertainError) Unwrap() error { return e.error }

// Uncertain reports whether an error leaves it open whether the token did what it
// was asked for.
func Uncertain(err error) bool {
	var (
		doubt uncertainError
		pin   *PINError
	)
	return errors.As(err, &doubt) || errors.As(err, &pin) && pin.Answer == PINUnknown
}

// isTold reports whether an error was explained with what is not known: the state
// of the token, which may be another one by now, says no more.
func isTold(err error) bool {
	var pin *PINError
	return Uncertain(err) || errors.As(err, &pin)
}

// begun reports whether a call that failed reached the module.
func begun(err error) bool {
	var lost noAnswer
	return CodeOf(err) != pkcs11.CKR_OK || errors.As(err, &lost)
}

// leavesOpen reports whether a call that failed may have done its work.
func leavesOpen(err error) bool { return begun(err) && !CodeOf(err).isRefusal() }

// isRefusal reports whether a function returns the code instead of doing its
// work, and not in the middle of it.
func (c Code) isRefusal() bool {
	switch c {
	case pkcs11.CKR_ARGUMENTS_BAD, pkcs11.CKR_CRYPTOKI_NOT_INITIALIZED,
		pkcs11.CKR_FUNCTION_NOT_SUPPORTED, pkcs11.CKR_FUNCTION_REJECTED, pkcs11.CKR_ACTION_PROHIBITED,
		pkcs11.CKR_ATTRIBUTE_READ_ONLY, pkcs11.CKR_ATTRIBUTE_TYPE_INVALID, pkcs11.CKR_ATTRIBUTE_VALUE_INVALID,
		pkcs11.CKR_TEMPLATE_INCOMPLETE, pkcs11.CKR_TEMPLATE_INCONSISTENT,
		pkcs11.CKR_MECHANISM_INVALID, pkcs11.CKR_MECHANISM_PARAM_INVALID,
		pkcs11.CKR_DOMAIN_PARAMS_INVALID, ckrCurveNotSupported, pkcs11.CKR_KEY_SIZE_RANGE,
		pkcs11.CKR_KEY_TYPE_INCONSISTENT, pkcs11.CKR_KEY_FUNCTION_NOT_PERMITTED,
		pkcs11.CKR_KEY_HANDLE_INVALID, pkcs11.CKR_OBJECT_HANDLE_INVALID,
		pkcs11.CKR_PIN_INCORRECT, pkcs11.CKR_PIN_INVALID, pkcs11.CKR_PIN_LEN_RANGE, pkcs11.CKR_PIN_EXPIRED, pkcs11.CKR_PIN_LOCKED,
		pkcs11.CKR_SESSION_EXISTS, pkcs11.CKR_SESSION_READ_ONLY, pkcs11.CKR_SESSION_READ_ONLY_EXISTS, pkcs11.CKR_SESSION_READ_WRITE_SO_EXISTS,
		pkcs11.CKR_TOKEN_WRITE_PROTECTED, pkcs11.CKR_DEVICE_MEMORY,
		pkcs11.CKR_USER_ALREADY_LOGGED_IN, pkcs11.CKR_USER_ANOTHER_ALREADY_LOGGED_IN, pkcs11.CKR_USER_NOT_LOGGED_IN,
		pkcs11.CKR_USER_PIN_NOT_INITIALIZED, pkcs11.CKR_USER_TOO_MANY_TYPES, pkcs11.CKR_USER_TYPE_INVALID:
		return true
	}
	return false
}

// doubted says of an explained error what is not known after it.
func (s *Session) doubted(err error, function string) error {
	var p *problem.Error
	if !errors.As(err, &p) {
		return uncertainError{err}
	}
	told := *p
	if !problem.Gone(err) {
		told.Next = s.module.Show(s.token)
	}
	told.Why, told.Cause = problem.Sentences(p.Reason(), "It is not known whether "+outcome(function)+"."), uncertainError{err}
	return &told
}

// outcome is what a function does.
func outcome(function string) string {
	switch function {
	case "C_Login":
		return "the token counted the PIN as a try"
	case "C_InitToken":
		return "the token was erased"
	case "C_InitPIN":
		return "the user PIN was set"
	case "C_SetPIN":
		return "the PIN was changed"
	case "C_GenerateKeyPair":
		return "the key was generated"
	case "C_CreateObject":
		return "the object was written"
	case "C_DestroyObject":
		return "the object was deleted"
	case "C_SetAttributeValue":
		return "the object was changed"
	}
	return function + " was carried out"
}
