package main

import (
	"context"
	"errors"
	"path/filepath"

	"github.com/spf13/cobra"

	"github.com/cardctl/cardctl/internal/advice"
	"github.com/cardctl/cardctl/internal/ledger"
	"github.com/cardctl/cardctl/internal/output"
	"github.com/cardctl/cardctl/internal/paper"
	"github.com/cardctl/cardctl/internal/problem"
	"github.com/cardctl/cardctl/internal/runner"
	"github.com/cardctl/cardctl/internal/secret"
	"github.com/cardctl/cardctl/internal/typed"
)

type letterOptions struct {
	template, format, out, command string
	identity                       identityFlag
}

func newLedgerLettersCmd(env *session) *cobra.Command {
	var o letterOptions
	cmd := &cobra.Command{
		Use:   "letters [PERSON...]",
		Short: "Print letters with PINs that were generated",
		Long: `Write a letter for each person, with the PINs that were generated for letters.
Arguments name some of the persons, by ID, name or the serial of a card. Each
letter is written once. That it is printed is recorded first. A PIN that was
kept for the letter alone is deleted from the ledger afterwards.

--out is a directory. A letter is a new file in it that only you can read.
--command is a command that gets each letter on stdin, such as lpr. --template
is a template of Go: html/template if its name ends in .html, else
text/template. Its fields are .Person, .ID, .Day and .Cards, and of each card
.Serial, .Secrets (.Name and .Value) and .Certificates (.Subject and .Until).`,
		Example: `  cardctl ledger letters --identity desk.key --out letters
  cardctl ledger letters --identity desk.key --format text --command lpr`,
		Args: typed.Args(0, 1000, "persons"),
		RunE: func(cmd *cobra.Command, args []string) error { return o.run(cmd.Context(), env, args) },
	}
	flags := cmd.Flags()
	flags.StringVar(&o.template, "template", "", "`file` with the template of the letters")
	flags.StringVar(&o.format, "format", "html", "`format` of letters without a template: html or text")
	flags.StringVar(&o.out, "out", "", "`directory` for the letters")
	flags.StringVar(&o.command, "command", "", "`command` that gets each letter on stdin")
	o.identity.add(flags)
	return cmd
}

func (o *letterOptions) run(ctx context.Context, env *session, persons []string) error {
	if (o.out == "") == (o.command == "") {
		return problem.New(problem.Usage, "where to?").Because("Letters need either --out or --command.").
			Advise(advice.Repeat(advice.Set(advice.Out, "letters")).Without("command"))
	}
	template, err := o.read(ctx, env)
	if err != nil {
		return err
	}
	keys, err := o.identity.read(ctx, env)
	if err != nil {
		return err
	}
	return env.withLedger(ctx, ledger.Options{}, func(l *ledger.Ledger) error {
		due, err := l.Due(ctx, persons)
		if err != nil {
			return err
		}
		printed, failed := paper.PrintAll(ctx, l, template, due, keys, env.Now(), func(ctx context.Context, name string, letter *secret.Bytes) (string, error) {
			return o.deliver(ctx, env, name+template.Extension, letter)
		})
		return errors.Join(failed, env.result("LettersPrinted", printed, printed.Text))
	})
}

func (o *letterOptions) read(ctx context.Context, env *session) (*paper.Template, error) {
	if o.template == "" {
		return paper.BuiltIn(o.format)
	}
	data, err := env.readFile(ctx, o.template, paper.MaxTemplate)
	if err != nil {
		return nil, err
	}
	return paper.ParseTemplate(o.template, data)
}

// deliver writes a letter to a new file, or gives it to the command.
func (o *letterOptions) deliver(ctx context.Context, env *session, name string, letter *secret.Bytes) (string, error) {
	if o.command == "" {
		file := filepath.Join(o.out, name)
		if err := output.NewPrivateFile(file, letter.Reveal()); err != nil {
			return "", problem.Wrap(problem.Failed, err, "cannot write "+file)
		}
		return file, nil
	}
	result, err := runner.Line(ctx, o.command, runner.Program{Name: "the command", Env: env.desk().ChildEnv, Stdin: letter.Reveal()})
	if err == nil && result.Exit != 0 {
		err = problem.New(problem.Failed, "the command did not take the letter").Because("It ended with status %d.", result.Exit)
	}
	return "", err
}
