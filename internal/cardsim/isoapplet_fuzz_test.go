package cardsim

import (
	"bytes"
	"context"
	"testing"

	"github.com/cardctl/cardctl/internal/iso7816"
)

// FuzzIsoApplet sends arbitrary APDUs to the applet, blank or operational and
// with its PIN verified: each is a length byte and that many bytes. The card
// must answer, count no try back, and still be a card afterwards.
func FuzzIsoApplet(f *testing.F) {
	for _, apdus := range []string{
		"\x08\x00\xa4\x08\x00\x02\x50\x15\x00",
		"\x05\x00\xa4\x03\x00\x00",
		"\x0e\x00\xe0\x00\x00\x09\x62\x07\x82\x01\x38\x83\x02\x50\x15",
		"\x0e\x00\xe0\x00\x00\x09\x62\x07\x82\x01\x01\x83\x02\x44\x01\x07\x00\xd6\x00\x01\x02\xaa\xbb\x05\x00\xb0\x81\x00\x00",
		"\x07\x00\xe4\x00\x00\x02\x50\x15",
		"\x15\x00\x24\x01\x02\x101234567890123456\x0b\x00\x24\x01\x01\x06123456\x0b\x00\x20\x00\x01\x06123456",
		"\x0b\x00\x20\x00\x01\x06000000\x04\x00\x20\x00\x01",
		"\x0b\x00\x22\x41\x00\x06\x80\x01\xec\x84\x01\x00\x07\x00\x46\x00\x00\x02\x81\x00",
		"\x0b\x00\x22\x41\xb6\x06\x80\x01\x21\x84\x01\x00\x07\x00\x2a\x9e\x9a\x01\x31\x00",
		"\x0b\x00\x22\x41\x00\x06\x80\x01\xf3\x84\x01\x01\x0a\x00\xdb\x3f\xff\x05\x7f\x48\x02\x92\x00",
		"\x05\x00\x84\x00\x00\x08",
	} {
		f.Add(true, []byte(apdus))
		f.Add(false, []byte(apdus))
	}
	states := map[bool][]byte{}
	for _, inUse := range []bool{true, false} {
		states[inUse] = isoAppletForFuzzing(f, inUse)
	}
	f.Fuzz(func(t *testing.T, inUse bool, apdus []byte) {
		card, err := newCard("fuzz", states[inUse], memory{}, nil, nil)
		if err != nil {
			t.Fatal(err)
		}
		conn, err := card.Connect(context.Background())
		if err != nil {
			t.Fatal(err)
		}
		transmit := func(apdu []byte) {
			answer, err := conn.Transmit(context.Background(), apdu)
			if err != nil || len(answer) < 2 {
				t.Fatalf("%X: answer %X, %v", apdu, answer, err)
			}
		}
		applet := card.apps[0].(*isoApplet)
		transmit(append([]byte{0, 0xA4, 4, 0, 12}, applet.aid()...))
		applet.user, applet.validated = true, true
		for len(apdus) > 0 {
			n := min(int(apdus[0]), len(apdus)-1)
			apdu := apdus[1 : 1+n]
			apdus = apdus[1+n:]
			if len(apdu) > 2 && apdu[1] == insGenerateKeyPair && apdu[2] == 0x42 {
				continue // too slow
			}
			transmit(apdu)
		}
		if inUse && applet.state.LifeCycle != lifeCycleOperational {
			t.Fatal("the applet went back in its life cycle")
		}
		if applet.state.MF.memory() > fileMemory+len(applet.state.MF.FCI) {
			t.Fatal("more files than memory")
		}
		if err := conn.Close(true); err != nil {
			t.Fatal(err)
		}
		if err := card.load(); err != nil {
			t.Fatalf("the card does not wake up again: %v", err)
		}
	})
}

// isoAppletForFuzzing is the state of a blank applet, or of one with files, a
// PIN and an EC key.
func isoAppletForFuzzing(f *testing.F, inUse bool) []byte {
	card, err := NewCard(Options{Applications: []string{isoAppletName}})
	if err != nil {
		f.Fatal(err)
	}
	if !inUse {
		return card.persisted
	}
	conn, err := card.Connect(context.Background())
	if err != nil {
		f.Fatal(err)
	}
	applet := card.apps[0].(*isoApplet)
	curve := curveParameters(domainCurves()[0].curve, nil)
	for _, c := range []iso7816.Command{
		{INS: iso7816.InsSelect, P1: 4, Data: applet.aid()},
		{INS: insCreateFile, Data: []byte{0x62, 0x07, 0x82, 0x01, 0x38, 0x83, 0x02, 0x50, 0x15}},
		{INS: insCreateFile, Data: []byte{0x62, 0x0A, 0x81, 0x01, 0x20, 0x82, 0x01, 0x01, 0x83, 0x02, 0x50, 0x31}},
		{INS: iso7816.InsChangeReferenceData, P1: 1, P2: 2, Data: []byte(testPUK)},
		{INS: iso7816.InsChangeReferenceData, P1: 1, P2: 1, Data: []byte(testPIN)},
		{INS: iso7816.InsVerify, P2: 1, Data: []byte(testPIN)},
		{INS: iso7816.InsManageSecurity, P1: 0x41, Data: []byte{0x80, 1, algorithmGenerateEC, 0x84, 1, 0}},
		{INS: insGenerateKeyPair, Data: curve, Ne: iso7816.MaxExtendedNe},
	} {
		apdu, err := c.Encode(false)
		if err != nil {
			f.Fatal(err)
		}
		answer, err := conn.Transmit(context.Background(), apdu)
		if err != nil || !bytes.HasSuffix(answer, []byte{0x90, 0x00}) {
			f.Fatalf("%X: answer %X, %v", apdu, answer, err)
		}
	}
	return card.persisted
}
