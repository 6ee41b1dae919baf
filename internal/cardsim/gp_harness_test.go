package cardsim

import (
	"bytes"
	"encoding/binary"
	"testing"

	"github.com/cardctl/cardctl/internal/iso7816"
)

// manager is a host that manages a Java card: the same keys as the card's, and
// the other side of its secure messaging.
type manager struct {
	*host
	channel secureChannel
	keys    [][]byte
	level   securityLevel
	m       messaging // in step with the card's
}

// blank is a blank Java card with the well-known keys, powered.
func blank(t *testing.T, o Options, faults ...Fault) *manager {
	t.Helper()
	o.Applications, o.Serial = []string{gpName}, "12345678"
	card, err := NewCard(o, faults...)
	if err != nil {
		t.Fatal(err)
	}
	issuer := card.issuer().(*gp)
	keys := issuer.state.Keys[0].Keys
	return &manager{host: hold(t, card), channel: issuer.state.channel(), keys: keys}
}

// authenticated is a blank card with a session of C-MAC.
func authenticated(t *testing.T, o Options, faults ...Fault) *manager {
	t.Helper()
	m := blank(t, o, faults...)
	m.open(levelMAC)
	return m
}

// initialize sends INITIALIZE UPDATE and derives the session keys.
func (m *manager) initialize(version byte) {
	m.t.Helper()
	host := bytes.Repeat([]byte{0x5A}, m.channel.challengeLength())
	apdu := append([]byte{0x80, insInitializeUpdate, version, 0x00, byte(len(host))}, append(host, 0)...)
	update, status := m.send(apdu)
	if status != iso7816.StatusOK {
		m.t.Fatalf("INITIALIZE UPDATE: %v", status)
	}
	keys := m.keys
	if len(keys) == 1 {
		keys = [][]byte{keys[0], keys[0], keys[0]}
	}
	inputs := vectorInputs{SCP: m.channel.protocol, HostChallenge: host, Enc: keys[0], MAC: keys[1], DEK: keys[2]}
	inputs.I = byteHex(m.channel.i)
	m.m = messagingOf(m.t, inputs, update)
	if !bytes.Contains(update, m.m.cryptogram(false)) {
		m.t.Fatalf("the answer %X has another card cryptogram than %X", update, m.m.cryptogram(false))
	}
}

func byteHex(b byte) string {
	const digits = "0123456789ABCDEF"
	return string([]byte{digits[b>>4], digits[b&0xF]})
}

// open opens a session.
func (m *manager) open(level securityLevel) {
	m.t.Helper()
	m.initialize(0)
	m.authenticate(level, iso7816.StatusOK)
}

func (m *manager) authenticate(level securityLevel, want iso7816.Status) {
	m.t.Helper()
	apdu := authenticateOf(m.t, m.m, level)
	if _, status := m.send(apdu); status != want {
		m.t.Fatalf("EXTERNAL AUTHENTICATE: %v, want %v", status, want)
	}
	m.level = level
	if _, ok := m.m.unwrap(parsed(m.t, apdu), 0); !ok {
		m.t.Fatal("the host does not take its own command")
	}
}

// wrap is the host's side of unwrap.
func (m *manager) wrap(c iso7816.Command) iso7816.Command {
	if m.level&levelMAC == 0 {
		return c
	}
	c.CLA |= classSecureGP
	switch s := m.m.(type) {
	case *desMessaging:
		mac := s.commandMAC(append(macInput(c, len(c.Data)+desBlock), c.Data...))
		data := c.Data
		if m.level&levelDecryption != 0 && len(data) > 0 {
			if s.channel.protocol == 1 {
				data = append([]byte{byte(len(data))}, data...)
				if len(data)%desBlock != 0 {
					data = pad(data, desBlock)
				}
			} else {
				data = pad(data, desBlock)
			}
			data = encryptCBC(tripleDES(s.enc), make([]byte, desBlock), data)
		}
		c.Data = append(bytes.Clone(data), mac...)
	case *aesMessaging:
		data := c.Data
		if m.level&levelDecryption != 0 && len(data) > 0 {
			s.counter++
			data = encryptCBC(newAES(s.enc), s.icv(0), pad(data, 16))
			s.counter--
		}
		mac := cmac(s.mac, s.chain, macInput(c, len(data)+s.macLength()), data)[:s.macLength()]
		c.Data = append(bytes.Clone(data), mac...)
	}
	return c
}

// manage sends a command of the class 80 through the session and returns the
// answer without its protection.
func (m *manager) manage(ins, p1, p2 byte, data []byte) ([]byte, iso7816.Status) {
	m.t.Helper()
	wrapped := m.wrap(iso7816.Command{CLA: 0x80, INS: ins, P1: p1, P2: p2, Data: data, Ne: iso7816.MaxShortNe})
	apdu, err := wrapped.Encode(false)
	if err != nil {
		m.t.Fatal(err)
	}
	answer, status := m.send(apdu)
	plain := wrapped
	if m.level&levelMAC != 0 {
		var ok bool
		if plain, ok = m.m.unwrap(wrapped, m.level); !ok {
			m.t.Fatal("the host does not take its own command")
		}
	}
	return m.plain(plain, answer, status), status
}

