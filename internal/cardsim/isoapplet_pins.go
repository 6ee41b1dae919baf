package cardsim

import (
	"github.com/cardctl/cardctl/internal/iso7816"
)

// Reference data of the applet. Lengths are in bytes.
const (
	referencePIN = 0x01
	referencePUK = 0x02

	pinMin   = 4
	pinMax   = 16 // to which the PIN is filled up with 00
	pukLen   = 16
	pinTries = 3
	pukTries = 5
)

func padPIN(pin []byte) []byte {
	padded := make([]byte, pinMax)
	copy(padded, pin)
	return padded
}

func pinLengthOK(n int) bool { return n >= pinMin && n <= pinMax }

// compare checks a PIN or PUK of full length.
func (a *isoApplet) compare(r *referenceData, tries int, code []byte) iso7816.Status {
	if r.Tries > 0 {
		if right, status := a.try(r, tries, code); right || status != iso7816.StatusOK {
			return status
		}
	}
	return 0x63C0 | iso7816.Status(r.Tries)
}

// replace sets a PIN or PUK of full length with all its tries; the applet is
// then in the state next.
func (a *isoApplet) replace(r *referenceData, tries int, code []byte, next lifeCycle) iso7816.Status {
	fresh, err := newReferenceData(a.random, code)
	if err != nil {
		return iso7816.StatusMemoryFailure
	}
	fresh.Tries = tries
	*r = fresh
	a.state.LifeCycle = next
	return a.save()
}

// verify is VERIFY, ISO/IEC 7816-4. Without data it asks whether the PIN is
// needed: once the applet is operational, always.
func (a *isoApplet) verify(c iso7816.Command) iso7816.Status {
	operational := a.state.LifeCycle == lifeCycleOperational
	switch {
	case c.P1 != 0 || c.P2 != referencePIN:
		return iso7816.StatusWrongP1P2
	case len(c.Data) == 0 && operational:
		return 0x63C0 | iso7816.Status(a.state.PIN.Tries)
	case len(c.Data) == 0:
		return iso7816.StatusOK
	case !pinLengthOK(len(c.Data)):
		return iso7816.StatusWrongLength
	case !operational:
		return iso7816.StatusReferenceUnusable
	}
	a.user, a.validated = false, false
	status := a.compare(&a.state.PIN, pinTries, padPIN(c.Data))
	if status == iso7816.StatusOK {
		a.user, a.validated = true, true
	}
	return status
}

// changeReferenceData is CHANGE REFERENCE DATA, ISO/IEC 7816-4. With P1 01 it
// sets the PUK, then the PIN, of an applet that has none, which is the way
// through its life cycle: the PIN without a PUK before it leaves the applet
// without one for ever. With P1 00 it changes the PIN; the old and the new one
// are both filled up.
func (a *isoApplet) changeReferenceData(c iso7816.Command) iso7816.Status {
	const change, set = 0x00, 0x01
	state := a.state.LifeCycle
	switch {
	case state == lifeCycleOperational && c.P1 == change && c.P2 == referencePIN:
		return a.changePIN(c.Data)
	case state == lifeCycleCreation && c.P1 == set && c.P2 == referencePUK:
		if len(c.Data) != pukLen {
			return iso7816.StatusWrongLength
		}
		return a.replace(&a.state.PUK, pukTries, c.Data, lifeCycleInitialisation)
	case state != lifeCycleOperational && c.P1 == set && c.P2 == referencePIN:
		if !pinLengthOK(len(c.Data)) {
			return iso7816.StatusWrongLength
		}
		return a.replace(&a.state.PIN, pinTries, padPIN(c.Data), lifeCycleOperational)
	}
	return iso7816.StatusWrongP1P2
}

func (a *isoApplet) changePIN(data []byte) iso7816.Status {
	if len(data) != 2*pinMax {
		return iso7816.StatusWrongLength
	}
	a.validated = false
	if status := a.compare(&a.state.PIN, pinTries, data[:pinMax]); status != iso7816.StatusOK {
		a.user = false
		return status
	}
	return a.replace(&a.state.PIN, pinTries, data[pinMax:], lifeCycleOperational)
}

// resetRetryCounter is RESET RETRY COUNTER, ISO/IEC 7816-4: the PUK, and a new
// PIN behind it.
func (a *isoApplet) resetRetryCounter(c iso7816.Command) iso7816.Status {
	switch {
	case a.state.LifeCycle != lifeCycleOperational:
		return statusNotAllowed
	case c.P1 != 0 || c.P2 != referencePIN:
		return iso7816.StatusWrongP1P2
	case len(c.Data) < pukLen || !pinLengthOK(len(c.Data)-pukLen):
		return iso7816.StatusWrongLength
	}
	if status := a.compare(&a.state.PUK, pukTries, c.Data[:pukLen]); status != iso7816.StatusOK {
		return status
	}
	a.validated = false
	return a.replace(&a.state.PIN, pinTries, padPIN(c.Data[pukLen:]), lifeCycleOperational)
}
