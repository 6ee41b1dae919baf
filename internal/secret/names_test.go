package secret

import (
	"os"
	"regexp"
	"slices"
	"testing"
)

// TestNamesAreAll compares the list of names with the constants.
func TestNamesAreAll(t *testing.T) {
	text, err := os.ReadFile("request.go")
	if err != nil {
		t.Fatal(err)
	}
	found := regexp.MustCompile(`(?m)^\t\w+ +Name = "(.+)"$`).FindAllStringSubmatch(string(text), -1)
	if len(found) != len(Names()) {
		t.Errorf("%d constants, %d names", len(found), len(Names()))
	}
	for _, name := range found {
		if !slices.Contains(Names(), Name(name[1])) {
			t.Errorf("Names has no %s", name[1])
		}
	}
}
