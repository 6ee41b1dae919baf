package pcsc

import (
	"context"
	"errors"
	"time"
)

// notification is the reader that changes when readers come and go.
const notification = `\\?PnP?\Notification`

const (
	// waitTime bounds one wait, so that nothing that was not notified is
	// missed for longer.
	waitTime = 3 * time.Second
	// pollTime is the bound where readers are not notified.
	pollTime = time.Second
	// restTime keeps a resource manager that notifies without cause from
	// being asked all the time.
	restTime = 100 * time.Millisecond
)

// WaitForCard waits until want is true of a reader and returns that reader.
// Readers and cards may come and go meanwhile. It asks want of every reader
// once before it waits, so that a card that is there already is found.
func (m *Manager) WaitForCard(ctx context.Context, want func(Reader) bool) (Reader, error) {
	plugAndPlay := true
	for {
		states, err := m.states(ctx)
		if err != nil {
			return Reader{}, err
		}
		for _, s := range states {
			if r := s.asReader(); want(r) {
				return r, nil
			}
		}
		if plugAndPlay, err = m.waitForChange(ctx, states, plugAndPlay); err != nil {
			return Reader{}, err
		}
		if err := rest(ctx, restTime); err != nil {
			return Reader{}, err
		}
	}
}

// waitForChange waits until something differs from states, or some time has
// passed. It returns whether the resource manager notifies of readers.
func (m *Manager) waitForChange(ctx context.Context, states []readerState, plugAndPlay bool) (bool, error) {
	wait := make([]readerState, 0, len(states)+1)
	for _, s := range states {
		wait = append(wait, readerState{reader: s.reader, current: s.event &^ stateChanged})
	}
	timeout := pollTime
	if plugAndPlay {
		wait = append(wait, readerState{reader: notification})
		timeout = waitTime
	}
	if len(wait) == 0 {
		return plugAndPlay, rest(ctx, pollTime)
	}
	stop := context.AfterFunc(ctx, func() { _ = m.system.cancel() })
	defer stop()
	_, err := await(ctx, func() (struct{}, error) {
		m.turn.Lock()
		defer m.turn.Unlock()
		return struct{}{}, m.system.getStatusChange(wait, timeout)
	}, func(struct{}, error) {})
	switch {
	case ctx.Err() != nil:
		return plugAndPlay, ctx.Err()
	case err == nil:
		if last := wait[len(wait)-1]; plugAndPlay && last.event&stateUnknown != 0 {
			return false, rest(ctx, pollTime)
		}
		return plugAndPlay, nil
	case errors.Is(err, codeTimeout), errors.Is(err, codeCancelled):
		return plugAndPlay, nil
	case errors.Is(err, codeUnknownReader), errors.Is(err, codeInvalidParameter):
		// A reader went away just now, or there is no such notification,
		// or no room for it beside the readers.
		return false, rest(ctx, restTime)
	}
	return plugAndPlay, serviceProblem(err)
}

// rest waits for d, or less when ctx ends.
func rest(ctx context.Context, d time.Duration) error {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-ctx.Done():
		return ctx.Err()
	case <-timer.C:
		return nil
	}
}
