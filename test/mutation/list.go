//go:build cgo && unix

// Package mutation removes the checks that keep cards, keys and secrets safe
// from the code, one at a time, and requires that a test fails. The checks are
// listed in testdata/checks.txt. Nothing is changed on disk: the compiler gets
// the mutated files instead of the originals (go build -overlay). Finding the
// place is left to the list; it tries no other change.
//
// To compile once, not once for each mutation, a file gets all of its mutations
// at once, and a variable of the environment switches one of them on. Where that
// does not work, or if the test does not fail then, the mutation alone is
// compiled.
package mutation

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
)

// mutation is a check that is left out.
type mutation struct {
	name string // what is left out
	file string // where, from the root of the module
	from string // what stands there, once
	to   string // what stands there instead

	pkg, test string // which test has to fail
}

// list reads a list of mutations: paragraphs of a name, the file, the test, a line
// with what stands there behind a minus, and what shall stand there behind a plus.
func list(path string) ([]mutation, error) {
	text, err := os.ReadFile(path)
	if err != nil {
		return nil, err
	}
	var all []mutation
	names := map[string]bool{}
	for paragraph := range strings.SplitSeq(strings.TrimSpace(string(text)), "\n\n") {
		lines := strings.Split(paragraph, "\n")
		if len(lines) != 5 || !strings.HasPrefix(lines[3], "- ") || !strings.HasPrefix(lines[4], "+ ") {
			return nil, fmt.Errorf("not a mutation:\n%s", paragraph)
		}
		if names[lines[0]] {
			return nil, fmt.Errorf("two mutations have the name %q", lines[0])
		}
		names[lines[0]] = true
		pkg, test, _ := strings.Cut(lines[2], " ")
		all = append(all, mutation{name: lines[0], file: lines[1], from: lines[3][2:], to: lines[4][2:], pkg: pkg, test: test})
	}
	return all, nil
}

// source returns the file that is mutated; the line must stand there once.
func (m mutation) source(root string) (string, error) {
	source, err := os.ReadFile(m.path(root))
	if err != nil {
		return "", err
	}
	if n := strings.Count(string(source), m.from); n != 1 {
		return "", fmt.Errorf("%q stands %d times in %s", m.from, n, m.file)
	}
	return string(source), nil
}

func (m mutation) path(root string) string { return filepath.Join(root, filepath.FromSlash(m.file)) }

func (m mutation) mutated(source string) string { return strings.Replace(source, m.from, m.to, 1) }

// failed reports whether the test failed, and was not ended.
func (m mutation) failed(out string) bool { return strings.Contains(out, "--- FAIL: "+m.test) }
