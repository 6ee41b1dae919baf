//go:build stack

package bench

import (
	"fmt"
	"slices"
	"strconv"
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

// A job whose limit stands for the whole way from a blank card.
const (
	wholeWay      = "init, gen-key, gen-csr, import-cert"
	wholeWayLimit = 34
)

// TestRoundTrips counts APDUs where they reach the card. The peers work with
// RSA: GnuPG 2.2 cannot sign a request with an elliptic curve key of a card.
func TestRoundTrips(t *testing.T) {
	var curve, rsa []result
	t.Run("P-256", func(t *testing.T) { curve = measure(t, "p256", false) })
	t.Run("RSA 2048", func(t *testing.T) { rsa = measure(t, "rsa2048", true) })
	if t.Failed() {
		return
	}

	var table table
	d := stack.NewDesk(t)
	table.row("job", "at most", "cardctl, P-256", "cardctl, RSA 2048",
		versioned(t, d, "OpenSC", "opensc-tool", "--info")+", RSA 2048", versioned(t, d, "GnuPG", "gpgconf", "--version")+", RSA 2048")
	for i, ours := range curve {
		limit := "–"
		if ours.limit != 0 {
			limit = strconv.Itoa(ours.limit)
		}
		peers := rsa[i].counts
		table.row(ours.name, limit, cell(ours.counts[cardctl]), cell(peers[cardctl]), cell(peers[openSC]), cell(peers[gnuPG]))
	}
	table.note = "The OpenSC column is from `opensc-tool --name`, `openpgp-tool --gen-key`, `openssl req -engine pkcs11`,\n" +
		"`pkcs15-init --store-certificate` and `pkcs15-tool --dump`. The GnuPG column is from `gpg --card-status`, `SCD GENKEY`,\n" +
		"`gpgsm --generate-key`, `SCD WRITECERT` and, for `info`, `gpg --card-status` again. For [the names of\n" +
		"keys](using-the-card.md#what-programs-call-a-key), `info` also has OpenSC's module read the card."
	table.publish(t)
}

// infoAlone is info where OpenSC's module does not read the card too, for the names of
// keys: noModule cannot.
const (
	infoAlone = "info, without the names of keys"
	noModule  = "/nowhere/module.so"
)

// result is a job done by each program.
type result struct {
	name   string
	limit  int
	counts [programs]stack.Count
}

// measure does all jobs with keys of one algorithm, and sums them up.
func measure(t *testing.T, algorithm string, peers bool) []result {
	t.Helper()
	b := newBench(t, algorithm)
	way := result{name: "gen-key, gen-csr, import-cert"}
	whole := result{name: wholeWay, limit: wholeWayLimit}
	var results []result
	for _, j := range b.jobs() {
		if !peers {
			j.do = [programs]func(){cardctl: j.do[cardctl]}
		}
		r := result{j.name, j.limit, b.count(j)}
		results = append(results, r)
		switch j.name {
		case "init":
			whole.add(cardctl, r)
		case "gen-key", "gen-csr", "import-cert":
			whole.add(cardctl, r)
			for program := range programs {
				way.add(program, r)
			}
		}
	}
	results = append(results, way, whole)
	for _, r := range results {
		if got := r.counts[cardctl].APDUs; r.limit != 0 && got > r.limit {
			t.Errorf("%s, %s: %d APDUs, the limit is %d", r.name, algorithm, got, r.limit)
		}
	}
	return results
}

func (r *result) add(program int, other result) {
	r.counts[program] = r.counts[program].Add(other.counts[program])
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
// card got. What a command only reads, it reads once.
func (b *bench) traced(args ...string) {
	b.t.Helper()
	before := b.wire.Count()
	b.Run("cardctl", append(args, "--trace", "trace")...)
	counted := b.wire.Count().Sub(before).APDUs

	var commands []string
	certificate := "" // the SELECT DATA that says which one a GET DATA means
	for line := range strings.Lines(string(b.Read("trace"))) {
		command, ok := strings.CutPrefix(strings.TrimSpace(line), "> ")
		if !ok {
			continue
		}
		if strings.HasPrefix(command, "00A5") {
			certificate = command
		}
		commands = append(commands, certificate+" "+command)
	}
	if len(commands) != counted {
		b.t.Errorf("%v: the trace has %d APDUs, the card got %d", args, len(commands), counted)
	}
	if !slices.Contains([]string{"list-readers", "info", "gen-csr"}, args[0]) {
		return // reads again what it wrote
	}
	slices.Sort(commands)
	for i, command := range commands[1:] {
		if command == commands[i] {
			b.t.Errorf("%v: %s was sent twice", args, command)
		}
	}
}

func cell(c stack.Count) string {
	if c.APDUs == 0 {
		return "–"
	}
	return fmt.Sprintf("%d (%d bytes)", c.APDUs, c.Bytes)
}
