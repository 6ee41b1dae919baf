//go:build stack

package ledger_test

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"maps"
	"os"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/cardctl/cardctl/internal/cardsim"
	"github.com/cardctl/cardctl/internal/ledger"
	"github.com/cardctl/cardctl/test/stack"
)

// stationsPlan has secrets of two kinds, a key and a certificate.
const stationsPlan = `schema: cardctl/v1
kind: Plan
person: {id: "{{.mail}}", name: "{{.name}}"}
card: {application: openpgp}
pins: {user: {generate: 8 digits, keep: letter}, admin: {generate: 10 digits, keep: ledger}}
keys: [{ref: OPENPGP.3, algorithm: p256, certificate: {subject: "CN={{.name}}", issuer: desk}}]
issuers: {desk: {url: "ca:%s?profile=client", secret: "env:CA_PASSWORD"}}
seal: [%s]
`

// TestStations has eight stations run cardctl provision for one plan and one table, over one
// PostgreSQL and one CA, and gets in their way. A card is a file that is replaced before the
// card answers, so it has what it acknowledged also if the process that holds it is killed.
// One station is killed and never started again: the cards that it left half done are marked
// as damaged, and the others do their rows.
// LEDGER_ROWS is how many rows there are, if there are to be fewer: 1,000 take two minutes.
func TestStations(t *testing.T) {
	const stations = 8
	rows := 1000
	if asked := os.Getenv("LEDGER_ROWS"); asked != "" {
		var err error
		rows, err = strconv.Atoi(asked)
		must(t, err)
	}
	server := stack.NewPostgreSQL(t, "fsync=off")
	server.Query("postgres", "CREATE ROLE station LOGIN")
	p, _ := served(t, server, "ledger")
	identity, to := owner(t)

	office := stack.NewDesk(t)
	office.Setenv("CA_PASSWORD", "canary-518273")
	office.Run("cardctl", "ca", "init", "ca", "--subject", "CN=Desk CA", "--algorithm", "p256", "--password", "env:CA_PASSWORD")
	office.Write("desk.key", identity.String()+"\n", 0o600)
	office.Write("plan.yaml", fmt.Sprintf(stationsPlan, office.Path("ca"), to), 0o600)
	table := "mail,name\n"
	for i := range rows {
		table += fmt.Sprintf("p%d@example.com,Head %d\n", i, i)
	}
	office.Write("rows.csv", table, 0o600)

	far := newNetwork(t, server.Socket())
	var running []*worker
	var desks []*program
	for i := range stations {
		address := p.address
		if i == 0 {
			address = server.Through(far.dir, address)
		}
		s := newProgram(t, i, office, address)
		desks, running = append(desks, s), append(running, work(t, s))
	}
	f := faults{
		server: server, far: far, rows: rows, kills: 40, longest: 3 * time.Minute,
		spells: []time.Duration{25 * time.Second}, // longer than a record is tried
	}
	cards := found{t: t, desks: desks, keys: map[string]string{}, certificates: map[string]string{}, damaged: map[string]bool{}}
	f.dies = func(station int) bool {
		if len(halfDone(server, station)) == 0 || waiting(server, station) {
			return false
		}
		running[station].end()
		return cards.giveUp(station, office, p.address, server)
	}
	defer tellFailures(t, running, desks)
	began := time.Now()
	f.happen(t, running)
	t.Logf("%d rows in %.1f s", rows, time.Since(began).Seconds())
	l := p.open(t, ledger.Options{})
	judge(t, l, server.Query("ledger", "SELECT DISTINCT plan FROM job"), rows, identity, cards.damaged, cards.match)
	cards.unused(t)
	cards.issued(t, office)
	if f.count(t, `job WHERE card IN (SELECT serial FROM card WHERE state = 'damaged')`) > 0 {
		t.Error("a row has a damaged card")
	}
	if f.count(t, `event WHERE data LIKE '%"late":true%'`) == 0 {
		t.Error("no station went on without network")
	}
	office.Run("cardctl", "ledger", "verify", "--ledger", p.address)
}

