package secret

import (
	"bytes"
	"context"
	"errors"
	"io"
	"maps"
	"os"
	"slices"
	"sync"

	"github.com/cardctl/cardctl/internal/advice"
	"github.com/cardctl/cardctl/internal/input"
	"github.com/cardctl/cardctl/internal/problem"
)

// Terminal is where a person is asked.
type Terminal interface {
	// Available reports whether there is a terminal.
	Available() bool
	// ReadSecret shows prompt and reads a line without echo. Its end by
	// the interrupt key is a problem.Interrupted.
	ReadSecret(ctx context.Context, prompt string) (*Bytes, error)
	// Show writes a line.
	Show(line string) error
}

// Resolver finds the secrets of one run of a command. Its Ask is an Asker.
type Resolver struct {
	// Sources are what the flags name.
	Sources map[Name]Source

	// ForChildren are further variables for child processes, which hold no secret.
	ForChildren []string
	// Withheld are further sources, whose variables child processes do not get.
	Withheld []Source
	// Env is the environment, as os.Environ gives it.
	Env []string

	// Stdin is where the source stdin reads. It is read byte by byte up to
	// the end of the line, so that what follows stays there for others.
	Stdin io.Reader

	// Descriptors are what fd: may read besides stdin: those that were handed to
	// this process.
	Descriptors []int

	// Stderr is where command: and pinentry write their errors.
	Stderr io.Writer

	// Terminal is where prompts go; nil for none.
	Terminal Terminal

	// NoInput forbids prompts, pinentry included.
	NoInput bool

	// Pinentry is the program for the source pinentry; "" is pinentry.
	Pinentry string

	turn  sync.Mutex // held while a stream is read
	files map[int]*os.File
}

// ChildEnv is the environment without secrets, for child processes.
func (r *Resolver) ChildEnv() []string {
	return slices.Concat(FilterEnv(r.Env, slices.AppendSeq(slices.Clone(r.Withheld), maps.Values(r.Sources))...), r.ForChildren)
}

// Ask returns the secret from the flag's source; else from the environment
// variable of its name, if that is set and not empty; else from the terminal.
// Where there is none, an optional secret is nil, any other a problem.Usage,
// as are an empty secret and a source that does not give one.
func (r *Resolver) Ask(ctx context.Context, q Request) (*Bytes, error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	source, where, ok := r.source(q.Name)
	switch {
	case !ok && q.Optional:
		return nil, nil
	case (!ok || source.kind == kindPrompt) && !r.canPrompt():
		return nil, r.missing(q)
	case !ok:
		source, where = Source{kind: kindPrompt}, places[kindPrompt]
	case source.kind == kindPinentry && r.NoInput:
		return nil, problem.New(problem.Usage, "%s from %s: nobody may be asked", q.label(), where).
			Because("The command was told not to prompt.").
			Advise(advice.Repeat(advice.Ask(q.Name)))
	}
	if q.Waiting != nil && source.waits() {
		if err := q.Waiting(); err != nil {
			return nil, err
		}
	}
	raw, err := r.read(ctx, source, q)
	if err == nil {
		var s *Bytes
		if s, err = Meant(raw); err == nil {
			return s, nil
		}
	}
	switch {
	case ctx.Err() != nil && errors.Is(err, ctx.Err()):
		return nil, ctx.Err()
	case problem.Is(err, problem.Interrupted):
		return nil, err
	}
	p := problem.Wrap(problem.Usage, err, q.label()+" from "+where)
	if p.Next.IsZero() {
		p.Advise(advice.Repeat(advice.Ask(q.Name)))
	}
	return nil, p
}

func (r *Resolver) source(name Name) (source Source, where string, ok bool) {
	if s := r.Sources[name]; s.kind != kindNone {
		return s, places[s.kind], true
	}
	if value, ok := Lookup(r.Env, name.Variable()); ok && value != "" {
		return Source{kind: kindEnv, argument: name.Variable()}, name.Variable(), true
	}
	return Source{}, "", false
}

func (r *Resolver) canPrompt() bool {
	return !r.NoInput && r.Terminal != nil && r.Terminal.Available()
}

func (r *Resolver) missing(q Request) error {
	why := "there is no terminal to prompt on"
	if r.NoInput {
		why = "the command was told not to prompt"
	}
	p := problem.New(problem.Usage, "%s was not given", q.label()).Advise(advice.Repeat(advice.Ask(q.Name)))
	p.Cause = ErrMissing
	if r.Sources[q.Name].kind == kindPrompt {
		return p.Because("The named source is the prompt, and %s. Other sources: %s.", why, listed(kindCommand))
	}
	return p.Because("No source was named, %s is not set, and %s. Valid sources: %s.", q.Name.Variable(), why, listed(kindCommand))
}

// label is what to call the secret.
func (q Request) label() string {
	if q.Label == "" {
		return q.Name.Words()
	}
	return q.Label
}

// read returns what a source gives, as it stands.
func (r *Resolver) read(ctx context.Context, s Source, q Request) ([]byte, error) {
	switch s.kind {
	case kindEnv:
		value, ok := Lookup(r.Env, s.argument)
		if !ok {
			return nil, problem.New(problem.Usage, "the variable is not set").
				Because("A shell passes on only the variables that are exported.")
		}
		return []byte(value), nil
	case kindFile:
		return input.Interruptible(ctx, func() ([]byte, error) { return r.readFile(s.argument) }, Wipe)
	case kindFD:
		return r.readStream(ctx, func() (io.Reader, error) { return r.file(s.fd) })
	case kindStdin:
		return r.readStream(ctx, func() (io.Reader, error) { return r.Stdin, nil })
	case kindCommand:
		return r.runCommand(ctx, s.argument)
	case kindPinentry:
		return revealed(r.askPinentry(ctx, q))
	default:
		return revealed(r.prompt(ctx, q))
	}
}

// revealed are the bytes of a secret, which are not wiped with it.
func revealed(s *Bytes, err error) ([]byte, error) { return s.Reveal(), err }

// promptAttempts is how often a new secret is asked for when the two times
// differ.
const promptAttempts = 3

func (r *Resolver) prompt(ctx context.Context, q Request) (*Bytes, error) {
	text := q.label()
	if q.Note != "" {
		text += " (" + q.Note + ")"
	}
	for attempt := 1; ; attempt++ {
		s, err := r.Terminal.ReadSecret(ctx, text+": ")
		if err != nil || !q.New || s.Len() == 0 {
			return s, err
		}
		again, err := r.Terminal.ReadSecret(ctx, "Repeat "+q.label()+": ")
		if err != nil {
			s.Wipe()
			return nil, err
		}
		same := bytes.Equal(s.Reveal(), again.Reveal())
		again.Wipe()
		if same {
			return s, nil
		}
		s.Wipe()
		if attempt == promptAttempts {
			return nil, problem.New(problem.Usage, "the two entries differed %d times", promptAttempts)
		}
		if err := r.Terminal.Show("The entries differ. Try again."); err != nil {
			return nil, err
		}
	}
}
