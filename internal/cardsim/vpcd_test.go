package cardsim

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"io"
	"net"
	"testing"
	"time"

	"github.com/cardctl/cardctl/internal/iso7816"
)

// reader is the other side of Attach.
type reader struct {
	t    *testing.T
	conn net.Conn
	done chan error
	stop context.CancelFunc
}

// attach puts a card into a reader that waits on a listener.
func attach(t *testing.T, card *Card) *reader {
	t.Helper()
	listener, err := net.Listen("tcp", "localhost:0")
	if err != nil {
		t.Fatal(err)
	}
	defer listener.Close()
	ctx, cancel := context.WithCancel(context.Background())
	r := &reader{t: t, done: make(chan error, 1), stop: cancel}
	attached := make(chan struct{})
	go func() { r.done <- card.Attach(ctx, listener.Addr().String(), func() { close(attached) }) }()
	if r.conn, err = listener.Accept(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { r.conn.Close(); cancel() })
	select {
	case <-attached:
		t.Fatal("attached before the reader said anything")
	default:
	}
	r.send([]byte{vpcdATR})
	<-attached
	equal(t, "ATR", r.receive(), card.ATR())
	return r
}

func (r *reader) send(message []byte) {
	r.t.Helper()
	packet := append(binary.BigEndian.AppendUint16(nil, uint16(len(message))), message...)
	if _, err := r.conn.Write(packet); err != nil {
		r.t.Fatal(err)
	}
}

func (r *reader) receive() []byte {
	r.t.Helper()
	var header [2]byte
	if _, err := io.ReadFull(r.conn, header[:]); err != nil {
		r.t.Fatal(err)
	}
	message := make([]byte, binary.BigEndian.Uint16(header[:]))
	if _, err := io.ReadFull(r.conn, message); err != nil {
		r.t.Fatal(err)
	}
	return message
}

func (r *reader) exchange(apdu, want string) {
	r.t.Helper()
	r.send(unhex(r.t, apdu))
	equal(r.t, "answer to "+apdu, r.receive(), unhex(r.t, want))
}

// ended waits for Attach to return.
func (r *reader) ended() error {
	r.t.Helper()
	select {
	case err := <-r.done:
		return err
	case <-time.After(10 * time.Second):
		r.t.Fatal("Attach does not end")
		return nil
	}
}

func newTestCard(t *testing.T, faults ...Fault) *Card {
	t.Helper()
	card, err := NewCard(Options{Serial: "12345678"}, faults...)
	if err != nil {
		t.Fatal(err)
	}
	return card
}

func TestAttach(t *testing.T) {
	card := newTestCard(t)
	r := attach(t, card)
	r.send([]byte{vpcdOn})
	r.exchange(selectOpenPGP, "9000")
	r.exchange("00200083083132333435363738", "9000")
	r.exchange("00200083", "9000")

	r.send([]byte{vpcdReset})
	r.exchange("00CA004F00", "6D00")
	r.exchange(selectOpenPGP, "9000")
	r.exchange("00200083", "63C3")

	r.send([]byte{vpcdOff})
	r.send([]byte{vpcdATR})
	equal(t, "ATR", r.receive(), card.ATR())
	r.send([]byte{vpcdOn})
	r.send([]byte{7}) // not a message that is known
	r.exchange(selectOpenPGP, "9000")
	r.exchange("00CA004F00", "D276000124010304FFFE1234567800009000")

	if _, err := card.Connect(context.Background()); !errors.Is(err, ErrBusy) {
		t.Errorf("Connect to an attached card: %v", err)
	}
	if err := card.Attach(context.Background(), "localhost:1", nil); !errors.Is(err, ErrBusy) {
		t.Errorf("Attach of an attached card: %v", err)
	}
	r.stop()
	if err := r.ended(); err != nil {
		t.Errorf("Attach ended with %v", err)
	}
	if _, err := card.Connect(context.Background()); err != nil {
		t.Errorf("Connect after Attach: %v", err)
	}
}

func TestAttachLongAPDU(t *testing.T) {
	r := attach(t, newTestCard(t))
	r.exchange(selectOpenPGP, "9000")
	r.exchange("00200083083132333435363738", "9000")
	put := append(unhex(t, "00DA7F21000800"), bytes.Repeat([]byte{0x30}, 2048)...)
	r.send(put)
	equal(t, "answer", r.receive(), unhex(t, "9000"))
	r.send(unhex(t, "00CA7F21000000"))
	if answer := r.receive(); len(answer) != 2050 {
		t.Fatalf("%d bytes", len(answer))
	}
}

// oneWrite fails a writer that is written to twice for one message.
type oneWrite struct {
	writes int
	bytes.Buffer
}

func (w *oneWrite) Write(p []byte) (int, error) {
	w.writes++
	return w.Buffer.Write(p)
}

func TestMessageIsOneSegment(t *testing.T) {
	var w oneWrite
	if err := writeMessage(&w, []byte{0x90, 0x00}); err != nil {
		t.Fatal(err)
	}
	if w.writes != 1 {
		t.Errorf("%d writes", w.writes)
	}
	equal(t, "message", w.Bytes(), []byte{0, 2, 0x90, 0x00})
	if err := writeMessage(&w, make([]byte, 0x10000)); err == nil {
		t.Error("a message of 65536 bytes was sent")
	}
}

func TestAttachEndsWithTheReader(t *testing.T) {
	r := attach(t, newTestCard(t))
	r.conn.Close()
	if err := r.ended(); err == nil {
		t.Error("no error when the reader goes away")
	}
}

func TestAttachedCardIsPulled(t *testing.T) {
	r := attach(t, newTestCard(t, RemoveAfter(2)))
	r.exchange(selectOpenPGP, "9000")
	r.send(unhex(t, "00CA004F00"))
	if err := r.ended(); !errors.Is(err, iso7816.ErrCardRemoved) {
		t.Errorf("Attach ended with %v", err)
	}
}

func TestNoReader(t *testing.T) {
	listener, err := net.Listen("tcp", "localhost:0")
	if err != nil {
		t.Fatal(err)
	}
	address := listener.Addr().String()
	listener.Close()
	card := newTestCard(t)
	if err := card.Attach(context.Background(), address, nil); !errors.Is(err, ErrNoReader) {
		t.Errorf("Attach where nobody listens: %v", err)
	}
	if _, err := card.Connect(context.Background()); err != nil {
		t.Errorf("Connect after it: %v", err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	if err := newTestCard(t).Attach(ctx, address, nil); err != nil {
		t.Errorf("Attach with a context that has ended: %v", err)
	}
}

func TestReaderOccupied(t *testing.T) {
	listener, err := net.Listen("tcp", "localhost:0")
	if err != nil {
		t.Fatal(err)
	}
	defer listener.Close()
	card := newTestCard(t)
	card.noticed = 50 * time.Millisecond
	if err := card.Attach(context.Background(), listener.Addr().String(), nil); !errors.Is(err, ErrReaderOccupied) {
		t.Errorf("Attach to a reader that says nothing: %v", err)
	}
}
