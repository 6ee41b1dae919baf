//go:build stack

package provision

import (
	"encoding/json"
	"fmt"
	"testing"

	"github.com/cardctl/cardctl/test/stack"
)

// readers are as many as the daemon has with --more-readers.
const readers = 4

// TestFleet provisions twelve cards of three families through four readers, over a ledger on
// PostgreSQL. Two cards are removed meanwhile.
func TestFleet(t *testing.T) {
	server := stack.NewPostgreSQL(t, "fsync=off")
	server.NewDatabase("ledger")
	d := newDesk(t, readers)
	d.Setenv("CARDCTL_LEDGER", server.Address("owner", "ledger"))
	d.Run("cardctl", "ledger", "migrate", "--yes")
	for name, step := range map[string]string{"OpenPGP": "certificate", "PIV": "set PUK", "MyEID": ""} {
		d.family = families[name]
		var cards [readers]*stack.Card
		for i := range cards {
			cards[i] = d.Card(fmt.Sprintf("%s%d", name, i), i, append([]string{"--latency", "5ms"}, d.create...)...)
		}
		cut := removed{card: cards[1], step: step, done: step == ""}
		cut.then = func() { cards[1].Insert() }
		done := d.provision(t, name, func(e event, _ func()) { cut.hear(e, 1) }, "--readers", "all")
		if done.exit != 0 || done.passed() != readers || !cut.done {
			t.Fatalf("%s: exit status %d\n%s\n%+v", name, done.exit, done.stderr, done.Rows)
		}
		for _, c := range cards {
			c.Pull()
		}
	}
	if n := d.active(t); n != 3*readers {
		t.Errorf("%d cards are active", n)
	}
	if n := d.issued(t); n != 3*readers {
		t.Errorf("the CA issued %d certificates", n)
	}
	var log struct{ Records int }
	if err := json.Unmarshal([]byte(d.Run("cardctl", "ledger", "verify", "--output", "json")), &log); err != nil || log.Records == 0 {
		t.Errorf("%d records, %v", log.Records, err)
	}
}
