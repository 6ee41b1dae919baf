package pcsc

import (
	"context"
	"errors"
	"slices"
	"sync"
	"time"

	"github.com/cardctl/cardctl/internal/advice"
	"github.com/cardctl/cardctl/internal/iso7816"
	"github.com/cardctl/cardctl/internal/problem"
)

// Manager is a line to the PC/SC resource manager. Its methods may be called
// from several goroutines; calls that list or wait take turns.
type Manager struct {
	options   Options
	establish func() (system, error)
	holders   func(context.Context) []Process

	turn   sync.Mutex
	system system
}

// Open reaches the resource manager. Where none runs it is a problem.NotFound
// that says how to start it, in a build without PC/SC a problem.NotSupported.
func Open(ctx context.Context, options Options) (*Manager, error) {
	return open(ctx, options, establish)
}

func open(ctx context.Context, options Options, establish func() (system, error)) (*Manager, error) {
	if options.BusyTimeout == 0 {
		options.BusyTimeout = DefaultBusyTimeout
	}
	s, err := await(ctx, establish, releaseLate)
	if err != nil {
		return nil, serviceProblem(err)
	}
	return &Manager{options: options, establish: establish, holders: Holders, system: s}, nil
}

func releaseLate(s system, err error) {
	if err == nil {
		_ = s.release()
	}
}

// Close lets the resource manager go. Connections stay open.
func (m *Manager) Close() error {
	if m.turn.TryLock() {
		defer m.turn.Unlock()
		return m.system.release()
	}
	// A call that its context left behind is still running.
	_ = m.system.cancel()
	go func() {
		m.turn.Lock()
		defer m.turn.Unlock()
		_ = m.system.release()
	}()
	return nil
}

// Readers lists the readers in the order of the resource manager. No readers
// are an empty list.
func (m *Manager) Readers(ctx context.Context) ([]Reader, error) {
	states, err := m.states(ctx)
	if err != nil {
		return nil, err
	}
	readers := make([]Reader, len(states))
	for i, s := range states {
		readers[i] = s.asReader()
	}
	return readers, nil
}

// listAttempts bounds how often the list is asked for again because readers
// came or went while it was looked at.
const listAttempts = 5

func (m *Manager) states(ctx context.Context) ([]readerState, error) {
	for attempt := 1; ; attempt++ {
		states, err := await(ctx, m.statesNow, func([]readerState, error) {})
		changed := errors.Is(err, codeUnknownReader) || errors.Is(err, codeInsufficientBuffer)
		if changed && attempt < listAttempts {
			continue
		}
		return states, serviceProblem(err)
	}
}

func (m *Manager) statesNow() ([]readerState, error) {
	m.turn.Lock()
	defer m.turn.Unlock()
	names, err := m.system.listReaders()
	switch {
	case errors.Is(err, codeNoReadersAvailable), err == nil && len(names) == 0:
		return nil, nil
	case err != nil:
		return nil, err
	}
	states := make([]readerState, len(names))
	for i, name := range names {
		states[i].reader = name
	}
	// A current state of 0 (unaware) makes the call return at once.
	if err := m.system.getStatusChange(states, time.Second); err != nil {
		return nil, err
	}
	return states, nil
}

func (s readerState) asReader() Reader {
	r := Reader{
		Name:        s.reader,
		CardPresent: s.event&statePresent != 0,
		Exclusive:   s.event&stateExclusive != 0,
		InUse:       s.event&(stateInUse|stateExclusive) != 0,
		Mute:        s.event&stateMute != 0,
		Changes:     uint16(s.event >> 16),
	}
	if r.CardPresent && len(s.atr) > 0 {
		r.ATR = slices.Clone(s.atr)
	}
	return r
}

// Connect connects to the card in a reader in shared mode and begins a
// transaction that lasts until Close. The reader's name is taken as it is. No
// such reader and no card are a problem.NotFound; a card that another program
// holds, or does not end its transaction on in time, is a problem.CardBusy
// whose cause is a *BusyError.
func (m *Manager) Connect(ctx context.Context, reader string) (iso7816.Connection, error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	patience := patience{reader: reader, limit: m.options.BusyTimeout, holders: m.holders}
	// Connecting, too, waits for a transaction to end: PC/SC lite does that
	// inside the daemon, where nothing can cancel it.
	waiting, stop := context.WithTimeout(ctx, patience.limit)
	defer stop()
	c, err := await(waiting,
		func() (*connection, error) { return connect(waiting, m.establish, reader) },
		func(c *connection, err error) {
			if err == nil {
				_ = c.Close(false)
			}
		})
	if err != nil {
		return nil, patience.problem(ctx, waiting, err)
	}
	c.patience = patience
	return c, nil
}

// patience is how long another program that holds the card is waited for, and
// who that may be.
type patience struct {
	reader  string
	limit   time.Duration
	holders func(context.Context) []Process
}

// problem is what a wait for the card came to, in the user's terms: ctx is that
// of the caller, waiting the one that ends when patience does.
func (p patience) problem(ctx, waiting context.Context, err error) error {
	switch {
	case err == nil, errors.Is(err, iso7816.ErrCardRemoved):
		return err
	case errors.Is(ctx.Err(), context.Canceled):
		return ctx.Err()
	case waiting.Err() != nil, errors.Is(err, codeSharingViolation):
		return (&BusyError{Reader: p.reader, Holders: p.holders(context.WithoutCancel(ctx))}).Problem()
	}
	return connectProblem(p.reader, err)
}

// serviceProblem is err as a problem where it says that the resource manager
// is not there.
func serviceProblem(err error) error {
	switch {
	case errors.Is(err, codeNoService), errors.Is(err, codeServiceStopped), errors.Is(err, codeCommError):
		why, next := notRunning()
		return problem.Wrap(problem.NotFound, err, "the PC/SC service is not running").Because("%s [%s].", why, err).Advise(next)
	case errors.Is(err, codeSecurityViolation):
		p := problem.Wrap(problem.Failed, err, "the PC/SC service refused access")
		return p.Because("The policy of the service does not allow this user to use card readers [%s].", err).
			Advise(advice.Do(advice.Diagnose))
	}
	return err
}

func connectProblem(reader string, err error) error {
	what := "reader " + reader
	switch {
	case errors.Is(err, codeUnknownReader), errors.Is(err, codeReaderUnavailable):
		return problem.Wrap(problem.NotFound, err, what+": not found").
			Because("The PC/SC service no longer lists this reader [%s].", err).Advise(advice.Do(advice.ListReaders))
	case errors.Is(err, codeNoSmartCard), errors.Is(err, codeRemovedCard):
		return problem.Wrap(problem.NotFound, err, what+": no card").
			Because("Insert a card into this reader [%s].", err).Advise(advice.Do(advice.ListReaders, advice.Switch(advice.Wait)))
	case errors.Is(err, codeUnresponsiveCard), errors.Is(err, codeUnpoweredCard):
		return problem.Wrap(problem.Failed, err, what+": the card does not answer").
			Because("The card may be the wrong way round, dirty or broken [%s].", err).
			Advise(advice.Do(advice.ListReaders, advice.Switch(advice.Wait)))
	case errors.Is(err, codeProtocolMismatch):
		return problem.Wrap(problem.NotSupported, err, what+": the card speaks neither T=0 nor T=1")
	}
	if p := serviceProblem(err); p != err {
		return p
	}
	var known *problem.Error
	if errors.As(err, &known) {
		return err
	}
	return problem.Wrap(problem.Failed, err, what+": cannot connect to the card")
}
