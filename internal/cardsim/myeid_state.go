package cardsim

import (
	"errors"

	"github.com/cardctl/cardctl/internal/iso7816"
)

// myEIDState is what survives power loss.
type myEIDState struct {
	// Active says that access conditions hold.
	Active bool                `json:"active"`
	PINs   [myEIDPINs]myEIDPIN `json:"pins"`
	MF     *myEIDFile          `json:"mf"`

	// Changes is how often the contents changed. Programs that keep copies of files ask for it.
	Changes uint16 `json:"changes"`
}

// changed saves what is on the card, which is not what was.
func (a *myEID) changed() iso7816.Status {
	a.state.Changes++
	return a.save()
}

// check refuses a state that the commands could not work on.
func (s *myEIDState) check() error {
	for i := range s.PINs {
		p := &s.PINs[i]
		if p.PIN.Tries < 0 || p.PIN.Tries > p.PINTries || p.PINTries > 15 || p.PUK.Tries < 0 || p.PUK.Tries > p.PUKTries || p.PUKTries > 15 {
			return errors.New("tries out of range")
		}
	}
	if s.MF == nil || s.MF.ID != masterFileID || s.MF.Kind != myEIDDF {
		return errors.New("no master file")
	}
	return s.MF.check(nil)
}
