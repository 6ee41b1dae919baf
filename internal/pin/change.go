package pin

import (
	"context"
	"errors"
	"fmt"

	"github.com/cardctl/cardctl/internal/problem"
	"github.com/cardctl/cardctl/internal/secret"
)

// Change is how a PIN gets another value.
type Change struct {
	// By is what permits it: the PIN itself, an admin PIN, a PUK, a resetting
	// code.
	By PIN
	// New is the PIN that is set; its lengths are those of the new value.
	New PIN
	// Open proves By to the card before Set. It is nil where Set does that in
	// one command whose two values the card tells apart.
	Open func(ctx context.Context, by *secret.Bytes) error
	// Set writes the new value.
	Set func(ctx context.Context, by, replacement *secret.Bytes) error
	// Prove shows that the card has the new value, where Set alone does not.
	Prove func(ctx context.Context, replacement *secret.Bytes) error
}

// What is known of a PIN when changing it ended with an error.
const (
	stateOld     = "No PIN was changed."
	stateUnknown = "It is not known whether the card accepted the new PIN."
	stateNew     = "The card confirmed the new PIN but does not accept it."
)

// Change asks for both values before the first is sent, and sends each once. An
// error says which of them the PIN has.
func (p *Policy) Change(ctx context.Context, c Change) error {
	before, values, err := p.collect(ctx, c.By, &c.New)
	if err != nil {
		return withState(err, stateOld)
	}
	defer values.wipe()
	if c.Open != nil {
		if _, err := p.deliver(ctx, c.By, before, values.by, func() error { return c.Open(ctx, values.by) }); err != nil {
			return withState(err, stateOld)
		}
	}
	if refused, err := p.deliver(ctx, c.By, before, values.by, func() error { return c.Set(ctx, values.by, values.replacement) }); err != nil {
		if refused {
			return withState(err, stateOld)
		}
		return withState(err, stateUnknown)
	}
	if c.Prove == nil {
		return nil
	}
	if err := c.Prove(ctx, values.replacement); err != nil {
		if c.New.deniedBy(ctx, err) {
			return withState(problem.Wrap(problem.Failed, err, "the new "+c.New.Name()), stateNew)
		}
		return withState(fmt.Errorf("the new %s: %w", c.New.Name(), err), stateUnknown)
	}
	return nil
}

// deniedBy reports whether a card certainly does not have the value that it
// answered by err: it calls that wrong, and has counted so.
func (p PIN) deniedBy(ctx context.Context, err error) bool {
	var wrong *WrongError
	if !errors.As(err, &wrong) || p.Tries == nil {
		return wrong != nil
	}
	now, failed := p.Tries(ctx, true)
	return failed == nil && now == wrong.Left
}

func withState(err error, state string) error { return &StateError{err, state} }

// StateError is a failure that tells what the PIN is now.
type StateError struct {
	error
	State string
}

func (e *StateError) Unwrap() error { return e.error }

// Unchanged reports whether the PIN is certainly the old one.
func (e *StateError) Unchanged() bool { return e.State == stateOld }

// lengths is what a person has to know who thinks of a new value.
func (p PIN) lengths() string {
	switch {
	case p.Min <= 1 && p.Max == 0:
		return ""
	case p.Max == 0:
		return fmt.Sprintf("at least %d characters", p.Min)
	case p.Min == p.Max:
		return fmt.Sprintf("%d characters", p.Min)
	}
	return fmt.Sprintf("%d to %d characters", p.Min, p.Max)
}
