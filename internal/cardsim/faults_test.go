package cardsim

import (
	"context"
	"errors"
	"testing"
	"time"

	"github.com/cardctl/cardctl/internal/iso7816"
)

const putName = "00DA005B0141"

func (h *host) nameIs(want string) {
	h.t.Helper()
	equal(h.t, "name", h.get(tagName), []byte(want))
}

// TestPulled: APDU 3 writes the name.
func TestPulled(t *testing.T) {
	for _, test := range []struct {
		name  string
		fault Fault
		after string
	}{
		{"before the command", RemoveBefore(3), ""},
		{"after the command", RemoveAfter(3), "A"},
		{"before the write", PowerLossBeforeWrite(3), ""}, // VERIFY wrote twice
		{"after the write", PowerLossAfterWrite(3), "A"},
	} {
		t.Run(test.name, func(t *testing.T) {
			h := opened(t, "", test.fault)
			h.admin()
			h.pulled(putName)
			h.pulled(putName) // it stays away
			h.reconnect()
			h.expect("00CA004F00", 0x6D00) // nothing is selected
			h.selectOpenPGP()
			h.nameIs(test.after)
			h.expect(putName, 0x6982)
			h.admin() // and the fault is gone
			h.expect(putName, 0x9000)
			h.nameIs("A")
		})
	}
}

func TestPowerLossDuringKeyGenerationKeepsTheOldKey(t *testing.T) {
	h := opened(t, "", PowerLossBeforeWrite(5)) // VERIFY 2, attributes 1, first key 1
	h.admin()
	h.setAttributes(slotAUT, attrP256ECDSA)
	public := h.generate(slotAUT, 0x9000)
	h.pulled("0047800002A40000")
	h.reconnect()
	h.selectOpenPGP()
	equal(t, "public key", h.publicKey(slotAUT, 0x9000), public)
}

func TestRefuse(t *testing.T) {
	h := opened(t, "", Refuse(iso7816.InsGetData, 2, 0x6F00), Refuse(iso7816.InsPutData, 1, iso7816.StatusNoSpace))
	h.admin()
	h.expect("00CA004F00", 0x9000)
	h.expect("00CA004F00", 0x6F00)
	h.expect("00CA004F00", 0x9000)
	h.expect(putName, 0x6A84)
	h.nameIs("")
	h.expect(putName, 0x9000)
}

func TestGarbage(t *testing.T) {
	h := opened(t, "", Garbage(2, []byte{0x90}), Garbage(3, nil))
	for _, want := range []string{"90", ""} {
		answer, err := h.conn.Transmit(context.Background(), unhex(t, "00CA004F00"))
		if err != nil {
			t.Fatal(err)
		}
		equal(t, "answer", answer, unhex(t, want))
	}
	h.expect("00CA004F00", 0x9000)
}

// TestLie has a card that says of a command that it carried out, and of one that
// it did not, what it says of both.
func TestLie(t *testing.T) {
	for _, done := range []bool{true, false} {
		for _, status := range Lies() {
			h := opened(t, "", Lie(3, status, done))
			h.admin()
			h.expect(putName, status)
			h.nameIs(map[bool]string{true: "A"}[done])
			h.expect(putName, 0x9000)
		}
	}
}

func TestDelay(t *testing.T) {
	h := opened(t, "", Delay(10*time.Millisecond))
	start := time.Now()
	h.expect("00CA004F00", 0x9000)
	if took := time.Since(start); took < 10*time.Millisecond {
		t.Fatalf("answered after %v", took)
	}
}

// failing is a medium that does not write.
type failing struct{ broken bool }

func (f *failing) write([]byte) error {
	if f.broken {
		return errors.New("no space left on device")
	}
	return nil
}

func (*failing) suspend()                      {}
func (*failing) resume(string) ([]byte, error) { return nil, nil }
func (*failing) close() error                  { return nil }

func TestWriteFailureChangesNothing(t *testing.T) {
	state, err := manufacture(Options{})
	if err != nil {
		t.Fatal(err)
	}
	medium := &failing{}
	card, err := newCard("test", state, medium, nil, nil)
	if err != nil {
		t.Fatal(err)
	}
	h := hold(t, card)
	h.selectOpenPGP()
	h.admin()
	medium.broken = true
	h.expect(putName, 0x6581)
	medium.broken = false
	h.selectOpenPGP()
	h.nameIs("")
	h.admin()
	h.expect(putName, 0x9000)
}
