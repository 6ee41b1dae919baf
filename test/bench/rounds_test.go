//go:build stack

package bench

import (
	"fmt"
	"os"
	"strings"
	"testing"

	"github.com/cardctl/cardctl/test/stack"
)

// The programs that are compared, in the order of the columns.
const (
	cardctl = iota
	openSC
	gnuPG
	programs
)

// job is a row of the table.
type job struct {
	name  string
	limit int // APDUs that cardctl may need, 0 for none promised

	// prepare brings the card into the state in which the job begins.
	prepare func()

	// do is how each program does the job; nil where it has no way to.
	do [programs]func()
}

// TestRoundTrips counts APDUs where they reach the card.
func TestRoundTrips(t *testing.T) {
	b := newBench(t)
	var table table
	table.row("job", "cardctl", "at most", "OpenSC 0.23", "GnuPG 2.2")
	sums := map[string][programs]stack.Count{}
	for _, j := range b.jobs() {
		counts := b.count(j)
		checkLimit(t, j.name, counts[cardctl], j.limit)
		sums[j.name] = counts
		table.row(cells(j.name, j.limit, counts)...)
	}

	way := add(sums["gen-key"], sums["gen-csr"], sums["import-cert"])
	table.row(cells("key, request and certificate", 0, way)...)
	whole := [programs]stack.Count{cardctl: way[cardctl].Add(sums["init"][cardctl])}
	const limit = 34
	checkLimit(t, "the whole way", whole[cardctl], limit)
	table.row(cells("the same with init", limit, whole)...)
	table.publish(t)
}

// count lets every program do the job, each on a card prepared anew.
func (b *bench) count(j job) [programs]stack.Count {
	b.t.Helper()
	var counts [programs]stack.Count
	for program, do := range j.do {
		if do == nil {
			continue
		}
		j.prepare()
		before := b.wire.Count()
		do()
		counts[program] = b.wire.Count().Sub(before)
		b.gnupg.Release()
		if counts[program].APDUs == 0 {
			b.t.Errorf("%s: column %d did not speak to the card", j.name, program)
		}
	}
	return counts
}

// traced runs cardctl with --trace, which has to tell of as many APDUs as the
// card got, none of them twice where it only reads.
func (b *bench) traced(args ...string) string {
	b.t.Helper()
	trace := b.Path("trace")
	if err := os.RemoveAll(trace); err != nil {
		b.t.Fatal(err)
	}
	before := b.wire.Count()
	out := b.Run("cardctl", append(args, "--trace", trace)...)
	counted := b.wire.Count().Sub(before).APDUs

	reads := map[string]int{}
	lines := 0
	for line := range strings.Lines(string(b.Read("trace"))) {
		command, ok := strings.CutPrefix(strings.TrimSpace(line), "> ")
		if !ok {
			continue
		}
		lines++
		if len(command) >= 4 && (command[2:4] == "CA" || command[2:4] == "CB") {
			reads[command]++
		}
	}
	if lines != counted {
		b.t.Errorf("%v: the trace has %d APDUs, the card got %d", args, lines, counted)
	}
	if args[0] != "import-cert" && args[0] != "init" { // these read back what they wrote
		for command, n := range reads {
			if n > 1 {
				b.t.Errorf("%v: %s was sent %d times", args, command, n)
			}
		}
	}
	return out
}

func checkLimit(t *testing.T, name string, got stack.Count, limit int) {
	t.Helper()
	if limit != 0 && got.APDUs > limit {
		t.Errorf("%s: %d APDUs, the limit is %d", name, got.APDUs, limit)
	}
}

func add(rows ...[programs]stack.Count) (sum [programs]stack.Count) {
	for _, row := range rows {
		for i := range sum {
			sum[i] = sum[i].Add(row[i])
		}
	}
	return sum
}

func cells(name string, limit int, counts [programs]stack.Count) []string {
	atMost := "–"
	if limit != 0 {
		atMost = fmt.Sprint(limit)
	}
	return []string{name, cell(counts[cardctl]), atMost, cell(counts[openSC]), cell(counts[gnuPG])}
}

func cell(c stack.Count) string {
	if c.APDUs == 0 {
		return "–"
	}
	return fmt.Sprintf("%d (%d bytes)", c.APDUs, c.Bytes)
}
