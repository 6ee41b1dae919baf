package cardctl_test

import (
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

var (
	// A file or folder in CONTRIBUTING.md, in which NAME stands for any name.
	namedPath = regexp.MustCompile("`((?:cmd|docs|internal|man|scripts|test)/[^` ]+|[a-z_]+_test\\.go)`")
	namedTest = regexp.MustCompile("`(Test[A-Z]\\w+)`")
)

// TestContributingNamesWhatExists keeps the checklists of CONTRIBUTING.md true: every
// file and every test that they name exists.
func TestContributingNamesWhatExists(t *testing.T) {
	text := contents(t, "CONTRIBUTING.md")
	for _, found := range namedPath.FindAllStringSubmatch(text, -1) {
		if files, err := filepath.Glob(strings.ReplaceAll(found[1], "NAME", "*")); err != nil || len(files) == 0 {
			t.Errorf("CONTRIBUTING.md names %s, which does not exist, %v", found[1], err)
		}
	}
	defined := testNames(t)
	for _, found := range namedTest.FindAllStringSubmatch(text, -1) {
		if !defined[found[1]] {
			t.Errorf("CONTRIBUTING.md names the test %s, which does not exist", found[1])
		}
	}
}

// testNames are the names of all tests.
func testNames(t *testing.T) map[string]bool {
	t.Helper()
	definition := regexp.MustCompile(`(?m)^func (Test\w+)\(`)
	names := map[string]bool{}
	err := fs.WalkDir(os.DirFS("."), ".", func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() || !strings.HasSuffix(path, "_test.go") {
			return err
		}
		for _, found := range definition.FindAllStringSubmatch(contents(t, path), -1) {
			names[found[1]] = true
		}
		return nil
	})
	if err != nil || len(names) == 0 {
		t.Fatalf("%d tests, %v", len(names), err)
	}
	return names
}
