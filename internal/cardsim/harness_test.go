package cardsim

import (
	"bytes"
	"context"
	"encoding/hex"
	"errors"
	"strings"
	"testing"

	"github.com/cardctl/cardctl/internal/iso7816"
)

// host is what a test drives a card with: raw APDUs, nothing hidden.
type host struct {
	t    *testing.T
	card *Card
	conn iso7816.Connection
}

// insert makes a card with a profile and powers it.
func insert(t *testing.T, profile string, faults ...Fault) *host {
	t.Helper()
	card, err := NewCard(Options{Profile: profile, Serial: "12345678"}, faults...)
	if err != nil {
		t.Fatal(err)
	}
	return hold(t, card)
}

func hold(t *testing.T, card *Card) *host {
	t.Helper()
	h := &host{t: t, card: card}
	h.reconnect()
	return h
}

func (h *host) reconnect() {
	h.t.Helper()
	conn, err := h.card.Connect(context.Background())
	if err != nil {
		h.t.Fatal(err)
	}
	h.conn = conn
}

// powerCycle takes the power and gives it back.
func (h *host) powerCycle() {
	h.t.Helper()
	h.card.mu.Lock()
	h.card.powerOff()
	h.card.mu.Unlock()
	h.reconnect()
}

// opened is a powered card with the OpenPGP application selected.
func opened(t *testing.T, profile string, faults ...Fault) *host {
	t.Helper()
	h := insert(t, profile, faults...)
	h.selectOpenPGP()
	return h
}

const selectOpenPGP = "00A4040006D27600012401"

func (h *host) selectOpenPGP() {
	h.t.Helper()
	want := iso7816.StatusOK
	if h.card.profile.t0 {
		want = 0x6114 // a TPDU has no Le: the FCI is offered
	}
	h.expect(selectOpenPGP, want)
}

func unhex(t *testing.T, s string) []byte {
	t.Helper()
	b, err := hex.DecodeString(strings.NewReplacer(" ", "", "\n", "", "\t", "").Replace(s))
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// send transmits one APDU as it is.
func (h *host) send(apdu []byte) ([]byte, iso7816.Status) {
	h.t.Helper()
	answer, err := h.conn.Transmit(context.Background(), apdu)
	if err != nil {
		h.t.Fatalf("%X: %v", apdu, err)
	}
	if len(answer) < 2 {
		h.t.Fatalf("%X: answer %X", apdu, answer)
	}
	n := len(answer) - 2
	return answer[:n], iso7816.Status(answer[n])<<8 | iso7816.Status(answer[n+1])
}

// expect sends an APDU in hex, wants a status word and returns the data.
func (h *host) expect(apdu string, want iso7816.Status) []byte {
	h.t.Helper()
	data, status := h.send(unhex(h.t, apdu))
	if status != want {
		h.t.Fatalf("%s: answered %v, want %v", apdu, status, want)
	}
	return data
}

// command sends a command in the shortest form, extended where it must be.
func (h *host) command(ins, p1, p2 byte, data []byte, want iso7816.Status) []byte {
	h.t.Helper()
	return h.commandNe(ins, p1, p2, data, 0, want)
}

// query is command with the greatest Le that the card takes.
func (h *host) query(ins, p1, p2 byte, data []byte, want iso7816.Status) []byte {
	h.t.Helper()
	if h.card.profile.extendedLength {
		return h.commandNe(ins, p1, p2, data, iso7816.MaxExtendedNe, want)
	}
	return h.commandNe(ins, p1, p2, data, iso7816.MaxShortNe, want)
}

func (h *host) commandNe(ins, p1, p2 byte, data []byte, ne int, want iso7816.Status) []byte {
	h.t.Helper()
	apdu, err := iso7816.Command{INS: ins, P1: p1, P2: p2, Data: data, Ne: ne}.Encode(false)
	if err != nil {
		h.t.Fatal(err)
	}
	answer, status := h.send(apdu)
	for status>>8 == 0x61 && want>>8 != 0x61 {
		var rest []byte
		rest, status = h.send([]byte{0x00, iso7816.InsGetResponse, 0x00, 0x00, byte(status)})
		answer = append(answer, rest...)
	}
	if status != want {
		h.t.Fatalf("INS %02X P1 %02X P2 %02X (%d bytes): answered %v, want %v", ins, p1, p2, len(data), status, want)
	}
	return answer
}

func (h *host) get(tag iso7816.Tag) []byte {
	h.t.Helper()
	return h.query(iso7816.InsGetData, byte(tag>>8), byte(tag), nil, iso7816.StatusOK)
}

func (h *host) getStatus(tag iso7816.Tag, want iso7816.Status) {
	h.t.Helper()
	h.query(iso7816.InsGetData, byte(tag>>8), byte(tag), nil, want)
}

func (h *host) put(tag iso7816.Tag, value []byte) {
	h.t.Helper()
	h.putStatus(tag, value, iso7816.StatusOK)
}

func (h *host) putStatus(tag iso7816.Tag, value []byte, want iso7816.Status) {
	h.t.Helper()
	h.command(iso7816.InsPutData, byte(tag>>8), byte(tag), value, want)
}

func (h *host) verify(reference byte, pin string, want iso7816.Status) {
	h.t.Helper()
	h.command(iso7816.InsVerify, 0, reference, []byte(pin), want)
}

func (h *host) user() {
	h.t.Helper()
	h.verify(0x81, factoryPW1, iso7816.StatusOK)
	h.verify(0x82, factoryPW1, iso7816.StatusOK)
}

func (h *host) admin() {
	h.t.Helper()
	h.verify(0x83, factoryPW3, iso7816.StatusOK)
}

// tries are the error counters of PW1, RC and PW3 in DO C4.
func (h *host) tries() [3]byte {
	h.t.Helper()
	return [3]byte(h.get(tagPasswordStatus)[4:])
}

func (h *host) wantTries(pw1, rc, pw3 byte) {
	h.t.Helper()
	if got, want := h.tries(), [3]byte{pw1, rc, pw3}; got != want {
		h.t.Fatalf("error counters are %v, want %v", got, want)
	}
}

func equal(t *testing.T, what string, got, want []byte) {
	t.Helper()
	if !bytes.Equal(got, want) {
		t.Fatalf("%s is %X, want %X", what, got, want)
	}
}

// pulled sends an APDU during which the card goes away.
func (h *host) pulled(apdu string) {
	h.t.Helper()
	answer, err := h.conn.Transmit(context.Background(), unhex(h.t, apdu))
	if !errors.Is(err, iso7816.ErrCardRemoved) {
		h.t.Fatalf("%s: answered %X, %v; want the card to be gone", apdu, answer, err)
	}
}
