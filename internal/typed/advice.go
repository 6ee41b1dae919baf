package typed

import (
	"regexp"
	"slices"
	"strings"

	"github.com/spf13/pflag"

	"github.com/cardctl/cardctl/internal/advice"
	"github.com/cardctl/cardctl/internal/input"
	"github.com/cardctl/cardctl/internal/secret"
)

// prompted is the source of a secret that a person is asked for.
const prompted = "prompt"

// Worded is the first advice that can be worded: as a command to type, or as a
// sentence.
func (l *Line) Worded(list ...advice.Advice) string { return l.firstWorded(nil, list...) }

func (l *Line) firstWorded(may *repetition, list ...advice.Advice) string {
	for _, a := range list {
		if text := l.worded(a, may); text != "" {
			return text
		}
	}
	return ""
}

// worded is advice as a command that can be typed, or as a sentence. Words that
// may not be repeated become their places. It is empty where the command that was
// run does not have what the advice names.
func (l *Line) worded(a advice.Advice, may *repetition) string {
	switch {
	case len(a.Program) > 0:
		return may.text(Quoted(a.Program...))
	case a.Action == advice.Again:
		return l.again(a, may)
	case a.Action == advice.Help:
		return strings.TrimSpace(l.program()+" "+l.Command()) + " " + flag("help")
	case a.Action != advice.None:
		return l.another(a, may)
	}
	return may.text(a.Sentence)
}

// another is another command, on the card that was named, or waiting for it.
func (l *Line) another(a advice.Advice, may *repetition) string {
	words := []string{l.program(), l.Actions[a.Action]}
	if a.Object != "" {
		words = append(words, quoted(may.text(a.Object)))
	}
	waits := slices.Contains(fieldsOf(a.Values), advice.Wait)
	if l.Run != nil && (waits || !slices.Contains(l.OffCard, a.Action)) {
		cmd, _, _ := l.Run.Root().Find(strings.Fields(l.Actions[a.Action]))
		for _, name := range l.CardFlags {
			f := l.Run.Flag(name)
			if l.Given(name) && may.allowsAll(f) && cmd.Flag(name) != nil && !slices.Contains(fieldsOf(a.Values), advice.Field(name)) {
				words = append(words, l.setting(f, may)...)
			}
		}
	}
	words = append(words, l.flagTexts(a.Values, may)...)
	return strings.Join(words, " ")
}

// again is the command that was run, with other values, and without some. A secret
// that is asked for needs a person.
func (l *Line) again(a advice.Advice, may *repetition) string {
	cmd := l.Run
	replaced := append(l.omitted(a.Omit), fieldsOf(a.Values)...)
	if len(a.Omit) > 0 && len(replaced) == 0 || !l.takes(a.Values) {
		return ""
	}
	words := append(l.cleared(a.Omit), strings.TrimSpace(l.program()+" "+l.Command()))
	var args []string
	for i, arg := range l.Args {
		switch {
		case a.Object != "" && i == 0:
			arg = a.Object
		case !may.allows(arg):
			arg = argumentName(cmd, i)
		}
		args = append(args, quoted(arg))
	}
	dash := len(args) // what stands behind -- comes last
	if cmd != nil && cmd.ArgsLenAtDash() >= 0 {
		dash = min(dash, cmd.ArgsLenAtDash())
	}
	words = append(words, args[:dash]...)
	if l.Object != "" && !l.Given(string(advice.Key)) && !slices.Contains(replaced, advice.Key) {
		words = append(words, flag(advice.Key), quoted(l.Object))
	}
	if cmd != nil {
		cmd.Flags().Visit(func(f *pflag.Flag) {
			if !slices.Contains(replaced, advice.Field(f.Name)) {
				words = append(words, l.setting(f, may)...)
			}
		})
	}
	words = append(words, l.flagTexts(a.Values, may)...)
	if slices.Contains(words, prompted) {
		words = slices.DeleteFunc(words, func(word string) bool { return word == flag(advice.NoInput) })
	}
	if dash < len(args) {
		words = append(append(words, "--"), args[dash:]...)
	}
	return strings.Join(words, " ")
}

