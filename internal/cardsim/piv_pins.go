package cardsim

import (
	"bytes"

	"github.com/cardctl/cardctl/internal/iso7816"
)

// compare checks a PIN or PUK. YubiKeys count a try also of what cannot be one: ykman
// blocks both with an empty one before its reset.
func (a *piv) compare(p *pivPIN, value []byte) iso7816.Status {
	if p.Tries == 0 {
		return iso7816.StatusPINBlocked
	}
	if right, status := a.try(&p.referenceData, p.Total, value); right || status != iso7816.StatusOK {
		return status
	}
	return a.triesLeft(p.Tries)
}

// triesLeft is 63Cx, or 630x of old cards, which have room for 15.
func (a *piv) triesLeft(n int) iso7816.Status {
	if a.profile.piv.oldTries {
		return 0x6300 | iso7816.Status(min(n, 0xF))
	}
	return 0x63C0 | iso7816.Status(min(n, 0xF))
}

// sound says whether a new PIN has the form that the card takes: six to eight
// characters, padded with FF to eight bytes; digits, by the standard.
func (a *piv) sound(value []byte) bool {
	plain := bytes.TrimRight(value, "\xFF")
	if len(value) != pivPINLength || len(plain) < pivPINLeast {
		return false
	}
	return !bytes.Contains(plain, []byte{0xFF}) && (a.profile.piv.yubico() || digits(plain))
}

func digits(value []byte) bool {
	for _, b := range value {
		if b < '0' || b > '9' {
			return false
		}
	}
	return true
}

// verify is VERIFY, section 3.2.1.
func (a *piv) verify(c iso7816.Command) iso7816.Status {
	p := &a.state.PIN
	switch {
	case c.P2 != a.pinReference():
		return iso7816.StatusReferenceNotFound
	case c.P1 == 0xFF && !a.profile.piv.yubico():
		if len(c.Data) != 0 {
			return iso7816.StatusWrongData
		}
		a.pinVerified = false
		return iso7816.StatusOK
	case c.P1 != 0:
		return iso7816.StatusWrongP1P2
	case len(c.Data) == 0 && a.pinVerified:
		return iso7816.StatusOK
	case len(c.Data) == 0 && p.Tries == 0:
		return iso7816.StatusPINBlocked
	case len(c.Data) == 0:
		return a.triesLeft(p.Tries)
	case len(c.Data) != pivPINLength || !a.profile.piv.yubico() && !a.sound(c.Data):
		return iso7816.StatusWrongData
	}
	a.pinVerified = false
	status := a.compare(p, c.Data)
	a.pinVerified = status == iso7816.StatusOK
	a.pinFresh = a.pinVerified
	return status
}

// changeReferenceData is CHANGE REFERENCE DATA, section 3.2.2.
func (a *piv) changeReferenceData(c iso7816.Command) iso7816.Status {
	p := &a.state.PIN
	switch {
	case c.P1 != 0:
		return iso7816.StatusWrongP1P2
	case c.P2 == pivPUK:
		p = &a.state.PUK
	case c.P2 != a.pinReference():
		return iso7816.StatusReferenceNotFound
	}
	sound := len(c.Data) == 2*pivPINLength && a.soundFor(c.P2, c.Data[pivPINLength:])
	if !sound && (len(c.Data) != 2*pivPINLength || !a.profile.piv.yubico()) {
		return iso7816.StatusWrongData
	}
	status := a.compare(p, c.Data[:pivPINLength])
	if c.P2 == a.pinReference() {
		a.pinVerified = status == iso7816.StatusOK
	}
	switch {
	case status != iso7816.StatusOK:
		return status
	case !sound:
		return iso7816.StatusWrongData
	case !a.permits(c.Data[pivPINLength:]):
		return iso7816.StatusConditionsNotSatisfied
	}
	return a.replace(p, c.Data[pivPINLength:])
}

// soundFor is the form of what is set: a PUK has eight bytes by the standard,
// and may hold any.
func (a *piv) soundFor(reference byte, value []byte) bool {
	if reference == pivPUK && !a.profile.piv.yubico() {
		return len(value) == pivPINLength
	}
	return a.sound(value)
}

// resetRetryCounter is RESET RETRY COUNTER, section 3.2.3: a new PIN by the PUK.
func (a *piv) resetRetryCounter(c iso7816.Command) iso7816.Status {
	sound := len(c.Data) == 2*pivPINLength && a.sound(c.Data[pivPINLength:])
	switch {
	case c.P1 != 0:
		return iso7816.StatusWrongP1P2
	case c.P2 != a.pinReference():
		return iso7816.StatusReferenceNotFound
	case !sound && (len(c.Data) != 2*pivPINLength || !a.profile.piv.yubico()):
		return iso7816.StatusWrongData
	}
	status := a.compare(&a.state.PUK, c.Data[:pivPINLength])
	switch {
	case status != iso7816.StatusOK:
		return status
	case !sound:
		return iso7816.StatusWrongData
	case !a.permits(c.Data[pivPINLength:]):
		return iso7816.StatusConditionsNotSatisfied
	}
	a.pinVerified = false
	return a.replace(&a.state.PIN, c.Data[pivPINLength:])
}

// permits are the rules of a YubiKey for a new PIN or PUK.
func (a *piv) permits(value []byte) bool {
	const padding = 0xFF
	f := a.profile.piv
	same := bytes.Count(value, value[:1]) == len(bytes.TrimRight(value, string([]byte{padding})))
	return !(f.fips && value[pivPINLength-1] == padding) && !((f.fips || f.complexPINs) && same)
}

// replace sets a new value with all its tries.
func (a *piv) replace(p *pivPIN, value []byte) iso7816.Status {
	fresh, err := newReferenceData(a.random, value)
	if err != nil {
		return iso7816.StatusMemoryFailure
	}
	fresh.Tries = p.Total
	p.referenceData = fresh
	return a.save()
}

// setRetries is Yubico's SET PIN RETRIES: both counts, and both PINs are those
// of the factory again.
func (a *piv) setRetries(c iso7816.Command) iso7816.Status {
	switch {
	case !a.managed || !a.pinVerified:
		return iso7816.StatusSecurityNotSatisfied
	case c.P1 == 0 || c.P2 == 0 || len(c.Data) != 0:
		return iso7816.StatusWrongData
	case a.profile.piv.bio || a.profile.piv.fips || a.profile.piv.complexPINs:
		return iso7816.StatusConditionsNotSatisfied
	}
	pin, err := a.newPIN(pivFactoryPIN, int(c.P1))
	if err != nil {
		return iso7816.StatusMemoryFailure
	}
	puk, err := a.newPIN(pivFactoryPUK, int(c.P2))
	if err != nil {
		return iso7816.StatusMemoryFailure
	}
	a.state.PIN, a.state.PUK = pin, puk
	a.pinVerified = false
	return a.save()
}

// reset is Yubico's RESET, of a card whose PIN and PUK are both blocked.
func (a *piv) reset(c iso7816.Command) iso7816.Status {
	switch {
	case c.P1 != 0 || c.P2 != 0:
		return iso7816.StatusWrongP1P2
	case a.state.PIN.Tries > 0 || a.state.PUK.Tries > 0 || a.profile.piv.refusesReset || a.profile.piv.fingerprints:
		return iso7816.StatusConditionsNotSatisfied
	}
	if err := a.initial(); err != nil {
		return iso7816.StatusMemoryFailure
	}
	a.deselect()
	return a.save()
}
