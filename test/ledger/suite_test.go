// Package ledger_test runs one suite over the ledger in a file and, with the build tag
// stack, on PostgreSQL.
package ledger_test

import (
	"database/sql"
	"fmt"
	"path/filepath"
	"reflect"
	"runtime"
	"strings"
	"testing"
	"time"

	"filippo.io/age"

	"github.com/cardctl/cardctl/internal/ledger"
	"github.com/cardctl/cardctl/internal/problem"
	"github.com/cardctl/cardctl/internal/secret"
)

// place is where a ledger is.
type place struct {
	address string
	// tamper runs SQL with all rights, and no care.
	tamper func(t *testing.T, statements ...string)
}

// open opens a ledger as a station does.
func (p place) open(t *testing.T, o ledger.Options) *ledger.Ledger {
	t.Helper()
	o.Create = true
	if o.Station == "" {
		o.Station = "desk"
	}
	l, err := ledger.Open(t.Context(), p.address, o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = l.Close() }) // a test may have closed it
	return l
}

// suite is every test that holds for all places. made makes one.
func suite(t *testing.T, made func(t *testing.T) place) {
	for _, test := range []func(*testing.T, place){
		lifeOfACard, states, personsCards, aRefusalIsNotRecorded, secretsOfACard, revealIsRecorded, letters, resealed, erased,
		claims, secondCards, secondCardsAtOnce, rowsOfCards, leases, takenOver, heartbeat, longSteps, theChain, theAnchor, spool, passingFault, lateFacts, forgotten, forgottenLater, namesInTheLog, formerCertificates, backups, imports, cards,
		stationsAppend, offers, events, longLogs, chips, cardKeysStay, keysInTheLog, stepsInTheLog, failuresInTheLog,
	} {
		name := runtime.FuncForPC(reflect.ValueOf(test).Pointer()).Name()
		t.Run(name[strings.LastIndex(name, ".")+1:], func(t *testing.T) { test(t, made(t)) })
	}
}

func TestSQLite(t *testing.T) {
	suite(t, func(t *testing.T) place {
		path := filepath.Join(t.TempDir(), "ledger.db")
		return place{address: "sqlite:" + path, tamper: func(t *testing.T, statements ...string) {
			t.Helper()
			db, err := sql.Open("sqlite", "file:"+path+"?_pragma=busy_timeout(5000)")
			if err != nil {
				t.Fatal(err)
			}
			defer func() { _ = db.Close() }()
			for _, statement := range statements {
				if _, err := db.ExecContext(t.Context(), statement); err != nil {
					t.Fatalf("%s: %v", statement, err)
				}
			}
		}}
	})
}

var (
	alice = ledger.Person{ID: "alice@example.com", Name: "Alice Adler"}
	bob   = ledger.Person{ID: "bob@example.com", Name: "Bob Bauer"}
)

// must ends a test after an error.
func must(t *testing.T, errs ...error) {
	t.Helper()
	for i, err := range errs {
		if err != nil {
			t.Fatalf("step %d: %v", i+1, err)
		}
	}
}

// refused fails unless an error has a code.
func refused(t *testing.T, what string, err error, code problem.Code) {
	t.Helper()
	if !problem.Is(err, code) {
		t.Errorf("%s: %v, want %s", what, err, code)
	}
}

// begin announces a change.
func begin(t *testing.T, l *ledger.Ledger, c ledger.Change) *ledger.Entry {
	t.Helper()
	if c.Command == "" {
		c.Command = "provision"
	}
	e, err := l.Begin(t.Context(), c)
	if err != nil {
		t.Fatal(err)
	}
	return e
}

// issue gives a card to somebody.
func issue(t *testing.T, l *ledger.Ledger, serial string, p ledger.Person) {
	t.Helper()
	e := begin(t, l, ledger.Change{Serial: serial, Person: &p, State: ledger.Issuing})
	must(t, e.State(t.Context(), ledger.Active), e.End(t.Context(), nil))
}

