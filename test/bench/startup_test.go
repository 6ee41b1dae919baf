//go:build stack

package bench

import (
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/cardctl/cardctl/test/stack"
)

// rounds is how often each command is run; their median counts.
const rounds = 21

// TestStartUp measures commands in turn, so that what else the machine does
// meets all of them, and gives ratios to a small program that asks the same
// daemon.
func TestStartUp(t *testing.T) {
	d := stack.NewDesk(t)
	d.Card("start", 0)
	commands := [][]string{
		{"opensc-tool", "-l"},
		{"cardctl", "version"},
		{"cardctl", "list-readers"},
	}
	times := make([][]time.Duration, len(commands))
	memory := make([]int64, len(commands))
	for range rounds {
		for i, command := range commands {
			usage := d.Measure(command[0], command[1:]...)
			times[i] = append(times[i], usage.Time)
			memory[i] = max(memory[i], usage.PeakMemory)
		}
	}
	var table table
	table.row("command", "start to end, ratio to opensc-tool -l", "peak memory, MiB")
	for i, command := range commands {
		table.row("`"+fmt.Sprint(command[0], " ", command[1])+"`",
			fmt.Sprintf("%.2f", median(times[i]).Seconds()/median(times[0]).Seconds()),
			fmt.Sprintf("%.0f", float64(memory[i])/(1<<20)))
	}
	table.publish(t)
}

func median(times []time.Duration) time.Duration {
	slices.Sort(times)
	return times[len(times)/2]
}
