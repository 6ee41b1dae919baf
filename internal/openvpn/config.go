package openvpn

import (
	"cmp"
	"path/filepath"
	"slices"
	"strings"

	"github.com/cardctl/cardctl/internal/advice"
	"github.com/cardctl/cardctl/internal/desk"
	"github.com/cardctl/cardctl/internal/family"
	"github.com/cardctl/cardctl/internal/p11"
	"github.com/cardctl/cardctl/internal/problem"
)

// Options of OpenVPN that take from this command what it is for. Ours stand last on the
// command line and override others of their name; these would stand beside them.
var (
	otherCertificate = []string{
		"cert", "key", "pkcs12", "pkcs11-id", "cryptoapicert", "management-external-key", "management-external-cert",
	}
	background = []string{"daemon", "inetd"}
	// ownArgs are further ones, which nobody has a reason to add on a command line.
	ownArgs = []string{"config", providers, "pkcs11-id-management"}
)

const (
	providers = "pkcs11-providers"
	tooEarly  = "pkcs11-cert-private"
)

// check refuses a configuration and arguments by which OpenVPN would not use the key, or
// not run below this command. What a configuration includes is not looked at.
func (o *Options) check(module string) error {
	if len(o.Text) > LongestConfig {
		return problem.New(problem.Mismatch, "%s is not a configuration of OpenVPN", o.Config).
			Because("It has more than %d bytes.", LongestConfig).Advise(advice.Run("ls", "-l", o.Config))
	}
	for _, line := range directives(string(o.Text)) {
		if err := o.checkLine(line, module); err != nil {
			return err
		}
	}
	return o.checkArgs()
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

func (o *Options) checkLine(line []string, module string) error {
	why := refusal(line[0])
	if line[0] == providers && slices.ContainsFunc(line[1:], func(other string) bool { return !sameFile(other, module) }) {
		why = "names another PKCS#11 module than " + module + "."
	}
	if why == "" {
		return nil
	}
	next := o.search(line[0])
	if line[0] == providers {
		next = advice.Repeat(advice.Fill(advice.Module))
	}
	return problem.New(problem.Usage, "%s has the option %s", o.Config, line[0]).Because("It %s", why).Advise(next)
}

// search shows where a configuration has an option.
func (o *Options) search(option string) advice.Advice {
	return advice.Run("grep", "-n", option, o.Config)
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
