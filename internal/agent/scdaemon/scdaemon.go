// Package scdaemon is the door of the agent for GnuPG: it speaks the protocol of GnuPG's
// scdaemon (Assuan), so that gpg-agent, gpg and gpgsm use the agent's cards. The agent asks
// for PINs itself. Everything that changes a card is refused.
package scdaemon

import (
	"context"
	"io"

	"github.com/cardctl/cardctl/internal/agent"
)

// Options are what the process around a door decides.
type Options struct {
	// Version is the answer to GETINFO version. GnuPG warns of one below its own.
	Version string
	// Socket accepts further clients: the answer to GETINFO socket_name. If it is empty,
	// gpg-agent uses a single connection.
	Socket string
	// Signal sends a signal to a process. It is how gpg-agent 2.2 hears of cards that come
	// and go. If it is nil, no signals are sent.
	Signal func(pid, signal int) error
}

// Serve answers one client until it hangs up or ctx ends. The caller then closes conn, which
// also ends a Serve whose client does not read.
func Serve(ctx context.Context, conn io.ReadWriter, tokens agent.Tokens, by agent.Client, o Options) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	s := &session{tokens: tokens, by: by, options: o, out: &output{w: conn}, in: read(ctx, conn)}
	if err := s.out.ok("GNU Privacy Guard's Smartcard server ready"); err != nil {
		return err
	}
	for !s.bye {
		l, open, err := s.in.next(ctx)
		if err != nil {
			return err
		}
		if !open {
			return nil
		}
		if err := s.answer(ctx, l); err != nil {
			return err
		}
	}
	return nil
}
