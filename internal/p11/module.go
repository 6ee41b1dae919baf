package p11

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"sync/atomic"
	"time"

	"github.com/cardctl/cardctl/internal/advice"
	"github.com/cardctl/cardctl/internal/problem"
	"github.com/cardctl/cardctl/internal/secret"
	"github.com/miekg/pkcs11"
)

// closeTimeout bounds logging out and finalising, which happen also after the
// context of the work has ended.
const closeTimeout = 3 * time.Second

// Module is a loaded and initialised PKCS#11 module. Several may be loaded at
// once, and one may be used by several at once. Its calls are made one at a time,
// and each ends with its context: a call that does not come back by then is left
// behind, and the module is of no further use.
type Module struct {
	path    string
	library library
	about   libraryInfo

	// around is what calls leave as it was.
	around surroundings
	// owned says that it was not initialised by somebody else in the process.
	owned bool
	// release gives it back to the Modules that it is of.
	release func() error

	turn chan struct{}
	lost atomic.Bool
	// listed says that somebody asked which slots there are.
	listed atomic.Bool
}

func start(ctx context.Context, path string, open func(path string) (library, error)) (*Module, error) {
	m := &Module{path: path, turn: make(chan struct{}, 1), around: look()}
	type started struct {
		library library
		about   libraryInfo
		owned   bool
	}
	s, err := call(ctx, m, "C_Initialize", func() (started, error) {
		l, err := open(path)
		if err != nil {
			return started{}, err
		}
		err = l.initialize()
		owned := err == nil
		if err != nil && CodeOf(err) != pkcs11.CKR_CRYPTOKI_ALREADY_INITIALIZED {
			return started{}, err
		}
		about, err := l.info()
		return started{l, about, owned}, err
	})
	if err != nil {
		m.around.close()
		return nil, err
	}
	m.library, m.about, m.owned = s.library, s.about, s.owned
	return m, nil
}

// Path is the file that was loaded.
func (m *Module) Path() string { return m.path }

// Description is what the module says of itself: its name, maker and version.
func (m *Module) Description() string {
	return fmt.Sprintf("%s %d.%d (%s)", trim(m.about.description), m.about.major, m.about.minor, trim(m.about.manufacturer))
}

// Close is for each who loaded the module, once. The last one finalises it,
// unless somebody else in the process initialised it. Sessions have to be closed
// before. It takes three seconds at most.
func (m *Module) Close() error {
	if m.release != nil {
		return m.release()
	}
	return m.finalise()
}

func (m *Module) finalise() error {
	if m.lost.Load() || !m.owned {
		return nil
	}
	ctx, cancel := context.WithTimeout(context.Background(), closeTimeout)
	defer cancel()
	defer m.around.close()
	return m.do(ctx, "C_Finalize", m.library.finalize)
}

func (m *Module) do(ctx context.Context, function string, f func() error) error {
	_, err := call(ctx, m, function, func() (struct{}, error) { return struct{}{}, f() })
	return err
}

// call makes a call into the module when it is its turn, and waits for it no
// longer than ctx lasts: f may still run when its session has been closed, and
// must not touch what Close does. Errors of the module become problems.
func call[T any](ctx context.Context, m *Module, function string, f func() (T, error)) (T, error) {
	type result struct {
		value T
		err   error
	}
	var none T
	if m.lost.Load() {
		return none, problem.New(problem.Failed, "%s: the module has not returned from an earlier call", m.name()).
			Advise(advice.Do(advice.Diagnose))
	}
	if ctx.Err() != nil {
		return none, m.gaveUp(ctx, function)
	}
	select {
	case m.turn <- struct{}{}:
	case <-ctx.Done():
		return none, m.gaveUp(ctx, function)
	}
	done := make(chan result, 1)
	go func() {
		defer func() { <-m.turn }()
		value, err := f()
		m.around.restore()
		done <- result{value, err}
	}()
	select {
	case r := <-done:
		return r.value, m.explain(r.err)
	case <-ctx.Done():
		m.lost.Store(true)
		return none, m.unanswered(ctx, function)
	}
}

// callWithPIN makes a call with a copy of the PIN of its own, which it wipes: the
// call may outlast ctx and the PIN. One that has not begun by then never does.
func callWithPIN[T any](ctx context.Context, m *Module, function string, pin *secret.Bytes, f func(pin []byte) (T, error)) (T, error) {
	value := bytes.Clone(pin.Reveal())
	var taken atomic.Bool
	result, err := call(ctx, m, function, func() (T, error) {
		if !taken.CompareAndSwap(false, true) {
			var none T
			return none, context.Canceled
		}
		defer secret.Wipe(value)
		return f(value)
	})
	if taken.CompareAndSwap(false, true) { // it was not sent, and never will be
		secret.Wipe(value)
		if begun(err) {
			err = m.gaveUp(ctx, function)
		}
	}
	return result, err
}

// gaveUp is the error for a call that outlasted its context.
func (m *Module) gaveUp(ctx context.Context, function string) error {
	if !errors.Is(ctx.Err(), context.DeadlineExceeded) {
		return ctx.Err()
	}
	return problem.New(problem.Failed, "%s: %s did not return in time", m.name(), function).
		Because("The module hangs, or is waiting for a reader, a card or another program.").
		Advise(advice.Do(advice.Diagnose))
}

// unanswered is gaveUp for a call that the module is still at.
func (m *Module) unanswered(ctx context.Context, function string) error {
	err := m.gaveUp(ctx, function)
	var p *problem.Error
	if !errors.As(err, &p) {
		return noAnswer{err}
	}
	p.Cause = noAnswer{ctx.Err()}
	return p
}

func (m *Module) removed(failed *CallError) error {
	p := problem.New(problem.CardRemoved, "%s: %s", m.name(), failed).
		Because("The token was removed while it was in use.").
		Advise(m.list())
	p.Cause = failed
	return p
}

// explain turns what a function of the module returned into a problem.
func (m *Module) explain(err error) error {
	var failed *CallError
	if !errors.As(err, &failed) {
		return err
	}
	p := problem.New(problem.Failed, "%s: %s", m.name(), failed)
	p.Cause = err
	switch {
	case failed.Code == pkcs11.CKR_PIN_LOCKED:
		p.Code = problem.PINBlocked
		_ = p.Because("It was entered incorrectly too many times.").Advise(m.Rescue(Token{}, User))
	case failed.Code == pkcs11.CKR_PIN_INCORRECT:
		p.Code = problem.PINIncorrect
		_ = p.Because("The token rejected it, and cardctl does not send it again.").Advise(m.list())
	case failed.Code.isGone() && !failed.Code.isVague():
		return m.removed(failed)
	case failed.Code.isUnsupported():
		p.Code = problem.NotSupported
		_ = p.Because("The module or the key does not support this.").Advise(m.list())
	default:
		_ = p.Because("The module reports no more than this code.").Advise(advice.Do(advice.Diagnose))
	}
	return p
}
