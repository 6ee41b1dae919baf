//go:build stack

package ledger_test

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"filippo.io/age"

	"github.com/cardctl/cardctl/internal/ledger"
	"github.com/cardctl/cardctl/test/stack"
)

// TestStations lets eight processes give 1,000 rows to cards, over one server, and gets in
// their way: they are killed, connections are cut, the server starts again, and one of
// them has no network for a while, and goes on.
func TestStations(t *testing.T) {
	const stations, rows, kills, longest = 8, 1000, 60, 4 * time.Minute
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
		running = append(running, start(t, s))
	}
	count := func(where string) int {
		n, err := strconv.Atoi(server.Query("ledger", "SELECT count(*) FROM "+where))
		must(t, err)
		return n
	}
	killed, restarted, cuts, offline := 0, false, 0, 0
	for began := time.Now(); alive(running); {
		if time.Since(began) > longest {
			t.Fatalf("%d rows are done after %s", count("job WHERE state = 'done'"), longest)
		}
		time.Sleep(150 * time.Millisecond)
		done := count("job WHERE state = 'done'")
		if done < rows/20 {
			continue // until all have begun
		}
		if done > rows*9/10 {
			continue // and so that they can end
		}
		if !restarted && done > rows/3 {
			server.Stop()
			server.Start()
			restarted = true
			continue
		}
		switch step := rand.IntN(4); {
		case step == 0 && cuts < 10:
			cuts += count("(SELECT pg_terminate_backend(pid) AS ended FROM (SELECT pid FROM pg_stat_activity WHERE usename = 'station' ORDER BY random() LIMIT 3) AS these) AS all_of_them")
		case offline == 0, step == 1 && offline < 3:
			offline++
			spell := time.Duration(offline) * 1500 * time.Millisecond
			far.cutAt(`"what":"set"`, func() { time.AfterFunc(spell, far.mend) })
		case killed < kills: // but not the first, which is to go on without network
			killed += running[1+rand.IntN(stations-1)].kill()
		}
	}
	for _, w := range running {
		w.wait()
	}
	t.Logf("%d processes killed, %d connections cut, %d times without network", killed, cuts, offline)
	if killed < 5 || !restarted || cuts == 0 || offline == 0 {
		t.Error("the stations were not disturbed")
	}
	judge(t, l, cards, rows, identity)
	if count(`event WHERE data LIKE '%"late":true%'`) == 0 {
		t.Error("no station went on without network")
	}
}

func names(n int) (all []string) {
	for i := range n {
		all = append(all, fmt.Sprintf("person%04d", i))
	}
	return all
}

// judge holds that every row is done once, by one card, that no card is two persons', and
// that the ledger has the secret that the card has.
func judge(t *testing.T, l *ledger.Ledger, dir string, rows int, identity age.Identity) {
	t.Helper()
	ctx := t.Context()
	cardOf := map[string]string{}
	must(t, l.Rows(ctx, "plan", func(r ledger.RowState) error {
		if r.Progress != ledger.Done || r.Card == "" || r.Station != "" {
			t.Errorf("%+v", r)
		}
		cardOf[r.Person.ID] = r.Card
		return nil
	}))
	if len(cardOf) != rows {
		t.Errorf("%d rows, want %d", len(cardOf), rows)
	}
	passed := map[int64]int{}
	must(t, l.Events(ctx, ledger.EventFilter{}, func(e ledger.Event) error {
		var data struct {
			What   string
			Row    int64
			Passed bool
		}
		if err := json.Unmarshal(e.Data, &data); err != nil {
			return err
		}
		if data.What == "row" && data.Passed {
			passed[data.Row]++
		}
		return nil
	}))
	for row, times := range passed {
		if times != 1 {
			t.Errorf("row %d was done %d times", row, times)
		}
	}
	if len(passed) != rows {
		t.Errorf("%d rows were done, want %d", len(passed), rows)
	}
	known, err := l.Cards(ctx, ledger.Filter{State: ledger.Active})
	must(t, err)
	if len(known) != rows {
		t.Errorf("%d active cards, want %d", len(known), rows)
	}
	for _, c := range known {
		card, err := readCard(filepath.Join(dir, c.Serial+".json"))
		must(t, err)
		if c.Person == nil || cardOf[c.Person.ID] != c.Serial || len(c.Credentials) != 1 || !card.Done {
			t.Errorf("%+v", c)
			continue
		}
		for _, person := range card.Persons {
			if person != c.Person.ID {
				t.Errorf("card %s is for %v, in the ledger for %s", c.Serial, card.Persons, c.Person.ID)
			}
		}
		if len(c.Secrets) != 1 || !c.Secrets[0].Set {
			t.Errorf("card %s: %d secrets", c.Serial, len(c.Secrets))
			continue
		}
		value, err := ledger.Unseal(ctx, c.Secrets[0].Blob, identity)
		if err != nil || string(value.Reveal()) != card.Secret {
			t.Errorf("card %s has another secret than the ledger: %v", c.Serial, err)
		}
	}
	whole(t, l)
}

