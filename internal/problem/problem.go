// Package problem is what the user reads after a failure: what failed, why, and
// what to do next, with the stable code that scripts use. Lower layers return
// their own typed errors if callers must distinguish cases; a workflow turns
// them into a problem. Exit statuses and printing are left to the command line.
package problem

import (
	"errors"
	"fmt"
	"strings"

	"github.com/cardctl/cardctl/internal/advice"
)

// Code identifies a class of failure. It is printed in JSON errors and never
// changes once published.
type Code string

// The codes of the command line's contract; docs/exit-codes.md says when each occurs.
const (
	Failed        Code = "failed"
	Usage         Code = "usage"
	NotFound      Code = "not-found"
	PINIncorrect  Code = "pin-incorrect"
	KeysIncorrect Code = "keys-incorrect"
	PINBlocked    Code = "pin-blocked"
	TriesUnknown  Code = "tries-unknown"
	CardBusy      Code = "card-busy"
	NotSupported  Code = "not-supported"
	Mismatch      Code = "mismatch"
	Refused       Code = "refused"
	CardRemoved   Code = "card-removed"
	CardChanged   Code = "card-changed"
	Interrupted   Code = "interrupted"
)

// Error is a failure in the user's terms. What is a short clause ("gen-key
// OPENPGP.3: the card refused GENERATE KEY"), Why a sentence with a fact that it
// lacks, or empty. None of them ever holds a secret.
type Error struct {
	Code Code
	What string
	Why  string

	// Next is what to do next.
	Next advice.Advice
	// Unless is what allows that which was refused.
	Unless []advice.Value

	// TriesLeft is set where a PIN is the subject.
	TriesLeft *int

	// Cause is for errors.Is and errors.As. Its text is printed only
	// where Why is empty.
	Cause error
}

// New returns an Error without a cause; format and args make What.
func New(code Code, format string, args ...any) *Error {
	return &Error{Code: code, What: fmt.Sprintf(format, args...)}
}

// Wrap returns an Error for what went wrong while doing what. An err that is
// a problem already keeps its code, reason and advice, and gets what in front.
func Wrap(code Code, err error, what string) *Error {
	var inner *Error
	if errors.As(err, &inner) {
		wrapped := *inner
		if !strings.HasPrefix(inner.What, what) {
			wrapped.What = what + ": " + inner.What
		}
		wrapped.Cause = err
		return &wrapped
	}
	return &Error{Code: code, What: what, Cause: err}
}

// Because sets the reason.
func (e *Error) Because(format string, args ...any) *Error {
	e.Why = fmt.Sprintf(format, args...)
	return e
}

// Advise sets what to do next.
func (e *Error) Advise(next advice.Advice) *Error {
	e.Next = next
	return e
}

// AllowedBy sets what allows that which was refused.
func (e *Error) AllowedBy(values ...advice.Value) *Error {
	e.Unless = values
	return e
}

// WithTries sets the tries left.
func (e *Error) WithTries(n int) *Error {
	e.TriesLeft = &n
	return e
}

// Reason is Why, or else the text of the cause that is not a problem itself.
func (e *Error) Reason() string {
	if e.Why != "" || e.Cause == nil {
		return e.Why
	}
	var inner *Error
	if errors.As(e.Cause, &inner) {
		return inner.Reason()
	}
	return Sentence(e.Cause.Error())
}

func (e *Error) Error() string { return Joined(e.What, e.Reason()) }

// Joined is what failed and why, in one line.
func Joined(what, why string) string {
	if why == "" {
		return what
	}
	return what + ": " + why
}

func (e *Error) Unwrap() error { return e.Cause }

// Is reports whether err is a problem with this code.
func Is(err error, code Code) bool {
	var e *Error
	return errors.As(err, &e) && e.Code == code
}

// Gone reports whether err says that the card that was named cannot be reached
// any more: it was removed, or another is in its place.
func Gone(err error) bool { return Is(err, CardRemoved) || Is(err, CardChanged) }
