package cardsim

import (
	"bytes"

	"github.com/cardctl/cardctl/internal/iso7816"
)

// myEIDPIN is a PIN and the PUK that unblocks it. Lengths are in bytes.
type myEIDPIN struct {
	PIN      referenceData `json:"pin"`
	PUK      referenceData `json:"puk"`
	PINTries int           `json:"pinTries"` // that a right one gives back
	PUKTries int           `json:"pukTries"`
	Least    int           `json:"least"` // length
}

const (
	myEIDPINs   = 14 // numbered from 1
	myEIDPINLen = 8  // to which PINs and PUKs are filled up
)

// pad makes of a PIN with any of the two paddings the one with FF.
func (p *myEIDPIN) pad(code []byte) []byte {
	code = bytes.TrimRight(code, "\x00\xFF")
	return append(bytes.Clone(code), bytes.Repeat([]byte{0xFF}, myEIDPINLen-len(code))...)
}

// pin is the PIN that P2 names; nil where there cannot be one.
func (a *myEID) pin(p2 byte) *myEIDPIN {
	if p2 == 0 || p2 > myEIDPINs {
		return nil
	}
	return &a.state.PINs[p2-1]
}

// initialisePIN is PUT DATA with a PIN's number, before the card is activated:
// PIN and PUK, and then, as far as given, the tries of both, flags, a type, a
// grid's size, and the least lengths of both.
func (a *myEID) initialisePIN(c iso7816.Command) iso7816.Status {
	const codes, limit = 2 * myEIDPINLen, 15
	given := c.Data
	if a.state.Active {
		return iso7816.StatusSecurityNotSatisfied
	}
	if len(given) < codes || len(given) > codes+7 {
		return iso7816.StatusWrongLength
	}
	option := func(i, otherwise int) int {
		if i >= len(given) {
			return otherwise
		}
		return int(given[i])
	}
	p := a.pin(c.P2)
	fresh := myEIDPIN{PINTries: min(option(codes, 5), limit), PUKTries: min(option(codes+1, 10), limit), Least: option(codes+5, 4)}
	for i, r := range []*referenceData{&fresh.PIN, &fresh.PUK} {
		code, err := newReferenceData(a.random, p.pad(given[i*myEIDPINLen:][:myEIDPINLen]))
		if err != nil {
			return iso7816.StatusMemoryFailure
		}
		*r = code
	}
	fresh.PIN.Tries, fresh.PUK.Tries = fresh.PINTries, fresh.PUKTries
	*p = fresh
	return a.changed()
}

// compare checks a PIN or PUK. A PIN that was never set is a blocked one.
func (a *myEID) compare(r *referenceData, tries int, code []byte) iso7816.Status {
	if r.Tries == 0 {
		return iso7816.StatusPINBlocked
	}
	if right, status := a.try(r, tries, code); right || status != iso7816.StatusOK {
		return status
	}
	if r.Tries == 0 {
		return iso7816.StatusPINBlocked
	}
	return 0x63C0 | iso7816.Status(r.Tries)
}

// verify is VERIFY, ISO/IEC 7816-4. Without data it asks whether the PIN is
// needed.
func (a *myEID) verify(c iso7816.Command) iso7816.Status {
	p := a.pin(c.P2)
	switch {
	case c.P1 != 0 || p == nil:
		return iso7816.StatusWrongP1P2
	case len(c.Data) > myEIDPINLen:
		return iso7816.StatusWrongLength
	case len(c.Data) > 0:
		a.verified &^= 1 << (c.P2 - 1)
		status := a.compare(&p.PIN, p.PINTries, p.pad(c.Data))
		if status == iso7816.StatusOK {
			a.verified |= 1 << (c.P2 - 1)
		}
		return status
	case !a.state.Active || a.verified&(1<<(c.P2-1)) != 0:
		return iso7816.StatusOK
	case p.PIN.Tries == 0:
		return iso7816.StatusPINBlocked
	}
	return 0x63C0 | iso7816.Status(p.PIN.Tries)
}

// replacePIN is CHANGE REFERENCE DATA, with the PIN, or RESET RETRY COUNTER,
// with its PUK (ISO/IEC 7816-4); the new PIN follows it.
func (a *myEID) replacePIN(c iso7816.Command, byPUK bool) iso7816.Status {
	p := a.pin(c.P2)
	switch {
	case c.P1 != 0 || p == nil:
		return iso7816.StatusWrongP1P2
	case len(c.Data) != 2*myEIDPINLen:
		return iso7816.StatusWrongLength
	}
	r, tries := &p.PIN, p.PINTries
	if byPUK {
		r, tries = &p.PUK, p.PUKTries
	}
	if status := a.compare(r, tries, p.pad(c.Data[:myEIDPINLen])); status != iso7816.StatusOK {
		return status
	}
	code := c.Data[myEIDPINLen:]
	if len(bytes.TrimRight(code, "\x00\xFF")) < p.Least {
		return iso7816.StatusWrongLength
	}
	fresh, err := newReferenceData(a.random, p.pad(code))
	if err != nil {
		return iso7816.StatusMemoryFailure
	}
	fresh.Tries = p.PINTries
	p.PIN = fresh
	return a.save()
}

// deauthenticate is DEAUTHENTICATE: one PIN, or with 00 all.
func (a *myEID) deauthenticate(c iso7816.Command) iso7816.Status {
	switch {
	case c.P1 != 0 || c.P2 > myEIDPINs:
		return iso7816.StatusWrongP1P2
	case c.P2 == 0:
		a.verified = 0
	default:
		a.verified &^= 1 << (c.P2 - 1)
	}
	return iso7816.StatusOK
}
