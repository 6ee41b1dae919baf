package typed

import (
	"errors"
	"strings"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"github.com/cardctl/cardctl/internal/advice"
	"github.com/cardctl/cardctl/internal/problem"
	"github.com/cardctl/cardctl/internal/secret"
	"github.com/cardctl/cardctl/internal/spelling"
)

// Mistake is what an error in a flag is called. The arguments themselves are not
// repeated: one of them may be a PIN that was meant for another place.
func Mistake(cmd *cobra.Command, err error) error {
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

// similarFlag finds the flag that was probably meant.
func similarFlag(cmd *cobra.Command, name string) string {
	var names []string
	cmd.Flags().VisitAll(func(f *pflag.Flag) {
		if !f.Hidden {
			names = append(names, f.Name)
		}
	})
	return spelling.Nearest(name, names)
}
