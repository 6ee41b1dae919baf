//go:build stack

package ledger_test

import (
	"context"
	"math/rand/v2"
	"strconv"
	"sync"
	"testing"
	"time"

	"github.com/cardctl/cardctl/test/stack"
)

// job is what a station does, one process after the other.
type job interface {
	// next starts a process; nil if nothing is left to do.
	next(ctx context.Context) *stack.Process
	// ended is told of its exit status, which is -1 if it was killed.
	ended(exit int)
}

// worker is a station whose process is started again when it ends, until nothing is left.
type worker struct {
	mu    sync.Mutex
	stop  context.CancelFunc // kills the process; nil if there is none, or it was killed
	never bool               // starts another one
	over  chan struct{}
}

func work(tb testing.TB, j job) *worker {
	tb.Helper()
	w := &worker{over: make(chan struct{})}
	go w.loop(j)
	tb.Cleanup(w.end)
	return w
}

// end ends a station that did not end by itself.
func (w *worker) end() {
	w.mu.Lock()
	w.never = true
	w.mu.Unlock()
	w.kill()
	<-w.over
}

func (w *worker) loop(j job) {
	defer close(w.over)
	for {
		process, stop := w.start(j)
		if process == nil {
			return
		}
		exit := process.Wait()
		w.mu.Lock()
		w.stop = nil
		w.mu.Unlock()
		stop()
		j.ended(exit)
	}
}

func (w *worker) start(j job) (*stack.Process, context.CancelFunc) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.never {
		return nil, nil
	}
	ctx, stop := context.WithCancel(context.Background())
	process := j.next(ctx)
	if process == nil {
		stop()
		return nil, nil
	}
	w.stop = stop
	return process, stop
}

// kill kills the process with SIGKILL, and returns how many that were.
func (w *worker) kill() int {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.stop == nil {
		return 0
	}
	w.stop()
	w.stop = nil
	return 1
}

func (w *worker) wait() { <-w.over }

func alive(all []*worker) bool {
	for _, w := range all {
		select {
		case <-w.over:
		default:
			return true
		}
	}
	return false
}

// faults are what stations have to live with.
type faults struct {
	server *stack.PostgreSQL
	far    *network // of the first station
	rows   int
	kills  int // at most, spread over the rows
	// spells are how long the first station is without network, one after the other.
	spells  []time.Duration
	longest time.Duration // from one row that is done to the next
	// dies ends a station for good that has cards half done, and reports whether one was
	// changed by then. nil has none die.
	dies func(station int) bool

	killed, cuts, offline int
	restarted, died       bool
}

// count counts rows of a table.
func (f *faults) count(t *testing.T, where string) int {
	t.Helper()
	n, err := strconv.Atoi(f.server.Query("ledger", "SELECT count(*) FROM "+where))
	must(t, err)
	return n
}

// happen gets in the way of the stations until they end: they are killed, connections are
// cut, the server starts again, the first one has no network for a while, and one may die.
func (f *faults) happen(t *testing.T, stations []*worker) {
	t.Helper()
	for last, since := -1, time.Now(); alive(stations); time.Sleep(150 * time.Millisecond) {
		done := f.count(t, "job WHERE state = 'done'")
		if done != last {
			last, since = done, time.Now()
		}
		switch {
		case time.Since(since) > f.longest:
			t.Fatalf("%d rows are done, and no other for %s; those that are not:\n%s\nand cards:\n%s", done, f.longest,
				f.server.Query("ledger", "SELECT person_id, card, state, station, why FROM job WHERE state <> 'done'"), f.server.Query("ledger", "SELECT serial, state FROM card WHERE state <> 'active'"))
		case done < f.rows/20: // until all have begun
		case done > f.rows*9/10: // and so that they can end
		case !f.restarted && done > f.rows/3:
			f.server.Stop()
			f.server.Start()
			f.restarted = true
		case f.dies != nil && !f.died && done > f.rows/2:
			f.died = f.dies(f.another(stations))
		default:
			f.one(t, stations, done)
		}
	}
	for _, w := range stations {
		w.wait()
	}
	t.Logf("%d processes killed, %d connections cut, %d times without network", f.killed, f.cuts, f.offline)
	if f.killed < 5 || !f.restarted || f.cuts == 0 || f.offline == 0 || f.died != (f.dies != nil) {
		t.Error("the stations were not disturbed")
	}
}

// one has something happen.
func (f *faults) one(t *testing.T, stations []*worker, done int) {
	t.Helper()
	switch step := rand.IntN(4); {
	case step == 0 && f.cuts < 10:
		f.cuts += f.count(t, "(SELECT pg_terminate_backend(pid) AS ended FROM (SELECT pid FROM pg_stat_activity WHERE usename = 'station' ORDER BY random() LIMIT 3) AS these) AS all_of_them")
	case f.offline == 0, step == 1 && f.offline < len(f.spells):
		spell := f.spells[f.offline]
		f.offline++
		f.far.cutAt(`"what":"set"`, func() { time.AfterFunc(spell, f.far.mend) })
	case f.killed*f.rows < f.kills*done:
		f.killed += stations[f.another(stations)].kill()
	}
}

// another is a station, but not the first, which is to go on without network.
func (f *faults) another(stations []*worker) int { return 1 + rand.IntN(len(stations)-1) }
