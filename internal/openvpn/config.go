package openvpn

import (
	"cmp"
	"context"
	"path/filepath"
	"slices"
	"strings"

	"github.com/cardctl/cardctl/internal/advice"
	"github.com/cardctl/cardctl/internal/desk"
	"github.com/cardctl/cardctl/internal/family"
	"github.com/cardctl/cardctl/internal/input"
	"github.com/cardctl/cardctl/internal/p11"
	"github.com/cardctl/cardctl/internal/problem"
)

// Options of OpenVPN that take from this command what it is for. Ours stand last on the
// command line and override others of their name; these would stand beside them.
var (
	otherCertificate = []string{
		"cert", "key", "pkcs12", "cryptoapicert", "management-external-key", "management-external-cert",
	}
	background = []string{"daemon", "inetd"}
	// ownArgs are further ones, which nobody has a reason to add on a command line.
	ownArgs = []string{"config", providers, named, picked}
)

const (
	providers = "pkcs11-providers"
	named     = "pkcs11-id"
	picked    = "pkcs11-id-management"
	tooEarly  = "pkcs11-cert-private"
)

// mostLevels is how deep OpenVPN follows configurations that include others.
const mostLevels = 10

// reading is a configuration that is read, with what it includes.
type reading struct {
	options *Options
	module  string
	// dir is where names of files begin, empty for where this program is.
	dir string
	// id is the certificate that it names by its serialised ID, and file where that stands.
	id, file string
}

// check refuses a configuration and arguments by which OpenVPN would not use the key, or
// not run below this command. It finds the certificate that the configuration names.
func (o *Options) check(ctx context.Context, module string) (reading, error) {
	r := reading{options: o, module: module}
	if err := r.read(ctx, o.Config, o.Text, 1); err != nil {
		return r, err
	}
	return r, o.checkArgs()
}

func (r *reading) read(ctx context.Context, name string, text []byte, level int) error {
	if len(text) > LongestConfig {
		return problem.New(problem.Mismatch, "%s is not a configuration of OpenVPN", name).
			Because("It has more than %d bytes.", LongestConfig).Advise(advice.Run("ls", "-l", name))
	}
	for _, line := range directives(string(text)) {
		if err := r.checkLine(name, line); err != nil {
			return err
		}
		if len(line) != 2 {
			continue
		}
		switch line[0] {
		case "cd":
			r.dir = r.path(line[1])
		case named:
			r.id, r.file = line[1], name
		case "config":
			included := r.path(line[1])
			text, err := input.File(ctx, included, LongestConfig)
			if ctx.Err() != nil {
				return ctx.Err()
			}
			if err != nil || level == mostLevels {
				continue // OpenVPN says it
			}
			if err := r.read(ctx, included, text, level+1); err != nil {
				return err
			}
		}
	}
	return nil
}

// path is that of a file which a configuration names.
func (r *reading) path(name string) string {
	if r.dir == "" || filepath.IsAbs(name) {
		return name
	}
	return filepath.Join(r.dir, name)
}

// names refuses a configuration that names another certificate than that of the key.
func (r *reading) names(known p11.KnownAs, ref string) error {
	if r.id == "" || r.id == known.SerializedID {
		return nil
	}
	why := "That of the key is " + known.SerializedID + "."
	if known.SerializedID == "" {
		why = "That of the key has no serialised ID in " + r.module + "."
	}
	return problem.New(problem.Usage, "%s names another certificate than that of %s", r.file, ref).
		Because("%s", why).Advise(search(named, r.file))
}

// checkArgs does not repeat what was typed.
func (o *Options) checkArgs() error {
	for _, argument := range o.Args {
		name, isOption := strings.CutPrefix(argument, "--")
		why := refusal(name)
		if slices.Contains(ownArgs, name) || strings.HasPrefix(name, "management") {
			why = "is one that cardctl sets: " + strings.Join(ownArgs, ", ") + ", or one of the management interface."
		}
		if isOption && why != "" {
			return problem.New(problem.Usage, "an option behind -- cannot be used here").
				Because("It %s", why).Advise(advice.Do(advice.Help))
		}
	}
	return nil
}

