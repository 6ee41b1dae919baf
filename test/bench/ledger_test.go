//go:build stack

package bench

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"sync"
	"testing"
	"time"

	"filippo.io/age"

	"github.com/cardctl/cardctl/internal/ledger"
	"github.com/cardctl/cardctl/internal/secret"
	"github.com/cardctl/cardctl/test/stack"
)

// TestLedgerRates measures how many rows a second the ledger takes: each is claimed,
// announced, one secret is sealed and set, one certificate recorded, and the row ended.
// Stations do nothing else, so that the database alone counts.
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
	to, err := ledger.Recipients([]string{identity.Recipient().String()}, ledger.UI{})
	if err != nil {
		t.Fatal(err)
	}
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

// rate is how many rows a second so many stations do.
func rate(t *testing.T, address string, to *ledger.Sealers, stations, rows int) float64 {
	t.Helper()
	var open []*ledger.Ledger
	for i := range stations {
		l, err := ledger.Open(t.Context(), address, ledger.Options{Create: true, Station: fmt.Sprint(i)})
		if err != nil {
			t.Fatal(err)
		}
		defer func() { _ = l.Close() }()
		open = append(open, l)
	}
	var all []ledger.Row
	for i := range rows {
		id := fmt.Sprint("person", i)
		all = append(all, ledger.Row{Key: id, Person: ledger.Person{ID: id}})
	}
	if err := open[0].Offer(t.Context(), "plan", all); err != nil {
		t.Fatal(err)
	}
	began := time.Now()
	var working sync.WaitGroup
	for i, l := range open {
		working.Go(func() {
			for n := 0; ; n++ {
				more, err := row(t.Context(), l, fmt.Sprintf("%d-%d", i, n), to)
				if err != nil {
					t.Error(err)
				}
				if err != nil || !more {
					return
				}
			}
		})
	}
	working.Wait()
	return float64(rows) / time.Since(began).Seconds()
}

// row does what the ledger sees of one row; it reports whether there was one.
func row(ctx context.Context, l *ledger.Ledger, serial string, to *ledger.Sealers) (bool, error) {
	x, err := l.Claim(ctx, "plan", serial)
	if err != nil || x == nil {
		return false, err
	}
	e, err := l.Begin(ctx, ledger.Change{Command: "provision", Serial: serial, Person: &x.Row.Person, State: ledger.Issuing, Lease: x})
	if err != nil {
		return false, err
	}
	id, err := e.SealTo(ctx, secret.PUK, ledger.KeepLedger, secret.New([]byte("12345678")), to)
	if err != nil {
		return false, err
	}
	for _, step := range []func() error{
		func() error { return e.Has(ctx, id) },
		func() error { return e.Certified(ctx, ledger.Credential{Ref: "K", SPKI: serial}) },
		func() error { return e.State(ctx, ledger.Active) },
		func() error { return e.End(ctx, nil) },
		func() error { return x.Done(ctx, true, "") },
	} {
		if err := step(); err != nil {
			return false, err
		}
	}
	return true, nil
}
