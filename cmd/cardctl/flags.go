package main

import (
	"errors"
	"strconv"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"

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
	timeout                     time.Duration
	quiet, verbose              bool
}

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
}

func (f *sharedFlags) add(flags *pflag.FlagSet) {
	flags.StringVarP(&f.reader, "reader", "r", "", "`reader`: its index, a unique part of its name, or sim:NAME")
	flags.StringVar(&f.serial, "serial", "", "card with this `serial`, or a unique ending of it")
	flags.StringVar(&f.app, "app", "", "`application` to use if the card has several: "+strings.Join(inventory.Apps(), ", "))
	flags.StringVarP(&f.module, "module", "m", "", "PKCS#11 `module`: a path, or a name such as opensc")
	flags.StringVarP(&f.output, "output", "o", formatText, "output `format`: text or json")
	flags.BoolVarP(&f.yes, "yes", "y", false, "do not ask for confirmation before destroying data")
	flags.BoolVar(&f.noInput, "no-input", false, "never prompt")
	flags.StringVar(&f.trace, "trace", "", "write every APDU to `file`, secrets blanked")
	flags.DurationVar(&f.timeout, "timeout", 0, "give up after this `time`, such as 30s")
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

// flagProblem is what a flag error is called. The arguments themselves are not
// repeated: one of them may be a PIN that was meant for another place.
func flagProblem(cmd *cobra.Command, err error) error {
	p := problem.New(problem.Usage, "the flags cannot be read")
	var unknown *pflag.NotExistError
	var invalid *pflag.InvalidValueError
	var missing *pflag.ValueRequiredError
	var malformed *pflag.InvalidSyntaxError
	switch {
	case errors.As(err, &unknown):
		p = unknownFlag(cmd, unknown)
	case errors.As(err, &invalid):
		f := invalid.GetFlag()
		p = problem.New(problem.Usage, "the value of --%s is not %s", f.Name, kindOf(f))
	case errors.As(err, &missing):
		p = problem.New(problem.Usage, "--%s needs a value", missing.GetFlag().Name).
			Because("Expected: %s.", strings.ReplaceAll(missing.GetFlag().Usage, "`", ""))
	case errors.As(err, &malformed):
		p = problem.New(problem.Usage, "malformed flag").Because("A flag has the form --name value or --name=value.")
	}
	return p
}

// unknownFlag says which flag was probably meant. What was typed may hold its
// value: -admin-pin=VALUE is taken for a flag of one letter, and --admin-pin:VALUE
// for the name of another.
func unknownFlag(cmd *cobra.Command, unknown *pflag.NotExistError) *problem.Error {
	typed := unknown.GetSpecifiedName()
	letters := unknown.GetSpecifiedShortnames()
	if f := flagIn(cmd, letters); f != nil {
		return problem.New(problem.Usage, "--%s needs two dashes", f.Name).
			Because("With one dash, each letter is a separate flag.").Advise(wellFormed(cmd, f))
	}
	if f := flagIn(cmd, typed); f != nil {
		return problem.New(problem.Usage, "--%s needs a space or = before its value", f.Name).
			Because("A flag has the form --name value or --name=value.").Advise(wellFormed(cmd, f))
	}
	p := problem.New(problem.Usage, "unknown flag").Because("%s has no such flag.", cmd.CommandPath())
	if similar := similarFlag(cmd, typed); letters == "" && similar != "" {
		p.Because("Did you mean --%s?", similar)
	}
	return p
}

// flagIn is the flag whose name text begins with, if something else follows.
func flagIn(cmd *cobra.Command, text string) *pflag.Flag {
	end := strings.IndexFunc(text, func(r rune) bool { return r != '-' && (r < 'a' || r > 'z') && (r < '0' || r > '9') })
	if end < 0 {
		end = len(text)
	}
	if f := cmd.Flags().Lookup(text[:end]); f != nil && !f.Hidden {
		return f
	}
	return nil
}

// wellFormed is advice to give the flag in the form that it has. An argument may
// not be repeated, so that a command which needs one would fail again.
func wellFormed(cmd *cobra.Command, f *pflag.Flag) advice.Advice {
	field := advice.Field(f.Name)
	_, isSecret := f.Value.(*secret.Flag)
	switch {
	case cmd.Args(cmd, nil) != nil:
		return advice.Do(advice.Help)
	case isSecret:
		return advice.Repeat(advice.Ask(field))
	case f.Value.Type() == "bool":
		return advice.Repeat(advice.Switch(field))
	}
	return advice.Repeat(advice.Fill(field))
}

// placeholder is what stands for a flag's value in a hint.
func placeholder(f *pflag.Flag) string {
	if _, ok := f.Value.(*secret.Flag); ok {
		return "env:NAME"
	}
	name, _ := pflag.UnquoteUsage(f)
	return strings.ToUpper(name)
}

func kindOf(f *pflag.Flag) string {
	switch kind := f.Value.Type(); kind {
	case "duration":
		return "a time such as 30s or 2m"
	case "bool":
		return "true or false"
	case "int":
		return "a number"
	case "uint8":
		return "a number from 0 to 255"
	default:
		return "a " + kind
	}
}

// similarFlag finds the flag that was probably meant: a third of its letters may be
// wrong.
func similarFlag(cmd *cobra.Command, name string) string {
	similar, nearest := "", min(3, (len(name)+5)/3)
	cmd.Flags().VisitAll(func(f *pflag.Flag) {
		if d := distance(f.Name, name); !f.Hidden && d < nearest {
			similar, nearest = f.Name, d
		}
	})
	return similar
}

// distance is how many letters are to be changed, added or taken away to make
// a of b (Levenshtein).
func distance(a, b string) int {
	row := make([]int, len(b)+1)
	for j := range row {
		row[j] = j
	}
	for i := range len(a) {
		diagonal := row[0]
		row[0] = i + 1
		for j := range len(b) {
			change := diagonal
			if a[i] != b[j] {
				change++
			}
			diagonal = row[j+1]
			row[j+1] = min(change, row[j]+1, row[j+1]+1)
		}
	}
	return row[len(b)]
}

// noArgs, oneArg and atMostOneArg are what a command takes besides flags. What
// was typed is not repeated: it may be a secret in the wrong place.
func noArgs(cmd *cobra.Command, args []string) error {
	if len(args) > 0 {
		return problem.New(problem.Usage, "unexpected argument").
			Because("%s accepts only flags.%s", cmd.CommandPath(), otherDash(args))
	}
	return nil
}

// oneArg wants one argument, which is what.
func oneArg(what string) cobra.PositionalArgs {
	return func(_ *cobra.Command, args []string) error {
		if len(args) == 1 && args[0] != "" {
			return nil
		}
		got := strconv.Itoa(len(args))
		if len(args) == 1 {
			got = "an empty one"
		}
		return problem.New(problem.Usage, "expected one argument, got %s", got).
			Because("Expected: %s.%s", what, otherDash(args))
	}
}

// atMostOneArg takes none, or one, which is what.
func atMostOneArg(what string) cobra.PositionalArgs {
	return func(cmd *cobra.Command, args []string) error {
		if len(args) == 0 {
			return nil
		}
		return oneArg(what)(cmd, args)
	}
}

// otherDash explains words that look like flags: programs that write texts make
// other dashes of two hyphens.
func otherDash(args []string) string {
	for _, arg := range args {
		if first, _ := utf8.DecodeRuneInString(arg); first != '-' && unicode.Is(unicode.Pd, first) {
			return " An argument begins with another kind of dash; a flag begins with two hyphens."
		}
	}
	return ""
}
