package openvpn

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/cardctl/cardctl/internal/advice"
	"github.com/cardctl/cardctl/internal/desk"
	"github.com/cardctl/cardctl/internal/lend"
	"github.com/cardctl/cardctl/internal/p11"
	"github.com/cardctl/cardctl/internal/problem"
	"github.com/cardctl/cardctl/internal/secret"
)

// longestConfigLine is how much OpenVPN reads of a line, in bytes (OPTION_LINE_SIZE).
const longestConfigLine = 254

// Lines are those of a configuration by which OpenVPN uses a certificate without cardctl.
// ID is the serialised one of the key with this reference.
func Lines(module, id, ref string) (string, error) {
	lines := ""
	for _, line := range [][2]string{{providers, module}, {named, id}} {
		written, why := line[0]+" "+Quoted(line[1]), ""
		switch {
		case strings.ContainsFunc(written, func(r rune) bool { return r < ' ' || r == 0x7F }):
			why = "A line has no control characters."
		case len(written) > longestConfigLine:
			why = fmt.Sprintf("A line has %d bytes at most. This one has %d.", longestConfigLine, len(written))
		}
		if why != "" {
			return "", problem.New(problem.NotSupported, "OpenVPN does not read a configuration with this %s", line[0]).
				Because("%s", why).Advise(advice.Do(advice.RunOpenVPN, advice.Set(advice.Key, ref)).On("NAME.conf"))
		}
		lines += written + "\n"
	}
	return lines, nil
}

// Quoted is a word as a configuration has it.
func Quoted(word string) string {
	if !strings.Contains(word, "'") {
		return "'" + word + "'" // as it is
	}
	return strings.TrimPrefix(string(appendQuoted(nil, []byte(word))), " ")
}

// Trial is one connection to a server on this machine.
type Trial struct {
	// Key is the one that Config names, in a file. Token has it, and accepted the PIN.
	Key    *lend.Key
	Config string
	Token  p11.Token
	PIN    *secret.Bytes
	// Server and Client are the options that the two get besides, ServerEnv and ClientEnv
	// their environments.
	Server, Client       []string
	ServerEnv, ClientEnv []string
}

// within is how long a trial may take.
const within = 30 * time.Second

// Run connects, and gives the PIN to OpenVPN once.
func (t *Trial) Run(whole context.Context) error {
	path, err := find(usualPlaces())
	if err != nil {
		return err
	}
	ctx, stop := context.WithTimeout(whole, within)
	defer stop()
	server, err := start(path, t.ServerEnv, t.Server)
	if err != nil {
		return err
	}
	ended := server.listen(stop)
	defer func() { server.stop(); <-ended }()
	at, err := newDoor()
	if err != nil {
		return err
	}
	defer func() { _ = at.close() }()
	args := append([]string{"--config", t.Config}, t.Client...)
	client, err := start(path, t.ClientEnv, append(append(args, at.args...), managed...))
	if err != nil {
		return err
	}
	s := &setting{desk: &desk.Desk{}, options: Options{Config: t.Config, Lasting: ctx, Log: func(string) {}}, program: path, settles: within}
	r := &run{
		setting: s, wanted: &wanted{Key: t.Key, token: t.Token, given: t.PIN}, program: client, once: true,
		conversation: conversation{named: true},
	}
	err = r.follow(ctx, at)
	r.end()
	switch {
	case err == nil || whole.Err() != nil:
	case errors.Is(err, context.Canceled):
		<-ended
		return server.failed("OpenVPN ended as a server", "")
	case errors.Is(err, context.DeadlineExceeded):
		return client.failed("OpenVPN was not connected within "+within.String(), r.fatal)
	}
	return err
}

// listen keeps what a program says to whom nobody talks, and calls done when it ended.
func (p *program) listen(done func()) (ended chan struct{}) {
	ended = make(chan struct{})
	go func() {
		defer close(ended)
		for line := range p.lines {
			p.keep(line)
		}
		done()
	}()
	return ended
}

// stop ends such a program, and waits for that.
func (p *program) stop() {
	_ = tellToEnd(p.cmd.Process) // it may have ended
	select {
	case <-p.exited:
	case <-time.After(patience):
		_ = p.cmd.Process.Kill()
		<-p.exited
	}
}
