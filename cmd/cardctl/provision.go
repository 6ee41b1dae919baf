package main

import (
	"context"
	"errors"
	"slices"

	"github.com/spf13/cobra"

	"github.com/cardctl/cardctl/internal/advice"
	"github.com/cardctl/cardctl/internal/ledger"
	"github.com/cardctl/cardctl/internal/output"
	"github.com/cardctl/cardctl/internal/plan"
	"github.com/cardctl/cardctl/internal/problem"
	"github.com/cardctl/cardctl/internal/provision"
	"github.com/cardctl/cardctl/internal/secret"
	"github.com/cardctl/cardctl/internal/typed"
)

type provisionOptions struct {
	rows     string
	readers  []string
	schema   bool
	bell     bool
	board    provision.Board
	identity identityFlag
	expiring string
	work     provision.Options
	secrets  secretFlags
}

func newProvisionCmd(env *session) *cobra.Command {
	var o provisionOptions
	cmd := &cobra.Command{
		Use:   "provision PLAN",
		Short: "Bring cards to what a plan says",
		Long: `Bring cards to what a plan says: one card, or one after the other in several
readers at once. The plan is YAML, and says what a card is to be: its PINs, keys
and certificates, and who gets it. Its columns come from the rows of a table:
CSV with a header, or JSON lines.

Only what is missing is done, so that the same command continues after a card
was pulled out or a server did not answer. Everything is written to the ledger:
--ledger, or ledger.db in the state directory. Generated PINs are sealed there
before the card has them.

A card in use that differs from the plan is refused, unless the plan says
init: always and you confirm. Never provisioned are a card with the key of an
issuer, of the log's signature or of a recipient, and a card that the ledger has
as another person's.`,
		Example: `  cardctl provision staff.yaml --rows staff.csv --dry-run
  cardctl provision staff.yaml --rows staff.csv --readers all --yes
  cardctl provision staff.yaml --renew --expiring 30d --identity desk.key`,
		Args: func(cmd *cobra.Command, args []string) error {
			if o.schema {
				return typed.NoArgs(cmd, args)
			}
			return typed.OneArg("the plan")(cmd, args)
		},
		RunE: func(cmd *cobra.Command, args []string) error {
			if o.schema {
				return env.printSchema()
			}
			return o.run(cmd.Context(), env, args[0])
		},
	}
	flags := cmd.Flags()
	flags.StringVar(&o.rows, "rows", "", "`file` with a row for each card: CSV or JSON lines")
	flags.StringSliceVar(&o.readers, "readers", nil, "`readers` to work in side by side: all, or names as in --reader")
	flags.BoolVar(&o.work.DryRun, "dry-run", false, "show what is on each card and what would be done")
	flags.BoolVar(&o.work.Renew, "renew", false, "renew certificates, and do nothing else")
	flags.StringVar(&o.expiring, "expiring", "", "with --renew: only certificates that end within this `time`, such as 30d")
	flags.StringVar(&o.work.Replaces, "replaces", "", "give the person with the card of this `serial` a new card")
	flags.BoolVar(&o.schema, "schema", false, "print the JSON Schema of plans")
	flags.BoolVar(&o.bell, "bell", false, "make a sound on the terminal when a card is to be changed")
	o.identity.add(flags)
	o.secrets.addLastTry(flags)
	return cmd
}

// printSchema prints the JSON Schema of plans.
func (env *session) printSchema() error {
	schema, err := plan.Schema()
	if err != nil {
		return err
	}
	_, err = env.Out.Write(schema)
	return notWritten(err)
}

