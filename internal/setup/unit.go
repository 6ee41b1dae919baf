package setup

import (
	"context"
	"path/filepath"
	"slices"
	"strings"

	"github.com/cardctl/cardctl/internal/opensslconf"
	"github.com/cardctl/cardctl/internal/p11"
	"github.com/cardctl/cardctl/internal/typed"
)

// opensslConf is the configuration of OpenSSL for the programs of this target.
func (j *job) opensslConf() string {
	name := "cardctl/" + j.target.name + ".cnf"
	if j.System {
		return j.Root + "/etc/" + name
	}
	return filepath.Join(j.config(), name)
}

// opensslFile is that configuration, with the additions. It includes the one that
// programs read otherwise.
func (j *job) opensslFile(a opensslconf.Additions) *file {
	path := j.opensslConf()
	var others []string // what one user has named is not for all
	if !j.System {
		others = slices.DeleteFunc(slices.Clone(j.Environ), func(entry string) bool { return names(entry, path) })
	}
	return &file{
		Path: path, Mode: 0o644, Public: j.System,
		Whole: &whole{"# Written by cardctl setup " + j.target.name + ".\n" + opensslconf.Text(others, a)},
	}
}

// opensslForUnit has a service of systemd find what whoever runs cardctl finds: the
// configuration of the modules; and the OpenSSL in it the additions. These are for all that
// the service does.
func (j *job) opensslForUnit(unit string, a opensslconf.Additions) plan {
	var p plan
	variables := j.passedOn()
	if a != (opensslconf.Additions{}) {
		conf := j.opensslFile(a)
		variables = append(variables, opensslconf.Variable+"="+conf.Path)
		p.entries = append(p.entries, conf)
	}
	if a.TLS12 {
		p.notes = append(p.notes, "Every connection of "+unit+" is limited to TLS 1.2.")
	}
	if len(variables) == 0 {
		return p
	}
	text := "# Written by cardctl setup " + j.target.name + ".\n[Service]\n"
	for _, entry := range variables {
		text += "Environment=\"" + inUnit.Replace(entry) + "\"\n"
	}
	p.entries = append(p.entries, &file{Path: j.Root + "/etc/systemd/system/" + unit + ".d/cardctl.conf", Mode: 0o644, Public: true, Whole: &whole{text}})
	p.next = []string{"systemctl daemon-reload"}
	p.undone = p.next
	return p
}

// withConfiguration is a command that finds the configuration of OpenSSL.
func (j *job) withConfiguration(command string) string {
	return opensslconf.Variable + "=" + typed.Quoted(j.opensslConf()) + " " + command
}

// tellDriver has the program be told the driver of the card, if OpenSC does not find the
// key without.
func (j *job) tellDriver(ctx context.Context) error {
	if j.getenv(p11.DriverVariable) != "" {
		return nil
	}
	needs, err := j.key.NeedsDriver(ctx)
	if needs {
		j.Environ = append(j.Environ, p11.DriverVariable+"="+j.key.Holder.Driver)
	}
	return err
}

// unitEnvironment is that of the service, which has nothing of whoever set it up, or
// that of the person.
func (j *job) unitEnvironment(lower bool) []string {
	env := slices.Clone(j.Environ)
	if j.System {
		env = append(j.passedOn(), "PATH="+j.getenv("PATH"))
	}
	if lower {
		env = append(env, opensslconf.Variable+"="+j.opensslConf())
	}
	return env
}

// inUnit writes a value between quotes into a unit of systemd, which expands % there
// (systemd.unit(5)).
var inUnit = strings.NewReplacer(`\`, `\\`, `"`, `\"`, "%", "%%")
