package cardsim

import (
	"bytes"
	"testing"

	"github.com/cardctl/cardctl/internal/iso7816"
)

const (
	selectIsoApplet = "00A404000CF276A288BCFBA69D34F31001"
	testPIN         = "123456"
	testPUK         = "1234567890123456"
)

// blankApplet is a powered card with the applet alone, selected, as it leaves
// the factory.
func blankApplet(t *testing.T, profile string, faults ...Fault) *host {
	t.Helper()
	card, err := NewCard(Options{Profile: profile, Serial: "12345678", Applications: []string{isoAppletName}}, faults...)
	if err != nil {
		t.Fatal(err)
	}
	h := hold(t, card)
	h.expect(selectIsoApplet, 0x9000)
	return h
}

// operational is blankApplet with PUK and PIN set, selected anew.
func operational(t *testing.T, profile string) *host {
	t.Helper()
	h := blankApplet(t, profile)
	h.command(iso7816.InsChangeReferenceData, 0x01, 0x02, []byte(testPUK), 0x9000)
	h.command(iso7816.InsChangeReferenceData, 0x01, 0x01, []byte(testPIN), 0x9000)
	h.expect(selectIsoApplet, 0x9000)
	return h
}

// verified is operational with the PIN verified.
func verified(t *testing.T, profile string) *host {
	t.Helper()
	h := operational(t, profile)
	h.verify(0x01, testPIN, 0x9000)
	return h
}

func (h *host) wantPINTries(n int) {
	h.t.Helper()
	h.expect("00200001", 0x63C0|iso7816.Status(n))
}

func TestSelectIsoApplet(t *testing.T) {
	for _, test := range []struct{ profile, apdu, want string }{
		{"", selectIsoApplet, "000607"},
		{"", selectIsoApplet + "00", "000607"},
		{"", "00A4040005F276A288BC", "000607"},
		{"extended-length-unannounced", selectIsoApplet, "000606"},
		{"openpgp-2.0", selectIsoApplet, "000602"},
		{"exact-le-6cxx", selectIsoApplet, "000606"},
		{"isoapplet-1.0", selectIsoApplet, ""},
	} {
		h := blankApplet(t, test.profile)
		equal(t, test.profile+" "+test.apdu, h.expect(test.apdu, 0x9000), unhex(t, test.want))
	}
}

func TestIsoApplet1(t *testing.T) {
	h := verified(t, "isoapplet-1.0")
	equal(t, "GET DATA 0101", h.expect("00CA010100", 0x9000), unhex(t, "010007"))
	h.expect("00CA010200", 0x6A86)
	h.expect("00224100068001F3840100", 0x9000)
	h.expect("0046420000", 0x6F00)
	if public := h.expect("00464200000000", 0x9000); len(public) != 270 {
		t.Errorf("a public key of %d bytes", len(public))
	}
	blankApplet(t, "").expect("00CA010100", 0x6D00)
}

func TestIsoAppletATR(t *testing.T) {
	atr := blankApplet(t, "").conn.ATR()
	can := iso7816.CapabilitiesOf(iso7816.HistoricalBytes(atr))
	if !can.Chaining || !can.ExtendedLength {
		t.Fatalf("%X announces %+v", atr, can)
	}
}

func TestOnlyTheSelectedApplicationGetsCommands(t *testing.T) {
	card, err := NewCard(Options{Applications: []string{openpgpName, isoAppletName}})
	if err != nil {
		t.Fatal(err)
	}
	h := hold(t, card)
	h.expect("00A4000000", 0x6A82)
	h.expect(selectIsoApplet, 0x9000)
	h.expect("00CA004F00", 0x6D00)
	h.expect("00A4000000", 0x9000)
	h.command(iso7816.InsChangeReferenceData, 0x01, 0x01, []byte(testPIN), 0x9000)
	h.verify(0x01, testPIN, 0x9000)
	h.expect("0022410006 8001F3 840100", 0x9000)

	h.expect(selectOpenPGP, 0x9000)
	h.expect("00A4000000", 0x6A82)
	h.expect("00200001", 0x6B00)
	h.expect("00CA004F00", 0x9000)

	h.expect(selectIsoApplet, 0x9000)
	h.expect("0022410006 8001F3 840100", 0x6982) // the PIN was forgotten
}

func TestIsoAppletClassAndInstruction(t *testing.T) {
	h := blankApplet(t, "")
	h.expect("80B0000000", 0x6E00)
	h.expect("00CA004F00", 0x6D00)
}

func TestIsoAppletChallenge(t *testing.T) {
	h := blankApplet(t, "")
	first, second := h.expect("0084000010", 0x9000), h.expect("0084000010", 0x9000)
	if len(first) != 16 || bytes.Equal(first, second) {
		t.Fatalf("%X and %X", first, second)
	}
	if n := len(h.expect("0084000000", 0x9000)); n != 256 {
		t.Fatalf("%d bytes", n)
	}
	h.expect("0084010010", 0x6A86)
	h.expect("00840000000101", 0x6700) // 257 bytes
	h.expect("00840000", 0x6700)
}
