//go:build stack

// Package docs runs what the documents, the manual and the help of every command
// tell people to type.
package docs

import (
	"bufio"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/cardctl/cardctl/test/stack"
)

func TestMain(m *testing.M) { os.Exit(stack.Main(m)) }

// untilEmpty waits until the virtual readers are empty, for the next test.
const untilEmpty = `until ! opensc-tool -l | grep -q " Yes .*Virtual PCD"; do sleep 0.1; done`

// script is the fenced sh blocks of a document, one behind the other: a
// document is read from top to bottom.
func script(t *testing.T, document string) string {
	t.Helper()
	file, err := os.Open(document)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = file.Close() }()
	var lines []string
	inside := false
	for scanner := bufio.NewScanner(file); scanner.Scan(); {
		switch line := scanner.Text(); {
		case line == "```sh":
			inside = true
		case line == "```":
			inside = false
		case inside:
			lines = append(lines, line)
		}
	}
	return strings.Join(lines, "\n")
}

func TestEveryDocumentedCommandRuns(t *testing.T) {
	documents, err := filepath.Glob("../../docs/*.md")
	if err != nil {
		t.Fatal(err)
	}
	ran := 0
	for _, document := range append(documents, "../../README.md") {
		commands := script(t, document)
		if commands == "" {
			continue
		}
		ran++
		t.Run(filepath.Base(document), func(t *testing.T) {
			desk := newDesk(t)
			// What a document starts in the background ends with it.
			out := desk.Run("bash", "-euxc", "trap 'kill $(jobs -p) 2>/dev/null || true; wait; "+untilEmpty+"' EXIT\n"+commands)
			t.Log(out)
		})
	}
	if ran == 0 {
		t.Fatal("no document has a command in it")
	}
}
