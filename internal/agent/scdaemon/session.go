package scdaemon

import (
	"context"
	"strings"
	"sync/atomic"

	"github.com/cardctl/cardctl/internal/agent"
)

// session is the conversation with one client.
type session struct {
	tokens  agent.Tokens
	by      agent.Client
	options Options
	in      *input
	out     *output
	bye     bool

	// current is the card that was selected, nil before that.
	current *card
	// data is what SETDATA set.
	data []byte
	// signal is that of OPTION event-signal, 0 for none.
	signal  atomic.Int32
	signals bool
}

// answer carries out a line. Its error is that the client cannot be reached.
func (s *session) answer(ctx context.Context, l line) error {
	if l.err != nil {
		return s.out.fail(explain(l.err))
	}
	name, rest, _ := strings.Cut(strings.TrimLeft(l.text, " \t"), " ")
	if name == "" || strings.HasPrefix(name, "#") {
		return nil
	}
	c, known := find(name)
	if !known {
		return s.out.fail(fail(errUnknownCommand, ""))
	}
	if err := c.run(s, ctx, parse(rest)); err != nil {
		return s.out.fail(explain(err))
	}
	return s.out.ok("")
}

// reset forgets what the client set and selected.
func (s *session) reset(context.Context, arguments) error {
	s.current = nil
	clear(s.data)
	s.data = nil
	return nil
}

func (s *session) end(context.Context, arguments) error {
	s.bye = true
	return nil
}