// tellFailures logs what went wrong in the runs that were not killed.
func tellFailures(t *testing.T, running []*worker, desks []*program) {
	t.Helper()
	for _, w := range running {
		w.end()
	}
	failures := map[string]int{}
	for _, s := range desks {
		for why, times := range s.failures {
			failures[why] += times
		}
	}
	for _, why := range slices.Sorted(maps.Keys(failures)) {
		t.Logf("%d times: %s", failures[why], why)
	}
}

// atOnce is how many readers a station has.
const atOnce = 5

// program is a station that runs the program, with cards in its readers.
type program struct {
	*stack.Desk
	tb     testing.TB
	number int
	args   []string
	cards  *cardsim.Store
	blank  map[string][]byte // each card as it was created

	in       []string // cards
	left     int      // rows
	out, err bytes.Buffer
	failures map[string]int
}

func newProgram(tb testing.TB, number int, office *stack.Desk, address string) *program {
	tb.Helper()
	d := stack.NewDesk(tb)
	d.Setenv("CA_PASSWORD", "canary-518273")
	d.Setenv("CARDCTL_LEDGER", address)
	return &program{
		Desk: d, tb: tb, number: number, cards: cardsim.NewStore(d.Path("state/cardctl/sim")), blank: map[string][]byte{},
		left: atOnce * stationsShare, failures: map[string]int{},
		args: []string{
			"provision", office.Path("plan.yaml"), "--rows", office.Path("rows.csv"), "--yes", "--no-input", "--output", "json", "--progress", "none", "--timeout", "100s",
			"--identity", office.Path("desk.key"), // a cut may leave it open which secret a card has
		},
	}
}

// stationsShare is how many rows are left for each card that is put into a reader.
const stationsShare = 4

func (p *program) next(ctx context.Context) *stack.Process {
	for len(p.in) < atOnce && len(p.in) < (p.left+stationsShare-1)/stationsShare {
		name := fmt.Sprintf("%02d%06d", p.number, len(p.blank))
		if err := p.cards.Create(name, cardsim.Options{Serial: name}); err != nil {
			p.tb.Error(err)
			return nil
		}
		p.blank[name] = p.Read(p.file(name))
		p.in = append(p.in, name)
	}
	if len(p.in) == 0 {
		return nil
	}
	p.out.Reset()
	p.err.Reset()
	return p.Process(ctx, &p.out, &p.err, "cardctl", append(slices.Clone(p.args), "--readers", "sim:"+strings.Join(p.in, ",sim:"))...)
}

func (p *program) file(card string) string { return "state/cardctl/sim/" + card + ".json" }

// ended takes out the cards that are done, and those that no row is left for.
func (p *program) ended(exit int) {
	if exit == -1 {
		return
	}
	var report struct {
		Rows []struct {
			Reader, Error string
			Passed        bool
		}
		LeftOut []struct{ Reader, Reason string }
	}
	if p.out.Len() == 0 || json.Unmarshal(p.out.Bytes(), &report) != nil {
		p.failed(fmt.Sprintf("exit status %d: %s%s", exit, p.out.String(), p.err.String()))
		return
	}
	p.left = 0
	for _, row := range report.Rows {
		switch {
		case row.Passed:
			p.remove(row.Reader)
		case row.Reader == "":
			p.left++
		default:
			p.left++
			p.failed(row.Error)
		}
	}
	for _, out := range report.LeftOut {
		if strings.Contains(out.Reason, "no row is left") {
			p.remove(out.Reader)
		} else {
			p.failed(out.Reason)
		}
	}
}

func (p *program) remove(reader string) {
	p.in = slices.DeleteFunc(p.in, func(card string) bool { return "sim:"+card == reader })
}

// failed notes why, without names and numbers, and waits a moment.
func (p *program) failed(why string) {
	words := strings.FieldsFunc(why, func(r rune) bool { return r >= '0' && r <= '9' })
	p.failures[strings.Join(words, "#")]++
	time.Sleep(100 * time.Millisecond)
}
