//go:build stack

package docs

import (
	"os"
	"regexp"
	"strings"
	"testing"
)

// sections are the worlds of the tables of docs/coming-from.md, by the program
// that begins their heading.
var sections = map[string]world{
	"gpg ":        {applications: "openpgp", prepare: "openpgp"},
	"gpgsm ":      {applications: "openpgp", prepare: "issued"},
	"pkcs15-init": {applications: "pkcs15", attached: true, prepare: "pkcs15"},
	"ykman piv":   {applications: "piv", prepare: "piv", puk: "73915824"},
	"pkcs11-tool": {prepare: "softhsm"},
	"opensc-tool": {applications: "openpgp", attached: true},
	"gpshell":     {applications: "gp", prepare: "scripts; loaded"},
	"gp.jar":      {applications: "gp", prepare: "loaded"},
	"Scute, ":     {applications: "openpgp", attached: true, prepare: "by_agent"},
	"openssl ":    {prepare: "softhsm"},
	"pkitool":     {prepare: "softhsm"},
	"CA: ":        {applications: "openpgp", prepare: "small_ca"},
}

var codeSpan = regexp.MustCompile("`(cardctl [^`]+)`")

// TestWhatYouTypeNow runs the last column of every table, row by row, each in a
// world of its own.
func TestWhatYouTypeNow(t *testing.T) {
	text, err := os.ReadFile("../../docs/coming-from.md")
	if err != nil {
		t.Fatal(err)
	}
	unused := map[string]bool{}
	for start := range sections {
		unused[start] = true
	}
	var current world
	for line := range strings.Lines(string(text)) {
		if heading, ok := strings.CutPrefix(line, "## "); ok {
			known := false
			for start, w := range sections {
				if strings.HasPrefix(heading, start) {
					current, known = w, true
					delete(unused, start)
				}
			}
			if !known {
				t.Errorf("no world for %s", heading)
			}
		}
		cells := strings.Split(strings.TrimSpace(line), "|")
		if len(cells) < 4 || strings.HasPrefix(cells[1], "-") || strings.Contains(cells[1], "to do") {
			continue
		}
		var commands []string
		for _, span := range codeSpan.FindAllStringSubmatch(cells[len(cells)-2], -1) {
			commands = append(commands, span[1])
		}
		if len(commands) == 0 {
			t.Errorf("nothing to type: %s", line)
			continue
		}
		example := strings.Join(commands, " && ")
		w := current
		for _, part := range []string{byPUK, attesting} {
			if strings.Contains(example, part) {
				w = others[part]
			}
		}
		t.Run(example, func(t *testing.T) { w.run(t, example) })
	}
	for start := range unused {
		t.Errorf("%s has a world and no table", start)
	}
}
