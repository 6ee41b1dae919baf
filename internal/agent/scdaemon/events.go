package scdaemon

import (
	"context"
	"strconv"
	"strings"
)

// maxSignal is the greatest number of a signal on Linux.
const maxSignal = 64

// option sets an option. Only event-signal has a meaning here.
func (s *session) option(ctx context.Context, a arguments) error {
	name, value, _ := strings.Cut(strings.Join(a.words, " "), "=")
	if name == "" {
		return fail(errParameter, "no option given")
	}
	if strings.TrimSpace(name) != "event-signal" {
		return nil
	}
	number, err := strconv.Atoi(strings.TrimSpace(value))
	if err != nil || number < 0 || number > maxSignal {
		return fail(errParameter, "not a signal")
	}
	s.signal.Store(int32(number))
	if !s.signals && number > 0 && s.options.Signal != nil && s.by.PID > 0 {
		s.signals = true
		go s.sendSignals(ctx, s.tokens.Version())
	}
	return nil
}

// sendSignals tells the client of every change of the cards, until ctx ends.
func (s *session) sendSignals(ctx context.Context, version uint64) {
	for s.tokens.Wait(ctx, version) == nil {
		version = s.tokens.Version()
		if number := s.signal.Load(); number > 0 {
			_ = s.options.Signal(s.by.PID, int(number)) // a client that has ended needs none
		}
	}
}

// deviceInfo tells of the cards, and with --watch again whenever they change, until the
// client sends its next command.
func (s *session) deviceInfo(ctx context.Context, a arguments) error {
	version := s.tokens.Version()
	before, err := s.devices(ctx)
	if err != nil {
		return err
	}
	if !a.has("watch") {
		if before == 0 {
			return fail(errNotFound, "")
		}
		return nil
	}
	for s.out.err == nil && s.changed(ctx, version) {
		version = s.tokens.Version()
		cards, err := s.cards(ctx)
		if err != nil {
			return err
		}
		change := "new"
		if len(cards) < before {
			change = "removal"
		}
		s.out.status("DEVINFO_STATUS", change)
		if before, err = s.devices(ctx); err != nil {
			return err
		}
	}
	return nil
}

// devices lists the cards, and returns how many there are.
func (s *session) devices(ctx context.Context) (n int, err error) {
	s.out.status("DEVINFO_START")
	err = s.eachCard(ctx, func(c *card) {
		s.out.status("DEVICE", "generic", c.serial, c.app)
		n++
	})
	s.out.status("DEVINFO_END")
	return n, err
}

// changed waits for a change of the cards. It is false when the client says something, or
// hangs up.
func (s *session) changed(ctx context.Context, version uint64) bool {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	change := make(chan error, 1)
	go func() { change <- s.tokens.Wait(ctx, version) }()
	select {
	case err := <-change:
		return err == nil
	case l, open := <-s.in.lines:
		if open {
			s.in.pending = &l
		}
		return false
	}
}
