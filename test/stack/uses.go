package stack

import (
	"cmp"
	"testing"
)

// Uses notes that a program uses the key of a card, as it is or with something, or that
// setup refuses it: "no". The notes are in the file that PROGRAMS_TABLE names, of which
// scripts/test.sh makes the table of the README.
// It comes after what it tells of: a test that failed tells nothing.
func Uses(tb testing.TB, program, card, with string) {
	tb.Helper()
	if !tb.Failed() {
		toTable(tb, "PROGRAMS_TABLE", program+"\t"+card+"\t"+cmp.Or(with, "yes"))
	}
}
