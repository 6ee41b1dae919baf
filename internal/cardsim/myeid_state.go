package cardsim

import "errors"

// myEIDState is what survives power loss.
type myEIDState struct {
	// Active says that access conditions hold.
	Active bool                `json:"active"`
	PINs   [myEIDPINs]myEIDPIN `json:"pins"`
	MF     *myEIDFile          `json:"mf"`
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
