package secret

import (
	"slices"
	"strconv"
	"strings"

	"github.com/cardctl/cardctl/internal/advice"
	"github.com/cardctl/cardctl/internal/problem"
)

// MaxLength is the longest secret that a source may give, in bytes.
const MaxLength = 4096

type kind int

const (
	kindNone kind = iota
	kindEnv
	kindFile
	kindFD
	kindStdin
	kindCommand
	kindPinentry // from here on a person is asked
	kindPrompt
)

// forms are what a source looks like, and places where it is, in words.
var (
	forms = [...]string{
		kindEnv: "env:NAME", kindFile: "file:PATH", kindFD: "fd:N", kindStdin: "stdin",
		kindCommand: "command:CMD", kindPinentry: "pinentry", kindPrompt: "prompt",
	}
	places = [...]string{
		kindEnv: "the environment", kindFile: "a file", kindFD: "a file descriptor", kindStdin: "stdin",
		kindCommand: "a command", kindPinentry: "pinentry", kindPrompt: "the prompt",
	}
)

// word is what a source begins with.
func (k kind) word() string {
	word, _, _ := strings.Cut(forms[k], ":")
	return word
}

// Kinds are the first words of sources.
func Kinds() []string {
	var words []string
	for k := kindEnv; k <= kindPrompt; k++ {
		words = append(words, k.word())
	}
	return words
}

// Forms are what sources look like: env:NAME.
func Forms() []string { return slices.Clone(forms[kindEnv:]) }

// listed are the forms of these kinds and all before, in words.
func listed(last kind) string { return strings.Join(forms[kindEnv:last+1], ", ") }

// Source says where a secret comes from; it never holds the secret. The zero
// value is no source.
type Source struct {
	kind     kind
	argument string
	fd       int
}

// ParseSource reads a source as it stands on the command line: env:NAME,
// file:PATH, fd:N, stdin, command:CMD, pinentry or prompt. Anything else may
// be the secret itself, so it is a problem.Usage that does not repeat it.
func ParseSource(s string) (Source, error) {
	name, argument, hasArgument := strings.Cut(s, ":")
	for k := kindEnv; k <= kindPrompt; k++ {
		if name != k.word() {
			continue
		}
		source := Source{kind: k, argument: argument}
		switch source.kind {
		case kindStdin, kindPinentry, kindPrompt:
			if !hasArgument {
				return source, nil
			}
		case kindEnv:
			if variableName(argument) {
				return source, nil
			}
		case kindFD:
			n, err := strconv.ParseUint(argument, 10, 16)
			if err == nil {
				source.fd = int(n)
				return source, nil
			}
		case kindFile, kindCommand:
			if argument != "" && !strings.ContainsRune(argument, 0) {
				return source, nil
			}
		}
	}
	return Source{}, problem.New(problem.Usage, "not a secret source").
		Because("%s Valid sources: %s.", neverTyped, listed(kindPrompt))
}

const neverTyped = "A secret is not accepted on the command line, where other programs can see it."

// variableName reports whether s is a name as POSIX shells know them. Digits
// alone are none: env:123456 is more likely a PIN.
func variableName(s string) bool {
	for i, c := range s {
		switch {
		case c == '_', c >= 'A' && c <= 'Z', c >= 'a' && c <= 'z', i > 0 && c >= '0' && c <= '9':
		default:
			return false
		}
	}
	return s != ""
}

// waits reports whether a person is asked, or a program is run.
func (s Source) waits() bool {
	return s.kind == kindPrompt || s.kind == kindPinentry || s.kind == kindCommand
}

// Stdin reports whether it is standard input.
func (s Source) Stdin() bool { return s.kind == kindStdin || s.kind == kindFD && s.fd == 0 }

// Inherited reports whether it ends with the process that was started with it: a descriptor, or
// a terminal.
func (s Source) Inherited() bool {
	return s.kind == kindStdin || s.kind == kindFD || s.kind == kindPrompt
}

// String is the source as it is written on the command line, except that a
// command is left out: it may hold a secret of its own.
func (s Source) String() string {
	switch s.kind {
	case kindNone:
		return ""
	case kindEnv, kindFile, kindFD:
		return s.kind.word() + ":" + s.argument
	}
	return s.kind.word()
}

// Flag is a source on the command line. It fits the Value interfaces of flag
// and pflag. Setting it never fails, because flag libraries repeat in their
// errors what they were given; Source says what was wrong with it.
type Flag struct {
	// Words are accepted instead of a source: names of secrets that everybody knows,
	// or that are found in another way.
	Words []string

	source Source
	word   string
	err    error
}

// Set takes the flag's value.
func (f *Flag) Set(s string) error {
	if slices.Contains(f.Words, s) {
		f.word, f.source, f.err = s, Source{}, nil
		return nil
	}
	f.word = ""
	f.source, f.err = ParseSource(s)
	return nil
}

func (f *Flag) String() string {
	if f.word != "" {
		return f.word
	}
	return f.source.String()
}

// Word is the one of Words that was given; then Source is the zero Source. It is empty
// where none was.
func (f *Flag) Word() string { return f.word }

// Type is the placeholder in help texts.
func (f *Flag) Type() string { return "source" }

// Source returns what was set; the zero Source where nothing was. name is which
// secret it is for.
func (f *Flag) Source(name Name) (Source, error) {
	if f.err == nil {
		return f.source, nil
	}
	p := problem.Wrap(problem.Usage, f.err, name.Words()).Advise(advice.Repeat(advice.Ask(name)))
	if len(f.Words) > 0 {
		p.Because("%s Valid sources: %s, and %s.", neverTyped, listed(kindPrompt), strings.Join(f.Words, ", "))
	}
	return Source{}, p
}

// Runs reports whether a command gives the secret.
func (s Source) Runs() bool { return s.kind == kindCommand }
