//go:build cgo && unix

package mutation

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// switchable is a program with what a mutated copy of a function must not share with the
// original: labels, results and parameters that are declared again.
const switchable = `package main

import "fmt"

type counter[T any] struct{ n int }

const last = 3

func (c *counter[T]) count(_ string, values ...T) (n int, err error) {
	defer func() { n++ }()
	values, more := values[1:], 1
loop:
	for range values {
		n += more
		if n > last {
			break loop
		}
	}
	return c.n + n, nil
}

func say(what string) {
	if what == "" {
		return
	}
	fmt.Println(what)
}

func survive() {
	if recover() != nil { fmt.Println("recovered") }
}

func main() {
	c := &counter[int]{10}
	fmt.Println(c.count("", 1, 2, 3))
	say("")
	say("said")
	defer survive()
	panic(0)
}
`

func TestSwitched(t *testing.T) {
	mutations := []mutation{
		{name: "more", from: "n += more", to: "n += 5 * more"},
		{name: "the \"end\"", from: "n++ }()", to: "n += 100 }()"},
		{name: "silence", from: `what == ""`, to: `what == "said"`},
		{name: "a constant", from: "last = 3", to: "last = 0"},
		{name: "who recovers", from: "recover() != nil", to: "recover() == nil"},
		{name: "no Go", from: "loop:", to: "loop: {"},
	}
	source, left, err := switched(switchable, mutations)
	if err != nil {
		t.Fatal(err)
	}
	var names []string
	for _, m := range left {
		names = append(names, m.name)
	}
	if got := strings.Join(names, ", "); got != "a constant, who recovers, no Go" {
		t.Errorf("left: %s", got)
	}
	dir := t.TempDir()
	for name, content := range map[string]string{
		"go.mod": "module switched\n\ngo 1.26\n", "main.go": source, switchFile: strings.ReplaceAll(switchSource, "%s", "main"),
	} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(content), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	build := exec.Command("go", "build", "-o", "program", ".")
	build.Dir = dir
	if out, err := build.CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s\n%s", err, out, source)
	}
	for name, want := range map[string]string{
		"":            "13 <nil>\nsaid\nrecovered\n",
		"another":     "13 <nil>\nsaid\nrecovered\n",
		"more":        "16 <nil>\nsaid\nrecovered\n",
		"the \"end\"": "112 <nil>\nsaid\nrecovered\n",
		"silence":     "13 <nil>\n\nrecovered\n",
	} {
		out, err := execute(t.Context(), dir, []string{environment + "=" + name}, "./program")
		if err != nil || out != want {
			t.Errorf("%q: %v, %q", name, err, out)
		}
	}
}
