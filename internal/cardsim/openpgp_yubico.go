package cardsim

import "github.com/cardctl/cardctl/internal/iso7816"

// Instructions of the OpenPGP application of a YubiKey, as ykman sends them.
const (
	insYubicoVersion = 0xF1
	insYubicoRetries = 0xF2
	insYubicoAttest  = 0xFB
)

// firmware is that of a YubiKey.
type firmware [3]byte

func (f firmware) there() bool { return f != firmware{} }

func (f firmware) since(major, minor byte) bool {
	return f[0] > major || f[0] == major && f[1] >= minor
}

// lengthBeforePath says that SELECT DATA wants a byte before its data: how long they are.
func (f firmware) lengthBeforePath() bool {
	return f.since(5, 2) && !f.since(5, 5)
}

// firmwareVersion is three bytes of BCD.
func (a *openpgp) firmwareVersion(c iso7816.Command) ([]byte, iso7816.Status) {
	if c.P1 != 0 || c.P2 != 0 {
		return nil, iso7816.StatusWrongP1P2
	}
	var version []byte
	for _, n := range a.profile.yubikey {
		version = append(version, n/10<<4|n%10)
	}
	return version, iso7816.StatusOK
}

// most are the tries that a password has.
func (a *openpgp) most(r *referenceData) int {
	i := 0
	switch r {
	case &a.state.RC:
		i = 1
	case &a.state.PW3:
		i = 2
	}
	if n := a.state.Most[i]; n > 0 {
		return n
	}
	return triesMax
}

// setRetries is Yubico's SET PIN RETRIES: user PIN, resetting code, admin PIN, which
// keep their values.
func (a *openpgp) setRetries(c iso7816.Command) iso7816.Status {
	const most = 99
	switch {
	case c.P1 != 0 || c.P2 != 0:
		return iso7816.StatusWrongP1P2
	case !a.has(pw3):
		return iso7816.StatusSecurityNotSatisfied
	case len(c.Data) != 3:
		return iso7816.StatusWrongLength
	}
	for i, r := range []*referenceData{&a.state.PW1, &a.state.RC, &a.state.PW3} {
		n := int(c.Data[i])
		if n == 0 || n > most {
			return iso7816.StatusWrongData
		}
		a.state.Most[i] = n
		if r.Length > 0 {
			r.Tries = n
		}
	}
	a.verified = 0
	return a.save()
}