func (r *reading) checkLine(name string, line []string) error {
	why := refusal(line[0])
	if line[0] == providers && slices.ContainsFunc(line[1:], func(other string) bool { return !sameFile(other, r.module) }) {
		why = "names another PKCS#11 module than " + r.module + "."
	}
	if why == "" {
		return nil
	}
	next := search(line[0], name)
	if line[0] == providers {
		next = advice.Repeat(advice.Fill(advice.Module))
	}
	return problem.New(problem.Usage, "%s has the option %s", name, line[0]).Because("It %s", why).Advise(next)
}

// search shows where a configuration has an option.
func (o *Options) search(option string) advice.Advice { return search(option, o.Config) }

func search(option, config string) advice.Advice {
	return advice.Run("grep", "-n", option, config)
}

// refusal is why an option is refused; empty for others.
func refusal(name string) string {
	switch {
	case slices.Contains(otherCertificate, name):
		return "names a certificate or key, and cardctl picks the one on the card."
	case slices.Contains(background, name):
		return "sends OpenVPN into the background, where cardctl cannot give it the PIN."
	case name == tooEarly:
		return "has OpenVPN ask for PINs before a certificate is picked, and another token can have the same label."
	}
	return ""
}

func sameFile(a, b string) bool {
	resolved := func(path string) string {
		if real, err := filepath.EvalSymlinks(path); err == nil {
			return real
		}
		return path
	}
	return a == b || resolved(a) == resolved(b)
}

// module is the path of the module that OpenVPN loads.
func (o *Options) module(d *desk.Desk) (string, error) {
	name := d.Meant.Module
	if _, f, err := family.Parse(o.Key); o.Key != "" && err == nil && f.Token && name == "" {
		uri, err := p11.ParseURI(o.Key)
		if err != nil {
			return "", err
		}
		name = uri.Module()
	}
	path, err := p11.DefaultPlaces().Locate(cmp.Or(name, desk.DefaultModule))
	if err != nil {
		return "", err
	}
	return filepath.Abs(path) // a configuration may go to another directory
}

// directives are the lines of a configuration, word by word, without comments and without
// what is in the files that stand in it: of <ca> … </ca>, only ca is left.
func directives(text string) [][]string {
	var list [][]string
	inside := ""
	for line := range strings.Lines(strings.TrimPrefix(text, "\ufeff")) {
		line = strings.TrimSpace(line)
		if inside != "" {
			if strings.HasPrefix(line, "</"+inside+">") {
				inside = ""
			}
			continue
		}
		w := words(line)
		if len(w) == 0 {
			continue
		}
		w[0] = strings.TrimPrefix(w[0], "--")
		if name, ok := strings.CutPrefix(w[0], "<"); ok && len(w) == 1 && strings.HasSuffix(name, ">") && name[0] != '/' {
			inside = strings.TrimSuffix(name, ">")
			w[0] = inside
			if inside == "connection" { // a block of options, not a file
				inside = ""
				continue
			}
		}
		list = append(list, w)
	}
	return list
}

// words are those of a line as OpenVPN reads it: separated by blanks, with quotes of two
// kinds and backslashes, up to a comment.
func words(line string) []string {
	var list []string
	word, begun, escaped, quote := []byte(nil), false, false, byte(0)
	for i := range len(line) {
		c := line[i]
		switch {
		case escaped:
			word, escaped = append(word, c), false
		case c == '\\' && quote != '\'':
			begun, escaped = true, true
		case quote != 0 && c == quote:
			quote = 0
		case quote != 0:
			word = append(word, c)
		case !begun && (c == '#' || c == ';'):
			return list
		case c == '"' || c == '\'':
			begun, quote = true, c
		case c == ' ' || c == '\t':
			if begun {
				list, word, begun = append(list, string(word)), nil, false
			}
		default:
			word, begun = append(word, c), true
		}
	}
	if begun {
		list = append(list, string(word))
	}
	return list
}