// takes reports whether the command that was run has all these flags.
func (l *Line) takes(values []advice.Value) bool {
	for _, v := range values {
		if l.About == nil || l.About.Flag(string(v.Field)) == nil {
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

// omitted are those fields of which the command was given a value.
func (l *Line) omitted(fields []advice.Field) []advice.Field {
	return slices.DeleteFunc(slices.Clone(fields), func(f advice.Field) bool {
		return !l.Given(string(f)) && l.Getenv(l.Variables[string(f)]) == ""
	})
}

// cleared empties the variables that stand in for flags which are to be omitted.
func (l *Line) cleared(omit []advice.Field) []string {
	var words []string
	for _, field := range l.omitted(omit) {
		if !l.Given(string(field)) {
			words = append(words, l.Variables[string(field)]+"=")
		}
	}
	return words
}

// flagTexts are values as their flags.
func (l *Line) flagTexts(values []advice.Value, may *repetition) []string {
	var words []string
	for _, v := range values {
		words = append(words, l.flagText(v, may)...)
	}
	return words
}

// flagText is a value as its flag; one that may not be repeated becomes a
// placeholder.
func (l *Line) flagText(v advice.Value, may *repetition) []string {
	name := flag(v.Field)
	open := v.Open || may.text(v.Text) != v.Text
	switch {
	case v.Asked:
		return []string{name, prompted}
	case open && l.About != nil && l.About.Flag(string(v.Field)) != nil:
		return []string{name, placeholder(l.About.Flag(string(v.Field)))}
	case open:
		return []string{name, strings.ToUpper(string(v.Field))}
	case v.Text == "":
		return []string{name}
	}
	return []string{name, quoted(v.Text)}
}

// setting is a flag as it is given.
func (l *Line) setting(f *pflag.Flag, may *repetition) []string {
	name := flag(f.Name)
	if source, ok := f.Value.(*secret.Flag); ok {
		return []string{name, l.sourceAgain(source, may)}
	}
	if slices.Contains(l.ThatExist, f.Name) || withPassword.MatchString(f.Value.String()) {
		may = l.distrust()
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
// read, and a command may hold more than others should see. A variable or file that
// does not exist may be the secret itself.
func (l *Line) sourceAgain(source *secret.Flag, may *repetition) string {
	text := source.String()
	kind, _, _ := strings.Cut(text, ":")
	switch {
	case kind == "stdin" || kind == "fd" || kind == "command":
		return prompted
	case (kind == "env" || kind == "file") && !l.isSource(text), !may.allows(text):
		return prompted
	}
	return text
}

// isSource reports whether a word names a variable or a file that is there.
func (l *Line) isSource(word string) bool {
	kind, name, _ := strings.Cut(word, ":")
	return kind == "env" && l.Getenv(name) != "" || kind == "file" && input.Exists(name)
}

// placeholder is what stands for a flag's value in a hint.
func placeholder(f *pflag.Flag) string {
	if _, ok := f.Value.(*secret.Flag); ok {
		return "env:NAME"
	}
	name, _ := pflag.UnquoteUsage(f)
	return strings.ToUpper(name)
}

// flag is the name of a flag as it is typed.
func flag[Name ~string](name Name) string { return "--" + string(name) }

// plainWord is what a shell takes as it stands.
var plainWord = regexp.MustCompile(`^[\pL\pN_./:=,@%+-]+$`)

// quoted is an argument as a shell takes it.
func quoted(argument string) string {
	if plainWord.MatchString(argument) {
		return argument
	}
	return "'" + strings.ReplaceAll(argument, "'", `'\''`) + "'"
}

// Quoted are words as a shell takes them.
func Quoted(words ...string) string {
	all := make([]string, len(words))
	for i, word := range words {
		all[i] = quoted(word)
	}
	return strings.Join(all, " ")
}
