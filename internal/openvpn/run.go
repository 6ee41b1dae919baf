package openvpn

import (
	"context"
	"errors"
	"io"
	"path/filepath"
	"time"

	"github.com/cardctl/cardctl/internal/lend"
	"github.com/cardctl/cardctl/internal/problem"
)

// run looks for the key, and runs OpenVPN with it.
func (s *setting) run(ctx context.Context, k *lend.Key) error {
	w, err := s.look(ctx, k)
	if err != nil {
		return err
	}
	return s.launch(ctx, w)
}

// launch runs OpenVPN with a key that was found.
func (s *setting) launch(ctx context.Context, w *wanted) error {
	config, err := filepath.Abs(s.options.Config)
	if err != nil {
		return err
	}
	at, err := newDoor()
	if err != nil {
		return err
	}
	defer func() { _ = at.close() }() // OpenVPN needs it no more
	env, err := s.environment(w.Holder.Driver, at.dir)
	if err != nil {
		return err
	}
	// Ours come last: of most options the last one counts.
	args := append([]string{"--config", config}, s.options.Args...)
	args = append(append(args, at.args...), managed...)
	args = append(args, "--"+providers, s.module)
	if !w.named {
		args = append(args, "--"+picked)
	}
	p, err := start(s.program, env, args)
	if err != nil {
		return err
	}
	r := &run{setting: s, wanted: w, program: p, conversation: conversation{named: w.named}}
	defer r.end()
	return r.follow(ctx, at)
}

// managed are the options with which OpenVPN waits for what it is told, and asks.
var managed = []string{"--management-client", "--management-hold", "--management-query-passwords"}

// run is OpenVPN while it runs.
type run struct {
	*setting
	wanted  *wanted
	program *program
	peer    *peer  // nil until it has come
	fatal   string // what OpenVPN told in its last moment
	// connected says that the connection was up; once that this is all that is needed.
	connected, once bool

	conversation
}

// patience is how long something may come of a program that has ended: one that goes into
// the background ends at once.
const patience = 2 * time.Second

// follow lets OpenVPN in, and answers it until it ends.
func (r *run) follow(ctx context.Context, at *door) error {
	opened := at.opened(ctx, r.program.cmd.Process.Pid)
	exited, late := r.program.exited, (<-chan time.Time)(nil)
	for r.peer == nil {
		select {
		case line, more := <-r.program.lines:
			r.told(line, more)
		case came := <-opened:
			if came.err != nil {
				return problem.Wrap(problem.Failed, came.err, "OpenVPN's management interface could not be used")
			}
			r.peer = newPeer(came.conn)
		case <-exited:
			if exited, late = nil, time.After(patience); r.program.err != nil {
				return r.ended()
			}
		case <-late:
			return r.ended()
		case <-ctx.Done():
			return ctx.Err()
		}
	}
	_ = at.listener.Close() // nobody else is let in
	err := r.serve(ctx)
	if errors.Is(err, io.EOF) {
		return r.ended()
	}
	return err
}

// serve answers until OpenVPN ends, which is io.EOF, or until the token has accepted the
// PIN where that was sent: the connection is up, or was, and the PIN is not asked for again
// at once.
func (r *run) serve(ctx context.Context) error {
	var accepted <-chan time.Time
	if r.pending && r.connected {
		accepted = time.After(r.settles)
	}
	for {
		if r.connected && r.once {
			return nil
		}
		if r.connected { // the time that the command may take is over, and counts no more
			ctx = r.options.Lasting
		}
		m, err := r.next(ctx, accepted)
		switch {
		case errors.Is(err, errAccepted):
			r.accepted()
			return nil
		case err == nil:
			err = r.answer(ctx, m)
		}
		if err != nil {
			return err
		}
		if m.kind != kindState || m.state() != "CONNECTED" {
			continue
		}
		wasPending := r.pending
		r.connected = true
		if r.accepted(); wasPending {
			return nil
		}
	}
}

// accepted is after OpenVPN has what it needs: nothing of ours stays on the card.
func (r *run) accepted() {
	r.pending = false
	if err := r.wanted.Leave(); err != nil {
		r.desk.Tell("%v", err)
	}
}

// errAccepted is the end of a time in which nothing spoke against it.
var errAccepted = errors.New("accepted")

// next is what OpenVPN tells next, unless it is accepted before.
func (r *run) next(ctx context.Context, accepted <-chan time.Time) (message, error) {
	exited, late := r.program.exited, (<-chan time.Time)(nil)
	for {
		select {
		case line, more := <-r.program.lines:
			r.told(line, more)
		case m, more := <-r.peer.messages:
			if !more {
				return message{}, r.peer.ended
			}
			return m, nil
		case <-accepted:
			return message{}, errAccepted
		case <-exited:
			exited, late = nil, time.After(patience)
		case <-late: // what was started has ended, and something still answers
			return message{}, r.inBackground()
		case <-ctx.Done():
			return message{}, ctx.Err()
		}
	}
}

// told is a line of the log.
func (r *run) told(line string, more bool) {
	if !more {
		r.program.lines = nil
		return
	}
	r.program.keep(line)
	r.options.Log(line)
}

// ended is what a program came to that ends now.
func (r *run) ended() error {
	if !r.wait() {
		return problem.New(problem.Failed, "OpenVPN closed its management interface and did not end").
			Because("It was ended after %s.", grace)
	}
	err := r.program.outcome(r.fatal)
	if err == nil && r.peer != nil && !r.connected { // as after a wrong password
		return r.program.failed("OpenVPN ended before it was connected", r.fatal)
	}
	return err
}

// end has OpenVPN end in order, if it has not, and waits for that.
func (r *run) end() {
	told := r.peer != nil && r.peer.command("signal", "SIGTERM") == nil
	select {
	case <-r.program.exited:
	default:
		if !told {
			_ = tellToEnd(r.program.cmd.Process) // it may have ended meanwhile
		}
	}
	_ = r.wait()
	if r.peer != nil {
		r.peer.close()
	}
}

// wait waits for the end, and until all that was written is read. It is false for a
// program that had to be killed.
func (r *run) wait() bool {
	var messages <-chan message
	if r.peer != nil {
		messages = r.peer.messages
	}
	exited, late, inTime := r.program.exited, time.After(grace), true
	for exited != nil || messages != nil || r.program.lines != nil {
		select {
		case line, more := <-r.program.lines:
			r.told(line, more)
		case m, more := <-messages:
			if !more {
				messages = nil
			}
			if m.kind == kindFatal {
				r.fatal = m.text
			}
		case <-exited:
			exited = nil
		case <-late: // as where it asks within the answer to a command
			if _, inTime = r.program.cmd.Process.Kill(), false; r.peer != nil {
				r.peer.close()
			}
		}
	}
	return inTime
}
