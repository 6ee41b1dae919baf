package cardsim

import (
	"cmp"
	"encoding/binary"
	"encoding/json"
	"errors"

	"github.com/cardctl/cardctl/internal/iso7816"
)

const muscleName = "muscle"

// muscle is the MUSCLE card edge applet (MUSCLE Cryptographic Card Edge
// Definition for Java enabled smart cards 1.2.1) as far as its set-up: SETUP,
// GET STATUS, LIST PINS, VERIFY PIN, CHANGE PIN, UNBLOCK PIN and LOGOUT ALL.
// It has no objects and no keys.
type muscle struct {
	environment
	state muscleState

	loggedIn uint16 // identities; what does not survive a reset
}

// musclePINs is the number of PINs that SETUP makes: 0 of the one who manages
// the card, 1 of the one who uses it.
const musclePINs = 2

// muscleState is what survives power loss.
type muscleState struct {
	Done     bool                      `json:"done"`    // SETUP is over
	Default  referenceData             `json:"default"` // asked for by SETUP
	PINs     [musclePINs]referenceData `json:"pins"`
	Unblocks [musclePINs]referenceData `json:"unblocks"`
	Limits   [2 * musclePINs]int       `json:"limits"` // tries of the PINs, then of the unblock codes
	Memory   int                       `json:"memory"` // bytes for objects
	Creators [3]byte                   `json:"creators"`
}

// Instructions of the applet.
const (
	muscleSetup     = 0x2A
	muscleVerify    = 0x42
	muscleChange    = 0x44
	muscleUnblock   = 0x46
	muscleListPINs  = 0x48
	muscleLogoutAll = 0x60
	muscleGetStatus = 0x3C
)

// Status words of the applet.
const (
	muscleAuthFailed   iso7816.Status = 0x9C02
	muscleUnsupported  iso7816.Status = 0x9C05
	muscleBlocked      iso7816.Status = 0x9C0C
	muscleInvalid      iso7816.Status = 0x9C0F
	muscleIncorrectP1  iso7816.Status = 0x9C10
	muscleIncorrectP2  iso7816.Status = 0x9C11
	muscleNotPermitted iso7816.Status = 0x9C03
)

// Lengths of a PIN in bytes.
const (
	musclePINMin = 4
	musclePINMax = 16
)

// muscleDefaultPIN is asked for by SETUP, and gone after it.
const muscleDefaultPIN = "Muscle00"

func newMuscle(env environment) *muscle { return &muscle{environment: env} }

func (a *muscle) name() string            { return muscleName }
func (a *muscle) historicalBytes() []byte { return nil }
func (a *muscle) deselect()               { a.loggedIn = 0 }

func (a *muscle) aid() []byte {
	if a.instance != nil {
		return a.instance
	}
	return muscleAID()
}

func muscleAID() []byte { return []byte{0xA0, 0x00, 0x00, 0x00, 0x01, 0x01} }

func (a *muscle) selected(byte) ([]byte, iso7816.Status) { return nil, iso7816.StatusOK }

// impliesLe: a Java Card answers in full although there was no Le.
func (a *muscle) impliesLe() bool { return true }

func (a *muscle) factory() error {
	pin, err := newReferenceData(a.random, []byte(cmp.Or(a.profile.muscleFactoryPIN, muscleDefaultPIN)))
	a.state = muscleState{Default: pin}
	return err
}

func (a *muscle) marshal() (json.RawMessage, error) { return json.Marshal(a.state) }

func (a *muscle) unmarshal(raw json.RawMessage) error {
	var state muscleState
	if err := json.Unmarshal(raw, &state); err != nil {
		return err
	}
	for _, r := range append(append([]referenceData{state.Default}, state.PINs[:]...), state.Unblocks[:]...) {
		if r.Tries < 0 || r.Length < 0 || r.Length > musclePINMax {
			return errors.New("PIN out of range")
		}
	}
	a.state, a.loggedIn = state, 0
	return nil
}

func (a *muscle) process(c iso7816.Command) ([]byte, iso7816.Status) {
	const class = 0xB0
	switch {
	case c.CLA != class:
		return nil, iso7816.StatusCLANotSupported
	case c.INS == muscleSetup && a.state.Done:
		return nil, iso7816.StatusINSNotSupported
	case c.INS == muscleSetup:
		return nil, a.setup(c)
	case !a.state.Done:
		return nil, muscleUnsupported
	}
	switch c.INS {
	case muscleGetStatus:
		return a.getStatus(c)
	case muscleListPINs:
		return []byte{0x00, 1<<musclePINs - 1}, iso7816.StatusOK
	case muscleVerify:
		return nil, a.verify(c)
	case muscleChange:
		return nil, a.change(c)
	case muscleUnblock:
		return nil, a.unblock(c)
	case muscleLogoutAll:
		a.loggedIn = 0
		return nil, iso7816.StatusOK
	}
	return nil, iso7816.StatusINSNotSupported
}

