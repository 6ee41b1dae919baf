package cardsim

import (
	"fmt"
	"testing"

	"github.com/cardctl/cardctl/internal/iso7816"
)

// everyLevel is all that some channel allows.
func everyLevel() []securityLevel {
	return []securityLevel{0x00, 0x01, 0x03, 0x10, 0x11, 0x13, 0x33}
}

func TestGPSessionsOfEveryChannelAndLevel(t *testing.T) {
	sizes := map[byte][]string{1: {""}, 2: {""}, 3: {"", "-aes192", "-aes256"}}
	for _, channel := range channels() {
		for _, size := range sizes[channel.protocol] {
			for _, level := range everyLevel() {
				t.Run(fmt.Sprintf("%s%s level %02X", channel, size, level), func(t *testing.T) {
					m := blank(t, Options{SecureChannel: channel.String() + size})
					if !channel.allows(level) {
						m.initialize(0)
						if _, status := m.send(authenticateOf(t, m.m, level)); status != iso7816.StatusWrongP1P2 {
							t.Fatalf("answered %v", status)
						}
						return
					}
					m.open(level)
					before := m.must(insGetStatus, 0x80, 0x02, []byte{0x4F, 0x00}, iso7816.StatusOK)
					m.must(insGetStatus, 0x40, 0x02, []byte{0x4F, 0x00}, iso7816.StatusReferenceNotFound)
					m.must(iso7816.InsGetData, 0x9F, 0x7F, nil, iso7816.StatusOK)
					m.put(appletFiles()["Muscle.cap"])
					equal(t, "the entry", m.must(insGetStatus, 0x80, 0x02, []byte{0x4F, 0x00}, iso7816.StatusOK), before)
				})
			}
		}
	}
}

func TestGPSessionsEnd(t *testing.T) {
	status := []byte{0x4F, 0x00}
	for _, test := range []struct {
		name string
		end  func(m *manager)
	}{
		{"without protection", func(m *manager) { m.expect("80F28002024F0000", 0x6982) }},
		{"with a wrong C-MAC", func(m *manager) { m.expect("84F280020A4F00010203040506070800", 0x6982) }},
		{"with a cut C-MAC", func(m *manager) { m.expect("84F28002024F0000", 0x6982) }},
		{"by SELECT", func(m *manager) { m.expect("00A4040000", 0x9000) }},
		{"by a reset", func(m *manager) { m.powerCycle() }},
		{"by INITIALIZE UPDATE", func(m *manager) { m.initialize(0) }},
	} {
		for _, channel := range []string{"scp01-05", "scp02-55", "scp03-70"} {
			t.Run(channel+" "+test.name, func(t *testing.T) {
				m := authenticated(t, Options{SecureChannel: channel})
				m.must(insGetStatus, 0x80, 0x02, status, iso7816.StatusOK)
				test.end(m)
				apdu, err := m.wrap(iso7816.Command{CLA: 0x80, INS: insGetStatus, P1: 0x80, P2: 2, Data: status}).Encode(false)
				if err != nil {
					t.Fatal(err)
				}
				if _, got := m.send(apdu); got != iso7816.StatusSecurityNotSatisfied {
					t.Fatalf("the session goes on: %v", got)
				}
				m.open(levelMAC)
				m.must(insGetStatus, 0x80, 0x02, status, iso7816.StatusOK)
			})
		}
	}
}

func TestGPRefusesHandshakes(t *testing.T) {
	m := blank(t, Options{})
	for apdu, want := range map[string]iso7816.Status{
		"8050000007" + "01020304050607":                   0x6700,
		"8050010008" + "0102030405060708":                 0x6A88, // version 01 is not there
		"8450000008" + "0102030405060708":                 0x6E00,
		"8482010010" + "00000000000000000000000000000000": 0x6985,
		"8082010010" + "00000000000000000000000000000000": 0x6E00,
		"80F28002024F0000":                                0x6982,
		"80E6020000":                                      0x6982,
		"0070000001":                                      0x6881,
		"81F28002024F0000":                                0x6881,
		"80FE000000":                                      0x6D00,
		"00CA006600":                                      0x9000,
		"80CA006600":                                      0x9000,
		"80CA00FE00":                                      0x6A88,
		"80CA004200":                                      0x6A88,
		"00A4040006D2760001240100":                        0x6A82,
	} {
		if _, got := m.send(unhex(t, apdu)); got != want {
			t.Errorf("%s: answered %v, want %v", apdu, got, want)
		}
	}
}

