//go:build stack

package bench

import (
	"fmt"
	"os"
	"regexp"
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/cardctl/cardctl/test/stack"
)

// table is a table in Markdown.
type table struct {
	rows [][]string
	note string // below it
}

var number = regexp.MustCompile(`\d+\.\d+`)

// versioned is a name with the version that a program of it prints first.
func versioned(t *testing.T, d *stack.Desk, name, program string, args ...string) string {
	t.Helper()
	version := number.FindString(d.Run(program, args...))
	if version == "" {
		t.Fatalf("%s does not print a version", program)
	}
	return name + " " + version
}

func (t *table) row(cells ...string) { t.rows = append(t.rows, cells) }

func (t *table) String() string {
	widths := make([]int, len(t.rows[0]))
	for _, row := range t.rows {
		for i, cell := range row {
			widths[i] = max(widths[i], utf8.RuneCountInString(cell))
		}
	}
	var b strings.Builder
	for n, row := range t.rows {
		for i, cell := range row {
			fmt.Fprintf(&b, "| %-*s ", widths[i], cell)
		}
		b.WriteString("|\n")
		if n == 0 {
			for _, width := range widths {
				b.WriteString("|" + strings.Repeat("-", width+2))
			}
			b.WriteString("|\n")
		}
	}
	if t.note != "" {
		b.WriteString("\n" + t.note + "\n")
	}
	return b.String()
}

// publish logs the table, and appends it to the file that scripts/bench.sh
// names in BENCH_TABLES.
func (t *table) publish(tb testing.TB) {
	tb.Helper()
	tb.Logf("\n%s", t)
	name := os.Getenv("BENCH_TABLES")
	if name == "" {
		return
	}
	file, err := os.OpenFile(name, os.O_APPEND|os.O_CREATE|os.O_WRONLY, 0o600)
	if err != nil {
		tb.Fatal(err)
	}
	if _, err := fmt.Fprintf(file, "%s\n", t); err != nil {
		tb.Error(err)
	}
	if err := file.Close(); err != nil {
		tb.Error(err)
	}
}
