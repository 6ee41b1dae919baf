package cardsim

import (
	"testing"

	"github.com/cardctl/cardctl/internal/iso7816"
)

func TestTerminateAndActivate(t *testing.T) {
	h := opened(t, "")
	h.admin()
	h.put(tagName, []byte("someone"))
	h.put(tagAttributes+2, unhex(t, "132A8648CE3D030107"))
	h.query(iso7816.InsGenerateKeyPair, 0x80, 0, unhex(t, "A400"), 0x9000)
	h.expect("00440000", 0x9000) // of no effect
	equal(t, "name", h.get(tagName), []byte("someone"))

	h.expect("00E60001", 0x6B00)
	h.expect("00E60000", 0x9000)
	h.expect("00CA006E00", 0x6285)
	h.verify(0x83, factoryPW3, 0x6285)
	h.expect("00E60000", 0x6285)

	h.powerCycle()
	equal(t, "life cycle status of the ATR", h.conn.ATR()[17:18], []byte{0x03})
	h.expect(selectOpenPGP+"00", 0x6285)
	h.expect("00CA004F00", 0x6285)
	h.expect("00440000", 0x9000)
	h.selectOpenPGP()
	equal(t, "name", h.get(tagName), nil)
	equal(t, "key information", h.get(tagKeyInformation), unhex(t, "010002000300"))
	equal(t, "historical bytes", h.get(tagHistoricalBytes)[7:8], []byte{0x05})
	equal(t, "serial number", h.get(tagAID)[10:14], unhex(t, "12345678"))
	h.admin()
}

func TestTerminateNeedsPW3OrBothBlocked(t *testing.T) {
	h := opened(t, "")
	h.expect("00E60000", 0x6982)
	h.user()
	h.expect("00E60000", 0x6982)
	for _, want := range []iso7816.Status{0x63C2, 0x63C1, 0x63C0, 0x6983} {
		h.verify(0x83, "@@@@@@@@", want)
	}
	h.expect("00E60000", 0x6982)
	for _, want := range []iso7816.Status{0x63C2, 0x63C1, 0x63C0, 0x6983} {
		h.verify(0x81, "@@@@@@@@", want)
	}
	h.expect("00E60000", 0x9000)
	h.expect("00440000", 0x9000)
	h.selectOpenPGP()
	h.wantTries(3, 0, 3)
}

func TestTerminateWhenBlocked(t *testing.T) {
	h := opened(t, "terminate-when-blocked")
	h.admin()
	h.expect("00E60000", 0x6985)
	for _, want := range []iso7816.Status{0x63C2, 0x63C1, 0x63C0} {
		h.verify(0x81, "@@@@@@@@", want)
		h.verify(0x83, "@@@@@@@@", want)
	}
	h.expect("00E60000", 0x9000)
}

func TestResettingCodeCounted(t *testing.T) {
	h := opened(t, "reset-code-counted")
	h.wantTries(3, 3, 3)
	h.admin()
	h.put(0xD3, nil)
	h.wantTries(3, 3, 3)
}

func TestNoTerminate(t *testing.T) {
	h := opened(t, "no-terminate")
	equal(t, "historical bytes", h.get(tagHistoricalBytes), unhex(t, "0031C573C001E0009000"))
	h.admin()
	h.expect("00E60000", 0x6D00)
	h.expect("00440000", 0x6D00)
}
