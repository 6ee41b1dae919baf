//go:build stack

package ledger_test

import (
	"context"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/cardctl/cardctl/internal/ledger"
	"github.com/cardctl/cardctl/internal/secret"
	"github.com/cardctl/cardctl/test/stack"
)

// TestStandIns lets eight processes give 1,000 rows to stand-ins for cards, with the code of
// the ledger alone. TestStations does it with the program, whose leases and patience are a
// minute and 15 seconds. Here they are seconds: leases run out while a station is killed or
// has no network, again and again.
func TestStandIns(t *testing.T) {
	const stations, rows = 8, 1000
	server := stack.NewPostgreSQL(t, "fsync=off")
	server.Query("postgres", "CREATE ROLE station LOGIN")
	p, _ := served(t, server, "ledger")
	identity, to := owner(t)
	cards := t.TempDir()
	l := p.open(t, ledger.Options{})
	offer(t, l, names(rows)...)

	far := newNetwork(t, server.Socket())
	var running []*worker
	for i := range stations {
		s := station{Name: fmt.Sprintf("S%d", i), Address: p.address, Cards: cards, To: to, Lease: 3 * time.Second, Patience: time.Second}
		if i == 0 {
			s.Address = server.Through(far.dir, p.address)
		}
		running = append(running, work(t, newStandIn(t, s)))
	}
	f := faults{
		server: server, far: far, rows: rows, kills: 60, longest: 3 * time.Minute,
		spells: []time.Duration{1500 * time.Millisecond, 3 * time.Second, 4500 * time.Millisecond},
	}
	f.happen(t, running)
	judge(t, l, "plan", rows, identity, nil, func(c ledger.Card, secrets map[secret.Name]string) {
		card, err := readCard(filepath.Join(cards, c.Serial+".json"))
		must(t, err)
		if len(c.Credentials) != 1 || !card.Done {
			t.Errorf("%+v", c)
		}
		for _, person := range card.Persons {
			if person != c.Person.ID {
				t.Errorf("card %s is for %v, in the ledger for %s", c.Serial, card.Persons, c.Person.ID)
			}
		}
		if len(secrets) != 1 || secrets[secret.PUK] != card.Secret {
			t.Errorf("card %s has another secret than the ledger", c.Serial)
		}
	})
	if f.count(t, `event WHERE data LIKE '%"late":true%'`) == 0 {
		t.Error("no station went on without network")
	}
}

// standIn is a station that gives rows to stand-ins for cards, in the program of this test.
type standIn struct {
	*stack.Desk
	tb      testing.TB
	program string
	over    bool
}

func newStandIn(tb testing.TB, s station) *standIn {
	tb.Helper()
	told, err := json.Marshal(s)
	if err != nil {
		tb.Fatal(err)
	}
	program, err := os.Executable()
	if err != nil {
		tb.Fatal(err)
	}
	d := stack.NewDesk(tb)
	d.Setenv(stationVariable, string(told))
	return &standIn{Desk: d, tb: tb, program: program}
}

func (s *standIn) next(ctx context.Context) *stack.Process {
	if s.over {
		return nil
	}
	return s.Process(ctx, os.Stderr, os.Stderr, s.program)
}

// ended is the end of all rows, if the process was not killed.
func (s *standIn) ended(exit int) {
	s.over = exit != -1
	if s.over && exit != 0 {
		s.tb.Errorf("a station ended with exit status %d", exit)
	}
}

func names(n int) (all []string) {
	for i := range n {
		all = append(all, fmt.Sprintf("person%04d", i))
	}
	return all
}
