package cardctl_test

import (
	"maps"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
)

var (
	// A target of the Makefile, its comment aside: name and recipe.
	target = regexp.MustCompile(`(?m)^([a-z0-9]+):\n\t(.+)$`)
	// A line of scripts/test.sh that names a part.
	part = regexp.MustCompile(`(?m)^([a-z0-9]+)\|`)
)

// TestMakefileHasTheWordsOfTheScripts requires that every target runs a script and a
// part that exist, and that every script and every part is a target.
func TestMakefileHasTheWordsOfTheScripts(t *testing.T) {
	targets := map[string]string{}
	for _, found := range target.FindAllStringSubmatch(contents(t, "Makefile"), -1) {
		targets[found[1]] = found[2]
	}
	words := map[string]bool{}
	for _, found := range part.FindAllStringSubmatch(contents(t, "scripts/test.sh"), -1) {
		words[found[1]] = true
	}
	parts := maps.Clone(words)
	scripts, err := filepath.Glob("scripts/*.sh")
	if err != nil || len(scripts) == 0 || len(parts) == 0 {
		t.Fatalf("scripts %q, parts %v, %v", scripts, parts, err)
	}
	for _, script := range scripts {
		words[strings.TrimSuffix(filepath.Base(script), ".sh")] = true
	}
	for word := range words {
		if targets[word] == "" {
			t.Errorf("the Makefile has no target %s", word)
		}
	}
	for name, recipe := range targets {
		program := strings.Fields(recipe)
		if program[0] == "go" {
			continue
		}
		if !slices.Contains(scripts, filepath.Clean(program[0])) {
			t.Errorf("%s: there is no script %s", name, program[0])
		}
		for _, argument := range program[1:] {
			if regexp.MustCompile(`^[a-z]`).MatchString(argument) && !parts[argument] {
				t.Errorf("%s: ./scripts/test.sh has no part %s", name, argument)
			}
		}
	}
}
