package main

import (
	"regexp"
	"slices"
	"strings"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"github.com/cardctl/cardctl/internal/secret"
)

// typed is a command as the user gave it, for hints that say to run it again.
type typed struct {
	cmd  *cobra.Command
	args []string
}

// given says that a flag was typed, and does not come from the environment.
func (env *session) given(flag string) bool {
	return env.typed.cmd != nil && env.typed.cmd.Flags().Changed(flag)
}

// sameCommand is the form of a hint that is the command itself with more flags.
var sameCommand = regexp.MustCompile(`^the same command with (--[a-z-]+(?: [^\s,]+)?)$`)

// withoutFlag is the form of a hint that is the command itself with a flag less.
var withoutFlag = regexp.MustCompile(`^(?:leave|leave out|the same command without) --([a-z-]+)(?: away)?$`)

// literal makes a hint what can be typed: flags become the whole command, and
// commands are for the card that was named.
func (env *session) literal(try string, may *repetition) string {
	if same := sameCommand.FindStringSubmatch(try); same != nil {
		try = same[1]
	}
	if name, ok := strings.CutPrefix(try, "the same command with the right "); ok {
		if flag := env.flagOf(name); flag != "" {
			try = "--" + flag + " prompt"
		}
	}
	if without := withoutFlag.FindStringSubmatch(try); without != nil && env.given(without[1]) {
		return env.again("", may, without[1])
	}
	if strings.HasPrefix(try, "--") {
		return env.again(try, may)
	}
	return env.sameCard(try, may)
}

// flagOf is the flag for a PIN that was wrong, empty where the command has none.
func (env *session) flagOf(pin string) string {
	if env.typed.cmd == nil {
		return ""
	}
	flags := map[string]secret.Name{
		"user PIN": secret.PIN, "admin PIN": secret.AdminPIN, "SO PIN": secret.SOPIN, "PUK": secret.PUK, "resetting code": secret.ResetCode,
	}
	for _, flag := range []string{"current-" + string(flags[pin]), string(flags[pin])} {
		if env.typed.cmd.Flags().Lookup(flag) != nil {
			return flag
		}
	}
	return ""
}

// again is the command that was run, with other flags, and without some. It
// names the places of words that may not be repeated.
func (env *session) again(flags string, may *repetition, without ...string) string {
	words := []string{strings.TrimSpace("cardctl " + env.command)}
	if env.typed.cmd == nil {
		if env.object != "" {
			words = append(words, "--key", quoted(env.object))
		}
		return strings.Join(append(words, flags), " ")
	}
	for i, arg := range env.typed.args {
		if !may.allows(arg) {
			arg = argumentName(env.typed.cmd, i)
		}
		words = append(words, quoted(arg))
	}
	given := strings.Fields(flags)
	if env.object != "" && !env.typed.cmd.Flags().Changed("key") {
		words = append(words, "--key", quoted(env.object))
	}
	env.typed.cmd.Flags().Visit(func(f *pflag.Flag) {
		if !slices.Contains(given, "--"+f.Name) && !slices.Contains(without, f.Name) {
			words = append(words, setting(f, may)...)
		}
	})
	return strings.TrimSpace(strings.Join(words, " ") + " " + flags)
}

// setting is a flag as it is given.
func setting(f *pflag.Flag, may *repetition) []string {
	name := "--" + f.Name
	if slices.ContainsFunc(values(f), func(value string) bool { return !may.allows(value) }) {
		return []string{name, placeholder(f)}
	}
	if values, ok := f.Value.(pflag.SliceValue); ok {
		var words []string
		for _, value := range values.GetSlice() {
			words = append(words, name, quoted(value))
		}
		return words
	}
	switch value := f.Value.(type) {
	case *secret.Flag:
		if value.String() == "command" {
			return []string{name, "command:CMD"} // CMD may hold more than others should see
		}
	}
	switch {
	case f.Value.Type() == "bool" && f.Value.String() == "true":
		return []string{name}
	case f.Value.Type() == "bool":
		return []string{name + "=false"}
	case f.NoOptDefVal != "":
		return []string{name + "=" + quoted(f.Value.String())}
	}
	return []string{name, quoted(f.Value.String())}
}

// onCards are the commands that work on one card, and can be pointed at it.
var onCards = []string{"info", "init", "set-pin", "unblock-pin", "gen-key", "import-key", "gen-csr",
	"import-cert", "export-cert", "export-key", "delete-cert", "delete-key", "smoke-test", "applet"}

// sameCard lets a hint name the card that the command was given.
func (env *session) sameCard(try string, may *repetition) string {
	rest, isCommand := strings.CutPrefix(try, "cardctl ")
	verb, _, _ := strings.Cut(rest, " ")
	verb = strings.TrimRight(verb, ",;")
	if env.typed.cmd == nil || !isCommand || !slices.Contains(onCards, verb) || strings.HasSuffix(try, " --help") {
		return try
	}
	for _, name := range []string{"serial", "reader"} {
		if f := env.typed.cmd.Flags().Lookup(name); f != nil && f.Changed && f.Value.String() != "" && may.allows(f.Value.String()) && !strings.Contains(rest, "--"+name) {
			rest = "--" + name + " " + quoted(f.Value.String()) + " " + rest
		}
	}
	return "cardctl " + rest
}

// plainWord is what a shell takes as it stands.
var plainWord = regexp.MustCompile(`^[\pL\pN_./:=,@%+-]+$`)

// quoted is an argument as a shell takes it.
func quoted(argument string) string {
	if plainWord.MatchString(argument) {
		return argument
	}
	return "'" + strings.ReplaceAll(argument, "'", `'\''`) + "'"
}
