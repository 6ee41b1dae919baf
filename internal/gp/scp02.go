package gp

import (
	"crypto/des"
	"slices"

	"github.com/cardctl/cardctl/internal/iso7816"
)

// Derivation constants of SCP02 (E.4.1).
var (
	constantMAC  = [2]byte{0x01, 0x01}
	constantRMAC = [2]byte{0x01, 0x02}
	constantDEK  = [2]byte{0x01, 0x81}
	constantENC  = [2]byte{0x01, 0x82}
)

// scp02 is the secure messaging of SCP02.
type scp02 struct {
	desMessaging
	rmac    [keyLength128]byte
	rmacICV [des.BlockSize]byte
	chained bool // rmacICV is set
}

// newSCP02 derives the session keys of SCP02 from the sequence counter.
func newSCP02(options byte, keys *KeySet, sequence []byte) *scp02 {
	m := &scp02{desMessaging: desMessaging{
		options:        options,
		computeMAC:     retailMAC,
		encryptICV:     func(key, icv []byte) []byte { return ecb(singleDES(key), icv) },
		encryptCommand: encryptCommand02,
	}}
	copyAndClear(m.enc[:], sessionKey02(keys.enc.Reveal(), constantENC, sequence))
	copyAndClear(m.mac[:], sessionKey02(keys.mac.Reveal(), constantMAC, sequence))
	copyAndClear(m.dek[:], sessionKey02(keys.dek.Reveal(), constantDEK, sequence))
	copyAndClear(m.rmac[:], sessionKey02(keys.mac.Reveal(), constantRMAC, sequence))
	return m
}

// sessionKey02 derives one session key (E.4.1).
func sessionKey02(key []byte, constant [2]byte, sequence []byte) []byte {
	data := make([]byte, keyLength128)
	copy(data, constant[:])
	copy(data[2:], sequence)
	return cbc(tripleDES(key), make([]byte, des.BlockSize), data)
}

// encryptCommand02 always pads (E.4.6).
func encryptCommand02(key, data []byte) []byte {
	return cbc(tripleDES(key), make([]byte, des.BlockSize), pad(data, des.BlockSize))
}

// wrap adds to that of both protocols that the C-MAC of EXTERNAL AUTHENTICATE
// is the first ICV of the R-MACs (E.4.5).
func (m *scp02) wrap(cmd iso7816.Command, level Level) iso7816.Command {
	wrapped := m.desMessaging.wrap(cmd, level)
	if !m.chained {
		m.rmacICV, m.chained = m.icv, true
	}
	return wrapped
}

// unwrap checks the R-MAC: over the command without secure messaging, the
// length of the answer, the answer and the status word (E.4.5).
func (m *scp02) unwrap(cmd iso7816.Command, level Level, answer []byte, status iso7816.Status) ([]byte, error) {
	if !level.has(RMAC) || !protected(status) && len(answer) == 0 {
		return answer, nil
	}
	data, mac, err := splitMAC(answer, des.BlockSize)
	if err != nil {
		return nil, err
	}
	expected := retailMAC(m.rmac[:], m.rmacICV[:], slices.Concat(
		header(cmd, len(cmd.Data)), cmd.Data, []byte{byte(len(data))}, data, []byte{byte(status >> 8), byte(status)}))
	if !equal(mac, expected) {
		return nil, ErrResponseMAC
	}
	copy(m.rmacICV[:], mac)
	return data, nil
}

// pseudoRandomChallenge is the first six bytes of a MAC over the AID (E.4.2.3),
// after the sequence counter.
func (m *scp02) pseudoRandomChallenge(sequence, aid []byte) []byte {
	mac := retailMAC(m.mac[:], make([]byte, des.BlockSize), aid)
	return slices.Concat(sequence, mac[:challengeLength-sequence02Length])
}

func (m *scp02) wipe() {
	m.desMessaging.wipe()
	clear(m.rmac[:])
	clear(m.rmacICV[:])
}
