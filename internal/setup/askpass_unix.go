//go:build unix

package setup

import (
	"context"
	_ "embed"
	"os"
	"path/filepath"
	"strings"
	"syscall"

	"github.com/cardctl/cardctl/internal/problem"
	"github.com/cardctl/cardctl/internal/secret"
)

// askpass is a program that a program runs to ask for a PIN. It gets the PIN once, from
// a pipe with a name: later questions get no answer, so that a wrong PIN is not repeated.
type askpass struct {
	dir, pipe string
	done      chan struct{}
}

// newAskpass waits for the program to be run, and gives it the PIN.
func newAskpass(value *secret.Bytes) (*askpass, error) {
	dir, err := temporary()
	if err != nil {
		return nil, err
	}
	a := &askpass{dir: dir, pipe: filepath.Join(dir, "pin"), done: make(chan struct{})}
	const script = "#!/bin/sh\nIFS= read -r pin <\"${0%/*}/pin\" && printf '%s\\n' \"$pin\"\n"
	err = os.WriteFile(a.program(), []byte(script), 0o700)
	if err == nil {
		err = syscall.Mkfifo(a.pipe, 0o600)
	}
	if err != nil {
		_ = os.RemoveAll(dir)
		return nil, problem.Wrap(problem.Failed, err, "cannot write into "+dir)
	}
	go a.give(value)
	return a, nil
}

func (a *askpass) program() string { return filepath.Join(a.dir, "askpass") }

func (a *askpass) give(value *secret.Bytes) {
	defer close(a.done)
	w, err := os.OpenFile(a.pipe, os.O_WRONLY, 0) // waits for the reader
	if err != nil {
		return
	}
	_ = os.Remove(a.pipe)
	_, _ = w.Write(value.Reveal())
	_, _ = w.Write([]byte("\n"))
	_ = w.Close()
}

// close ends the waiting.
func (a *askpass) close() {
	if r, err := os.OpenFile(a.pipe, os.O_RDONLY|syscall.O_NONBLOCK, 0); err == nil {
		_ = os.Remove(a.pipe)
		defer r.Close()
	}
	<-a.done
	_ = os.RemoveAll(a.dir)
}

// withPIN is run of a program that asks for the PIN of the key by SSH_ASKPASS.
func (j *job) withPIN(ctx context.Context, more []string, name string, args ...string) (out string, err error) {
	if err := j.key.Alone(ctx); err != nil {
		return "", err
	}
	err = j.key.SendPIN(ctx, func(ctx context.Context, value *secret.Bytes) error {
		a, err := newAskpass(value)
		if err != nil {
			return err
		}
		defer a.close()
		out, err = j.run(ctx, append([]string{"SSH_ASKPASS=" + a.program(), "SSH_ASKPASS_REQUIRE=force", "DISPLAY="}, more...), name, args...)
		return err
	})
	return out, err
}

//go:embed pinentry.sh
var pinentry string

// withPinentry works while the agent of a trial gets the PIN when it asks, once. Without a
// PIN, somebody else asks for it.
func (g *gnupgTrial) withPinentry(pin *secret.Bytes, work func() error) error {
	if pin == nil {
		return work()
	}
	a, err := newAskpass(pin)
	if err != nil {
		return err
	}
	defer a.close()
	if err := os.WriteFile(g.path("pinentry"), []byte(strings.Replace(pinentry, "ASKPASS", a.program(), 1)), 0o700); err != nil {
		return unwritable(g.path("pinentry"), err)
	}
	if err := g.add("gpg-agent.conf", "pinentry-program "+g.path("pinentry")+"\n"); err != nil {
		return err
	}
	return work()
}
