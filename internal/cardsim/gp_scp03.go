package cardsim

import (
	"crypto/aes"
	"crypto/subtle"
	"slices"

	"github.com/cardctl/cardctl/internal/iso7816"
)

// aesMessaging is a session of SCP03 (Amendment D).
type aesMessaging struct {
	channel    secureChannel
	host, card []byte // challenges, 8 or 16 bytes

	enc, mac, rmac []byte // session keys
	dek            []byte // the static key

	chain   []byte // MAC chaining value, 16 bytes
	counter uint32 // of commands, for encryption
	opened  bool   // EXTERNAL AUTHENTICATE is over
}

// newSCP03 derives the session keys (6.2.1).
func newSCP03(c secureChannel, set *gpKeySet, host, card []byte) *aesMessaging {
	enc, mac, dek := set.keys()
	return &aesMessaging{
		channel: c, host: host, card: card,
		enc:   derive(enc, deriveEncryption, len(enc), host, card),
		mac:   derive(mac, deriveMAC, len(mac), host, card),
		rmac:  derive(mac, deriveResponseMAC, len(mac), host, card),
		dek:   dek,
		chain: make([]byte, aes.BlockSize),
	}
}

// scp03Challenge is the card challenge where it is pseudo-random (6.2.2.1).
func scp03Challenge(c secureChannel, set *gpKeySet, counter, aid []byte) []byte {
	enc, _, _ := set.keys()
	return derive(enc, deriveCardChallenge, c.challengeLength(), counter, aid)
}

// macLength is that of cryptograms and MACs, in bytes.
func (m *aesMessaging) macLength() int { return m.channel.challengeLength() }

func (m *aesMessaging) cryptogram(host bool) []byte {
	constant := byte(deriveCardCryptogram)
	if host {
		constant = deriveHostCryptogram
	}
	return derive(m.mac, constant, m.macLength(), m.host, m.card)
}

func (m *aesMessaging) unwrap(c iso7816.Command, level securityLevel) (iso7816.Command, bool) {
	n := len(c.Data) - m.macLength()
	if n < 0 {
		return c, false
	}
	data, mac := c.Data[:n], c.Data[n:]
	var chain []byte
	for _, head := range macInputs(c, len(c.Data)) {
		if got := cmac(m.mac, m.chain, head, data); subtle.ConstantTimeCompare(mac, got[:m.macLength()]) == 1 {
			chain = got
		}
	}
	if chain == nil {
		return c, false
	}
	m.chain = chain
	if m.opened {
		m.counter++
	}
	m.opened = true
	if level&levelDecryption != 0 && n > 0 {
		if n%aes.BlockSize != 0 {
			return c, false
		}
		var ok bool
		if data, ok = unpad(decryptCBC(newAES(m.enc), m.icv(0x00), data)); !ok {
			return c, false
		}
	}
	c.CLA &^= classSecure
	c.Data = data
	return c, true
}

// icv is the counter under the encryption key; its first byte tells commands
// from answers (6.2.6, 6.2.7).
func (m *aesMessaging) icv(first byte) []byte {
	icv := make([]byte, aes.BlockSize)
	icv[0] = first
	for i := range 4 {
		icv[aes.BlockSize-1-i] = byte(m.counter >> (8 * i))
	}
	newAES(m.enc).Encrypt(icv, icv)
	return icv
}

// wrap is 6.2.5 and 6.2.7: an error is not protected.
func (m *aesMessaging) wrap(_ iso7816.Command, data []byte, status iso7816.Status, level securityLevel) []byte {
	if level&levelResponseMAC == 0 || !protected(status) {
		return data
	}
	if level&levelResponseEncryption != 0 && len(data) > 0 {
		data = encryptCBC(newAES(m.enc), m.icv(0x80), pad(data, aes.BlockSize))
	}
	mac := cmac(m.rmac, m.chain, data, statusBytes(status))
	return slices.Concat(data, mac[:m.macLength()])
}

func (m *aesMessaging) decryptKey(data []byte) []byte {
	if len(data) == 0 || len(data)%aes.BlockSize != 0 {
		return nil
	}
	return decryptCBC(newAES(m.dek), make([]byte, aes.BlockSize), data)
}
