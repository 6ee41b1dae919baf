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

// fleet are the kinds of cards of the fleet, in the order of its rows.
var fleet = []string{"OpenPGP", "PIV", "MyEID"}

const fleetPlan = `
card: {application: "{{.family}}"}
holder: {name: "{{.name}}"}
pins:
  user: {generate: 8 digits, keep: letter}
  admin: {generate: 10 digits, keep: ledger}
  puk: {generate: 8 digits, keep: ledger}
  so: {generate: 8 digits, keep: ledger}
managementKey: {generate: management-key, keep: ledger}
keys:
  - {ref: OPENPGP.3, algorithm: p256, certificate: &login ` + certificate + `}
  - {ref: PIV.9A, algorithm: p256, certificate: *login}
  - {ref: PKCS15.45, algorithm: p256, certificate: *login}
smokeTest: {module: opensc, as: [openssl]}`

// TestFleet provisions twelve cards of three families through four readers, from one plan and
// one table, over a ledger on PostgreSQL. Two cards are removed meanwhile.
func TestFleet(t *testing.T) {
	const people = 12
	server := stack.NewPostgreSQL(t, "fsync=off")
	server.NewDatabase("ledger")
	d := newDesk(t, 0)
	d.Setenv("CARDCTL_LEDGER", server.Address("owner", "ledger"))
	d.Run("cardctl", "ledger", "migrate", "--yes")
	d.write("fleet", fleetPlan)
	table, applications := "mail,name,family\n", []string{"openpgp", "piv", "pkcs15"}
	for i := range people {
		table += fmt.Sprintf("p%d@example.com,\"Head, %d\",%s\n", i, i, applications[i%len(applications)])
	}
	d.Write("fleet.csv", table, 0o600)

	in := map[string]*stack.Card{} // by their readers
	next := 0
	insert := func(reader int) {
		if next < people {
			f := families[fleet[next%len(fleet)]]
			in[stack.ReaderName(reader)] = d.Card(fmt.Sprintf("card%d", next), reader, append([]string{"--latency", "5ms"}, f.create...)...)
			next++
		}
	}
	for i := range readers {
		insert(i)
	}
	cuts := []*removed{{step: "set PUK"}, {step: "certificate"}}
	done := d.provision(t, "fleet", func(e event, _ func()) {
		for i, cut := range cuts {
			cut.card = in[stack.ReaderName(i+1)]
			cut.then = func() { cut.card.Insert() }
			cut.hear(e, i+1)
		}
		for i := range readers {
			if e.Step == "remove the card" && e.Reader == stack.ReaderName(i) {
				in[e.Reader].Pull()
				insert(i)
			}
		}
	}, "--readers", "all")
	if done.exit != 0 || done.passed() != people || !cuts[0].done || !cuts[1].done {
		t.Fatalf("exit status %d\n%s\n%+v", done.exit, done.stderr, done.Rows)
	}
	if n := d.active(t); n != people {
		t.Errorf("%d cards are active", n)
	}
	if n := d.issued(t); n != people {
		t.Errorf("the CA issued %d certificates", n)
	}
	var log struct{ Records int }
	if err := json.Unmarshal([]byte(d.Run("cardctl", "ledger", "verify", "--output", "json")), &log); err != nil || log.Records == 0 {
		t.Errorf("%d records, %v", log.Records, err)
	}
}
