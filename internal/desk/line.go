package desk

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/cardctl/cardctl/internal/advice"
	"github.com/cardctl/cardctl/internal/iso7816"
	"github.com/cardctl/cardctl/internal/p11"
	"github.com/cardctl/cardctl/internal/problem"
	"github.com/cardctl/cardctl/internal/runner"
	"github.com/cardctl/cardctl/internal/secret"
)

// Line is how one card or token is reached. While it is held nobody else works
// on the card; while it is let go, other programs may, and the PC/SC handle
// stays, which notices a card that is taken out even where a twin comes in its
// place. Who opens a line closes it. It is not safe for concurrent use.
type Line struct {
	desk   *Desk
	reader string

	connection  iso7816.Connection
	transmitter iso7816.Transmitter
	held        bool             // nobody else works on the card
	channel     *iso7816.Channel // nil while the line is let go
	// note reads what the card is compared by, same compares it with the one
	// that was named and makes the application ready again.
	note func(context.Context) error
	same func(context.Context, *iso7816.Channel) error
	// stale drops what was read of the card.
	stale func()

	module *p11.Module // of a token; nil for a card
	uri    p11.URI
	token  string // the label that was named
	// closing ends what was opened on the line, the last first.
	closing []func() error
	// sent is how many commands the card got.
	sent int
}

// Sent is how many command APDUs the card got on this line.
func (l *Line) Sent() int { return l.sent }

// Held reports whether nobody else works on the card.
func (l *Line) Held() bool { return l.held }

// Place is where the card or token is: the name of the reader, the label of the
// token where it was named, or its module.
func (l *Line) Place() string { return cmp.Or(l.token, l.reader) }

// ATR is the card's answer to reset.
func (l *Line) ATR() []byte { return l.connection.ATR() }

// Token is the module and the URI of a token that is meant; nil for a card.
func (l *Line) Token() (*p11.Module, p11.URI) { return l.module, l.uri }

// ChildEnv is the environment of programs that work on the card meanwhile.
func (l *Line) ChildEnv() []string { return l.desk.ChildEnv }

// RunProgram runs such a program; nil for a child process.
func (l *Line) RunProgram() runner.Func { return l.desk.RunProgram }

// StateDir is where things are remembered between runs.
func (l *Line) StateDir() (string, error) { return l.desk.StateDir() }

// Reader is what PC/SC calls the reader; empty where no other program can
// reach the card.
func (l *Line) Reader() string {
	if l.module != nil || strings.HasPrefix(l.reader, SimulatedPrefix) {
		return ""
	}
	return l.reader
}

// Same sets what compares the card each time that it is taken again: nil where
// it is the one that was opened, Changed where it is another.
func (l *Line) Same(compare func(context.Context, *iso7816.Channel) error) { l.same = compare }

// Note sets what reads the facts that the card is compared by, where opening did
// not read them: before somebody is asked who takes time.
func (l *Line) Note(read func(context.Context) error) { l.note = read }

// Stale sets what drops that which was read of the card: while somebody is asked
// who takes time, other programs may write to it.
func (l *Line) Stale(drop func()) { l.stale = drop }

// Channel is the way to the card. Where it was let go it is taken again, and
// compared, first: a card that was taken out meanwhile, or another one in its
// place, is a problem.CardChanged or problem.CardRemoved.
func (l *Line) Channel(ctx context.Context) (*iso7816.Channel, error) {
	if l.channel != nil {
		return l.channel, nil
	}
	if err := l.take(ctx); err != nil {
		return nil, err
	}
	l.held = true
	channel := l.newChannel()
	l.channel = channel
	if l.same == nil {
		return channel, nil
	}
	if err := l.same(ctx, channel); err != nil {
		return nil, errors.Join(err, l.Release())
	}
	return channel, nil
}

func (l *Line) take(ctx context.Context) error {
	if l.connection == nil {
		return l.connect(ctx)
	}
	err := l.connection.Resume(ctx)
	if errors.Is(err, iso7816.ErrCardRemoved) {
		return l.gone(ctx, err)
	}
	return err
}

// gone says whether a card is in the place of the one that was taken out.
func (l *Line) gone(ctx context.Context, cause error) error {
	if there, err := l.desk.present(ctx, l.reader); err == nil && there {
		return Changed(l.reader, "The card was removed, and a card was inserted, while cardctl did not hold it.", cause)
	}
	p := problem.Wrap(problem.CardRemoved, cause, "the card was removed from "+l.reader)
	return p.Because("This happened while cardctl did not hold it.").Advise(advice.Do(advice.ListReaders, advice.Switch(advice.Wait)))
}

