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
	row(tb, family, workflow, way, points, recovered)
	if recovered != points || points == 0 {
		tb.Errorf("%d of %d pulls are recovered from", recovered, points)
	}
}

// Interrupted tells the same of a program that was ended in the middle of a
// workflow, and of the command after it.
func Interrupted(tb testing.TB, family, workflow, way string, points, held int) {
	tb.Helper()
	row(tb, family, workflow, way, points, held)
	if held != points || points == 0 {
		tb.Errorf("after %d of %d interrupts all is well", held, points)
	}
}

func row(tb testing.TB, family, workflow, way string, points, held int) {
	tb.Helper()
	row := fmt.Sprintf("%s\t%s\t%s\t%d\t%d", family, workflow, way, points, held)
	tb.Log(row)
	name := os.Getenv("PULL_TABLE")
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
