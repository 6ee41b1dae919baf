package cardctl_test

import (
	"bytes"
	"encoding/json"
	"errors"
	"io"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
)

// linter is the program that go.mod names as a tool.
const linter = "honnef.co/go/tools/cmd/staticcheck"

var (
	// A requirement in go.mod: its module and version.
	requirement = regexp.MustCompile(`(?m)^(?:require )?\t?(\S+\.\S+/\S+) (v\S+)`)
	// A row of a table in docs/dependencies.md.
	dependencyRow = regexp.MustCompile("(?m)^\\| `(\\S+)` \\| (\\S+) \\| `(v\\S+)` \\| ([^|]+) \\| [^|]{3,} \\|$")
	quotedName    = regexp.MustCompile("`([^`]+)`")
)

// dependency is what a row says of a module, besides the reason.
type dependency struct {
	licence, version string
	importers        []string
}

// TestEveryDependencyIsTrue compares docs/dependencies.md, from which the bills of
// materials take the licences, with go.mod, the licence files and the imports.
func TestEveryDependencyIsTrue(t *testing.T) {
	listed := dependencies(t)
	required := map[string]string{}
	for _, found := range requirement.FindAllStringSubmatch(contents(t, "go.mod"), -1) {
		required[found[1]] = found[2]
	}
	if len(required) < 10 {
		t.Fatalf("go.mod requires %v", required)
	}
	for module := range listed {
		if required[module] == "" {
			t.Errorf("%s is in docs/dependencies.md but not in go.mod", module)
		}
	}
	imports := importers(t)
	licences := licences(t, slices.Sorted(maps.Keys(required)))
	for module, version := range required {
		want := dependency{licences[module], version, imports.of(module)}
		got, ok := listed[module]
		switch {
		case !ok:
			t.Errorf("docs/dependencies.md has no row for %s with licence, version, importers and reason", module)
		case got.licence != want.licence || got.version != want.version || !slices.Equal(got.importers, want.importers):
			t.Errorf("docs/dependencies.md says of %s: %v\nwant %v", module, got, want)
		}
	}
}

// dependencies are the rows of docs/dependencies.md by module.
func dependencies(t *testing.T) map[string]dependency {
	t.Helper()
	rows := map[string]dependency{}
	for _, row := range dependencyRow.FindAllStringSubmatch(contents(t, "docs/dependencies.md"), -1) {
		d := dependency{licence: row[2], version: row[3]}
		for _, name := range quotedName.FindAllStringSubmatch(row[4], -1) {
			d.importers = append(d.importers, name[1])
		}
		rows[row[1]] = d
	}
	return rows
}

// contents is the text of a file.
func contents(t *testing.T, name string) string {
	t.Helper()
	text, err := os.ReadFile(name)
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

// decode runs go and decodes the JSON documents that it prints.
func decode[T any](t *testing.T, env []string, args ...string) (documents []T) {
	t.Helper()
	cmd := exec.Command("go", args...)
	cmd.Env = append(os.Environ(), env...)
	cmd.Stderr = os.Stderr
	out, err := cmd.Output()
	if err != nil {
		t.Fatal(err)
	}
	for d := json.NewDecoder(bytes.NewReader(out)); ; {
		var document T
		err := d.Decode(&document)
		if errors.Is(err, io.EOF) {
			return documents
		}
		if err != nil {
			t.Fatal(err)
		}
		documents = append(documents, document)
	}
}

// licences are the licences of modules, as their licence files have them.
func licences(t *testing.T, modules []string) map[string]string {
	t.Helper()
	found := map[string]string{}
	for _, m := range decode[struct{ Path, Dir string }](t, nil, append([]string{"mod", "download", "-json"}, modules...)...) {
		var files []string
		for _, pattern := range []string{"LICENSE*", "COPYING*"} {
			matching, err := filepath.Glob(filepath.Join(m.Dir, pattern))
			if err != nil {
				t.Fatal(err)
			}
			files = append(files, matching...)
		}
		if len(files) == 0 {
			t.Fatalf("%s has no licence file", m.Path)
		}
		found[m.Path] = licence(contents(t, files[0]))
	}
	return found
}

// licence is the SPDX name of a licence.
func licence(text string) string {
	text = strings.Join(strings.Fields(text), " ")
	switch {
	case strings.Contains(text, "Apache License Version 2.0"):
		return "Apache-2.0"
	case strings.Contains(text, "Permission is hereby granted, free of charge"):
		return "MIT"
	case strings.Contains(text, "may be used to endorse or promote products"):
		return "BSD-3-Clause"
	case strings.Contains(text, "Redistribution and use in source and binary forms"):
		return "BSD-2-Clause"
	}
	return "unknown"
}

// importing is who imports what: the program, its tests, and other modules.
type importing struct{ program, tests, modules map[string][]string }

// of are the importers of a module that its row names: packages of the program, else
// those with tests that import it, else modules; none for the linter.
func (i importing) of(module string) []string {
	for _, edges := range []map[string][]string{i.program, i.tests, i.modules} {
		var names []string
		for path, importers := range edges {
			if within(path, module) {
				names = append(names, importers...)
			}
		}
		slices.Sort(names)
		names = slices.DeleteFunc(slices.Compact(names), func(name string) bool { return name == module })
		if len(names) > 0 {
			return names
		}
	}
	return nil
}

// importers lists the imports of this module and the linter, on Linux and Windows.
func importers(t *testing.T) importing {
	t.Helper()
	all := importing{map[string][]string{}, map[string][]string{}, map[string][]string{}}
	for _, system := range []string{"linux", "windows"} {
		for _, p := range decode[struct {
			ImportPath, ForTest string
			Module              *struct{ Path string }
			Imports             []string
		}](t, []string{"GOOS=" + system, "CGO_ENABLED=1"}, "list", "-deps", "-test", "-tags", "stack,packages",
			"-json=ImportPath,ForTest,Module,Imports", "./...", linter) {
			if p.Module == nil {
				continue // the standard library
			}
			path, _, _ := strings.Cut(p.ImportPath, " ")
			name, ours := strings.CutPrefix(path, module)
			edges := all.modules
			switch {
			case ours && (p.ForTest != "" || strings.HasPrefix(name, "test/")):
				edges = all.tests
			case ours:
				edges = all.program
			default:
				name = p.Module.Path
			}
			for _, imported := range p.Imports {
				edges[imported] = append(edges[imported], name)
			}
		}
	}
	return all
}
