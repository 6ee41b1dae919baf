package main

import (
	"regexp"
	"slices"
	"strings"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"github.com/cardctl/cardctl/internal/advice"
	"github.com/cardctl/cardctl/internal/secret"
)

// typed is a command as the user gave it, for advice to run it again.
type typed struct {
	cmd  *cobra.Command
	args []string
}

// actions are the commands that do what advice names.
var actions = map[advice.Action]string{
	advice.ShowCard: "info", advice.ListReaders: "list-readers", advice.ListTokens: "list-tokens", advice.Diagnose: "doctor",
	advice.Initialise: "init", advice.SetPIN: "set-pin", advice.UnblockPIN: "unblock-pin", advice.GenerateKey: "gen-key",
	advice.CreateRequest: "gen-csr", advice.ExportKey: "export-key", advice.ImportCertificate: "import-cert", advice.DeleteCertificate: "delete-cert",
	advice.ListApplets: "applet list", advice.SetCardKeys: "applet set-keys", advice.UnlockCard: "applet state unlock-card",
	advice.ListSimulated: "sim list", advice.AttachSimulated: "sim attach",
}

// offCards are the actions that are not about the card that was named.
var offCards = []advice.Action{advice.ListReaders, advice.ListTokens, advice.Diagnose, advice.ListSimulated, advice.AttachSimulated}

// ofCards are the flags that name a card, or open it, to every command about it.
var ofCards = []string{"reader", "serial", "card-keys", "isd", "key-version", "diversification", "accept-random-challenge"}

// worded is advice as a command that can be typed, or as a sentence. Words that
// may not be repeated become their places. It is empty where the command that was
// run does not have what the advice names.
func (env *session) worded(a advice.Advice, may *repetition) string {
	switch {
	case len(a.Program) > 0:
		return may.text(quotedAll(a.Program))
	case a.Action == advice.Again:
		return env.again(a, may)
	case a.Action == advice.Help:
		return "cardctl " + strings.TrimSpace(env.command+" --help")
	case a.Action != advice.None:
		return env.another(a, may)
	}
	return may.text(a.Sentence)
}

// another is another command, on the card that was named, or waiting for it.
func (env *session) another(a advice.Advice, may *repetition) string {
	words := []string{"cardctl", actions[a.Action]}
	if a.Object != "" {
		words = append(words, quoted(may.text(a.Object)))
	}
	waits := slices.Contains(fieldsOf(a.Values), advice.Wait)
	if env.typed.cmd != nil && (waits || !slices.Contains(offCards, a.Action)) {
		cmd, _, _ := env.typed.cmd.Root().Find(strings.Fields(actions[a.Action]))
		for _, name := range ofCards {
			f := env.typed.cmd.Flag(name)
			if env.given(name) && may.allowsAll(f) && cmd.Flag(name) != nil && !slices.Contains(fieldsOf(a.Values), advice.Field(name)) {
				words = append(words, setting(f, may)...)
			}
		}
	}
	words = append(words, env.flagTexts(a.Values, may)...)
	return strings.Join(words, " ")
}

// again is the command that was run, with other values, and without some. A secret
// that is asked for needs a person.
func (env *session) again(a advice.Advice, may *repetition) string {
	cmd := env.typed.cmd
	replaced := append(env.omitted(a.Omit), fieldsOf(a.Values)...)
	if len(a.Omit) > 0 && len(replaced) == 0 || !env.takes(a.Values) {
		return ""
	}
	words := append(env.cleared(a.Omit), strings.TrimSpace("cardctl "+env.command))
	for i, arg := range env.typed.args {
		switch {
		case a.Object != "" && i == 0:
			arg = a.Object
		case !may.allows(arg):
			arg = argumentName(cmd, i)
		}
		words = append(words, quoted(arg))
	}
	if env.object != "" && !env.given("key") && !slices.Contains(replaced, advice.Key) {
		words = append(words, "--key", quoted(env.object))
	}
	if cmd != nil {
		cmd.Flags().Visit(func(f *pflag.Flag) {
			if !slices.Contains(replaced, advice.Field(f.Name)) {
				words = append(words, setting(f, may)...)
			}
		})
	}
	words = append(words, env.flagTexts(a.Values, may)...)
	if slices.Contains(words, "prompt") {
		words = slices.DeleteFunc(words, func(word string) bool { return word == "--no-input" })
	}
	return strings.Join(words, " ")
}

// takes reports whether the command that was run has all these flags.
func (env *session) takes(values []advice.Value) bool {
	for _, v := range values {
		if env.about == nil || env.about.Flag(string(v.Field)) == nil {
			return false
		}
	}
	return true
}

func fieldsOf(values []advice.Value) []advice.Field {
	var fields []advice.Field
	for _, v := range values {
		fields = append(fields, v.Field)
	}
	return fields
}

// given says that a flag was typed, and does not come from the environment.
func (env *session) given(flag string) bool {
	return env.typed.cmd != nil && env.typed.cmd.Flags().Changed(flag)
}

// omitted are those fields of which the command was given a value.
func (env *session) omitted(fields []advice.Field) []advice.Field {
	return slices.DeleteFunc(slices.Clone(fields), func(f advice.Field) bool {
		return !env.given(string(f)) && env.Getenv(environment[string(f)]) == ""
	})
}

// cleared empties the variables that stand in for flags which are to be omitted.
func (env *session) cleared(omit []advice.Field) []string {
	var words []string
	for _, field := range env.omitted(omit) {
		if !env.given(string(field)) {
			words = append(words, environment[string(field)]+"=")
		}
	}
	return words
}

// flagTexts are values as their flags.
func (env *session) flagTexts(values []advice.Value, may *repetition) []string {
	var words []string
	for _, v := range values {
		words = append(words, env.flagText(v, may)...)
	}
	return words
}

// flagText is a value as its flag; one that may not be repeated becomes a
// placeholder.
func (env *session) flagText(v advice.Value, may *repetition) []string {
	name := "--" + string(v.Field)
	open := v.Open || may.text(v.Text) != v.Text
	switch {
	case v.Asked:
		return []string{name, "prompt"}
	case open && env.about != nil && env.about.Flag(string(v.Field)) != nil:
		return []string{name, placeholder(env.about.Flag(string(v.Field)))}
	case open:
		return []string{name, strings.ToUpper(string(v.Field))}
	case v.Text == "":
		return []string{name}
	}
	return []string{name, quoted(v.Text)}
}

// setting is a flag as it is given.
func setting(f *pflag.Flag, may *repetition) []string {
	name := "--" + f.Name
	if source, ok := f.Value.(*secret.Flag); ok {
		return []string{name, sourceAgain(source, may)}
	}
	if !may.allowsAll(f) {
		return []string{name, placeholder(f)}
	}
	if values, ok := f.Value.(pflag.SliceValue); ok {
		var words []string
		for _, value := range values.GetSlice() {
			words = append(words, name, quoted(value))
		}
		return words
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

// sourceAgain is the source of a secret as it can be typed again: a pipe has been
// read, and a command may hold more than others should see.
func sourceAgain(source *secret.Flag, may *repetition) string {
	text := source.String()
	kind, _, _ := strings.Cut(text, ":")
	if kind == "stdin" || kind == "fd" || kind == "command" || !may.allows(text) {
		return "prompt"
	}
	return text
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

// quotedAll are words as a shell takes them.
func quotedAll(words []string) string {
	var all []string
	for _, word := range words {
		all = append(all, quoted(word))
	}
	return strings.Join(all, " ")
}
