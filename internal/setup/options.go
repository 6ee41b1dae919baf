package setup

import (
	"context"
	"path/filepath"
	"slices"
	"strings"
	"unicode"
	"unicode/utf8"

	"github.com/cardctl/cardctl/internal/advice"
	"github.com/cardctl/cardctl/internal/cert"
	"github.com/cardctl/cardctl/internal/key"
	"github.com/cardctl/cardctl/internal/problem"
)

// Action is what Run does with a program.
type Action string

// The actions. Write is what is done if nothing else is asked for.
const (
	Write Action = "write"
	Print Action = "print"
	Check Action = "check"
	Undo  Action = "undo"
)

// Options say which program is to use which key, and how.
type Options struct {
	Target string
	Action Action
	// Key is a reference, empty for none; Module a name or path, empty for that of the
	// card.
	Key, Module string
	// Stored reads the certificate of a key from its card, in DER.
	Stored func(ctx context.Context, k key.Key) ([]byte, error)

	// System sets the program up for everybody, User for another user, Profile for one
	// profile of the program. Without any, it is set up for whoever runs cardctl.
	System        bool
	User, Profile string
	// Group is the group that a rule is for.
	Group string

	// CA are the certificates of the CAs that the program trusts.
	CA []*cert.Certificate
	// URLs are the sites or hosts for which the key is used; none for all.
	URLs []string
	// Format is x509 or ssh, where a program signs in both ways.
	Format string
	// Agent leaves the key to an agent: that of cardctl, whose sockets are in Sockets, or
	// for ssh also ssh-agent.
	Agent   bool
	Sockets string
	// Remote are the arguments with which cardctl serves one program, as a module of PKCS#11.
	Remote []string
	// AllowTLS12 lets a program lower its TLS to 1.2 for a key that needs it.
	AllowTLS12 bool
	// DeleteAdopted has Undo delete the keys that were adopted, too.
	DeleteAdopted bool

	// Picture is the file for a picture of what Check shows; empty for none.
	Picture string

	// Home is the home directory of whoever runs cardctl, Environ its environment for
	// other programs, without secrets. Dir is where it is remembered what was written.
	Home, Dir string
	Environ   []string
	// Root is in front of the paths of the system; empty outside tests.
	Root string
}

// Option is one that only some targets have.
type Option = advice.Field

// given are the options that only some targets have, and that were given.
func (o *Options) given() []Option {
	var given []Option
	for _, option := range []struct {
		name Option
		is   bool
	}{
		{advice.System, o.System}, {advice.User, o.User != ""}, {advice.Profile, o.Profile != ""}, {advice.Group, o.Group != ""},
		{advice.CA, len(o.CA) > 0}, {advice.URL, len(o.URLs) > 0}, {advice.Format, o.Format != ""}, {advice.Agent, o.Agent},
		{advice.Picture, o.Picture != ""}, {advice.AllowTLS12, o.AllowTLS12}, {advice.DeleteAdopted, o.DeleteAdopted},
	} {
		if option.is {
			given = append(given, option.name)
		}
	}
	return given
}

// validate refuses options that the target does not have.
func (o *Options) validate(t *target) error {
	for _, option := range o.given() {
		if !slices.Contains(t.accepts, option) {
			return problem.New(problem.Usage, "%s has no option of the name %s", t.name, option).
				Because("%s", t.options()).Advise(advice.Repeat().Without(option))
		}
	}
	if o.DeleteAdopted && o.Action != Undo {
		return problem.New(problem.Usage, "adopted keys are deleted only when the rest is taken back").Advise(advice.Repeat().Without(advice.DeleteAdopted))
	}
	whose := slices.DeleteFunc(o.given(), func(given Option) bool {
		return !slices.Contains([]Option{advice.System, advice.User, advice.Group, advice.Profile}, given)
	})
	if len(whose) > 1 {
		return problem.New(problem.Usage, "%s and %s exclude each other", whose[0], whose[1]).Advise(advice.Repeat().Without(whose[1]))
	}
	if t.keyless && o.Key != "" {
		return problem.New(problem.Usage, "%s is not set up for one key", t.name).Advise(advice.Repeat().Without(advice.Key))
	}
	return nil
}

// options are those of a target, in a sentence.
func (t *target) options() string {
	if len(t.accepts) == 0 {
		return "It has no options of its own."
	}
	names := make([]string, len(t.accepts))
	for i, option := range t.accepts {
		names[i] = string(option)
	}
	return "Its options: " + strings.Join(names, ", ") + "."
}

// scope is whose configuration is written, in words that also tell records apart.
func (o *Options) scope(t *target) string {
	switch {
	case o.Profile != "":
		return "profile " + o.Profile
	case o.Group != "":
		return "group " + o.Group
	case t.rules:
		return "user " + o.User
	case o.System:
		return "system"
	case o.directory(t.variable) != "":
		return "home " + o.directory(t.variable)
	}
	return "home " + o.Home
}

// placed refuses a home directory or profile in which files have no certain place, or
// whose name cannot be written into a configuration.
func (o *Options) placed() error {
	dir, name, next := o.Profile, "the flag", advice.Repeat(advice.Fill(advice.Profile))
	switch {
	case o.System || o.Action == Undo:
		return nil
	case dir == "":
		dir, name, next = o.Home, "HOME", advice.Run("export", "HOME=/home/NAME")
	}
	if filepath.IsAbs(dir) && utf8.ValidString(dir) && !strings.ContainsFunc(dir, unicode.IsControl) {
		return nil
	}
	return problem.New(problem.Usage, "not a directory for configurations: %q", dir).
		Because("It comes from %s. It must be an absolute path in UTF-8, without control characters.", name).
		Advise(next)
}