// Changed is the error of another card than the one that was named.
func Changed(place, why string, cause error) error {
	p := problem.New(problem.CardChanged, "the card in %s is not the selected one", place).
		Because("%s", why).Advise(advice.Do(advice.ShowCard))
	p.Cause = cause
	return p
}

// Release lets the card go, without a verified PIN. Channel takes it again.
func (l *Line) Release() error { return l.release(l.channel != nil && l.channel.Verified()) }

// Reset is Release of a card that forgets what was verified, by whomever.
func (l *Line) Reset() error { return l.release(true) }

func (l *Line) release(reset bool) error {
	if !l.held {
		return nil
	}
	l.channel, l.held = nil, false
	if err := l.connection.Release(reset); err != nil && !errors.Is(err, iso7816.ErrCardRemoved) {
		return fmt.Errorf("release the card in %s: %w", l.reader, err)
	}
	return nil
}

// LetGo is Release without the handle, for a program that wants the card to
// itself.
func (l *Line) LetGo() error {
	if l.connection == nil {
		return nil
	}
	verified := l.channel != nil && l.channel.Verified()
	connection := l.connection
	l.connection, l.channel, l.held = nil, nil, false
	if err := connection.Close(verified); err != nil {
		return fmt.Errorf("release the card in %s: %w", l.reader, err)
	}
	return nil
}

// OnClose has something ended with the line, before it.
func (l *Line) OnClose(end func() error) { l.closing = append(l.closing, end) }

// Close ends the line, unless its desk keeps it: the card is let go, without a
// verified PIN.
func (l *Line) Close() error {
	var err error
	for _, end := range slices.Backward(l.closing) {
		err = errors.Join(err, end())
	}
	if l.closing = nil; l.module != nil {
		return errors.Join(err, l.module.Close())
	}
	if l.desk.Keep {
		return errors.Join(err, l.desk.Kept.keep(l))
	}
	return errors.Join(err, l.LetGo())
}

// Done ends the line after the work that came to this error. Where the work is done,
// a failure of letting the card go does not undo it: Desk.NotLetGo is told, and
// the result stands.
func (l *Line) Done(work error) error {
	err := l.Close()
	if err == nil || work != nil || l.desk.NotLetGo == nil {
		return errors.Join(work, err)
	}
	l.desk.NotLetGo(err)
	return nil
}

// Asker lets the card go before somebody is asked who takes time. It is nil where there
// is nobody.
func (l *Line) Asker(ask secret.Asker) secret.Asker {
	if ask == nil {
		return nil
	}
	return func(ctx context.Context, r secret.Request) (*secret.Bytes, error) {
		r.Waiting = both(r.Waiting, func() error { return l.Pause(ctx) })
		return ask(ctx, r)
	}
}

// Confirm lets the card go before a person is asked.
func (l *Line) Confirm(confirm Confirm) Confirm {
	return func(ctx context.Context, q Question) error {
		q.Waiting = both(q.Waiting, func() error { return l.Pause(ctx) })
		return confirm(ctx, q)
	}
}

// Pause lets the card go, and knows it again afterwards.
func (l *Line) Pause(ctx context.Context) error {
	if l.channel != nil && l.note != nil {
		if err := l.note(ctx); err != nil {
			return err
		}
	}
	if l.stale != nil {
		l.stale()
	}
	return l.Release()
}

func both(first, second func() error) func() error {
	if first == nil {
		return second
	}
	return func() error {
		if err := first(); err != nil {
			return err
		}
		return second()
	}
}

func (l *Line) connect(ctx context.Context) error {
	connection, err := l.desk.connect(ctx, l.reader)
	if err != nil {
		return err
	}
	l.use(connection)
	return nil
}

// use puts what every line wants before a connection.
func (l *Line) use(connection iso7816.Connection) {
	l.connection, l.transmitter, l.held = connection, connection, true
	if l.desk.Trace != nil {
		l.transmitter = iso7816.NewTracer(connection, l.desk.Trace)
	}
	l.transmitter = tally{l.transmitter, &l.sent}
}

// tally counts what is sent.
type tally struct {
	iso7816.Transmitter

	sent *int
}

func (t tally) Transmit(ctx context.Context, command []byte) ([]byte, error) {
	*t.sent++
	return t.Transmitter.Transmit(ctx, command)
}

func (l *Line) newChannel() *iso7816.Channel {
	return iso7816.NewChannel(l.transmitter, iso7816.CapabilitiesOf(iso7816.HistoricalBytes(l.connection.ATR())))
}
