package p11

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"

	"github.com/cardctl/cardctl/internal/advice"
	"github.com/cardctl/cardctl/internal/problem"
)

// Places are where PKCS#11 modules are looked for.
type Places struct {
	// Configs are p11-kit's directories of .module files, the one that
	// overrides the others first.
	Configs []string
	// Libraries are directories of shared libraries. Modules stand in them,
	// in their pkcs11 directory, which is p11-kit's module directory, or in
	// one of their own.
	Libraries []string
}

// DefaultPlaces are those of the system: p11-kit's as pkcs11.conf(5) has them,
// the library directories of Debian with its multiarch, Fedora, Arch, the BSDs,
// Homebrew and the installers of OpenSC, SoftHSM and Yubico.
func DefaultPlaces() Places {
	if runtime.GOOS == "windows" {
		programs := os.Getenv("ProgramFiles")
		return Places{Libraries: []string{
			filepath.Join(programs, "OpenSC Project", "OpenSC"),
			filepath.Join(programs, "SoftHSM2", "lib"),
			`C:\SoftHSM2\lib`,
			filepath.Join(programs, "Yubico", "Yubico PIV Tool", "bin"),
			filepath.Join(os.Getenv("SystemRoot"), "System32"),
		}}
	}
	var p Places
	if user := userConfig(); user != "" {
		p.Configs = append(p.Configs, filepath.Join(user, "pkcs11", "modules"))
	}
	prefixes := []string{"/usr/local", "/opt/homebrew", "/opt/local"}
	p.Configs = append(p.Configs, "/etc/pkcs11/modules")
	for _, prefix := range prefixes {
		p.Configs = append(p.Configs, prefix+"/etc/pkcs11/modules")
	}
	for _, prefix := range append([]string{"/usr"}, prefixes...) {
		p.Configs = append(p.Configs, prefix+"/share/p11-kit/modules")
	}
	multiarch, _ := filepath.Glob("/usr/lib/*-linux-*")
	p.Libraries = append(multiarch, "/usr/lib64", "/usr/lib", "/Library/OpenSC/lib")
	for _, prefix := range prefixes {
		p.Libraries = append(p.Libraries, prefix+"/lib")
	}
	return p
}

// userConfig is what p11-kit takes for ~/.config.
func userConfig() string {
	if dir := os.Getenv("XDG_CONFIG_HOME"); dir != "" {
		return dir
	}
	home, err := os.UserHomeDir()
	if err != nil {
		return ""
	}
	return filepath.Join(home, ".config")
}

// wellKnown is a module with a name in the command line's contract.
type wellKnown struct {
	name string
	// configs are the names its .module file has where it brings one.
	configs []string
	// files are its names below a library directory.
	files []string
	// debian is the package that has it there, others what it is in elsewhere.
	debian, others string
}

var wellKnownModules = []wellKnown{
	{"opensc", []string{"opensc", "opensc-pkcs11"},
		[]string{"opensc-pkcs11.so", "pkcs11/opensc-pkcs11.so", "opensc-pkcs11.dylib", "pkcs11/opensc-pkcs11.dll", "opensc-pkcs11.dll"},
		"opensc-pkcs11", "opensc"},
	{"softhsm2", []string{"softhsm2"},
		[]string{"softhsm/libsofthsm2.so", "libsofthsm2.so", "pkcs11/libsofthsm2.so", "softhsm2-x64.dll", "softhsm2.dll"},
		"softhsm2", "softhsm"},
	{"scute", []string{"scute"},
		[]string{"scute/scute.so", "scute.so", "pkcs11/scute.so", "libscute.so"},
		"scute", "scute"},
	{"ykcs11", []string{"ykcs11"},
		[]string{"libykcs11.so.2", "libykcs11.so", "libykcs11.so.1", "pkcs11/libykcs11.so", "libykcs11.dylib", "libykcs11.dll"},
		"ykcs11", "yubico-piv-tool"},
	{"tpm2", []string{"tpm2_pkcs11", "tpm2-pkcs11"},
		[]string{"libtpm2_pkcs11.so.1", "libtpm2_pkcs11.so", "pkcs11/libtpm2_pkcs11.so"},
		"libtpm2-pkcs11-1", "tpm2-pkcs11"},
}

// WellKnown are the names of modules in the command line's contract.
func WellKnown() []string {
	var names []string
	for _, known := range wellKnownModules {
		names = append(names, known.name)
	}
	return names
}

