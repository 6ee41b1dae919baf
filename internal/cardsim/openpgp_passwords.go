package cardsim

import (
	"crypto/pbkdf2"
	"crypto/sha256"
	"crypto/subtle"
	"fmt"
	"io"

	"github.com/cardctl/cardctl/internal/iso7816"
)

// Section 4.3: passwords. Lengths are in bytes.
const (
	factoryPW1 = "123456"
	factoryPW3 = "12345678"

	pw1Min      = 6
	rcMin       = 8
	pw3Min      = 8
	passwordMax = 127
	triesMax    = 3
)

// referenceData is one password and its error counter. The password itself is
// nowhere on the card: only how long it is, which CHANGE REFERENCE DATA needs
// to find where the new one begins, and a salted hash.
type referenceData struct {
	Length int    `json:"length"` // bytes; 0 where there is none
	Salt   []byte `json:"salt,omitempty"`
	Hash   []byte `json:"hash,omitempty"`
	Tries  int    `json:"tries"` // left
}

// hashRounds is few enough for a test run, as the state file is no vault: it
// holds private keys too.
const hashRounds = 1000

func hashPassword(password, salt []byte) ([]byte, error) {
	return pbkdf2.Key(sha256.New, string(password), salt, hashRounds, sha256.Size)
}

func newReferenceData(random io.Reader, password []byte) (referenceData, error) {
	salt := make([]byte, 16)
	if _, err := io.ReadFull(random, salt); err != nil {
		return referenceData{}, fmt.Errorf("draw a salt: %w", err)
	}
	hash, err := hashPassword(password, salt)
	if err != nil {
		return referenceData{}, err
	}
	return referenceData{Length: len(password), Salt: salt, Hash: hash, Tries: triesMax}, nil
}

func (r *referenceData) equals(password []byte) bool {
	if len(password) != r.Length || r.Length == 0 {
		return false
	}
	hash, err := hashPassword(password, r.Salt)
	return err == nil && subtle.ConstantTimeCompare(hash, r.Hash) == 1
}

// compare checks a password.
func (a *openpgp) compare(r *referenceData, password []byte) iso7816.Status {
	if r.Tries == 0 {
		return iso7816.StatusPINBlocked
	}
	if right, status := a.try(r, a.most(r), password); right || status != iso7816.StatusOK {
		return status
	}
	return a.wrong(r)
}

func (a *openpgp) wrong(r *referenceData) iso7816.Status {
	if a.profile.wrongPIN == withoutTriesLeft {
		return iso7816.StatusSecurityNotSatisfied
	}
	return 0x63C0 | iso7816.Status(r.Tries)
}

// verify is VERIFY, section 7.2.2.
func (a *openpgp) verify(c iso7816.Command) iso7816.Status {
	condition, r := passwords(0), &a.state.PW1
	switch c.P2 {
	case 0x81:
		condition = pw1Sign
	case 0x82:
		condition = pw1Other
	case 0x83:
		condition, r = pw3, &a.state.PW3
	default:
		return iso7816.StatusWrongOffset
	}
	switch {
	case c.P1 == 0xFF && len(c.Data) == 0:
		a.verified &^= condition
		return iso7816.StatusOK
	case c.P1 == 0xFF:
		return iso7816.StatusWrongLength
	case c.P1 != 0x00:
		return iso7816.StatusWrongOffset
	case len(c.Data) == 0 && a.has(condition):
		return iso7816.StatusOK
	case len(c.Data) == 0:
		return 0x63C0 | iso7816.Status(r.Tries)
	case len(c.Data) > passwordMax:
		return iso7816.StatusWrongLength
	}
	a.verified &^= condition
	status := a.compare(r, c.Data)
	if status == iso7816.StatusOK {
		a.verified |= condition
	}
	return status
}

