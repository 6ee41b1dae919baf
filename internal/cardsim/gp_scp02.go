package cardsim

import (
	"crypto/subtle"
	"slices"

	"github.com/cardctl/cardctl/internal/iso7816"
)

// desMessaging is a session of SCP01 (Card Specification 2.3.1, appendix D) or
// SCP02 (appendix E).
type desMessaging struct {
	channel    secureChannel
	host, card []byte // challenges, 8 bytes; the card's with its counter

	enc, mac, rmac, dek []byte // session keys

	icv  []byte // of the next C-MAC
	ricv []byte // of the next R-MAC; nil before the first
}

// newSCP01 derives the session keys (D.3.1). Key encryption has no session
// key.
func newSCP01(c secureChannel, set *gpKeySet, host, card []byte) *desMessaging {
	enc, mac, dek := set.keys()
	data := slices.Concat(card[4:], host[:4], card[:4], host[4:])
	session := func(key []byte) []byte {
		out := make([]byte, len(data))
		for i := 0; i < len(data); i += desBlock {
			tripleDES(key).Encrypt(out[i:], data[i:])
		}
		return out
	}
	return &desMessaging{
		channel: c, host: host, card: card,
		enc: session(enc), mac: session(mac), dek: dek,
		icv: make([]byte, desBlock),
	}
}

// Derivation constants of SCP02 (E.4.1).
const (
	scp02MAC = 0x01
	scp02RMC = 0x02
	scp02DEK = 0x81
	scp02ENC = 0x82
)

// scp02Session derives a session key (E.4.1).
func scp02Session(key []byte, constant byte, counter []byte) []byte {
	data := make([]byte, 16)
	data[0], data[1] = 0x01, constant
	copy(data[2:], counter)
	return encryptCBC(tripleDES(key), make([]byte, desBlock), data)
}

// newSCP02 derives the session keys; card is the counter, 2 bytes, and the
// card challenge.
func newSCP02(c secureChannel, set *gpKeySet, host, card []byte) *desMessaging {
	enc, mac, dek := set.keys()
	counter := card[:2]
	return &desMessaging{
		channel: c, host: host, card: card,
		enc:  scp02Session(enc, scp02ENC, counter),
		mac:  scp02Session(mac, scp02MAC, counter),
		rmac: scp02Session(mac, scp02RMC, counter),
		dek:  scp02Session(dek, scp02DEK, counter),
		icv:  make([]byte, desBlock),
	}
}

// scp02Challenge is the card challenge, 6 bytes, where it is pseudo-random: a
// MAC over the AID (E.4.2.3).
func scp02Challenge(set *gpKeySet, counter, aid []byte) []byte {
	_, mac, _ := set.keys()
	return retailMAC(scp02Session(mac, scp02MAC, counter), make([]byte, desBlock), aid)[:6]
}

func (m *desMessaging) cryptogram(host bool) []byte {
	message := slices.Concat(m.host, m.card)
	if host {
		message = slices.Concat(m.card, m.host)
	}
	return fullMAC(m.enc, make([]byte, desBlock), message)
}

func (m *desMessaging) unwrap(c iso7816.Command, level securityLevel) (iso7816.Command, bool) {
	n := len(c.Data) - desBlock
	if n < 0 {
		return c, false
	}
	data, mac := c.Data[:n], c.Data[n:]
	if level&levelDecryption != 0 && n > 0 {
		var ok bool
		if data, ok = m.decrypt(data); !ok {
			return c, false
		}
	}
	var want []byte
	for _, head := range macInputs(c, len(data)+desBlock) {
		if got := m.commandMAC(append(head, data...)); subtle.ConstantTimeCompare(mac, got) == 1 {
			want = got
		}
	}
	if want == nil {
		return c, false
	}
	m.icv = want
	if m.channel.i&scp02ICVEncryption != 0 {
		m.icv = m.encryptICV(want)
	}
	if m.ricv == nil {
		m.ricv = want
	}
	c.CLA &^= classSecure
	c.Data = data
	return c, true
}

func (m *desMessaging) commandMAC(message []byte) []byte {
	if m.channel.protocol == 1 {
		return fullMAC(m.mac, m.icv, message)
	}
	return retailMAC(m.mac, m.icv, message)
}

// encryptICV is what a C-MAC becomes before the next one goes on from it
// (D.3.3, E.3.3).
func (m *desMessaging) encryptICV(mac []byte) []byte {
	block := singleDES(m.mac)
	if m.channel.protocol == 1 {
		block = tripleDES(m.mac)
	}
	out := make([]byte, desBlock)
	block.Encrypt(out, mac)
	return out
}

// decrypt is C-DECRYPTION. SCP01 writes the length before the data and pads to
// a block only where it must (D.3.4), SCP02 always pads (E.3.4).
func (m *desMessaging) decrypt(data []byte) (plain []byte, ok bool) {
	if len(data)%desBlock != 0 {
		return nil, false
	}
	data = decryptCBC(tripleDES(m.enc), make([]byte, desBlock), data)
	if m.channel.protocol == 2 {
		return unpad(data)
	}
	length := int(data[0])
	if 1+length > len(data) {
		return nil, false
	}
	rest := data[1+length:]
	if len(rest) > 0 {
		if none, ok := unpad(rest); !ok || len(none) > 0 {
			return nil, false
		}
	}
	return data[1 : 1+length], true
}

// wrap adds the R-MAC, which is over the command too (E.3.2). An error goes
// without, and the next one goes on from the one before it.
func (m *desMessaging) wrap(plain iso7816.Command, data []byte, status iso7816.Status, level securityLevel) []byte {
	if level&levelResponseMAC == 0 || !protected(status) {
		return data
	}
	message := slices.Concat(macInput(plain, len(plain.Data)), plain.Data, []byte{byte(len(data))}, data, statusBytes(status))
	m.ricv = retailMAC(m.rmac, m.ricv, message)
	return slices.Concat(data, m.ricv)
}

func (m *desMessaging) decryptKey(data []byte) []byte {
	if len(data) == 0 || len(data)%desBlock != 0 {
		return nil
	}
	return decryptECB(tripleDES(m.dek), data)
}
