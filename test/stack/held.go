package stack

import (
	"errors"
	"fmt"
	"os"
	"testing"
)

// Held tells at how many points of a workflow something was done to a card or a
// program (it was pulled out, lied about, swapped, interrupted), and at how many of
// them the promise held: as a line of the log, and of the file that HELD_TABLE
// names, for scripts/pull.sh. The way is how the card was reached. A point that did
// not hold fails the test.
func Held(tb testing.TB, what, card, workflow, way string, points, held int) {
	tb.Helper()
	row := fmt.Sprintf("%s\t%s\t%s\t%s\t%d\t%d", what, card, workflow, way, points, held)
	tb.Log(row)
	if held != points || points == 0 {
		tb.Errorf("%d of %d points hold", held, points)
	}
	toTable(tb, "HELD_TABLE", row)
}

// toTable adds a row to the file that a variable names, if it does.
func toTable(tb testing.TB, variable, row string) {
	tb.Helper()
	name := os.Getenv(variable)
	if name == "" {
		return
	}
	file, err := os.OpenFile(name, os.O_APPEND|os.O_CREATE|os.O_WRONLY, 0o600)
	if err == nil {
		_, err = fmt.Fprintln(file, row)
		err = errors.Join(err, file.Close())
	}
	if err != nil {
		tb.Error(err)
	}
}
