//go:build stack

// Package docs runs the commands that the documents, the manual and the help of
// every command tell people to type, and compares the output that documents
// show. Whether a document is right about anything else is left to its readers.
package docs

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/cardctl/cardctl/test/stack"
)

func TestMain(m *testing.M) { os.Exit(stack.Main(m)) }

// untilEmpty waits until the virtual readers are empty, for the next test.
const untilEmpty = `until ! opensc-tool -l | grep -q " Yes .*Virtual PCD"; do sleep 0.1; done`

// endOfBlock ends the output of an sh block.
const endOfBlock = "== end of block"

// script runs the sh blocks of a document one after the other, as it is read from
// top to bottom, and stops what it started in the background.
func script(list []block) string {
	text := "exec 2>&1\ntrap 'kill $(jobs -p) 2>/dev/null || true; wait; " + untilEmpty + "' EXIT\n"
	for _, b := range list {
		text += strings.Join(b.commands, "\n") + "\necho '" + endOfBlock + "'\n"
	}
	return text
}

func TestEveryDocumentedCommandRuns(t *testing.T) {
	documents, err := filepath.Glob("../../docs/*.md")
	if err != nil {
		t.Fatal(err)
	}
	ran := 0
	for _, document := range append(documents, "../../README.md") {
		text, err := os.ReadFile(document)
		if err != nil {
			t.Fatal(err)
		}
		list := blocks(t, string(text))
		if len(list) == 0 {
			continue
		}
		ran++
		t.Run(filepath.Base(document), func(t *testing.T) {
			out := newDesk(t).Run("bash", "-euxc", script(list))
			t.Log(out)
			printed := strings.Split(out, "\n"+endOfBlock+"\n")
			for i, b := range list {
				if line := notPrinted(b.output, printed[i]); line != "" {
					t.Errorf("%q is not in the output, at its place, of\n%s", line, strings.Join(b.commands, "\n"))
				}
			}
		})
	}
	if ran == 0 {
		t.Fatal("no document has a command in it")
	}
}
