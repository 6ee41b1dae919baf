package stack

import (
	"fmt"
	"testing"
)

// Judged tells what another program did with what cardctl made on a card, or cardctl with
// what that program made: as a line of the log, and of the file that JUDGED_TABLE names,
// for scripts/test.sh. It comes after what it tells of: a test that failed tells nothing.
func Judged(tb testing.TB, judge, card, what string) {
	tb.Helper()
	if tb.Failed() {
		return
	}
	row := fmt.Sprintf("%s\t%s\t%s", judge, card, what)
	tb.Log(row)
	toTable(tb, "JUDGED_TABLE", row)
}
