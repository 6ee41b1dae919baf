package cardctl_test

import (
	"maps"
	"os"
	"regexp"
	"slices"
	"testing"
)

var (
	// A requirement in go.mod: its module and version.
	requirement = regexp.MustCompile(`(?m)^(?:require )?\t?(\S+\.\S+/\S+) v\S+`)
	// A row of a table in docs/dependencies.md: module, licence, user, reason.
	dependency = regexp.MustCompile("(?m)^\\| `(\\S+)` \\| ([A-Za-z0-9.-]+) \\| [^|]+ \\| [^|]{3,} \\|$")
)

// matches are the first groups of a pattern in a file.
func matches(t *testing.T, name string, pattern *regexp.Regexp) []string {
	t.Helper()
	text, err := os.ReadFile(name)
	if err != nil {
		t.Fatal(err)
	}
	found := map[string]bool{}
	for _, match := range pattern.FindAllStringSubmatch(string(text), -1) {
		found[match[1]] = true
	}
	return slices.Sorted(maps.Keys(found))
}

// TestEveryDependencyHasAReason keeps docs/dependencies.md, which the bills of
// materials take the licences from, at what go.mod requires.
func TestEveryDependencyHasAReason(t *testing.T) {
	required := matches(t, "go.mod", requirement)
	listed := matches(t, "docs/dependencies.md", dependency)
	if len(required) < 10 {
		t.Fatalf("go.mod requires %q", required)
	}
	for _, module := range required {
		if !slices.Contains(listed, module) {
			t.Errorf("%s is not in docs/dependencies.md with licence, user and reason", module)
		}
	}
	for _, module := range listed {
		if !slices.Contains(required, module) {
			t.Errorf("%s is in docs/dependencies.md, and not in go.mod", module)
		}
	}
}
