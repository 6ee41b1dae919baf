package gp

import (
	"crypto/des"
	"slices"

	"github.com/cardctl/cardctl/internal/iso7816"
)

// desMessaging is what SCP01 and SCP02 have in common.
type desMessaging struct {
	options        byte
	enc, mac, dek  [keyLength128]byte
	icv            [des.BlockSize]byte // the last C-MAC
	started        bool                // the first C-MAC of a session has an ICV of 00
	computeMAC     func(key, icv, data []byte) []byte
	encryptICV     func(key, icv []byte) []byte
	encryptCommand func(key, data []byte) []byte
}

func (m *desMessaging) overhead() (mac, block int) { return des.BlockSize, des.BlockSize }

// wrap computes the C-MAC over the modified command, and encrypts the data
// after that (D.3, E.4.4, E.4.6).
func (m *desMessaging) wrap(cmd iso7816.Command, level Level) iso7816.Command {
	if !level.has(CMAC) {
		return cmd
	}
	cmd.CLA |= classSecure
	icv := m.icv[:]
	if m.started && m.options&optionICVEncryption != 0 {
		icv = m.encryptICV(m.mac[:], icv)
	}
	data := cmd.Data
	mac := m.computeMAC(m.mac[:], icv, slices.Concat(header(cmd, len(data)+des.BlockSize), data))
	copy(m.icv[:], mac)
	m.started = true
	if level.has(CDecryption) && len(data) > 0 {
		data = m.encryptCommand(m.enc[:], data)
	}
	cmd.Data = slices.Concat(data, mac)
	return cmd
}

func (m *desMessaging) unwrap(_ iso7816.Command, _ Level, answer []byte, _ iso7816.Status) ([]byte, error) {
	return answer, nil
}

// encryptKey is triple DES in ECB mode with the data encryption key (D.3.5,
// E.4.7).
func (m *desMessaging) encryptKey(key []byte) []byte { return ecb(tripleDES(m.dek[:]), key) }

func (m *desMessaging) cardCryptogram(host, card []byte) []byte {
	return fullMAC(m.enc[:], make([]byte, des.BlockSize), slices.Concat(host, card))
}

func (m *desMessaging) hostCryptogram(host, card []byte) []byte {
	return fullMAC(m.enc[:], make([]byte, des.BlockSize), slices.Concat(card, host))
}

func (m *desMessaging) wipe() {
	clear(m.enc[:])
	clear(m.mac[:])
	clear(m.dek[:])
	clear(m.icv[:])
}

// newSCP01 derives the session keys of SCP01 (D.1.4, D.3.1): ENC and MAC from
// both challenges; the data encryption key is the static one.
func newSCP01(options byte, keys *KeySet, host, card []byte) *desMessaging {
	data := slices.Concat(card[4:8], host[0:4], card[0:4], host[4:8])
	m := &desMessaging{
		options:        options,
		computeMAC:     fullMAC,
		encryptICV:     func(key, icv []byte) []byte { return ecb(tripleDES(key), icv) },
		encryptCommand: encryptCommand01,
	}
	copyAndClear(m.enc[:], ecb(tripleDES(keys.enc.Reveal()), data))
	copyAndClear(m.mac[:], ecb(tripleDES(keys.mac.Reveal()), data))
	copy(m.dek[:], keys.dek.Reveal())
	return m
}

// encryptCommand01 puts the length before the data and pads only what does not
// fill a block (D.3.4).
func encryptCommand01(key, data []byte) []byte {
	plain := append([]byte{byte(len(data))}, data...)
	if len(plain)%des.BlockSize != 0 {
		plain = pad(plain, des.BlockSize)
	}
	return cbc(tripleDES(key), make([]byte, des.BlockSize), plain)
}

// pseudoRandomChallenge is not defined in SCP01.
func (m *desMessaging) pseudoRandomChallenge(_, _ []byte) []byte { return nil }

func copyAndClear(to, from []byte) {
	copy(to, from)
	clear(from)
}
