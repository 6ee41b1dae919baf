package cardsim

import (
	"context"
	"encoding/hex"
	"errors"
	"net"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/cardctl/cardctl/internal/iso7816"
)

// swapping is a reader with a card whose application is selected over a
// connection, and the twin that is planned for a moment.
func swapping(t *testing.T, at Moment) (*Reader, *host, *Card) {
	t.Helper()
	card := newTestCard(t)
	twin, err := card.Twin()
	if err != nil {
		t.Fatal(err)
	}
	r := NewReader(card)
	r.SwapAt(at, twin)
	conn, err := r.Connect(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	h := &host{t: t, card: card, conn: conn}
	h.selectOpenPGP()
	return r, h, twin
}

// sentTo are the commands of each stay, in hex.
func sentTo(r *Reader) [][]string {
	var list [][]string
	for _, stay := range r.Stays() {
		var sent []string
		for _, apdu := range stay.Sent() {
			sent = append(sent, strings.ToUpper(hex.EncodeToString(apdu)))
		}
		list = append(list, sent)
	}
	return list
}

func wantSent(t *testing.T, r *Reader, want ...[]string) {
	t.Helper()
	if got := sentTo(r); !slices.EqualFunc(got, want, slices.Equal) {
		t.Errorf("sent %q\nwant %q", got, want)
	}
}

const getAID, verifyWrong = "00CA004F00", "0020008206393939393939"

func TestSwapBeforeAPDU(t *testing.T) {
	r, h, twin := swapping(t, BeforeAPDU(3))
	h.expect(getAID, 0x9000)
	h.pulled(verifyWrong)
	h.pulled(verifyWrong)
	if err := h.conn.Resume(t.Context()); !errors.Is(err, iso7816.ErrCardRemoved) {
		t.Error(err)
	}
	wantSent(t, r, []string{selectOpenPGP, getAID}, nil)

	conn, err := r.Connect(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	h = &host{t: t, card: twin, conn: conn}
	h.selectOpenPGP()
	h.expect(verifyWrong, 0x63C2)
	wantSent(t, r, []string{selectOpenPGP, getAID}, []string{selectOpenPGP, verifyWrong})
	if stays := r.Stays(); stays[0].Changed() || !stays[1].Changed() || stays[1].Card != twin {
		t.Error("what changed is not told")
	}
}

func TestSwapWhenFree(t *testing.T) {
	r, h, _ := swapping(t, WhenFree(2))
	for _, want := range []error{nil, iso7816.ErrCardRemoved, iso7816.ErrCardRemoved} {
		if err := h.conn.Release(true); err != nil {
			t.Fatal(err)
		}
		if err := h.conn.Resume(t.Context()); !errors.Is(err, want) {
			t.Fatalf("Resume: %v, want %v", err, want)
		}
		if want == nil {
			h.selectOpenPGP()
		}
	}
	if err := h.conn.Close(true); err != nil {
		t.Error(err)
	}
	wantSent(t, r, []string{selectOpenPGP, selectOpenPGP}, nil)
	if r.Stays()[1].Changed() {
		t.Error("the twin changed")
	}
}

func TestSwapWhenClosed(t *testing.T) {
	r, h, twin := swapping(t, WhenFree(1))
	if err := h.conn.Close(false); err != nil {
		t.Fatal(err)
	}
	conn, err := r.Connect(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	h = &host{t: t, card: twin, conn: conn}
	h.expect(getAID, 0x6D00) // nothing is selected on the twin
}

func TestSwapByHand(t *testing.T) {
	card, other := newTestCard(t), newTestCard(t)
	r := NewReader(card)
	for _, next := range []*Card{other, card} { // the first card comes back
		conn, err := r.Connect(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		r.Swap(next)
		if _, err := conn.Transmit(t.Context(), unhex(t, getAID)); !errors.Is(err, iso7816.ErrCardRemoved) {
			t.Error(err)
		}
	}
	if stays := r.Stays(); len(stays) != 3 || stays[2].Card != card {
		t.Errorf("%d stays", len(stays))
	}
}

// virtualReader accepts one card after the other, as the driver of a virtual
// reader does.
func virtualReader(t *testing.T, r *Reader) (accept func() *reader, stop func() error) {
	t.Helper()
	listener, err := net.Listen("tcp", "localhost:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { listener.Close() })
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- r.Attach(ctx, listener.Addr().String(), nil) }()
	accept = func() *reader {
		t.Helper()
		conn, err := listener.Accept()
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { conn.Close() })
		driver := &reader{t: t, conn: conn}
		driver.send([]byte{vpcdATR})
		driver.receive()
		driver.send([]byte{vpcdOn})
		return driver
	}
	return accept, func() error { cancel(); return <-done }
}

func TestSwapInAVirtualReader(t *testing.T) {
	card := newTestCard(t)
	var twins [3]*Card
	for i := range twins {
		var err error
		if twins[i], err = card.Twin(); err != nil {
			t.Fatal(err)
		}
	}
	r := NewReader(card)
	r.SwapAt(BeforeAPDU(2), twins[0])
	r.SwapAt(WhenFree(1), twins[1])
	accept, stop := virtualReader(t, r)

	driver := accept()
	driver.exchange(selectOpenPGP, "9000")
	driver.send(unhex(t, verifyWrong)) // which no card gets
	left := time.Now()
	driver = accept()
	if took := time.Since(left); took < absence {
		t.Errorf("the reader was empty for %v only", took)
	}
	driver.send([]byte{vpcdReset}) // nobody worked on this card yet
	driver.send([]byte{vpcdATR})
	driver.receive()
	driver.exchange(selectOpenPGP, "9000")
	driver.send([]byte{vpcdReset})
	driver.send([]byte{vpcdATR})
	driver.receive() // is answered still
	driver = accept()
	driver.exchange(selectOpenPGP, "9000")

	swapped := make(chan struct{})
	go func() { r.Swap(twins[2]); close(swapped) }()
	driver = accept()
	<-swapped
	driver.exchange(verifyWrong, "6D00")
	if err := stop(); err != nil {
		t.Error(err)
	}
	one := []string{selectOpenPGP}
	wantSent(t, r, one, one, one, []string{verifyWrong})
	for i, stay := range r.Stays() {
		if stay.Changed() {
			t.Errorf("card %d changed", i)
		}
	}
	r.Swap(card) // nothing is attached any more: it does not wait
}
