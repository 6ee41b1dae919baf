package enroll

import (
	"context"
	"fmt"
	"slices"

	"github.com/cardctl/cardctl/internal/advice"
	"github.com/cardctl/cardctl/internal/certstore"
	"github.com/cardctl/cardctl/internal/csr"
	"github.com/cardctl/cardctl/internal/problem"
	"github.com/cardctl/cardctl/internal/runner"
)

// command is a command of the shell that gets the request on stdin, and writes the
// certificate, with or without those of its issuers, to stdout.
type command struct{ line string }

func openCommand(a Address) (Issuer, error) { return &command{line: a.Path}, nil }

func (i *command) Traits() Traits { return Traits{Away: true} }

func (i *command) Prepare(context.Context, *Order) error { return nil }

func (i *command) Issue(ctx context.Context, o *Order) (answer Answer, err error) {
	env := slices.Concat(o.IssuerDesk.ChildEnv, o.Environ)
	result, err := runner.Line(ctx, i.line, runner.Program{Name: "the command", Env: env, Stdin: csr.PEMRequest(o.PKCS10)})
	switch {
	case err != nil:
		return answer, err
	case result.Exit != 0:
		return answer, problem.New(problem.Failed, "the command did not issue a certificate").
			Because("%s", problem.Sentence(fmt.Sprintf("It ended with status %d. %s", result.Exit, itSaid(plain(string(result.Stderr)))))).Advise(advice.Repeat(advice.Switch(advice.DryRun)))
	case len(result.Stdout) >= runner.OutputLimit:
		return answer, problem.New(problem.Mismatch, "the answer of the command is too long")
	}
	if answer.Certificates, err = certstore.Parse(ctx, result.Stdout, nil); err != nil {
		return answer, problem.Wrap(problem.Mismatch, err, "the answer of the command")
	}
	return answer, nil
}