// setup is SETUP: the default PIN; for each PIN its tries and those of its
// unblock code, the PIN and the code; two bytes that mean nothing, the memory
// for objects, and who may create objects, keys and PINs.
func (a *muscle) setup(c iso7816.Command) iso7816.Status {
	old, rest, ok := lengthValue(c.Data)
	if !ok || !validMusclePIN(old) {
		return muscleInvalid
	}
	if status := a.present(&a.state.Default, old, triesMax); status != iso7816.StatusOK {
		return status
	}
	next := muscleState{Done: true}
	for i := range musclePINs {
		if len(rest) < 2 {
			return muscleInvalid
		}
		next.Limits[i], next.Limits[musclePINs+i] = int(rest[0]), int(rest[1])
		var pin, unblock []byte
		if pin, rest, ok = lengthValue(rest[2:]); !ok || !validMusclePIN(pin) {
			return muscleInvalid
		}
		if unblock, rest, ok = lengthValue(rest); !ok || !validMusclePIN(unblock) {
			return muscleInvalid
		}
		if status := a.set(&next.PINs[i], pin, next.Limits[i]); status != iso7816.StatusOK {
			return status
		}
		if status := a.set(&next.Unblocks[i], unblock, next.Limits[musclePINs+i]); status != iso7816.StatusOK {
			return status
		}
	}
	if len(rest) != 7 || next.Limits[0] == 0 || next.Limits[1] == 0 {
		return muscleInvalid
	}
	next.Memory = int(binary.BigEndian.Uint16(rest[2:]))
	next.Creators = [3]byte(rest[4:])
	a.state, a.loggedIn = next, 0
	return a.save()
}

func validMusclePIN(pin []byte) bool { return len(pin) >= musclePINMin && len(pin) <= musclePINMax }

func (a *muscle) set(r *referenceData, pin []byte, tries int) iso7816.Status {
	fresh, err := newReferenceData(a.random, pin)
	if err != nil {
		return iso7816.StatusMemoryFailure
	}
	fresh.Tries = tries
	*r = fresh
	return iso7816.StatusOK
}

// present compares a PIN.
func (a *muscle) present(r *referenceData, pin []byte, tries int) iso7816.Status {
	if r.Tries == 0 {
		return muscleBlocked
	}
	if right, status := a.try(r, tries, pin); right || status != iso7816.StatusOK {
		return status
	}
	return muscleAuthFailed
}

// pin is the number of a PIN in P1; P2 is 00.
func (a *muscle) pin(c iso7816.Command) (n int, status iso7816.Status) {
	switch {
	case int(c.P1) >= musclePINs:
		return 0, muscleIncorrectP1
	case c.P2 != 0:
		return 0, muscleIncorrectP2
	}
	return int(c.P1), iso7816.StatusOK
}

func (a *muscle) verify(c iso7816.Command) iso7816.Status {
	n, status := a.pin(c)
	if status != iso7816.StatusOK {
		return status
	}
	if !validMusclePIN(c.Data) {
		return muscleInvalid
	}
	a.loggedIn &^= 1 << n
	if status := a.present(&a.state.PINs[n], c.Data, a.state.Limits[n]); status != iso7816.StatusOK {
		return status
	}
	a.loggedIn |= 1 << n
	return iso7816.StatusOK
}

func (a *muscle) change(c iso7816.Command) iso7816.Status {
	n, status := a.pin(c)
	if status != iso7816.StatusOK {
		return status
	}
	old, rest, ok := lengthValue(c.Data)
	fresh, rest, also := lengthValue(rest)
	if !ok || !also || len(rest) > 0 || !validMusclePIN(old) || !validMusclePIN(fresh) {
		return muscleInvalid
	}
	if status := a.present(&a.state.PINs[n], old, a.state.Limits[n]); status != iso7816.StatusOK {
		return status
	}
	a.loggedIn &^= 1 << n
	if status := a.set(&a.state.PINs[n], fresh, a.state.Limits[n]); status != iso7816.StatusOK {
		return status
	}
	return a.save()
}

// unblock is UNBLOCK PIN, which a PIN that is not blocked refuses.
func (a *muscle) unblock(c iso7816.Command) iso7816.Status {
	n, status := a.pin(c)
	switch {
	case status != iso7816.StatusOK:
		return status
	case a.state.PINs[n].Tries > 0:
		return muscleNotPermitted
	}
	if status := a.present(&a.state.Unblocks[n], c.Data, a.state.Limits[musclePINs+n]); status != iso7816.StatusOK {
		return status
	}
	a.state.PINs[n].Tries = a.state.Limits[n]
	return a.save()
}

// getStatus is GET STATUS: versions of protocol and applet, memory in all and
// free, the number of PINs and keys, and who is logged in.
func (a *muscle) getStatus(c iso7816.Command) ([]byte, iso7816.Status) {
	if c.P1 != 0 || c.P2 != 0 {
		return nil, muscleIncorrectP1
	}
	answer := []byte{0x01, 0x01, 0x00, 0x06}
	answer = binary.BigEndian.AppendUint32(answer, uint32(a.state.Memory))
	answer = binary.BigEndian.AppendUint32(answer, uint32(a.state.Memory))
	answer = append(answer, musclePINs, 0)
	return binary.BigEndian.AppendUint16(answer, a.loggedIn), iso7816.StatusOK
}