// plain takes the protection of an answer away.
func (m *manager) plain(c iso7816.Command, answer []byte, status iso7816.Status) []byte {
	m.t.Helper()
	if m.level&levelResponseMAC == 0 || !protected(status) {
		return answer
	}
	length := desBlock
	aes, isAES := m.m.(*aesMessaging)
	if isAES {
		length = aes.macLength()
	}
	if len(answer) < length {
		m.t.Fatalf("the answer %X has no R-MAC", answer)
	}
	data := answer[:len(answer)-length]
	if isAES && m.level&levelResponseEncryption != 0 && len(data) > 0 {
		var ok bool
		if data, ok = unpad(decryptCBC(newAES(aes.enc), aes.icv(0x80), data)); !ok {
			m.t.Fatalf("the answer %X is not padded", answer)
		}
	}
	if again := m.m.wrap(c, data, status, m.level); !bytes.Equal(again, answer) {
		m.t.Fatalf("the answer %X has another R-MAC than %X", answer, again)
	}
	return data
}

// must is manage that wants a status word.
func (m *manager) must(ins, p1, p2 byte, data []byte, want iso7816.Status) []byte {
	m.t.Helper()
	answer, status := m.manage(ins, p1, p2, data)
	if status != want {
		m.t.Fatalf("INS %02X P1 %02X P2 %02X: answered %v, want %v", ins, p1, p2, status, want)
	}
	return answer
}

// lv are fields, each its length and its bytes.
func lv(fields ...[]byte) []byte {
	var b []byte
	for _, field := range fields {
		b = append(append(b, byte(len(field))), field...)
	}
	return b
}

// loadData is the load file data block.
func loadData(file []byte) []byte { return iso7816.AppendTLV(nil, tagLoadFile, file) }

// load sends a package in blocks; want is the answer to the last.
func (m *manager) load(pkg, file []byte, block int, want iso7816.Status) {
	m.t.Helper()
	m.must(insInstall, installForLoad, 0, lv(pkg, nil, nil, nil, nil), iso7816.StatusOK)
	m.blocks(loadData(file), block, want)
}

func (m *manager) blocks(data []byte, block int, want iso7816.Status) {
	m.t.Helper()
	for n := 0; ; n++ {
		part := data[:min(block, len(data))]
		data = data[len(part):]
		if len(data) == 0 {
			m.must(insLoad, 0x80, byte(n), part, want)
			return
		}
		if _, status := m.manage(insLoad, 0, byte(n), part); status != iso7816.StatusOK {
			if status != want {
				m.t.Fatalf("block %d: answered %v, want %v", n, status, want)
			}
			return
		}
	}
}

// install makes an instance that can be selected.
func (m *manager) install(pkg, module, aid, privileges []byte, want iso7816.Status) {
	m.t.Helper()
	m.must(insInstall, installForInstall|installForSelectable, 0, lv(pkg, module, aid, privileges, []byte{tagParameters, 0}, nil), want)
}

// put loads a file and installs its first applet.
func (m *manager) put(file capFile) {
	m.t.Helper()
	m.load(file.pkg, file.loadFile(), 240, iso7816.StatusOK)
	m.install(file.pkg, file.applets[0], file.applets[0], []byte{0}, iso7816.StatusOK)
}

func (m *manager) delete(aid []byte, p2 byte, want iso7816.Status) {
	m.t.Helper()
	m.must(insDeleteObject, 0, p2, iso7816.AppendTLV(nil, tagRegistryAID, aid), want)
}

// chooses sends SELECT of an AID.
func (m *manager) chooses(aid []byte, want iso7816.Status) {
	m.t.Helper()
	m.level = 0
	apdu := append([]byte{0x00, 0xA4, 0x04, 0x00, byte(len(aid))}, append(bytes.Clone(aid), 0)...)
	if len(aid) == 0 {
		apdu = []byte{0x00, 0xA4, 0x04, 0x00, 0x00}
	}
	if _, status := m.send(apdu); status != want {
		m.t.Fatalf("SELECT %X: %v, want %v", aid, status, want)
	}
}

// issuerState is what the card holds.
func (m *manager) issuerState() *gpState { return &m.card.issuer().(*gp).state }

// freeMemory is what the card says it has left.
func (m *manager) freeMemory() int {
	m.t.Helper()
	data := m.must(iso7816.InsGetData, 0xFF, 0x21, nil, iso7816.StatusOK)
	resources, _, err := iso7816.ParseTLV(data)
	free, ok := iso7816.FindTLV(resources.Value, 0x82)
	if err != nil || !ok {
		m.t.Fatalf("resources %X", data)
	}
	return int(binary.BigEndian.Uint32(free))
}
