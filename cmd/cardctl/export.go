package main

import (
	"context"
	"slices"
	"strings"

	"github.com/spf13/pflag"

	"github.com/cardctl/cardctl/internal/advice"
	"github.com/cardctl/cardctl/internal/problem"
)

// exportFlags are those of commands whose result is a file: a request, a
// certificate, a public key.
type exportFlags struct {
	format  string
	out     string
	formats []string
}

func (f *exportFlags) add(flags *pflag.FlagSet, formats ...string) {
	f.formats = formats
	flags.StringVar(&f.format, "format", formats[0], "`format` of the result: "+strings.Join(formats, ", "))
	flags.StringVar(&f.out, "out", "", "write the result to `file` atomically; - means stdout")
}

func (f *exportFlags) check() error {
	if f.format = strings.ToLower(f.format); slices.Contains(f.formats, f.format) {
		return nil
	}
	return problem.New(problem.Usage, "unknown format").
		Because("Valid formats: %s.", strings.Join(f.formats, ", ")).
		Advise(advice.Repeat(advice.Set(advice.Format, f.formats[0])))
}

// exported is the result in all its forms.
type exported struct {
	PEM string `json:"pem"`
	// DER is in base64.
	DER []byte `json:"der"`
	// SSH is a line of authorized_keys.
	SSH string `json:"ssh,omitempty"`
	// File is where it was written to.
	File string `json:"file,omitempty"`
}

func (e *exported) in(format string) []byte {
	switch format {
	case "der":
		return e.DER
	case "ssh":
		return []byte(e.SSH)
	}
	return []byte(e.PEM)
}

// write writes the result to the file, or to stdout. With -o json the document,
// which holds it as well, goes to stdout.
func (f *exportFlags) write(ctx context.Context, env *session, kind string, e *exported, document any) error {
	if f.out != "" && f.out != "-" {
		if err := f.save(ctx, env, e); err != nil {
			return err
		}
	}
	if env.flags.output == formatJSON {
		return env.result(kind, document, nil)
	}
	if e.File != "" {
		return nil
	}
	env.progress.Done()
	_, err := env.Out.Write(e.in(f.format))
	return notWritten(err)
}

// save writes the result to the file.
func (f *exportFlags) save(ctx context.Context, env *session, e *exported) error {
	if err := env.writeFile(ctx, f.out, e.in(f.format)); err != nil {
		return problem.Wrap(problem.Failed, err, "cannot write "+f.out)
	}
	e.File = f.out
	env.note("written to %s", f.out)
	return nil
}
