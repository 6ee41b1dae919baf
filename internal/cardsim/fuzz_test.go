package cardsim

import (
	"context"
	"encoding/hex"
	"testing"

	"github.com/cardctl/cardctl/internal/iso7816"
)

// FuzzCard sends arbitrary APDUs to a card on which everything is verified:
// each is a length byte and that many bytes. The card may refuse them; it must
// answer, and still be a card afterwards.
func FuzzCard(f *testing.F) {
	for _, apdus := range []string{
		"\x0b\x00\xa4\x04\x00\x06\xd2\x76\x00\x01\x24\x01",
		"\x05\x00\xca\x00\x6e\x00\x05\x00\xc0\x00\x00\x00",
		"\x07\x10\xda\x7f\x21\x02\x30\x00\x06\x00\xda\x7f\x21\x01\x00",
		"\x0b\x00\xa5\x02\x04\x06\x60\x04\x5c\x02\x7f\x21",
		"\x09\x00\xdb\x3f\xff\x04\x4d\x02\xb6\x00",
		"\x0e\x00\xda\x00\xc3\x09\x13\x2a\x86\x48\xce\x3d\x03\x01\x07\x08\x00\x47\x80\x00\x02\xa4\x00\x00",
		"\x0c\x00\x2a\x80\x86\x07\xa6\x05\x7f\x49\x02\x86\x00",
		"\x08\x00\x22\x41\xb8\x03\x83\x01\x03\x06\x00\x88\x00\x00\x01\x00",
		"\x08\x00\xda\x00\xf9\x03\x81\x01\x00",
		"\x04\x00\xe6\x00\x00\x04\x00\x44\x00\x00",
	} {
		f.Add(byte(0), []byte(apdus))
	}
	profiles := Profiles()
	f.Fuzz(func(t *testing.T, profile byte, apdus []byte) {
		card, err := NewCard(Options{Profile: profiles[int(profile)%len(profiles)].Name})
		if err != nil {
			t.Fatal(err)
		}
		conn, err := card.Connect(context.Background())
		if err != nil {
			t.Fatal(err)
		}
		selection, _ := hex.DecodeString(selectOpenPGP)
		if _, err := conn.Transmit(context.Background(), selection); err != nil {
			t.Fatal(err)
		}
		card.apps[0].(*openpgp).verified = pw1Sign | pw1Other | pw3
		for len(apdus) > 0 {
			n := min(int(apdus[0]), len(apdus)-1)
			apdu := apdus[1 : 1+n]
			apdus = apdus[1+n:]
			if len(apdu) > 2 && apdu[1] == iso7816.InsGenerateKeyPair && apdu[2] == 0x80 {
				continue // too slow
			}
			answer, err := conn.Transmit(context.Background(), apdu)
			if err != nil || len(answer) < 2 {
				t.Fatalf("%X: answer %X, %v", apdu, answer, err)
			}
		}
		if err := conn.Close(true); err != nil {
			t.Fatal(err)
		}
		if err := card.load(); err != nil {
			t.Fatalf("the card does not wake up again: %v", err)
		}
	})
}

// FuzzState reads arbitrary state files.
func FuzzState(f *testing.F) {
	good, err := manufacture(Options{Serial: "00000001"})
	if err != nil {
		f.Fatal(err)
	}
	f.Add(good)
	f.Add(good[:len(good)/2])
	f.Add([]byte(`{"schema":"cardctl/simulated-card/v1","applications":[{"name":"openpgp","state":null}]}`))
	f.Fuzz(func(t *testing.T, state []byte) {
		card, err := newCard("fuzz", state, memory{}, nil, nil)
		if err != nil {
			return
		}
		conn, err := card.Connect(context.Background())
		if err != nil {
			return
		}
		for _, apdu := range []string{selectOpenPGP, "00CA006E00", "00CA00FA00", "00200083083132333435363738", "002A9E9A0131", "00CA7F2100"} {
			command, _ := hex.DecodeString(apdu)
			if _, err := conn.Transmit(context.Background(), command); err != nil {
				t.Fatal(err)
			}
		}
	})
}
