package cardsim

import "github.com/cardctl/cardctl/internal/iso7816"

// terminateDF is TERMINATE DF, section 7.2.16: with PW3 verified, or by
// anybody when PW1 and PW3 are both blocked.
func (a *openpgp) terminateDF(c iso7816.Command) iso7816.Status {
	blocked := a.state.PW1.Tries == 0 && a.state.PW3.Tries == 0
	switch {
	case c.P1 != 0 || c.P2 != 0:
		return iso7816.StatusWrongOffset
	case len(c.Data) != 0:
		return iso7816.StatusWrongLength
	case a.profile.terminateBlocked && !blocked:
		return iso7816.StatusConditionsNotSatisfied
	case !a.has(pw3) && !blocked:
		return iso7816.StatusSecurityNotSatisfied
	}
	a.state.Terminated = true
	a.deselect()
	return a.save()
}

// activateFile is ACTIVATE FILE, section 7.2.17: from the terminated state to
// that of the factory; of no effect on an operational card.
func (a *openpgp) activateFile(c iso7816.Command) iso7816.Status {
	switch {
	case c.P1 != 0 || c.P2 != 0:
		return iso7816.StatusWrongOffset
	case len(c.Data) != 0:
		return iso7816.StatusWrongLength
	case !a.state.Terminated:
		return iso7816.StatusOK
	}
	state, err := a.factoryState()
	if err != nil {
		return iso7816.StatusMemoryFailure
	}
	a.state = *state
	a.deselect()
	return a.save()
}