// mark puts a card into a state.
func mark(t *testing.T, l *ledger.Ledger, serial string, s ledger.State) error {
	t.Helper()
	e, err := l.Begin(t.Context(), ledger.Change{Command: "mark", Serial: serial, State: s})
	if err != nil {
		return err
	}
	return e.End(t.Context(), nil)
}

// card reads a card that must be there.
func card(t *testing.T, l *ledger.Ledger, serial string) ledger.Card {
	t.Helper()
	c, err := l.Card(t.Context(), serial)
	if err != nil || c == nil {
		t.Fatalf("%v, %v", c, err)
	}
	return *c
}

// logged are the records, what happened first.
func logged(t *testing.T, l *ledger.Ledger, f ledger.EventFilter) (all []string) {
	t.Helper()
	must(t, l.Events(t.Context(), f, func(e ledger.Event) error {
		all = append(all, fmt.Sprintf("%s %d %s", e.Serial, e.Person, e.Data))
		return nil
	}))
	return all
}

// whole fails unless the chain is.
func whole(t *testing.T, l *ledger.Ledger) *ledger.Verified {
	t.Helper()
	v, err := l.Verify(t.Context(), nil)
	if err != nil {
		t.Fatal(err)
	}
	return v
}

// owner makes the key of somebody who may read secrets.
func owner(t *testing.T) (*age.X25519Identity, string) {
	t.Helper()
	i, err := age.GenerateX25519Identity()
	if err != nil {
		t.Fatal(err)
	}
	return i, i.Recipient().String()
}

func claim(t *testing.T, l *ledger.Ledger, serial string) *ledger.Lease {
	t.Helper()
	x, err := l.Claim(t.Context(), "plan", serial)
	if err != nil {
		t.Fatal(err)
	}
	return x
}

// offer makes rows for persons of these names.
func offer(t *testing.T, l *ledger.Ledger, names ...string) {
	t.Helper()
	var rows []ledger.Row
	for _, name := range names {
		rows = append(rows, ledger.Row{Key: name, Person: ledger.Person{ID: name, Name: strings.ToUpper(name)}})
	}
	must(t, l.Offer(t.Context(), "plan", rows))
}

func pin(text string) *secret.Bytes { return secret.New([]byte(text)) }

func lifeOfACard(t *testing.T, p place) {
	l, ctx := p.open(t, ledger.Options{}), t.Context()
	if c, err := l.Card(ctx, "AA01"); c != nil || err != nil {
		t.Errorf("%v, %v", c, err)
	}
	until := time.Date(2030, 1, 2, 3, 4, 5, 0, time.UTC)
	e := begin(t, l, ledger.Change{Serial: "aa01", Family: "f", Reader: "r", Ref: "K", Person: &alice, State: ledger.Issuing, Data: map[string]any{"steps": 3}})
	first := ledger.Credential{Ref: "K", SPKI: "AB", Certificate: []byte{1, 2}, Issuer: "desk", Subject: "CN=Alice", SerialNumber: "01", NotAfter: until}
	second := first
	second.SerialNumber = "02"
	must(t, e.Certified(ctx, first), e.Certified(ctx, second), e.Note(ctx, "tested", map[string]any{"checks": 5}), e.State(ctx, ledger.Active), e.End(ctx, nil))
	c := card(t, l, " aa01 ")
	if c.Serial != "AA01" || c.Family != "f" || c.Reader != "r" || c.State != ledger.Active || c.Person == nil || c.Person.Name != alice.Name || c.Since.IsZero() {
		t.Errorf("%+v", c)
	}
	if len(c.Credentials) != 1 || !reflect.DeepEqual(c.Credentials[0], second) {
		t.Errorf("%+v", c.Credentials)
	}
	e = begin(t, l, ledger.Change{Command: "renew", Serial: "AA01"})
	must(t, e.Revoked(ctx, "02", ledger.Superseded), e.End(ctx, problem.New(problem.CardRemoved, "Alice took it out")))
	if c := card(t, l, "AA01"); c.Credentials[0].Revoked != ledger.Superseded || c.Family != "f" {
		t.Errorf("%+v", c)
	}
	text := strings.Join(logged(t, l, ledger.EventFilter{Serial: "aa01"}), "\n")
	for _, want := range []string{`"command":"provision"`, `"steps":3`, `"state":"issuing"`, `"station":"desk"`, `"serialNumber":"02"`, `"note":"tested"`, `"checks":5`, `"state":"active"`, `"result":"done"`, `"result":"card-removed"`, `"what":"revoked"`} {
		if !strings.Contains(text, want) {
			t.Errorf("%s is not in the log:\n%s", want, text)
		}
	}
	if strings.Contains(text, "lice") {
		t.Errorf("a name is in the log:\n%s", text)
	}
	if v := whole(t, l); v.Records < 9 || v.Signed != 0 {
		t.Errorf("%+v", v)
	}
}

