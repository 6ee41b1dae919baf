package stack

import (
	"fmt"
	"testing"
)

// Held tells at how many points of a workflow a card was lied about, swapped or
// interrupted, and at how many of them the promise held: as a line of the log, and
// of the file that HELD_TABLE names, for scripts/pull.sh. A point that did not hold
// fails the test.
func Held(tb testing.TB, what, family, workflow string, points, held int) {
	tb.Helper()
	row := fmt.Sprintf("%s\t%s\t%s\t%d\t%d", what, family, workflow, points, held)
	tb.Log(row)
	if held != points || points == 0 {
		tb.Errorf("%d of %d points hold", held, points)
	}
	addRow(tb, "HELD_TABLE", row)
}
