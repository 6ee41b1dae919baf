package cardsim

import "github.com/cardctl/cardctl/internal/iso7816"

// setStatus is SET STATUS (11.10).
func (a *gp) setStatus(c iso7816.Command) ([]byte, iso7816.Status) {
	switch c.P1 {
	case subsetIssuer:
		if a.domain != nil {
			return nil, iso7816.StatusConditionsNotSatisfied // only the issuer's
		}
		return nil, a.setCardStatus(c.P2)
	case subsetApplications, subsetDomain:
	default:
		return nil, iso7816.StatusWrongP1P2
	}
	instance := a.state.findInstance(c.Data)
	if instance == nil {
		return nil, iso7816.StatusReferenceNotFound
	}
	if c.P2&instanceLocked != 0 {
		instance.LifeCycle |= instanceLocked
		return nil, a.save()
	}
	if instance.LifeCycle&instanceLocked != 0 {
		instance.LifeCycle &^= instanceLocked // to the state it was locked in
		return nil, a.save()
	}
	// States of its own are the application's to set, and INSTALL makes it
	// selectable.
	return nil, iso7816.StatusConditionsNotSatisfied
}

// setCardStatus is the life cycle of the card (5.1.1): forward only, but for a
// locked card that is unlocked.
func (a *gp) setCardStatus(next byte) iso7816.Status {
	allowed := false
	switch now := a.state.LifeCycle; next {
	case cardInitialized:
		allowed = now == cardReady
	case cardSecured:
		allowed = now == cardInitialized || now == cardLocked
	case cardLocked:
		allowed = now == cardSecured
	case cardTerminated:
		allowed = true
	default:
		return iso7816.StatusWrongData
	}
	if !allowed {
		return iso7816.StatusConditionsNotSatisfied
	}
	a.state.LifeCycle = next
	return a.save()
}
