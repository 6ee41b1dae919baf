package main

import (
	"context"
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/cardctl/cardctl/internal/output"
)

// TestProvisionFits has people with long names: what is told of their cards, meanwhile and
// at the end, fits the columns of a terminal. What is for programs stays in one line each.
func TestProvisionFits(t *testing.T) {
	long := "a.person.with.a.long.address@department.of.long.names.example.com"
	for name, test := range map[string]struct{ create, plan string }{
		"OpenPGP": {"", anyOpenPGP}, "PIV": {"--applications piv --profile piv-yubikey-5.7", anyPIV},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			d := newRowsDesk(t, test.plan)
			card := "a-card-in-a-reader-with-a-name-as-readers-have-them"
			d.line("sim create " + card + " " + test.create)
			d.line("sim create b " + test.create)
			d.rows(long+",Floppy Head", "hard,Hard Disk")
			provision := func(more string) result {
				return d.run(context.Background(), d.words("provision $W/plan.yaml --rows $W/rows.csv --yes --readers sim:"+card+",sim:b "+more))
			}
			programs := provision("--progress json -o json --dry-run")
			if programs.exit != 0 || !strings.Contains(programs.stderr, `"person":"`+long+`"`) {
				t.Errorf("%+v", programs)
			}
			for what, r := range map[string]result{"dry run": provision("--dry-run"), "the first run": provision(""), "again": provision("")} {
				if r.exit != 0 || !strings.Contains(r.stderr, long) || !strings.Contains(r.stdout, long) {
					t.Fatalf("%s: %+v", what, r)
				}
				d.fits(t, what, r)
			}
			d.rows(long+"x,Floppy Head", "hard,Hard Disk")
			r := provision("")
			if r.exit == 0 {
				t.Fatalf("%+v", r)
			}
			r.stderr, _, _ = strings.Cut(r.stderr, "Error: ")
			d.fits(t, "a card that is left out", r)
		})
	}
}

// fits wants no line of a run to be wider than a terminal.
func (d *rowsDesk) fits(t *testing.T, what string, r result) {
	t.Helper()
	for line := range strings.Lines(r.stdout + r.stderr) {
		if line = strings.TrimSuffix(line, "\n"); utf8.RuneCountInString(line) > output.Width {
			t.Errorf("%s: wider than %d: %q", what, output.Width, line)
		}
	}
}