// Locate is the file of the module that name stands for: a path, a name of the
// command line's contract (opensc, softhsm2, scute, ykcs11, tpm2), one that
// p11-kit knows, or the name of a file in a library directory. A name without a slash
// is never a file of the working directory: whoever can write there would be loaded.
// Where none of them is there, the problem.NotFound lists what was tried.
func (p Places) Locate(name string) (string, error) {
	if name == "" {
		return "", problem.New(problem.Usage, "no PKCS#11 module was selected").
			Advise(advice.Repeat(advice.Set(advice.Module, wellKnownModules[0].name)))
	}
	if isPath(name) {
		return locatePath(name)
	}
	var tried []string
	for _, path := range p.candidates(name) {
		if slices.Contains(tried, path) {
			continue
		}
		tried = append(tried, path)
		if isFile(path) && !errors.Is(Inspect(path), errOtherMachine) {
			return path, nil
		}
	}
	return "", p.notFound(name, tried)
}

func isPath(name string) bool { return strings.ContainsAny(name, `/`+string(filepath.Separator)) }

func locatePath(name string) (string, error) {
	path, err := filepath.Abs(name)
	if err != nil {
		return "", problem.Wrap(problem.Failed, err, "PKCS#11 module "+name)
	}
	if _, err := os.Stat(path); errors.Is(err, fs.ErrNotExist) {
		return "", noFile(name)
	}
	return path, nil
}

// candidates are the files that name may stand for, the most wanted first.
func (p Places) candidates(name string) []string {
	configs, files := []string{name}, []string{name, filepath.Join("pkcs11", name)}
	for _, known := range wellKnownModules {
		if known.name == name {
			configs, files = known.configs, known.files
		}
	}
	var paths []string
	for _, c := range p.configured() {
		if slices.Contains(configs, c.name) {
			paths = append(paths, p.resolve(c.module)...)
		}
	}
	for _, dir := range p.Libraries {
		for _, file := range files {
			paths = append(paths, filepath.Join(dir, filepath.FromSlash(file)))
		}
	}
	return paths
}

// resolve is where a module of a .module file may be: as written where the
// path is absolute, else in p11-kit's module directory.
func (p Places) resolve(module string) []string {
	if filepath.IsAbs(module) {
		return []string{module}
	}
	var paths []string
	for _, dir := range p.Libraries {
		paths = append(paths, filepath.Join(dir, "pkcs11", module))
	}
	return paths
}

// Installed is a module that is there.
type Installed struct {
	Name string `json:"name"` // what --module takes
	Path string `json:"path"`
}

// Installed are the modules that can be named and are there: those of the
// command line's contract, then what else p11-kit knows.
func (p Places) Installed() []Installed {
	var installed []Installed
	for _, name := range append(WellKnown(), p.others()...) {
		if path, err := p.Locate(name); err == nil {
			installed = append(installed, Installed{name, path})
		}
	}
	return installed
}

// Missing are the names of modules that p11-kit knows, and that are not there.
func (p Places) Missing() []string {
	return slices.DeleteFunc(p.others(), func(name string) bool {
		_, err := p.Locate(name)
		return err == nil
	})
}

// others are the modules that p11-kit knows under names of its own.
func (p Places) others() []string {
	covered := make(map[string]bool)
	for _, known := range wellKnownModules {
		for _, c := range known.configs {
			covered[c] = true
		}
	}
	var names []string
	for _, c := range p.configured() {
		if !covered[c.name] {
			names = append(names, c.name)
		}
	}
	return names
}

func (p Places) notFound(name string, tried []string) error {
	missing := problem.New(problem.NotFound, "the PKCS#11 module %q was not found", name).Advise(advice.Do(advice.Diagnose))
	why := ""
	for _, k := range wellKnownModules {
		if k.name == name {
			why = fmt.Sprintf("Its package is %s on Debian, and usually %s elsewhere.", k.debian, k.others)
			if runtime.GOOS == "linux" {
				_ = missing.Advise(advice.Run("apt", "install", k.debian))
			}
		}
	}
	if why == "" {
		why = "Known names: " + strings.Join(append(WellKnown(), p.others()...), ", ") + "."
	}
	return missing.Because("%s%s", why, searched(tried))
}

// searched names the first places and the number of the others.
func searched(places []string) string {
	const shown = 3
	switch {
	case len(places) == 0:
		return ""
	case len(places) <= shown:
		return " Tried: " + strings.Join(places, ", ") + "."
	}
	return fmt.Sprintf(" Tried: %s and %d more.", strings.Join(places[:shown], ", "), len(places)-shown)
}

func isFile(path string) bool {
	info, err := os.Stat(path)
	return err == nil && !info.IsDir()
}
