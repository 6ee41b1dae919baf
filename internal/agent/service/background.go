package service

import (
	"context"
	"encoding/json"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"time"

	"github.com/cardctl/cardctl/internal/agent/client"
	"github.com/cardctl/cardctl/internal/problem"
)

// startTime is how long an agent may take to make its sockets.
const startTime = 10 * time.Second

// Background starts an agent in the background, by the words of a command line with which
// it stays in the foreground, and returns its sockets when it answers. What goes wrong with
// it later is written to a log.
func Background(ctx context.Context, dir string, logFile func() (string, error), words, environ []string) (map[string]string, error) {
	asking, stop := context.WithTimeout(ctx, startTime)
	defer stop()
	_, err := client.Ask(asking, filepath.Join(dir, Control), client.Request{Do: client.StatusOf})
	if err == nil {
		return nil, problem.New(problem.CardBusy, "an agent runs already").Because("Its sockets are in %s.", dir)
	}
	if asking.Err() != nil {
		return nil, problem.New(problem.CardBusy, "an agent does not answer").Because("Its sockets are in %s.", dir)
	}
	name, err := logFile()
	if err != nil {
		return nil, err
	}
	if err := os.MkdirAll(filepath.Dir(name), 0o700); err != nil {
		return nil, problem.Wrap(problem.Failed, err, "cannot write "+name)
	}
	log, err := os.OpenFile(name, os.O_CREATE|os.O_WRONLY|os.O_TRUNC, 0o600)
	if err != nil {
		return nil, problem.Wrap(problem.Failed, err, "cannot write "+name)
	}
	defer func() { _ = log.Close() }()
	cmd := exec.Command(words[0], words[1:]...) // it outlives this process
	cmd.Stdout, cmd.Stderr, cmd.Env = log, log, environ
	detach(cmd)
	if err := cmd.Start(); err != nil {
		return nil, problem.Wrap(problem.Failed, err, "cannot start the agent")
	}
	ended := make(chan error, 1)
	go func() { ended <- cmd.Wait() }()
	return wait(ctx, dir, name, ended)
}

// wait waits until the agent answers.
func wait(ctx context.Context, dir, log string, ended <-chan error) (map[string]string, error) {
	ctx, stop := context.WithTimeout(ctx, startTime)
	defer stop()
	for {
		if _, err := client.Ask(ctx, filepath.Join(dir, Control), client.Request{Do: client.StatusOf}); err == nil {
			return map[string]string{P11: filepath.Join(dir, P11), SSH: filepath.Join(dir, SSH), SCD: filepath.Join(dir, SCD)}, nil
		}
		select {
		case err := <-ended:
			said, _ := os.ReadFile(log)
			return nil, newEnded(err, string(said))
		case <-ctx.Done():
			return nil, problem.Wrap(problem.Failed, ctx.Err(), "the agent does not answer").Because("What it said is in %s.", log)
		case <-time.After(20 * time.Millisecond):
		}
	}
}

// EndedError is an agent that ended before it answered: its exit status, and its error in one
// line, empty if it told none.
type EndedError struct {
	Status int
	Said   string
}

func (e *EndedError) Error() string { return "the agent ended: " + e.Said }

// lastError is the error in what a command wrote, as text or as a JSON document.
func lastError(written string) string {
	var report struct{ Message string }
	if json.Unmarshal([]byte(written), &report) == nil {
		return strings.TrimPrefix(report.Message, "agent: ")
	}
	_, said, _ := strings.Cut("\n"+written, "\nError: ")
	said, _, _ = strings.Cut(said, "\nTry: ")
	return strings.ReplaceAll(strings.TrimPrefix(strings.TrimSpace(said), "agent: "), "\n", ": ")
}

func newEnded(err error, said string) error {
	e := &EndedError{Status: 1, Said: lastError(said)}
	var exit *exec.ExitError
	if errors.As(err, &exit) && exit.ExitCode() > 0 {
		e.Status = exit.ExitCode()
	}
	return e
}
