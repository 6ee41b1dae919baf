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
)

// p11Kit registers a module for the programs that load the modules of p11-kit: those
// with GnuTLS, and OpenSSL with its engine. pkcs11.conf(5) has the files.
func p11Kit() target {
	return target{
		name: "p11-kit", keyless: true,
		needs:   []program{{names: []string{"p11-kit"}, pack: "p11-kit"}},
		accepts: []Option{advice.System},
		plan:    planP11Kit,
		check:   checkP11Kit,
	}
}

func planP11Kit(_ context.Context, j *job) (plan, error) {
	if !j.System && os.Geteuid() == 0 {
		return plan{}, problem.New(problem.NotSupported, "p11-kit does not read the home directory of root").
			Advise(advice.Repeat(advice.Switch(advice.System)))
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
	dir := filepath.Join(j.config(), "pkcs11/modules")
	if j.System {
		dir = j.Root + "/etc/pkcs11/modules"
	}
	return plan{entries: []entry{&file{
		Path: filepath.Join(dir, own+".module"), Mode: 0o644, Public: j.System, Whole: &whole{"# Written by cardctl setup p11-kit.\nmodule: " + module + "\n"},
	}}}, nil
}

func checkP11Kit(ctx context.Context, j *job) (string, error) {
	module, err := j.module()
	if err != nil {
		return "", err
	}
	listed, err := j.run(ctx, nil, "p11-kit", "list-modules")
	if err != nil {
		return "", err
	}
	for _, name := range p11.DefaultPlaces().RegisteredAs(module) {
		for _, line := range strings.Split(listed, "\n") { // 0.24: "NAME: FILE", 0.25: "module: NAME"
			if line == "module: "+name || strings.HasPrefix(line, name+": ") {
				return "p11-kit loads " + module + " as " + name, nil
			}
		}
	}
	return "", problem.New(problem.Failed, "p11-kit does not load the module").
		Because("Its list does not have %s.", module)
}
