package stack

import (
	"context"
	"encoding/hex"
	"errors"
	"sync"
	"testing"
	"time"

	"github.com/cardctl/cardctl/internal/iso7816"
	"github.com/cardctl/cardctl/internal/pcsc"
	"github.com/cardctl/cardctl/internal/problem"
)

// Line reaches the card in a virtual reader through the PC/SC daemon, as the
// program does: it is let go while others use the card.
type Line struct {
	tb      testing.TB
	readers interface {
		Connect(ctx context.Context, reader string) (iso7816.Connection, error)
		Readers(ctx context.Context) ([]pcsc.Reader, error)
	}
	reader     int
	connection iso7816.Connection
	channel    *iso7816.Channel
}

// NewLine is a line to virtual reader 0 or 1.
func NewLine(tb testing.TB, reader int) *Line {
	tb.Helper()
	readers, err := pcsc.Open(tb.Context(), pcsc.Options{})
	if err != nil {
		tb.Fatal(err)
	}
	l := &Line{tb: tb, readers: readers, reader: reader}
	tb.Cleanup(func() {
		if err := errors.Join(l.Release(), readers.Close()); err != nil {
			tb.Error(err)
		}
	})
	return l
}

// Reader is what the PC/SC daemon calls the reader.
func (l *Line) Reader() string { return ReaderName(l.reader) }

// Channel connects, unless that is done.
func (l *Line) Channel(ctx context.Context) (*iso7816.Channel, error) {
	if l.channel != nil {
		return l.channel, nil
	}
	connection, err := l.readers.Connect(ctx, l.Reader())
	if err != nil {
		return nil, err
	}
	l.connection = connection
	l.channel = iso7816.NewChannel(connection, iso7816.CapabilitiesOf(iso7816.HistoricalBytes(connection.ATR())))
	return l.channel, nil
}

// Release lets the card go, without a verified PIN.
func (l *Line) Release() error {
	if l.channel == nil {
		return nil
	}
	verified := l.channel.Verified()
	l.channel = nil
	return l.connection.Close(verified)
}

// Alone waits until no program is connected to the card: the daemon learns a moment late
// that one has ended, and may reset the card then.
func (l *Line) Alone() {
	l.tb.Helper()
	if !l.eventually(10*time.Second, func(r pcsc.Reader) bool { return !r.InUse && !r.Exclusive }) {
		l.tb.Fatal("a program is still connected to the card")
	}
}

// Sends sends an APDU as it is, in hexadecimal, and returns the status word.
func (l *Line) Sends(tb testing.TB, apdu string) string {
	tb.Helper()
	command, err := hex.DecodeString(apdu)
	if err != nil {
		tb.Fatal(err)
	}
	if _, err := l.Channel(tb.Context()); err != nil {
		tb.Fatal(err)
	}
	answer, err := l.connection.Transmit(tb.Context(), command)
	if err != nil || len(answer) < 2 {
		tb.Fatalf("%X, %v", answer, err)
	}
	return hex.EncodeToString(answer[len(answer)-2:])
}

// attacher is a simulated card, or a cardsim.Reader with several.
type attacher interface {
	Attach(ctx context.Context, address string, attached func()) error
}

// Insert puts a simulated card of this process into the reader, or one after the
// other, and waits until the PC/SC daemon has noticed. The function that it
// returns takes it out, waits likewise, and tells whether the card had gone
// before.
func (l *Line) Insert(card attacher) (pull func() (gone bool)) {
	l.tb.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	attached, ended := make(chan struct{}), make(chan error, 1)
	noticed := sync.OnceFunc(func() { close(attached) })
	go func() { ended <- card.Attach(ctx, vpcdAddress(l.reader), noticed) }()
	select {
	case <-attached:
	case err := <-ended:
		cancel()
		l.tb.Fatal(err)
	}
	l.Await(true)
	return func() bool {
		l.tb.Helper()
		if err := l.Release(); err != nil && !errors.Is(err, iso7816.ErrCardRemoved) && !problem.Is(err, problem.CardRemoved) {
			l.tb.Error(err)
		}
		cancel()
		err := <-ended
		gone := errors.Is(err, iso7816.ErrCardRemoved)
		if err != nil && !gone {
			l.tb.Error(err)
		}
		l.Await(false)
		return gone
	}
}

// Await waits until the PC/SC daemon has noticed a card, or that it is gone.
func (l *Line) Await(present bool) {
	l.tb.Helper()
	if !l.eventually(60*time.Second, func(r pcsc.Reader) bool { return r.CardPresent == present }) {
		l.tb.Fatalf("the daemon does not notice that a card is there: %v", present)
	}
}

// eventually reports whether something holds of the reader within this time.
func (l *Line) eventually(within time.Duration, holds func(pcsc.Reader) bool) bool {
	l.tb.Helper()
	for deadline := time.Now().Add(within); time.Now().Before(deadline); time.Sleep(20 * time.Millisecond) {
		list, err := l.readers.Readers(context.Background())
		if err != nil {
			l.tb.Fatal(err)
		}
		for _, r := range list {
			if r.Name == l.Reader() && holds(r) {
				return true
			}
		}
	}
	return false
}