// states tries every way from every state.
func states(t *testing.T, p place) {
	l := p.open(t, ledger.Options{})
	allowed := map[ledger.State][]ledger.State{
		ledger.Stock:     {ledger.Issuing},
		ledger.Issuing:   {ledger.Active, ledger.Damaged},
		ledger.Active:    {ledger.Suspended, ledger.Lost, ledger.Damaged, ledger.Returned, ledger.Revoked},
		ledger.Suspended: {ledger.Active, ledger.Lost, ledger.Damaged, ledger.Returned, ledger.Revoked},
		ledger.Lost:      {ledger.Returned},
	}
	ways := map[ledger.State][]ledger.State{
		ledger.Issuing: {ledger.Issuing}, ledger.Active: {ledger.Issuing, ledger.Active},
	}
	for _, s := range []ledger.State{ledger.Suspended, ledger.Lost, ledger.Damaged, ledger.Returned, ledger.Revoked} {
		ways[s] = []ledger.State{ledger.Issuing, ledger.Active, s}
	}
	n := 0
	for _, from := range ledger.States() {
		for _, to := range ledger.States() {
			n++
			serial := fmt.Sprintf("%02X", n)
			e := begin(t, l, ledger.Change{Serial: serial})
			for _, s := range ways[from] {
				must(t, e.State(t.Context(), s))
			}
			want := from == to
			for _, s := range allowed[from] {
				want = want || s == to
			}
			if err := e.State(t.Context(), to); (err == nil) != want || !want && !problem.Is(err, problem.Refused) {
				t.Errorf("%s to %s: %v", from, to, err)
			}
			if c := card(t, l, serial); (c.State == to) != want {
				t.Errorf("%s to %s: it is %s", from, to, c.State)
			}
		}
	}
	if _, err := ledger.ParseState("gone"); !problem.Is(err, problem.Usage) {
		t.Error(err)
	}
	if s, err := ledger.ParseState("lost"); err != nil || s.Reason() != "keyCompromise" {
		t.Errorf("%s, %v", s, err)
	}
}

// personsCards holds that a card that is somebody's does not become another one's, except
// through stock.
func personsCards(t *testing.T, p place) {
	l, ctx := p.open(t, ledger.Options{}), t.Context()
	issue(t, l, "A1", alice)
	give := ledger.Change{Command: "provision", Serial: "A1", Person: &bob}
	_, err := l.Begin(ctx, give)
	refused(t, "active", err, problem.Refused)
	must(t, mark(t, l, "A1", ledger.Lost))
	_, err = l.Begin(ctx, give)
	refused(t, "lost", err, problem.Refused)
	give.Init, give.State = true, ledger.Issuing
	_, err = l.Begin(ctx, give)
	refused(t, "lost, initialised", err, problem.Refused)
	must(t, mark(t, l, "A1", ledger.Returned))
	refused(t, "stock without init", mark(t, l, "A1", ledger.Stock), problem.Refused)
	must(t, begin(t, l, give).End(ctx, nil))
	if c := card(t, l, "A1"); c.Person == nil || c.Person.ID != bob.ID || c.State != ledger.Issuing {
		t.Errorf("%+v", c)
	}
	begin(t, l, ledger.Change{Command: "init", Serial: "A1", Init: true, State: ledger.Stock})
	_, err = l.Begin(ctx, ledger.Change{Serial: "", Command: "init"})
	refused(t, "no serial", err, problem.Refused)
	renamed := ledger.Person{ID: bob.ID, Name: "Bob Berger"}
	begin(t, l, ledger.Change{Serial: "A2", Person: &renamed})
	if who, err := l.Person(ctx, bob.ID); err != nil || who == nil || who.Name != renamed.Name {
		t.Errorf("%v, %v", who, err)
	}
	if who, err := l.Person(ctx, "nobody"); err != nil || who != nil {
		t.Errorf("%v, %v", who, err)
	}
}