// worker is a station that is started again when it is killed.
type worker struct {
	tb   testing.TB
	told string

	mu      sync.Mutex
	cmd     *exec.Cmd
	again   bool // it was killed
	stopped bool
	ended   chan struct{}
}

func start(tb testing.TB, s station) *worker {
	tb.Helper()
	told, err := json.Marshal(s)
	if err != nil {
		tb.Fatal(err)
	}
	w := &worker{tb: tb, told: string(told), ended: make(chan struct{})}
	go w.loop()
	tb.Cleanup(func() { // after a failure
		w.mu.Lock()
		w.stopped = true
		w.mu.Unlock()
		w.kill()
		<-w.ended
	})
	return w
}

// loop runs the station until it ends by itself.
func (w *worker) loop() {
	defer close(w.ended)
	for {
		cmd := exec.Command(os.Args[0])
		cmd.Env = append(os.Environ(), stationVariable+"="+w.told)
		cmd.Stdout, cmd.Stderr = os.Stderr, os.Stderr
		w.mu.Lock()
		w.cmd, w.again = cmd, false
		err := cmd.Start()
		w.mu.Unlock()
		if err != nil {
			w.tb.Error(err)
			return
		}
		err = cmd.Wait()
		w.mu.Lock()
		again, stopped := w.again, w.stopped
		w.mu.Unlock()
		if err != nil && !again {
			w.tb.Error(err)
		}
		if !again || stopped {
			return
		}
	}
}

// kill kills the process, and returns how many that were.
func (w *worker) kill() int {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.cmd == nil || w.cmd.Process == nil || w.again || w.cmd.Process.Kill() != nil {
		return 0
	}
	w.again = true
	return 1
}

func (w *worker) wait() { <-w.ended }

func alive(all []*worker) bool {
	for _, w := range all {
		select {
		case <-w.ended:
		default:
			return true
		}
	}
	return false
}

// network is the way to a server, which can be cut: then nothing arrives, and nobody is
// told.
type network struct {
	dir, to string

	mu    sync.Mutex
	up    chan struct{} // closed while there is a way
	conns []net.Conn
	at    string // cuts it when it is sent to the server
	then  func()
}

func newNetwork(t *testing.T, socket string) *network {
	t.Helper()
	n := &network{dir: stack.Shared(t, "far-"), to: socket, up: make(chan struct{})}
	close(n.up)
	var config net.ListenConfig
	listener, err := config.Listen(context.Background(), "unix", filepath.Join(n.dir, filepath.Base(socket)))
	must(t, err)
	t.Cleanup(func() {
		_ = listener.Close()
		n.mend()
	})
	go func() {
		for {
			near, err := listener.Accept()
			if err != nil {
				return
			}
			go n.pass(near)
		}
	}()
	return n
}

// pass passes on what is sent.
func (n *network) pass(near net.Conn) {
	<-n.way()
	far, err := net.Dial("unix", n.to)
	if err != nil {
		_ = near.Close()
		return
	}
	n.mu.Lock()
	n.conns = append(n.conns, near, far)
	n.mu.Unlock()
	for _, ends := range [][2]net.Conn{{near, far}, {far, near}} {
		go func() {
			defer func() { _, _ = ends[0].Close(), ends[1].Close() }()
			b := make([]byte, 32<<10)
			for {
				k, err := ends[0].Read(b)
				if err != nil {
					return
				}
				if ends[1] == far {
					n.sent(b[:k])
				}
				<-n.way()
				if _, err := io.Copy(ends[1], strings.NewReader(string(b[:k]))); err != nil {
					return
				}
			}
		}()
	}
}

func (n *network) way() chan struct{} {
	n.mu.Lock()
	defer n.mu.Unlock()
	return n.up
}

// cutAt cuts the network when a text is sent to the server, and then calls a function.
func (n *network) cutAt(text string, then func()) {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.at, n.then = text, then
}

func (n *network) sent(b []byte) {
	n.mu.Lock()
	defer n.mu.Unlock()
	if n.at == "" || !bytes.Contains(b, []byte(n.at)) {
		return
	}
	n.cut()
	n.then()
	n.at, n.then = "", nil
}

// cut cuts the network, and mend mends it: what was sent in the meantime is lost. Its
// caller has the lock.
func (n *network) cut() {
	select {
	case <-n.up:
		n.up = make(chan struct{})
	default:
	}
}

func (n *network) mend() {
	n.mu.Lock()
	defer n.mu.Unlock()
	for _, c := range n.conns {
		_ = c.Close()
	}
	n.conns = nil
	select {
	case <-n.up:
	default:
		close(n.up)
	}
}
