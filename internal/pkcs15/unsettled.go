package pkcs15

import (
	"errors"

	"github.com/cardctl/cardctl/internal/iso7816"
)

// toFinish is what to do about a card on which something was begun.
const toFinish = " Run the same command again to finish."

// unsettled is an error after which the card may be another than before.
type unsettled struct{ error }

func (e unsettled) Unwrap() error { return e.error }

// Unsettled reports whether what failed with err may have changed the card, in
// whole or in part: a command that changes something was carried out, or was
// answered by neither success nor a refusal, or not at all, or a program of OpenSC
// ran. Where it is false the card is as it was, but for the tries of a PIN that
// was wrong.
func Unsettled(err error) bool {
	var u unsettled
	return errors.As(err, &u)
}

// changes is told the answer to each command that changes a card.
type changes struct{ made bool }

func (c *changes) answered(ins byte, err error) {
	refused := iso7816.Refused(err)
	switch ins {
	case iso7816.InsChangeReferenceData, iso7816.InsResetRetryCounter:
		_, wrong := iso7816.StatusOf(err).TriesLeft() // which means something else of other commands
		refused = refused || wrong
	case insCreateFile, insDeleteFile, insUpdateBinary, insGenerateKeyPair, insActivate, iso7816.InsPutData:
	default:
		return
	}
	c.made = c.made || !refused
}

// settle marks an error after which the card may have been changed, and begins
// anew.
func (c *changes) settle(err error) error {
	made := c.made
	c.made = false
	if err == nil || !made {
		return err
	}
	return unsettled{err}
}
