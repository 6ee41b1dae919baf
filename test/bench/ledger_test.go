//go:build stack

package bench

import (
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"testing"

	"filippo.io/age"

	"github.com/cardctl/cardctl/internal/ledger"
	"github.com/cardctl/cardctl/test/stack"
)

// TestLedgerRates measures how many rows a second the ledger takes: each is claimed,
// announced, one secret is sealed and set, one certificate recorded, and the row ended.
// Stations are processes, and do nothing else, so that the database alone counts.
func TestLedgerRates(t *testing.T) {
	rows := 2_000 // of eight stations, if nothing else is asked for
	if asked := os.Getenv("LEDGER_ROWS"); asked != "" {
		var err error
		if rows, err = strconv.Atoi(asked); err != nil {
			t.Fatal(err)
		}
	}
	identity, err := age.GenerateX25519Identity()
	if err != nil {
		t.Fatal(err)
	}
	to := identity.Recipient().String()
	server := stack.NewPostgreSQL(t)
	address := func(name string) string {
		server.NewDatabase(name)
		at := server.Address("owner", name)
		if _, err := ledger.Migrate(t.Context(), at, ledger.Options{}, ""); err != nil {
			t.Fatal(err)
		}
		return at
	}
	file := func(name string) string { return "sqlite:" + filepath.Join(t.TempDir(), name) }
	var table table
	table.row("ledger", "stations", "rows", "rows per second", "compared with one station")
	for _, place := range []struct {
		name    string
		address func(string) string
		many    int // rows of eight stations
	}{{"PostgreSQL", address, rows}, {"SQLite", file, 1_000}} {
		one := rate(t, place.address("one"), to, 1, 1_000)
		many := rate(t, place.address("many"), to, 8, place.many)
		table.row(place.name, "1", "1000", fmt.Sprintf("%.0f", one), "1.0")
		table.row(place.name, "8", fmt.Sprint(place.many), fmt.Sprintf("%.0f", many), fmt.Sprintf("%.1f", many/one))
	}
	table.publish(t)
}

// rate is how many rows a second so many stations do, each a process.
func rate(t *testing.T, address, to string, stations, rows int) float64 {
	t.Helper()
	l, err := ledger.Open(t.Context(), address, ledger.Options{Create: true})
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = l.Close() }() // it was only read since
	var all []ledger.Row
	for i := range rows {
		id := fmt.Sprint("person", i)
		all = append(all, ledger.Row{Key: id, Person: ledger.Person{ID: id}})
	}
	if err := l.Offer(t.Context(), "plan", all); err != nil {
		t.Fatal(err)
	}
	took := startStations(t, address, to, stations).work(t)
	done := 0
	if err := l.Rows(t.Context(), "plan", func(r ledger.RowState) error {
		if r.Progress == ledger.Done {
			done++
		}
		return nil
	}); err != nil || done != rows {
		t.Fatalf("%d rows are done, want %d: %v", done, rows, err)
	}
	return float64(rows) / took.Seconds()
}
