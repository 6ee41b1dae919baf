package cardctl_test

import (
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

// A row of the table of docs/tested.md: a program and its two versions.
var testedWith = regexp.MustCompile(`(?m)^\| ([^|]+) \| ([^|]+) \| ([^|]+) \|$`)

// TestVersionsAreWrittenByTheRun gives what stands in docs/tested.md to the script that
// writes it. README must then be as it is, and so must every other word of both.
func TestVersionsAreWrittenByTheRun(t *testing.T) {
	documents := []string{"docs/tested.md", "README.md"}
	dir := t.TempDir()
	write := func(name, content string) string {
		t.Helper()
		path := filepath.Join(dir, name)
		if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(content), 0o600); err != nil {
			t.Fatal(err)
		}
		return path
	}
	for _, name := range documents {
		write(name, contents(t, name))
	}
	rows := testedWith.FindAllStringSubmatch(contents(t, documents[0]), -1)
	if len(rows) < 10 {
		t.Fatalf("docs/tested.md has the rows %q", rows)
	}
	var here, there strings.Builder
	for _, row := range rows {
		here.WriteString(row[1] + "\t" + row[2] + "\n")
		there.WriteString(row[1] + "\t" + row[3] + "\n")
	}
	lib, err := filepath.Abs("scripts/lib")
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command("bash", "-euc", `. "$0/say.sh"; . "$0/versions.sh"; write_versions "$1" "$2"`,
		lib, write("here", here.String()), write("there", there.String()))
	cmd.Dir = dir
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	for _, name := range documents {
		written, err := os.ReadFile(filepath.Join(dir, name))
		if err != nil {
			t.Fatal(err)
		}
		if string(written) != contents(t, name) {
			t.Errorf("%s is not as make versions writes it", name)
		}
	}
}
