//go:build unix

package main

import (
	"encoding/json"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"

	"github.com/rogpeppe/go-internal/testscript"
)

// checkJSON reads one JSON document and compares the value at a path with a
// regular expression: json stdout keys.0.ref OPENPGP.3
func checkJSON(ts *testscript.TestScript, neg bool, args []string) {
	if len(args) != 3 {
		ts.Fatalf("usage: [!] json file path regexp")
	}
	decoder := json.NewDecoder(strings.NewReader(ts.ReadFile(args[0])))
	var value any
	ts.Check(decoder.Decode(&value))
	if decoder.More() {
		ts.Fatalf("more than one document")
	}
	got := fmt.Sprint(at(value, strings.Split(args[1], ".")))
	if regexp.MustCompile("^(?:"+args[2]+")$").MatchString(got) == neg {
		ts.Fatalf("%s is %q", args[1], got)
	}
}

func at(value any, path []string) any {
	for _, name := range path {
		switch v := value.(type) {
		case map[string]any:
			value = v[name]
		case []any:
			i, err := strconv.Atoi(name)
			if err != nil || i >= len(v) {
				return nil
			}
			value = v[i]
		default:
			return nil
		}
	}
	return value
}

// checkAPDUs counts the commands of a trace: apdus trace 6 allows at most 6.
func checkAPDUs(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 2 {
		ts.Fatalf("usage: apdus trace most")
	}
	most, err := strconv.Atoi(args[1])
	ts.Check(err)
	got := 0
	for line := range strings.Lines(ts.ReadFile(args[0])) {
		if strings.HasPrefix(line, "> ") {
			got++
		}
	}
	if got == 0 || got > most {
		ts.Fatalf("%d commands, at most %d are allowed", got, most)
	}
}

// checkAbsent looks for texts, and their bytes in hex, in the output of the last
// command and in every file of the script: absent 426719
func checkAbsent(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) == 0 {
		ts.Fatalf("usage: absent text...")
	}
	check := func(where, content string) {
		for _, text := range args {
			if strings.Contains(content, text) || strings.Contains(strings.ToUpper(content), fmt.Sprintf("%X", text)) {
				ts.Fatalf("%s is in %s", text, where)
			}
		}
	}
	check("stdout", ts.ReadFile("stdout"))
	check("stderr", ts.ReadFile("stderr"))
	work := ts.Getenv("WORK")
	ts.Check(filepath.WalkDir(work, func(path string, entry fs.DirEntry, err error) error {
		if err != nil || !entry.Type().IsRegular() || strings.HasPrefix(entry.Name(), "secret-") {
			return err
		}
		content, err := os.ReadFile(path)
		check(path, string(content))
		return err
	}))
}
