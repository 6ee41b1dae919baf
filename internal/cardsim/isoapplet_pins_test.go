package cardsim

import (
	"bytes"
	"strings"
	"testing"

	"github.com/cardctl/cardctl/internal/iso7816"
)

func padded(pins ...string) []byte {
	var data []byte
	for _, pin := range pins {
		data = append(data, padPIN([]byte(pin))...)
	}
	return data
}

func (h *host) setReference(p2 byte, code string, want iso7816.Status) {
	h.t.Helper()
	h.command(iso7816.InsChangeReferenceData, 0x01, p2, []byte(code), want)
}

func TestIsoAppletLifeCycle(t *testing.T) {
	h := blankApplet(t, "")
	h.expect("00200001", 0x9000) // nothing to verify
	h.verify(0x01, testPIN, 0x6984)
	h.command(iso7816.InsChangeReferenceData, 0x00, 0x01, padded(testPIN, testPIN), 0x6A86)
	h.command(iso7816.InsResetRetryCounter, 0x00, 0x01, []byte(testPUK+testPIN), 0x6986)
	h.setReference(0x02, "too short", 0x6700)
	h.setReference(0x02, testPUK, 0x9000)

	h.expect("00200001", 0x9000)
	h.setReference(0x02, testPUK, 0x6A86) // once only
	h.powerCycle()
	h.expect(selectIsoApplet, 0x9000)
	h.setReference(0x01, "123", 0x6700)
	h.setReference(0x01, strings.Repeat("1", 17), 0x6700)
	h.setReference(0x01, testPIN, 0x9000)

	h.wantPINTries(3)
	h.setReference(0x01, testPIN, 0x6A86)
	h.setReference(0x02, testPUK, 0x6A86)
	h.verify(0x01, testPIN, 0x9000)
	h.wantPINTries(3) // it is always asked for
}

func TestIsoAppletWithoutPUK(t *testing.T) {
	h := blankApplet(t, "")
	h.setReference(0x01, testPIN, 0x9000)
	h.command(iso7816.InsResetRetryCounter, 0x00, 0x01, append(make([]byte, 16), testPIN...), 0x63C0)
	h.setReference(0x02, testPUK, 0x6A86) // never again
}

func TestIsoAppletVerify(t *testing.T) {
	h := operational(t, "")
	for _, test := range []struct {
		name, pin string
		want      iso7816.Status
		left      int
	}{
		{"too short", "123", 0x6700, 3},
		{"too long", strings.Repeat("1", 17), 0x6700, 3},
		{"filled up", testPIN + strings.Repeat("\x00", 10), 0x9000, 3},
		{"as typed", testPIN, 0x9000, 3},
		{"wrong", "1234567", 0x63C2, 2},
		{"right again", testPIN, 0x9000, 3},
		{"wrong once", "000000", 0x63C2, 2},
		{"wrong twice", "000000", 0x63C1, 1},
		{"blocked", "000000", 0x63C0, 0},
		{"right and too late", testPIN, 0x63C0, 0},
	} {
		t.Run(test.name, func(t *testing.T) {
			h.t = t
			h.verify(0x01, test.pin, test.want)
			h.wantPINTries(test.left)
		})
	}
	h.t = t
	h.expect("00200002", 0x6A86)
	h.expect("00200101", 0x6A86)
	h.powerCycle()
	h.expect(selectIsoApplet, 0x9000)
	h.wantPINTries(0)
}

func TestIsoAppletChangePIN(t *testing.T) {
	h := verified(t, "")
	change := func(data []byte, want iso7816.Status) {
		t.Helper()
		h.command(iso7816.InsChangeReferenceData, 0x00, 0x01, data, want)
	}
	change([]byte("123456654321"), 0x6700)
	change(padded("000000", "654321"), 0x63C2)
	h.expect("0022410006 8001F3 840100", 0x6982)
	change(padded(testPIN, "654321"), 0x9000)
	h.wantPINTries(3)
	h.expect("0022410006 8001F3 840100", 0x6982) // to be verified anew
	h.verify(0x01, testPIN, 0x63C2)
	h.verify(0x01, "654321", 0x9000)
	h.command(iso7816.InsChangeReferenceData, 0x00, 0x02, padded(testPUK, testPUK), 0x6A86)
}

func TestIsoAppletUnblock(t *testing.T) {
	h := operational(t, "")
	reset := func(puk, pin string, want iso7816.Status) {
		t.Helper()
		h.command(iso7816.InsResetRetryCounter, 0x00, 0x01, []byte(puk+pin), want)
	}
	for _, want := range []iso7816.Status{0x63C2, 0x63C1, 0x63C0} {
		h.verify(0x01, "000000", want)
	}
	reset(testPUK, "123", 0x6700)
	reset(testPUK, strings.Repeat("1", 17), 0x6700)
	reset("12345678", "1234", 0x6700)
	reset("0000000000000000", "654321", 0x63C4)
	reset(testPUK, "654321", 0x9000)
	h.wantPINTries(3)
	h.verify(0x01, "654321", 0x9000)
	for _, want := range []iso7816.Status{0x63C4, 0x63C3, 0x63C2, 0x63C1, 0x63C0, 0x63C0} {
		reset("0000000000000000", "654321", want)
	}
	reset(testPUK, "654321", 0x63C0)
	h.command(iso7816.InsResetRetryCounter, 0x00, 0x02, []byte(testPUK+testPIN), 0x6A86)
}

// TestIsoAppletRetryCounterIsPowerLossSafe: the first two writes set PUK and
// PIN, the third counts the try.
func TestIsoAppletRetryCounterIsPowerLossSafe(t *testing.T) {
	for _, test := range []struct {
		name  string
		fault Fault
		left  int
	}{
		{"before the try is counted", PowerLossBeforeWrite(3), 3},
		{"after the try is counted", PowerLossAfterWrite(3), 2},
	} {
		t.Run(test.name, func(t *testing.T) {
			h := blankApplet(t, "", test.fault)
			h.setReference(0x02, testPUK, 0x9000)
			h.setReference(0x01, testPIN, 0x9000)
			h.pulled("0020000106303030303030")
			h.reconnect()
			h.expect(selectIsoApplet, 0x9000)
			h.wantPINTries(test.left)
		})
	}
}

func TestIsoAppletPINsAreNotInTheState(t *testing.T) {
	h := blankApplet(t, "")
	h.setReference(0x02, "canary of a PUK.", 0x9000)
	h.setReference(0x01, "canary of a PIN", 0x9000)
	if state := h.card.persisted; bytes.Contains(state, []byte("canary")) ||
		bytes.Contains(state, []byte("Y2FuYXJ5")) { // the same in base64
		t.Fatal("a PIN is in the state")
	}
}