// changeReferenceData is CHANGE REFERENCE DATA, section 7.2.3: the old
// password and the new one without anything between them.
func (a *openpgp) changeReferenceData(c iso7816.Command) iso7816.Status {
	conditions, r, least := pw1Sign|pw1Other, &a.state.PW1, pw1Min
	switch c.P2 {
	case 0x81:
	case 0x83:
		conditions, r, least = pw3, &a.state.PW3, pw3Min
	default:
		return iso7816.StatusWrongOffset
	}
	if c.P1 != 0 {
		return iso7816.StatusWrongOffset
	}
	if len(c.Data) == 0 || len(c.Data) > 2*passwordMax {
		return iso7816.StatusWrongLength
	}
	border := min(r.Length, len(c.Data))
	if status := a.compare(r, c.Data[:border]); status != iso7816.StatusOK {
		a.verified &^= conditions
		return status
	}
	return a.replace(r, c.Data[border:], least)
}

// resetRetryCounter is RESET RETRY COUNTER, section 7.2.4: a new PW1 by the
// resetting code (P1 00) or by a verified PW3 (P1 02).
func (a *openpgp) resetRetryCounter(c iso7816.Command) iso7816.Status {
	if c.P2 != 0x81 {
		return iso7816.StatusWrongOffset
	}
	password := c.Data
	switch c.P1 {
	case 0x00:
		if len(c.Data) == 0 || len(c.Data) > 2*passwordMax {
			return iso7816.StatusWrongLength
		}
		border := min(a.state.RC.Length, len(c.Data))
		if status := a.compare(&a.state.RC, c.Data[:border]); status != iso7816.StatusOK {
			return status
		}
		password = c.Data[border:]
	case 0x02:
		if !a.has(pw3) {
			return iso7816.StatusSecurityNotSatisfied
		}
	default:
		return iso7816.StatusWrongOffset
	}
	status := a.replace(&a.state.PW1, password, pw1Min)
	if status == iso7816.StatusOK {
		a.verified &^= pw1Sign | pw1Other
	}
	return status
}

// replace sets a new password with all its tries.
func (a *openpgp) replace(r *referenceData, password []byte, least int) iso7816.Status {
	if !a.allowed(len(password), least) {
		return iso7816.StatusWrongLength
	}
	fresh, err := newReferenceData(a.random, password)
	if err != nil {
		return iso7816.StatusMemoryFailure
	}
	fresh.Tries = a.most(r)
	*r = fresh
	return a.save()
}

// allowed says whether a password may have this length. In the key derived
// format every password is a hash.
func (a *openpgp) allowed(length, least int) bool {
	if kdf, err := parseKDF(a.state.KDF); err == nil && kdf.active() {
		return length == kdf.hash.Size()
	}
	return length >= least && length <= passwordMax
}

// putResettingCode is PUT DATA of DO D3; empty data removes the code.
func (a *openpgp) putResettingCode(code []byte) iso7816.Status {
	if len(code) == 0 {
		a.state.RC = referenceData{}
		return a.save()
	}
	return a.replace(&a.state.RC, code, rcMin)
}

// passwordStatus is DO C4, section 4.4.2.
func (a *openpgp) passwordStatus() []byte {
	lasting := byte(0)
	if a.state.PW1Lasting {
		lasting = 1
	}
	rc := a.state.RC.Tries
	if a.profile.countsAny && a.state.RC.Length == 0 {
		rc = triesMax
	}
	return []byte{
		lasting, passwordMax, passwordMax, passwordMax,
		byte(a.state.PW1.Tries), byte(rc), byte(a.state.PW3.Tries),
	}
}

// putPasswordStatus is PUT DATA of DO C4: the first byte changes; lengths and
// formats may be repeated but not changed.
func (a *openpgp) putPasswordStatus(data []byte) iso7816.Status {
	switch {
	case len(data) != 1 && len(data) != 4:
		return iso7816.StatusWrongLength
	case data[0] > 1:
		return iso7816.StatusWrongData
	case len(data) == 4 && (data[1] != passwordMax || data[2] != passwordMax || data[3] != passwordMax):
		return iso7816.StatusWrongData
	}
	a.state.PW1Lasting = data[0] == 1
	return a.save()
}
