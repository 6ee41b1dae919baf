package cardsim

import (
	"bytes"
	"strings"
	"testing"

	"github.com/cardctl/cardctl/internal/iso7816"
)

func TestVerify(t *testing.T) {
	h := opened(t, "")
	for _, reference := range []byte{0x81, 0x82, 0x83} {
		h.command(iso7816.InsVerify, 0, reference, nil, 0x63C3)
	}
	h.verify(0x81, factoryPW1, 0x9000)
	h.command(iso7816.InsVerify, 0, 0x81, nil, 0x9000)
	h.command(iso7816.InsVerify, 0, 0x82, nil, 0x63C3) // the two modes are apart
	h.command(iso7816.InsVerify, 0, 0x83, nil, 0x63C3)

	h.verify(0x82, factoryPW1, 0x9000)
	h.verify(0x83, factoryPW3, 0x9000)
	h.expect("0020FF81", 0x9000)
	h.command(iso7816.InsVerify, 0, 0x81, nil, 0x63C3)
	h.command(iso7816.InsVerify, 0, 0x82, nil, 0x9000)
	h.expect("0020FF8101 31", 0x6700)
	h.expect("00200084", 0x6B00)
	h.expect("00200184", 0x6B00)
	h.expect("00200181", 0x6B00)

	h.verify(0x83, "wrong", 0x63C2)
	h.command(iso7816.InsVerify, 0, 0x83, nil, 0x63C2) // forgotten
	h.wantTries(3, 0, 2)
	h.verify(0x83, factoryPW3, 0x9000)
	h.wantTries(3, 0, 3)
}

func TestBlockedPassword(t *testing.T) {
	h := opened(t, "")
	for _, want := range []iso7816.Status{0x63C2, 0x63C1, 0x63C0, 0x6983, 0x6983} {
		h.verify(0x81, "000000", want)
	}
	h.verify(0x81, factoryPW1, 0x6983)
	h.verify(0x82, factoryPW1, 0x6983)
	h.command(iso7816.InsVerify, 0, 0x82, nil, 0x63C0)
	h.wantTries(0, 0, 3)
	h.powerCycle()
	h.selectOpenPGP()
	h.verify(0x81, factoryPW1, 0x6983)
}

func TestPasswordOfWrongLengthCostsATry(t *testing.T) {
	h := opened(t, "")
	h.verify(0x83, "1", 0x63C2)
	h.verify(0x83, strings.Repeat("1", 127), 0x63C1)
	h.verify(0x83, strings.Repeat("1", 128), 0x6700)
	h.wantTries(3, 0, 1)
}

func TestWrongPasswordWithoutTriesLeft(t *testing.T) {
	for _, profile := range []string{"wrong-pin-6982", "openpgp-2.0"} {
		h := opened(t, profile)
		h.verify(0x81, "000000", 0x6982)
		h.wantTries(2, 0, 3)
		h.verify(0x81, "000000", 0x6982)
		h.verify(0x81, "000000", 0x6982)
		h.verify(0x81, "000000", 0x6983)
	}
}

func TestChangeReferenceData(t *testing.T) {
	h := opened(t, "")
	change := func(reference byte, data string, want iso7816.Status) {
		t.Helper()
		h.command(iso7816.InsChangeReferenceData, 0, reference, []byte(data), want)
	}
	change(0x81, "123456"+"654321", 0x9000)
	h.verify(0x82, "654321", 0x9000)
	change(0x81, "000000"+"123456", 0x63C2)
	h.command(iso7816.InsVerify, 0, 0x82, nil, 0x63C2) // forgotten
	change(0x81, "654321"+"12345", 0x6700)             // too short, the old one was right
	h.wantTries(3, 0, 3)
	change(0x81, "654321"+strings.Repeat("a", 127), 0x9000)
	change(0x81, strings.Repeat("a", 127)+strings.Repeat("b", 128), 0x6700)
	change(0x81, "", 0x6700)
	change(0x81, "a", 0x63C2) // shorter than the old one

	change(0x83, "12345678"+"1234567", 0x6700)
	change(0x83, "12345678"+"new admin", 0x9000)
	h.verify(0x83, "new admin", 0x9000)
	h.command(iso7816.InsChangeReferenceData, 0, 0x82, []byte("123456654321"), 0x6B00)
	h.command(iso7816.InsChangeReferenceData, 1, 0x81, []byte("123456654321"), 0x6B00)
}

func TestResetRetryCounter(t *testing.T) {
	h := opened(t, "")
	reset := func(p1 byte, data string, want iso7816.Status) {
		t.Helper()
		h.command(iso7816.InsResetRetryCounter, p1, 0x81, []byte(data), want)
	}
	block := func() {
		t.Helper()
		for _, want := range []iso7816.Status{0x63C2, 0x63C1, 0x63C0} {
			h.verify(0x81, "000000", want)
		}
	}
	block()
	reset(0x00, "12345678"+"123456", 0x6983) // there is no code
	reset(0x02, "123456", 0x6982)
	h.admin()
	reset(0x02, "12345", 0x6700)
	h.wantTries(0, 0, 3)
	reset(0x02, "111111", 0x9000)
	h.verify(0x81, "111111", 0x9000)
	h.wantTries(3, 0, 3)

	h.put(tagResettingCode, []byte("code code"))
	h.wantTries(3, 3, 3)
	block()
	h.expect("0020FF83", 0x9000)
	reset(0x00, "wrong one"+"222222", 0x63C2)
	h.wantTries(0, 2, 3)
	reset(0x00, "code code"+"222222", 0x9000)
	h.wantTries(3, 3, 3)
	h.command(iso7816.InsVerify, 0, 0x81, nil, 0x63C3) // to be verified anew
	h.verify(0x82, "222222", 0x9000)
	reset(0x00, "", 0x6700)
	reset(0x01, "123456", 0x6B00)
	h.command(iso7816.InsResetRetryCounter, 2, 0x83, []byte("123456"), 0x6B00)

	h.admin()
	h.put(tagResettingCode, nil)
	h.wantTries(3, 0, 3)
}

// TestRetryCounterIsPowerLossSafe: whoever takes the power between the try and
// its counting gets no try for nothing.
func TestRetryCounterIsPowerLossSafe(t *testing.T) {
	for _, test := range []struct {
		name  string
		fault Fault
		left  byte
	}{
		{"before the try is counted", PowerLossBeforeWrite(1), 3},
		{"after the try is counted", PowerLossAfterWrite(1), 2},
	} {
		t.Run(test.name, func(t *testing.T) {
			h := opened(t, "", test.fault)
			h.pulled("0020008306303030303030")
			h.reconnect()
			h.selectOpenPGP()
			h.wantTries(3, 0, test.left)
		})
	}
}

func TestPasswordsAreNotInTheState(t *testing.T) {
	h := opened(t, "")
	h.command(iso7816.InsChangeReferenceData, 0, 0x83, []byte("12345678"+"canary of an admin"), 0x9000)
	h.verify(0x83, "canary of an admin", 0x9000)
	h.put(tagResettingCode, []byte("canary of a code"))
	if state := h.card.persisted; bytes.Contains(state, []byte("canary")) ||
		bytes.Contains(state, []byte("Y2FuYXJ5")) { // the same in base64
		t.Fatal("a password is in the state")
	}
}
