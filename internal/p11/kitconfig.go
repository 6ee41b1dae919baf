package p11

import (
	"bufio"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
)

// configured is what a .module file of p11-kit says: the name that the file
// has, and the module.
type configured struct {
	name   string
	module string
}

// configured reads the .module files. A file overrides those of the same name
// in later directories; an empty module in it switches the module off.
func (p Places) configured() []configured {
	const suffix = ".module"
	var (
		found []configured
		seen  = make(map[string]bool)
	)
	for _, dir := range p.Configs {
		entries, err := os.ReadDir(dir)
		if err != nil {
			continue // not every system has every directory
		}
		for _, entry := range entries {
			name, isModule := strings.CutSuffix(entry.Name(), suffix)
			if !isModule || name == "" || seen[name] {
				continue
			}
			file, err := os.Open(filepath.Join(dir, entry.Name()))
			if err != nil {
				continue
			}
			module, says := readModuleFile(file)
			_ = file.Close()
			if !says {
				continue // it adds a setting to the file it would override
			}
			seen[name] = true
			if module != "" {
				found = append(found, configured{name, module})
			}
		}
	}
	slices.SortFunc(found, func(a, b configured) int { return strings.Compare(a.name, b.name) })
	return found
}

// readModuleFile is the value of "module:" in the format of pkcs11.conf(5):
// "name: value" in a line, comments only in lines of their own.
func readModuleFile(r io.Reader) (module string, says bool) {
	const longest = 1 << 16 // bytes, of a file that a person writes
	lines := bufio.NewScanner(io.LimitReader(r, longest))
	for lines.Scan() {
		line := strings.TrimSpace(lines.Text())
		if line == "" || strings.HasPrefix(line, "#") {
			continue
		}
		name, value, found := strings.Cut(line, ":")
		if found && strings.TrimSpace(name) == "module" {
			module, says = strings.TrimSpace(value), true
		}
	}
	return module, says
}

// RegisteredAs are the names under which p11-kit loads the module in a file.
func (p Places) RegisteredAs(path string) []string {
	file, err := os.Stat(path)
	if err != nil {
		return nil
	}
	var names []string
	for _, c := range p.configured() {
		for _, place := range p.resolve(c.module) {
			if there, err := os.Stat(place); err == nil && os.SameFile(file, there) {
				names = append(names, c.name)
				break
			}
		}
	}
	return names
}
