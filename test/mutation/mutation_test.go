//go:build cgo && unix

package mutation

import (
	"flag"
	"path/filepath"
	"strings"
	"testing"
)

func TestEveryCheckIsThere(t *testing.T) {
	for _, m := range checks(t) {
		if _, err := m.source("../.."); err != nil {
			t.Errorf("%s: %v", m.name, err)
		}
	}
}

func TestEveryCheckIsMissed(t *testing.T) {
	root, err := filepath.Abs("../..")
	if err != nil {
		t.Fatal(err)
	}
	all := checks(t)
	once := &together{} // for one check, all need not be compiled
	if !strings.Contains(flag.Lookup("test.run").Value.String(), "/") {
		if once, err = compile(t.Context(), root, t.TempDir(), all); err != nil {
			t.Fatal(err)
		}
	}
	for _, m := range all {
		t.Run(m.name, func(t *testing.T) {
			t.Parallel()
			missed(t, root, once, m)
		})
	}
}

// missed checks that the test of a mutation fails.
func missed(t *testing.T, root string, once *together, m mutation) {
	if once.binaries[m.pkg] != "" && once.switched[m.name] {
		if !once.passed[m.pkg+" "+m.test] {
			t.Fatalf("%s of %s fails without a mutation", m.test, m.pkg)
		}
		if out, _ := once.run(t.Context(), m); m.failed(out) {
			return
		}
		t.Log("it is compiled and run alone")
	}
	out, err := m.runAlone(t.Context(), root, t.TempDir())
	if err != nil && !m.failed(out) { // it waited for ever, for what did not come this time
		out, err = m.runAlone(t.Context(), root, t.TempDir())
	}
	switch {
	case err == nil:
		t.Errorf("%s of %s passes without it", m.test, m.pkg)
	case !m.failed(out):
		t.Errorf("%s of %s did not run: %v\n%s", m.test, m.pkg, err, out)
	}
}

func checks(t *testing.T) []mutation {
	t.Helper()
	all, err := list("testdata/checks.txt")
	if err != nil {
		t.Fatal(err)
	}
	return all
}
