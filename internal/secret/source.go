package secret

import (
	"slices"
	"strconv"
	"strings"

	"github.com/cardctl/cardctl/internal/problem"
)

// MaxLength is the longest secret that a source may give, in bytes.
const MaxLength = 4096

// forms are what a source looks like.
const forms = "env:NAME, file:PATH, fd:N, stdin, command:CMD, pinentry or prompt"

type kind int

const (
	kindNone kind = iota
	kindEnv
	kindFile
	kindFD
	kindStdin
	kindCommand
	kindPinentry
	kindPrompt
)

var kindNames = [...]string{
	kindEnv: "env", kindFile: "file", kindFD: "fd", kindStdin: "stdin",
	kindCommand: "command", kindPinentry: "pinentry", kindPrompt: "prompt",
}

// Kinds are the first words of sources.
func Kinds() []string {
	return slices.DeleteFunc(slices.Clone(kindNames[:]), func(name string) bool { return name == "" })
}

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
	for k, known := range kindNames {
		if known == "" || name != known {
			continue
		}
		source := Source{kind: kind(k), argument: argument}
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
	return Source{}, problem.New(problem.Usage, "not a source of a secret").
		Because("A secret itself is never given on the command line, where other programs can see it.").
		Hint("give where it comes from: %s", forms)
}

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

// String is the source as it is written on the command line, except that a
// command is left out: it may hold a secret of its own.
func (s Source) String() string {
	switch s.kind {
	case kindNone:
		return ""
	case kindEnv, kindFile, kindFD:
		return kindNames[s.kind] + ":" + s.argument
	}
	return kindNames[s.kind]
}

// Flag is a source on the command line. It fits the Value interfaces of flag
// and pflag. Setting it never fails, because flag libraries repeat in their
// errors what they were given; Source says what was wrong with it.
type Flag struct {
	// WellKnown, if there is one, is taken in place of a source: the name of a
	// secret that everybody knows.
	WellKnown string

	source    Source
	wellKnown bool
	err       error
}

// Set takes the flag's value.
func (f *Flag) Set(s string) error {
	if f.wellKnown = f.WellKnown != "" && s == f.WellKnown; f.wellKnown {
		f.source, f.err = Source{}, nil
		return nil
	}
	f.source, f.err = ParseSource(s)
	return nil
}

func (f *Flag) String() string {
	if f.wellKnown {
		return f.WellKnown
	}
	return f.source.String()
}

// NamesWellKnown reports whether the secret that everybody knows was named; then
// Source is the zero Source.
func (f *Flag) NamesWellKnown() bool { return f.wellKnown }

// Type is the placeholder in help texts.
func (f *Flag) Type() string { return "source" }

// Source returns what was set; the zero Source where nothing was. name is the
// flag's name in the error.
func (f *Flag) Source(name Name) (Source, error) {
	if f.err == nil {
		return f.source, nil
	}
	p := problem.Wrap(problem.Usage, f.err, "--"+string(name))
	places := "It comes from " + forms + "."
	if f.WellKnown != "" {
		places += " There is also " + f.WellKnown + ", for the ones that everybody knows."
	}
	return Source{}, p.Because("%s %s", p.Reason(), places).Hint("--%s env:NAME", name)
}