func TestGPAuthenticationCounter(t *testing.T) {
	m := blank(t, Options{})
	good := m.keys
	fail := func() {
		t.Helper()
		m.initialize(0)
		apdu := authenticateOf(t, m.m, levelMAC)
		apdu[5] ^= 1
		if _, status := m.send(apdu); status != statusNotAuthenticated {
			t.Fatalf("answered %v", status)
		}
	}
	for range authenticationTries - 1 {
		fail()
	}
	m.powerCycle()
	m.open(levelMAC)
	if tries := m.issuerState().Tries; tries != authenticationTries {
		t.Fatalf("%d tries after a success", tries)
	}
	for range authenticationTries {
		fail()
		m.powerCycle()
	}
	m.keys = good
	m.expect("8050000008"+"0102030405060708"+"00", 0x6983)
}

// The try is counted although the card is pulled before it answers.
func TestGPAuthenticationCountsBeforeItCompares(t *testing.T) {
	m := blank(t, Options{}, PowerLossAfterWrite(1))
	m.initialize(0)
	apdu := authenticateOf(t, m.m, levelMAC)
	m.pulled(fmt.Sprintf("%X", apdu))
	m.powerCycle()
	if tries := m.issuerState().Tries; tries != authenticationTries-1 {
		t.Fatalf("%d tries are left", tries)
	}
}

func TestGPSequenceCounterSurvives(t *testing.T) {
	for channel, want := range map[string]uint32{"scp01-05": 0, "scp02-15": 2, "scp03-10": 3, "scp03-00": 0} {
		t.Run(channel, func(t *testing.T) {
			m := authenticated(t, Options{SecureChannel: channel})
			m.initialize(0) // and nothing after it
			m.powerCycle()
			m.open(levelMAC)
			m.powerCycle()
			if got := m.issuerState().Keys[0].Counter; got != want {
				t.Fatalf("counter %d, want %d", got, want)
			}
		})
	}
}

func TestGPOptions(t *testing.T) {
	key := wellKnownKey(16)
	for name, o := range map[string]Options{
		"an implicit channel": {SecureChannel: "scp02-0A"},
		"DES with 24 bytes":   {CardKeys: [][]byte{wellKnownKey(24)}},
		"DES of AES length":   {SecureChannel: "scp02-15-aes256"},
		"two keys":            {CardKeys: [][]byte{key, key}},
		"keys for a base key": {SecureChannel: "scp02-04", CardKeys: [][]byte{key, key, make([]byte, 16)}},
		"keys of two lengths": {SecureChannel: "scp03-70", CardKeys: [][]byte{key, key, wellKnownKey(32)}},
		"less than no memory": {Memory: -1},
		"no such AES":         {SecureChannel: "scp03-70-aes512"},
	} {
		o.Applications = []string{gpName}
		if _, err := NewCard(o); err == nil {
			t.Errorf("%s is taken", name)
		}
	}
	if _, err := NewCard(Options{Memory: 1000}); err == nil {
		t.Error("a card without gp takes the memory of a Java card")
	}
	authenticated(t, Options{SecureChannel: "scp02-04", CardKeys: [][]byte{key, key, key}})
	m := authenticated(t, Options{SecureChannel: "SCP03-71", CardKeys: [][]byte{wellKnownKey(32)}, Memory: 5000})
	if got := m.freeMemory(); got != 5000 {
		t.Errorf("%d bytes free", got)
	}
	if version := m.issuerState().Keys[0].Version; version != ownKeyVersion {
		t.Errorf("key version %02X", version)
	}
}
