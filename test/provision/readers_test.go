//go:build stack

package provision

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/cardctl/cardctl/test/stack"
)

// removed has a card removed from its reader when a step of it begins.
type removed struct {
	card *stack.Card
	step string
	then func()
	done bool
}

func (r *removed) hear(e event, reader int) {
	if r.done || e.Reader != stack.ReaderName(reader) || !strings.HasPrefix(e.Step, r.step) || e.Result != "" {
		return
	}
	r.done = true
	r.card.Pull()
	r.then()
}

// TestRemovedAndInsertedAgain removes a card in the middle and inserts it again: the run goes
// on with it, and nobody who reads the ledger is asked for.
func TestRemovedAndInsertedAgain(t *testing.T) {
	for name, step := range map[string]string{"OpenPGP": "certificate", "PIV": "set management key", "MyEID": "certificate", "Java card": "set card keys"} {
		t.Run(name, func(t *testing.T) {
			d := newDesk(t, 1)
			d.family = families[name]
			c := d.Card("blank", 0, append([]string{"--latency", "10ms"}, d.create...)...)
			cut := removed{card: c, step: step, then: func() { c.Insert() }}
			done := d.provision(t, name, func(e event, _ func()) { cut.hear(e, 0) }, "--readers", stack.ReaderName(0))
			if done.exit != 0 || done.passed() != 1 || len(done.Rows) != 1 || !cut.done {
				t.Fatalf("exit status %d\n%s\n%+v", done.exit, done.stderr, done.Rows)
			}
			d.done(t, name, "")
		})
	}
}

// TestSwapped removes the card of the first row in the middle and inserts another one, which
// gets the second row. The first card gets its own when it comes back.
func TestSwapped(t *testing.T) {
	d := newDesk(t, 2)
	first := d.Card("first", 0, "--latency", "10ms", "--serial", "11111111")
	first.Pull()
	second := d.Card("second", 0, "--serial", "22222222")
	second.Pull()
	first.Insert()
	cut := removed{card: first, step: "certificate", then: func() { second.Insert() }}
	done := d.provision(t, "OpenPGP", func(e event, _ func()) {
		cut.hear(e, 0)
		if e.Serial == "FFFE22222222" && e.Step == "done" {
			second.Pull()
			first.Insert()
		}
	}, "--readers", stack.ReaderName(0))
	if done.exit != 0 || done.passed() != 2 {
		t.Fatalf("exit status %d\n%s\n%+v", done.exit, done.stderr, done.Rows)
	}
	if done.Rows[0].Serial != "FFFE11111111" || done.Rows[1].Serial != "FFFE22222222" {
		t.Errorf("%+v", done.Rows)
	}
	if n := d.issued(t); n != 2 {
		t.Errorf("the CA issued %d certificates", n)
	}
}

// TestReplacedQuickly inserts the next card before anybody could see the reader empty.
func TestReplacedQuickly(t *testing.T) {
	d := newDesk(t, 2)
	next := d.Card("next", 0)
	next.Pull()
	c := d.Card("first", 0)
	done := d.provision(t, "OpenPGP", func(e event, _ func()) {
		if e.Row == 1 && e.Step == "smokeTest" && e.Result == "done" {
			c.Pull() // before the run looks at the reader again
			next.Insert()
		}
	}, "--readers", stack.ReaderName(0))
	if done.exit != 0 || done.passed() != 2 {
		t.Fatalf("exit status %d\n%s\n%+v", done.exit, done.stderr, done.Rows)
	}
}

// TestRowsLeftOver has more people than cards: the run ends with its time, and what passed
// counts.
func TestRowsLeftOver(t *testing.T) {
	d := newDesk(t, 3)
	d.Card("only", 0)
	begun := time.Now()
	done := d.provision(t, "OpenPGP", nil, "--readers", "all", "--timeout", "6s")
	if done.exit == 0 || done.passed() != 1 || len(done.Rows) != 3 || time.Since(begun) > 20*time.Second {
		t.Fatalf("exit status %d after %v\n%s\n%+v", done.exit, time.Since(begun), done.stderr, done.Rows)
	}
	for _, row := range done.Rows[1:] {
		if row.Passed || !strings.Contains(row.Error, fmt.Sprintf("no card for row %d", row.Row)) {
			t.Errorf("%+v", row)
		}
	}
	insert, remove := 0, 0
	for _, e := range done.events {
		switch e.Step {
		case "insert a card":
			insert++
		case "remove the card":
			remove++
		}
	}
	if insert == 0 || remove != 1 {
		t.Errorf("told %d times to insert a card, %d times to remove one", insert, remove)
	}
}

// TestCardOfSomebodyElse inserts a card that the ledger has as another person's: it is left
// out, and not changed.
func TestCardOfSomebodyElse(t *testing.T) {
	d := newDesk(t, 1)
	c := d.Card("first", 0)
	if done := d.provision(t, "OpenPGP", nil); done.exit != 0 {
		t.Fatalf("exit status %d\n%s", done.exit, done.stderr)
	}
	before := d.Read("first.trace")
	d.Write("OpenPGP.csv", "mail,name\nnew@example.com,New Head\n", 0o600)
	done := d.provision(t, "OpenPGP", nil, "--readers", stack.ReaderName(0), "--timeout", "4s")
	if done.exit == 0 || done.passed() != 0 || len(done.LeftOut) != 1 || done.LeftOut[0].Reader != stack.ReaderName(0) {
		t.Errorf("exit status %d\n%s\n%+v", done.exit, done.stderr, done.report)
	}
	for line := range strings.Lines(string(d.Read("first.trace")[len(before):])) {
		for _, instruction := range []string{"00DA", "0020", "0047", "0024", "00DB", "002C"} {
			if strings.Contains(line, "> "+instruction) {
				t.Errorf("the card got %s", line)
			}
		}
	}
	c.Pull()
}
