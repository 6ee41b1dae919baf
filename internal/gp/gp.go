// Package gp uses the security domains of a GlobalPlatform card: the secure
// channels SCP01, SCP02 and SCP03, and the commands that manage the contents of
// a card. Section numbers are of the GlobalPlatform Card Specification 2.3.1;
// SCP03 is Amendment D 1.2. It decides nothing: which file is loaded, what may
// be deleted and when a card must be left alone is left to its callers.
package gp

import (
	"errors"
	"fmt"

	"github.com/cardctl/cardctl/internal/iso7816"
)

// Instruction bytes of section 11.
const (
	insInitializeUpdate     = 0x50
	insExternalAuthenticate = 0x82
	insPutKey               = 0xD8
	insStoreData            = 0xE2
	insDelete               = 0xE4
	insInstall              = 0xE6
	insLoad                 = 0xE8
	insSetStatus            = 0xF0
	insGetStatus            = 0xF2
)

// Class bytes of section 11.1.4.
const (
	classGP     = 0x80
	classSecure = 0x04 // secure messaging of GlobalPlatform
)

// Status words of section 11 that callers tell apart.
const (
	StatusMoreData            iso7816.Status = 0x6310 // GET STATUS: more data available
	StatusAuthenticationError iso7816.Status = 0x6300 // the host cryptogram is wrong
	StatusWrongCheckValue     iso7816.Status = 0x9485 // PUT KEY: the key check value is wrong
	StatusAlgorithm           iso7816.Status = 0x9484 // PUT KEY: algorithm not supported
	StatusCardLocked          iso7816.Status = 0x6283 // SELECT: the card is locked
	StatusImportMissing       iso7816.Status = 0x6438 // LOAD: an imported package is missing
)

// ErrMalformed is an answer that does not have the form the specification
// gives it.
var ErrMalformed = errors.New("the card's answer is malformed")

func malformed(format string, args ...any) error {
	return fmt.Errorf("%w: %s", ErrMalformed, fmt.Sprintf(format, args...))
}

// CommandError is a command that the card answered by something else than
// success. Only where it is iso7816.Refused is it sure that the card did nothing.
// It unwraps to the *iso7816.StatusError.
type CommandError struct {
	// Command is its name in the specification: "INSTALL [for load]".
	Command string
	Status  iso7816.Status
	cause   error

	// Locked says that the card is locked, which most commands are refused for.
	Locked bool
}

func (e *CommandError) Error() string {
	said := "answered " + e.Command + " with"
	if iso7816.Refused(e) {
		said = "refused " + e.Command
	}
	return fmt.Sprintf("the card %s [%04X %s]", said, uint16(e.Status), Meaning(e.Status))
}

func (e *CommandError) Unwrap() error { return e.cause }

// Meaning is what the status word means in an answer of a security domain.
func Meaning(s iso7816.Status) string {
	switch s {
	case StatusMoreData:
		return "more data available"
	case StatusAuthenticationError:
		return "authentication failed"
	case 0x6200:
		return "application was already deleted"
	case StatusCardLocked:
		return "card life cycle state is CARD_LOCKED"
	case StatusImportMissing:
		return "imported package not available"
	case StatusWrongCheckValue:
		return "wrong key check value"
	case StatusAlgorithm:
		return "algorithm not supported"
	}
	return s.Meaning()
}

// named gives an error of the channel below the name of the command.
func named(err error, command string) error {
	var refused *iso7816.StatusError
	if errors.As(err, &refused) {
		return &CommandError{Command: command, Status: refused.Status, cause: refused}
	}
	return err
}
