package setup

import (
	"context"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/cardctl/cardctl/internal/advice"
	"github.com/cardctl/cardctl/internal/p11"
	"github.com/cardctl/cardctl/internal/problem"
	"github.com/cardctl/cardctl/internal/typed"
)

// p11Kit registers a module for the programs that load the modules of p11-kit: those
// with GnuTLS, and OpenSSL with its engine. pkcs11.conf(5) has the files.
func p11Kit() target {
	return target{
		name: "p11-kit", keyless: true,
		needs:   []program{{names: []string{"p11-kit"}, pack: "p11-kit"}},
		accepts: []Option{advice.System, advice.Agent},
		plan:    planP11Kit,
		check:   checkP11Kit,
	}
}

func planP11Kit(_ context.Context, j *job) (plan, error) {
	if !j.System && os.Geteuid() == 0 {
		return plan{}, problem.New(problem.NotSupported, "p11-kit does not read the home directory of root").
			Advise(advice.Repeat(advice.Switch(advice.System)))
	}
	if j.Agent {
		return j.planRemote()
	}
	module, err := j.module()
	if err != nil {
		return plan{}, err
	}
	own := "cardctl-" + strings.TrimSuffix(filepath.Base(module), filepath.Ext(module))
	others := slices.DeleteFunc(p11.DefaultPlaces().RegisteredAs(module), func(name string) bool { return name == own })
	if len(others) > 0 {
		return plan{notes: []string{"p11-kit loads this module already, as " + others[0] + ". Nothing has to be written."}}, nil
	}
	return plan{entries: []entry{j.moduleFile(own, "module: "+module)}}, nil
}

// remoteModule is the name by which p11-kit knows the agent.
const remoteModule = "cardctl-agent"

// planRemote has p11-kit reach the agent. Without one that runs, it starts one for each
// program.
func (j *job) planRemote() (plan, error) {
	own, err := os.Executable()
	if err != nil {
		return plan{}, problem.Wrap(problem.Failed, err, "cannot find cardctl")
	}
	p := plan{entries: []entry{j.moduleFile(remoteModule, "remote: |"+typed.Quoted(append([]string{own}, j.Remote...)...))}}
	if module, err := j.module(); err == nil {
		for _, name := range p11.DefaultPlaces().RegisteredAs(module) {
			p.notes = append(p.notes, "p11-kit also loads "+module+", as "+name+", so it shows each card twice.")
		}
	}
	return p, nil
}

// moduleFile is what p11-kit reads of one module.
func (j *job) moduleFile(name, setting string) *file {
	dir := filepath.Join(j.config(), "pkcs11/modules")
	if j.System {
		dir = j.Root + "/etc/pkcs11/modules"
	}
	return &file{
		Path: filepath.Join(dir, name+".module"), Mode: 0o644, Public: j.System, Whole: &whole{"# Written by cardctl setup p11-kit.\n" + setting + "\n"},
	}
}

func checkP11Kit(ctx context.Context, j *job) (string, error) {
	module, names := "cardctl agent", []string{remoteModule}
	if !j.Agent {
		var err error
		if module, err = j.module(); err != nil {
			return "", err
		}
		names = p11.DefaultPlaces().RegisteredAs(module)
	}
	listed, err := j.run(ctx, nil, "p11-kit", "list-modules")
	if err != nil {
		return "", err
	}
	for _, name := range names {
		for _, line := range strings.Split(listed, "\n") { // 0.24: "NAME: FILE", 0.25: "module: NAME"
			if line == "module: "+name || strings.HasPrefix(line, name+": ") {
				return "p11-kit loads " + module + " as " + name, nil
			}
		}
	}
	return "", problem.New(problem.Failed, "p11-kit does not load the module").
		Because("Its list does not have %s.", module)
}
