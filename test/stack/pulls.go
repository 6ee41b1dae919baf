package stack

import (
	"errors"
	"fmt"
	"os"
	"testing"
)

// Pulled tells how often a card was pulled out of a workflow, and how many times
// all was well afterwards: as a line of the log, and of the file that PULL_TABLE
// names, for scripts/pull.sh. One that was not recovered from fails the test. The
// way is how the card was reached.
func Pulled(tb testing.TB, family, workflow, way string, points, recovered int) {
	tb.Helper()
	row := fmt.Sprintf("%s\t%s\t%s\t%d\t%d", family, workflow, way, points, recovered)
	tb.Log(row)
	if recovered != points || points == 0 {
		tb.Errorf("%d of %d pulls are recovered from", recovered, points)
	}
	addRow(tb, "PULL_TABLE", row)
}

// addRow adds a row to the file that a variable names, if there is one.
func addRow(tb testing.TB, variable, row string) {
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
