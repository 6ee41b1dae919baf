//go:build stack

package bench

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/cardctl/cardctl/test/stack"
)

// rounds is how often each command is run; their median counts.
const rounds = 21

// slowest is how much longer a command may take than the peer's that does the
// same, or less: opensc-tool -l does not look at the cards. It is measured with
// this many readers, for the peer's time grows with them.
const (
	slowest = 1.5
	readers = 4
)

// startUps are commands of ours, each with the peer's.
var startUps = []struct{ peer, ours []string }{
	{[]string{"opensc-tool", "--version"}, []string{"cardctl", "version"}},
	{[]string{"opensc-tool", "-l"}, []string{"cardctl", "list-readers"}},
}

// TestStartUp measures commands in turn, so that what else the machine does
// meets all of them, with two cards in the readers.
func TestStartUp(t *testing.T) {
	d := stack.NewDesk(t)
	for reader, name := range []string{"one", "other"} {
		d.Card(name, reader)
	}
	d.Setenv("CARDCTL_READER", "")
	there := 0
	for _, r := range d.ListReaders().Readers {
		if !strings.HasPrefix(r.Name, "sim:") {
			there++
		}
	}
	if there != readers {
		t.Fatalf("there are %d readers, and not %d", there, readers)
	}
	times := make([][2][]time.Duration, len(startUps))
	memory := make([][2]int64, len(startUps))
	for range rounds {
		for i, s := range startUps {
			for who, command := range [][]string{s.peer, s.ours} {
				usage := d.Measure(command[0], command[1:]...)
				times[i][who] = append(times[i][who], usage.Time)
				memory[i][who] = max(memory[i][who], usage.PeakMemory)
			}
		}
	}
	var table table
	table.row("command", "compared with", "start to end, ratio", "at most", "peak memory of both, MiB")
	for i, s := range startUps {
		ratio := median(times[i][1]).Seconds() / median(times[i][0]).Seconds()
		if ratio >= slowest {
			t.Errorf("%v takes %.2f times as long as %v", s.ours, ratio, s.peer)
		}
		table.row(fmt.Sprintf("`%s %s`", s.ours[0], s.ours[1]), fmt.Sprintf("`%s %s`", s.peer[0], s.peer[1]),
			fmt.Sprintf("%.2f", ratio), fmt.Sprintf("%.2f", slowest), fmt.Sprintf("%.0f and %.0f", mebibytes(memory[i][1]), mebibytes(memory[i][0])))
	}
	table.note = fmt.Sprintf("The ratios are medians of %d runs, taken in turn, with %d readers and two cards.", rounds, readers)
	table.publish(t)
}

func median(times []time.Duration) time.Duration {
	slices.Sort(times)
	return times[len(times)/2]
}

func mebibytes(n int64) float64 { return float64(n) / (1 << 20) }
