//go:build stack

package ledger_test

import (
	"database/sql"
	"strings"
	"testing"
	"time"

	"github.com/cardctl/cardctl/internal/ledger"
	"github.com/cardctl/cardctl/internal/problem"
	"github.com/cardctl/cardctl/test/stack"
)

// TestStationWithoutNetwork cuts the network of a station in a transaction, for which all
// others wait: they go on although nobody told the server, and so does the station when it
// has its network again. What it was about to record is recorded once.
func TestStationWithoutNetwork(t *testing.T) {
	server := stack.NewPostgreSQL(t, "fsync=off")
	server.Query("postgres", "CREATE ROLE station LOGIN")
	p, _ := served(t, server, "ledger")
	near := p.open(t, ledger.Options{})
	way := newNetwork(t, server.Socket())
	defer way.mend() // before the stations are closed
	far := place{address: server.Through(way.dir, p.address)}.open(t, ledger.Options{Station: "far"})
	for i, what := range []string{`"what":"offered"`, `"what":"begin"`} {
		cut := make(chan struct{})
		way.cutAt(what, func() { close(cut) })
		ended := make(chan error, 1)
		go func() {
			if i == 0 {
				ended <- far.Offer(t.Context(), "plan", []ledger.Row{{Key: "a", Person: alice}})
				return
			}
			_, err := far.Begin(t.Context(), ledger.Change{Command: "provision", Serial: "A1"})
			ended <- err
		}()
		select {
		case <-cut:
		case err := <-ended:
			t.Fatalf("%s: it was not cut: %v", what, err)
		}
		began := time.Now()
		must(t, begin(t, near, ledger.Change{Serial: "B1"}).End(t.Context(), nil))
		t.Logf("%s: others waited for %.1f s", what, time.Since(began).Seconds())
		way.mend()
		must(t, <-ended)
	}
	if got := logged(t, near, ledger.EventFilter{}); len(got) != 6 {
		t.Errorf("%q", got)
	}
	whole(t, near)
}

// TestPatienceEnds has somebody else keep the log, and a server that never answers for it: a
// command ends with its patience, and not later.
func TestPatienceEnds(t *testing.T) {
	server := stack.NewPostgreSQL(t, "fsync=off")
	server.Query("postgres", "CREATE ROLE station LOGIN")
	p, _ := served(t, server, "ledger")
	l := p.open(t, ledger.Options{Patience: time.Second})
	other, err := sql.Open("pgx", p.address)
	must(t, err)
	defer func() { _ = other.Close() }() // which ends its lock
	held, err := other.Conn(t.Context())
	must(t, err)
	_, err = held.ExecContext(t.Context(), "SELECT pg_advisory_lock(1667452005)")
	must(t, err)
	ended := make(chan error, 1)
	go func() {
		_, err := l.Begin(t.Context(), ledger.Change{Command: "provision", Serial: "A1"})
		ended <- err
	}()
	select {
	case err := <-ended:
		refused(t, "a log that somebody keeps", err, problem.Failed)
		if err == nil || !strings.Contains(err.Error(), "does not answer") {
			t.Errorf("%v", err)
		}
	case <-time.After(30 * time.Second):
		t.Error("it waits after its patience")
	}
}