func (o *provisionOptions) run(ctx context.Context, env *session, path string) error {
	if err := o.read(ctx, env, path); err != nil {
		return err
	}
	access, err := o.secrets.access(env)
	if err != nil {
		return err
	}
	env.withhold(secret.FilterEnv(env.childEnv, o.work.Plan.Sources()...))
	if err := o.openLedger(ctx, env); err != nil {
		return err
	}
	if o.work.Ledger != nil {
		defer func() { _ = o.work.Ledger.Close() }() // every record is stored by then
	}
	o.work.Secret, o.work.UI, o.work.Tell, o.work.Issuers = env.planSecret, env.plugins(ctx), func(e provision.Event) { o.tell(env, e) }, env.desk()
	o.work.Warn = func(sentence string) { env.lines(output.Fitted(sentence)...) }
	report, failed := provision.Run(ctx, env.desk(), access, o.work)
	env.progress.Done()
	if len(report.Rows) > 0 || len(report.LeftOut) > 0 {
		if err := env.result("Provisioning", report, func(s *output.Sheet) { report.Text(s) }); err != nil {
			return errors.Join(failed, err)
		}
	}
	return failed
}

// read reads what does not need a card.
func (o *provisionOptions) read(ctx context.Context, env *session, path string) error {
	const longest = 1 << 20
	text, err := env.readFile(ctx, path, longest)
	if err != nil {
		return err
	}
	if o.work.Plan, err = plan.Parse(text); err != nil {
		return problem.Wrap(problem.Usage, err, path)
	}
	if o.rows != "" {
		const most = 64 << 20
		table, err := env.readFile(ctx, o.rows, most)
		if err != nil {
			return err
		}
		if o.work.Rows, err = o.work.Plan.ReadRows(table, o.rows); err != nil {
			return err
		}
	}
	if o.expiring != "" {
		if o.work.Expiring, err = parseDays(o.expiring); err != nil {
			return err
		}
	}
	if o.work.All = slices.Contains(o.readers, "all"); !o.work.All {
		o.work.Readers = o.readers
	}
	switch {
	case o.work.All && len(o.readers) > 1:
		return problem.New(problem.Usage, "--readers all and names of readers contradict each other").
			Advise(advice.Repeat(advice.Set(advice.Readers, "all")))
	case o.readers != nil && (env.line.Given("reader") || env.flags.serial != ""):
		return problem.New(problem.Usage, "--readers, and --reader or --serial, contradict each other").Advise(advice.Repeat().Without(advice.Reader, advice.Serial))
	case o.work.Expiring != 0 && !o.work.Renew:
		return problem.New(problem.Usage, "--expiring is for --renew").Advise(advice.Repeat().Without(advice.Expiring))
	case o.work.Renew && o.work.Replaces != "":
		return problem.New(problem.Usage, "--renew and --replaces contradict each other").Advise(advice.Repeat().Without(advice.Renew))
	}
	if o.identity.file == "" {
		return nil
	}
	keys, err := o.identity.read(ctx, env)
	if err == nil {
		o.work.Unseal = func(ctx context.Context, sealed []byte) (*secret.Bytes, error) {
			return ledger.Unseal(ctx, sealed, keys...)
		}
	}
	return err
}

// openLedger opens the ledger. What only looks makes none.
func (o *provisionOptions) openLedger(ctx context.Context, env *session) (err error) {
	o.work.Ledger, err = env.openLedger(ctx, ledger.Options{Create: !o.work.DryRun, ReadOnly: o.work.DryRun})
	if o.work.DryRun && problem.Is(err, problem.NotFound) {
		return nil
	}
	return err
}

// planSecret is what a source of a plan gives.
func (env *session) planSecret(ctx context.Context, q secret.Request, from plan.Source, children provision.Children) (*secret.Bytes, error) {
	if from.Word != "" {
		return secret.New([]byte(from.Word)), nil
	}
	r := env.resolver()
	r.ForChildren, r.Withheld = children.Environ, children.Withheld
	r.Sources[q.Name] = from.Source
	env.progress.Done()
	defer env.working()
	return r.Ask(ctx, q)
}

// tell tells what happens in the readers.
func (o *provisionOptions) tell(env *session, e provision.Event) {
	if env.flags.quiet || env.flags.progress == progressNone {
		return
	}
	if env.flags.progress == progressJSON {
		env.progressLine("ProvisionProgress", e)
		return
	}
	if env.live && env.flags.output != formatJSON {
		env.progress.Lines(o.board.Hear(e))
		if o.bell && e.Calls() {
			env.progress.Ring()
		}
		return
	}
	env.lines(e.Lines()...)
}
