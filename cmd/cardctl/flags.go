package main

import (
	"strings"
	"time"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"github.com/cardctl/cardctl/internal/advice"
	"github.com/cardctl/cardctl/internal/inventory"
	"github.com/cardctl/cardctl/internal/problem"
	"github.com/cardctl/cardctl/internal/secret"
)

// sharedFlags are those that every command has.
type sharedFlags struct {
	reader, serial, module, app string
	output                      string
	yes, noInput                bool
	trace                       string
	ledger                      string
	ledgerPassword              secret.Flag
	timeout                     time.Duration
	quiet, verbose              bool
	// progress is how it is told what is going on.
	progress string
}

const (
	progressText = "text"
	progressJSON = "json"
	progressNone = "none"
)

const (
	formatText = "text"
	formatJSON = "json"
)

// environment names the variables that stand in for a flag that is not given.
var environment = map[string]string{
	"reader": "CARDCTL_READER",
	"serial": "CARDCTL_SERIAL",
	"module": "CARDCTL_MODULE",
	"app":    "CARDCTL_APP",
	"output": "CARDCTL_OUTPUT",
	"ledger": "CARDCTL_LEDGER",
}

func (f *sharedFlags) add(flags *pflag.FlagSet) {
	flags.StringVarP(&f.reader, "reader", "r", "", "`reader`: its index, a unique part of its name, or sim:NAME")
	flags.StringVar(&f.serial, "serial", "", "card with this `serial`, or a unique ending of it")
	flags.StringVar(&f.app, "app", "", "`application` to use if the card has several: "+strings.Join(inventory.Apps(), ", "))
	flags.StringVarP(&f.module, "module", "m", "", "PKCS#11 `module`: a path, or a name such as opensc")
	flags.StringVarP(&f.output, "output", "o", formatText, "output `format`: text or json")
	flags.BoolVarP(&f.yes, "yes", "y", false, "do not ask for confirmation before destroying data")
	flags.BoolVar(&f.noInput, "no-input", false, "never prompt")
	flags.StringVar(&f.ledger, "ledger", "", "`address` of the ledger: sqlite:FILE or postgres://…")
	flags.Var(&f.ledgerPassword, string(secret.LedgerPassword), "source of the password of a ledger in PostgreSQL")
	flags.StringVar(&f.trace, "trace", "", "write every APDU to `file`, secrets blanked")
	flags.DurationVar(&f.timeout, "timeout", 0, "give up after this `time`, such as 30s")
	flags.StringVar(&f.progress, "progress", progressText, "how progress is told on stderr: `text`, json or none")
	flags.BoolVarP(&f.quiet, "quiet", "q", false, "print only results and errors")
	flags.BoolVarP(&f.verbose, "verbose", "v", false, "print more detail")
}

// complete takes what is not given from the environment, and checks the rest.
func (f *sharedFlags) complete(cmd *cobra.Command, getenv func(string) string) error {
	for name, variable := range environment {
		shared := cmd.Root().PersistentFlags().Lookup(name)
		value := getenv(variable)
		if value == "" || shared.Changed || cmd.Flags().Lookup(name) != shared {
			continue
		}
		if err := shared.Value.Set(value); err != nil {
			return err
		}
	}
	switch {
	case f.output != formatText && f.output != formatJSON:
		f.output = formatText
		return problem.New(problem.Usage, "unknown output format").Because("Valid formats: text, json.").
			Advise(advice.Repeat(advice.Set(advice.Output, formatJSON)))
	case f.progress != progressText && f.progress != progressJSON && f.progress != progressNone:
		return problem.New(problem.Usage, "unknown form of progress").Because("Valid forms: text, json, none.").
			Advise(advice.Repeat(advice.Set(advice.Progress, progressJSON)))
	case f.timeout < 0:
		return problem.New(problem.Usage, "a timeout of %s is negative", f.timeout).
			Advise(advice.Repeat(advice.Set(advice.Timeout, "30s")))
	case f.quiet && f.verbose:
		return problem.New(problem.Usage, "--quiet and --verbose contradict each other").Advise(advice.Repeat().Without(advice.Verbose))
	}
	return nil
}

// wantsJSON looks for the output format in arguments that could not be parsed.
func wantsJSON(args []string) bool {
	for i, arg := range args {
		if short, ok := strings.CutPrefix(arg, "-"); ok && !strings.HasPrefix(short, "-") {
			arg = "-" + strings.TrimLeft(short, "qvy")
		}
		switch arg {
		case "--":
			return false
		case "-ojson", "-o=json", "--output=json":
			return true
		case "-o", "--output":
			return i+1 < len(args) && args[i+1] == formatJSON
		}
	}
	return false
}