// aRefusalIsNotRecorded holds that what is not done leaves no record, and no row.
func aRefusalIsNotRecorded(t *testing.T, p place) {
	l, ctx := p.open(t, ledger.Options{}), t.Context()
	_, err := l.Begin(ctx, ledger.Change{Serial: "A1", State: ledger.Active, Person: &alice})
	refused(t, "from stock to active", err, problem.Refused)
	if n := len(logged(t, l, ledger.EventFilter{})); n != 0 {
		t.Errorf("%d records", n)
	}
	if c, err := l.Card(ctx, "A1"); c != nil || err != nil {
		t.Errorf("%v, %v", c, err)
	}
	if who, err := l.Person(ctx, alice.ID); who != nil || err != nil {
		t.Errorf("%v, %v", who, err)
	}
	watcher := p.open(t, ledger.Options{ReadOnly: true})
	_, err = watcher.Begin(ctx, ledger.Change{Serial: "A1"})
	refused(t, "read only", err, problem.Refused)
	refused(t, "read only", watcher.Offer(ctx, "plan", nil), problem.Refused)
	_, err = watcher.Claim(ctx, "plan", "A1")
	refused(t, "read only", err, problem.Refused)
}

func cards(t *testing.T, p place) {
	l, ctx := p.open(t, ledger.Options{}), t.Context()
	for i, who := range []ledger.Person{alice, bob, bob} {
		serial := fmt.Sprintf("A%d", i)
		issue(t, l, serial, who)
		e := begin(t, l, ledger.Change{Serial: serial})
		must(t, e.Certified(ctx, ledger.Credential{Ref: "K", NotAfter: time.Date(2030+i, 1, 1, 0, 0, 0, 0, time.UTC)}), e.End(ctx, nil))
	}
	must(t, mark(t, l, "A2", ledger.Suspended))
	for _, test := range []struct {
		f    ledger.Filter
		want string
	}{
		{ledger.Filter{}, "A0 A1 A2"},
		{ledger.Filter{State: ledger.Active}, "A0 A1"},
		{ledger.Filter{Person: bob.ID}, "A1 A2"},
		{ledger.Filter{Person: bob.Name}, "A1 A2"},
		{ledger.Filter{Person: "' OR 1=1 --"}, ""},
		{ledger.Filter{Expiring: time.Date(2031, 6, 1, 0, 0, 0, 0, time.UTC)}, "A0 A1"},
		{ledger.Filter{Expiring: time.Date(2031, 6, 1, 0, 0, 0, 0, time.UTC), Person: bob.ID, State: ledger.Active}, "A1"},
		{ledger.Filter{Serial: "a2"}, "A2"},
	} {
		found, err := l.Cards(ctx, test.f)
		must(t, err)
		var serials []string
		for _, c := range found {
			serials = append(serials, c.Serial)
			if len(c.Credentials) != 1 {
				t.Errorf("%+v", c)
			}
		}
		if got := strings.Join(serials, " "); got != test.want {
			t.Errorf("%+v: %s, want %s", test.f, got, test.want)
		}
	}
}

