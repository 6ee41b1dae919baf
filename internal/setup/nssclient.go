package setup

import (
	"context"
	"errors"
	"slices"
	"strconv"
	"strings"

	"github.com/cardctl/cardctl/internal/problem"
	"github.com/cardctl/cardctl/internal/runner"
	"github.com/cardctl/cardctl/internal/secret"
)

// certificateURI names the certificate of the key, as NSS finds it.
func (j *job) certificateURI() string { return strings.TrimSuffix(j.key.known.URI, ";type=private") }

// withPINOfNSS runs a tool of NSS that asks for the PIN of the key, to its end or until it
// has done what it is for. The tool reads the PIN from a pipe: the first token that it
// logs in to gets it, and no other.
func (j *job) withPINOfNSS(ctx context.Context, p runner.Program, done func() bool) (out string, err error) {
	if err := j.key.Alone(ctx); err != nil {
		return "", err
	}
	err = j.sendPIN(ctx, func(ctx context.Context, pin *secret.Bytes) error {
		if p.File = pin.Reveal(); pin == nil {
			p.File = []byte{} // no token asks for it
		}
		running, stop := context.WithCancel(ctx)
		defer stop()
		go func() {
			if until(running, done) == nil {
				stop()
			}
		}()
		if out, err = j.runProgram(running, p); done() {
			return nil
		}
		return err
	})
	return out, err
}

// clientOfNSS has NSS's TLS client log in with a database.
func (j *job) clientOfNSS(ctx context.Context, database nss, options ...string) (string, error) {
	const program = "NSS's own client"
	if modules, err := database.modules(ctx); err != nil {
		return "", err
	} else if !slices.ContainsFunc(modules, func(l nssListed) bool { return l.name == moduleName }) {
		return "", problem.New(problem.NotFound, "%s has no module of cardctl", database.Dir).
			Because("Each user has a database.").Advise(setUp(j.target.name))
	}
	server, err := newTLSServer(j.key.certificate)
	if err != nil {
		return "", problem.Wrap(problem.Failed, err, "cannot start a server")
	}
	defer server.close()
	ctx, stop := context.WithTimeout(ctx, checkTime)
	defer stop()
	args := []string{"-4", "-h", "localhost", "-p", strconv.Itoa(server.port), "-d", "sql:" + database.Dir, "-o", "-n", j.certificateURI(), "-W", runner.FilePlace}
	_, err = j.withPINOfNSS(ctx, runner.Program{
		Name: "tstclnt", Args: append(args, options...), Stdin: []byte("GET / HTTP/1.0\r\n\r\n"),
	}, func() bool { return server.loggedIn() != nil })
	var failed *problem.Error
	switch {
	case server.loggedIn() != nil:
		return server.report(program), nil
	case err != nil && !(errors.As(err, &failed) && failed.Code == problem.Failed):
		return "", err
	case err != nil:
		return "", problem.New(problem.Failed, "%s did not log in", program).Because("%s", failed.Why)
	}
	return "", server.refused(program, nil)
}
