package cardsim

import (
	"bytes"
	"fmt"
	"testing"

	"github.com/cardctl/cardctl/internal/iso7816"
)

// Power that is lost around any write of INSTALL, LOAD, DELETE or PUT KEY
// leaves the card as it was before the command or as it is after it.
func TestGPPowerLoss(t *testing.T) {
	file := unknownCAP()
	way := func(m *manager) (finished bool) {
		send := func(ins, p1, p2 byte, data []byte) bool {
			wrapped := m.wrap(iso7816.Command{CLA: 0x80, INS: ins, P1: p1, P2: p2, Data: data})
			apdu, err := wrapped.Encode(false)
			if err != nil {
				m.t.Fatal(err)
			}
			_, err = m.conn.Transmit(m.t.Context(), apdu)
			if err != nil {
				return false
			}
			m.m.unwrap(wrapped, m.level)
			return true
		}
		return send(insInstall, installForLoad, 0, lv(file.pkg, nil, nil, nil, nil)) &&
			send(insLoad, 0x80, 0, loadData(file.loadFile())) &&
			send(insInstall, 0x0C, 0, lv(file.pkg, file.applets[0], file.applets[0], []byte{0}, []byte{0xC9, 0}, nil)) &&
			send(insPutKey, 0, 0x81, m.keyData(1, wellKnownKey(16))) &&
			send(insDeleteObject, 0, 0x80, lv3(0x4F, file.pkg))
	}
	const handshake = 2 // writes
	for n := 1; n <= 4; n++ {
		for when, fault := range map[string]Fault{"before": PowerLossBeforeWrite(handshake + n), "after": PowerLossAfterWrite(handshake + n)} {
			t.Run(fmt.Sprintf("%s write %d", when, n), func(t *testing.T) {
				m := authenticated(t, Options{}, fault)
				if way(m) {
					t.Fatal("nothing was lost")
				}
				m.reconnect()
				done := n
				if when == "before" {
					done--
				}
				state := m.issuerState()
				loaded, installed := done >= 1 && done < 4, done >= 2 && done < 4
				if (len(state.Packages) == 1) != loaded || (len(state.Instances) == 1) != installed || (state.Keys[0].Version == 1) != (done >= 3) {
					t.Fatalf("%d packages, %d instances, key version %02X", len(state.Packages), len(state.Instances), state.Keys[0].Version)
				}
				m.level = 0
				m.open(levelMAC)
				if loaded {
					m.delete(file.pkg, 0x80, iso7816.StatusOK)
				}
				m.put(file)
			})
		}
	}
}

// The state on disk is what the card is after it is opened again.
func TestGPIsStored(t *testing.T) {
	store := NewStore(t.TempDir())
	o := Options{Applications: []string{gpName}, SecureChannel: "scp03-70", CardKeys: [][]byte{bytes.Repeat([]byte{7}, 32)}}
	if err := store.Create("java", o); err != nil {
		t.Fatal(err)
	}
	card, err := store.Open("java")
	if err != nil {
		t.Fatal(err)
	}
	m := &manager{host: hold(t, card), channel: secureChannel{3, 0x70}, keys: card.issuer().(*gp).state.Keys[0].Keys}
	m.open(levelMAC)
	m.put(appletFiles()["Muscle.cap"])
	if err := card.Close(); err != nil {
		t.Fatal(err)
	}
	if card, err = store.Open("java"); err != nil {
		t.Fatal(err)
	}
	m.card = card
	m.reconnect()
	m.chooses(muscleAID(), iso7816.StatusOK)
	m.expect(muscleSetUp, 0x9000)
	if err := card.Close(); err != nil {
		t.Fatal(err)
	}
}

func FuzzGPCommand(f *testing.F) {
	file := unknownCAP()
	f.Add(byte(insInstall), byte(installForLoad), byte(0), lv(file.pkg, nil, nil, nil, nil))
	f.Add(byte(insInstall), byte(0x0C), byte(0), lv(file.pkg, file.applets[1], file.applets[1], []byte{0}, []byte{0xC9, 0}, nil))
	f.Add(byte(insLoad), byte(0x80), byte(0), loadData(file.loadFile()))
	f.Add(byte(insDeleteObject), byte(0), byte(0x80), lv3(0x4F, file.pkg))
	f.Add(byte(insPutKey), byte(0), byte(0x81), make([]byte, 70))
	f.Add(byte(insSetStatus), byte(0x40), byte(0x80), file.applets[0])
	f.Add(byte(insGetStatus), byte(0x40), byte(2), []byte{0x4F, 0, 0x5C, 1, 0x4F})
	f.Add(byte(insStoreData), byte(0x88), byte(0), []byte{0, 0x42, 1, 1})
	f.Add(byte(0xCA), byte(0), byte(0x66), []byte{})
	f.Fuzz(func(t *testing.T, ins, p1, p2 byte, data []byte) {
		m := blank(t, Options{})
		m.open(0)
		m.put(file)
		if ins == insLoad {
			m.announce([]byte{0xF0, 0x43, 0x41, 0x52, 0x45})
		}
		if ins == insInitializeUpdate || ins == insExternalAuthenticate {
			return
		}
		m.manage(ins, p1, p2, data[:min(len(data), 4000)])
		if err := m.card.commit(); err != nil {
			t.Fatal(err)
		}
		m.card.mu.Lock()
		defer m.card.mu.Unlock()
		if err := m.card.load(); err != nil {
			t.Fatalf("the card does not take its own state: %v", err)
		}
	})
}

func FuzzLoadFile(f *testing.F) {
	for _, file := range appletFiles() {
		file.code = 16
		f.Add(file.loadFile())
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		file, ok := parseLoadFile(data)
		if !ok {
			return
		}
		if file.size > len(data) || !validAID(file.header.aid) {
			t.Fatalf("%+v of %d bytes", file, len(data))
		}
		if err := file.entry().check(); err != nil {
			t.Fatal(err)
		}
	})
}