func imports(t *testing.T, p place) {
	l, ctx := p.open(t, ledger.Options{}), t.Context()
	identity, to := owner(t)
	issue(t, l, "A1", alice)
	list := []ledger.Imported{
		{Card: ledger.Card{Serial: "a1", Person: &bob}},
		{Card: ledger.Card{Serial: "b1", Family: "f", Person: &bob, Credentials: []ledger.Credential{{Ref: "K", NotAfter: time.Unix(2e9, 0)}}}, Plain: map[secret.Name]*secret.Bytes{secret.PUK: pin("12345678")}},
		{Card: ledger.Card{Serial: "b2"}},
		{Card: ledger.Card{Serial: "b3", State: ledger.Lost, Person: &alice}},
	}
	_, err := l.Import(ctx, list, nil)
	refused(t, "nobody to seal to", err, problem.Usage)
	if found, err := l.Cards(ctx, ledger.Filter{}); err != nil || len(found) != 1 {
		t.Errorf("%d cards, %v", len(found), err)
	}
	sealers, err := ledger.Recipients([]string{to}, ledger.UI{})
	must(t, err)
	if n, err := l.Import(ctx, list, sealers); n != 3 || err != nil {
		t.Errorf("%d, %v", n, err)
	}
	if c := card(t, l, "A1"); c.Person.ID != alice.ID {
		t.Errorf("%+v", c)
	}
	if c := card(t, l, "B1"); c.State != ledger.Active || c.Person.Name != bob.Name || len(c.Credentials) != 1 || len(c.Secrets) != 1 || !c.Secrets[0].Set {
		t.Errorf("%+v", c)
	}
	if card(t, l, "B2").State != ledger.Stock || card(t, l, "B3").State != ledger.Lost {
		t.Error("states")
	}
	puk, err := l.Reveal(ctx, "B1", secret.PUK, identity)
	if err != nil || string(puk.Reveal()) != "12345678" {
		t.Error(err)
	}
	whole(t, l)
}

func forgotten(t *testing.T, p place) {
	l, ctx := p.open(t, ledger.Options{}), t.Context()
	must(t, l.Offer(ctx, "plan", []ledger.Row{{Key: alice.ID, Person: alice}}))
	issue(t, l, "A1", alice)
	e := begin(t, l, ledger.Change{Serial: "A1"})
	must(t, e.Certified(ctx, ledger.Credential{Ref: "K", Subject: "CN=Alice Adler", Certificate: []byte("Alice Adler"), SerialNumber: "05"}), e.End(ctx, nil))
	refused(t, "nobody", l.Forget(ctx, "nobody"), problem.NotFound)
	refused(t, "an empty name", l.Forget(ctx, ""), problem.NotFound)
	must(t, l.Forget(ctx, alice.ID))
	refused(t, "twice", l.Forget(ctx, alice.ID), problem.NotFound)
	c := card(t, l, "A1")
	if c.Person == nil || c.Person.ID != "" || c.Person.Name != "" || c.Person.Number == 0 || c.Credentials[0].Subject != "" || c.Credentials[0].Certificate != nil || c.Credentials[0].SerialNumber != "05" {
		t.Errorf("%+v", c)
	}
	must(t, l.Rows(ctx, "plan", func(r ledger.RowState) error {
		if strings.Contains(fmt.Sprintf("%+v", r), "lice") {
			t.Errorf("%+v", r)
		}
		return nil
	}))
	_, err := l.Begin(ctx, ledger.Change{Serial: "A1", Person: &alice})
	refused(t, "the card of somebody who was forgotten", err, problem.Refused)
	begin(t, l, ledger.Change{Serial: "A2", Person: &alice})
	if card(t, l, "A2").Person.Number == c.Person.Number {
		t.Error("somebody who was forgotten is known again")
	}
	whole(t, l)
}

func events(t *testing.T, p place) {
	l := p.open(t, ledger.Options{})
	issue(t, l, "A1", alice)
	issue(t, l, "A2", bob)
	if got := logged(t, l, ledger.EventFilter{Person: alice.ID}); len(got) != 3 {
		t.Errorf("%q", got)
	}
	if got := logged(t, l, ledger.EventFilter{Serial: "a2"}); len(got) != 3 {
		t.Errorf("%q", got)
	}
	if got := logged(t, l, ledger.EventFilter{After: 5}); len(got) != 1 {
		t.Errorf("%q", got)
	}
	if got := logged(t, l, ledger.EventFilter{Person: "nobody"}); len(got) != 0 {
		t.Errorf("%q", got)
	}
}
