package ledger_test

import (
	"bytes"
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/cardctl/cardctl/internal/ledger"
	"github.com/cardctl/cardctl/internal/problem"
)

// cut closes a ledger under the hands of a command: what it writes from now on cannot be
// written.
func cut(t *testing.T, l *ledger.Ledger) {
	t.Helper()
	must(t, l.Close())
}

// spooledFiles are the records that wait.
func spooledFiles(t *testing.T, dir string) []string {
	t.Helper()
	files, err := filepath.Glob(filepath.Join(dir, "*"))
	must(t, err)
	return files
}

// spool holds that what was done is recorded by the next command, once.
func spool(t *testing.T, p place) {
	dir, ctx := filepath.Join(t.TempDir(), "spool"), t.Context()
	o := ledger.Options{Spool: dir}
	l := p.open(t, o)
	_, to := owner(t)
	e := begin(t, l, ledger.Change{Serial: "A1", Person: &alice, State: ledger.Issuing})
	id := seal(t, e, "11111111", to)
	cut(t, l)
	_, err := e.Seal(ctx, "puk", ledger.KeepLedger, pin("22222222"), []string{to})
	if err == nil {
		t.Error("a secret that was not stored")
	}
	_, err = l.Begin(ctx, ledger.Change{Serial: "A2"})
	if err == nil {
		t.Error("a change that was not announced")
	}
	if got := spooledFiles(t, dir); len(got) != 0 {
		t.Errorf("%q", got)
	}
	interrupted, cancel := context.WithCancel(ctx)
	cancel()
	for what, err := range map[string]error{"has": e.Has(ctx, id), "certified": e.Certified(ctx, ledger.Credential{Ref: "K"})} {
		refused(t, what, err, problem.Failed)
	}
	err = e.State(ctx, ledger.Active)
	refused(t, "state", err, problem.Failed)
	if err == nil || !strings.Contains(err.Error(), dir) {
		t.Errorf("the spool is not named: %v", err)
	}
	refused(t, "end", e.End(interrupted, nil), problem.Failed)
	files := spooledFiles(t, dir)
	if len(files) != 4 {
		t.Errorf("%q", files)
	}
	for _, file := range files {
		text, err := os.ReadFile(file)
		info, statErr := os.Stat(file)
		must(t, err, statErr)
		if info.Mode().Perm() != 0o600 || bytes.Count(text, []byte("\n")) != 1 || bytes.Contains(text, []byte("1111")) || bytes.Contains(text, []byte("age")) {
			t.Errorf("%s %s", info.Mode(), text)
		}
	}
	p.open(t, ledger.Options{Spool: dir, ReadOnly: true}) // which sends nothing
	kept := map[string][]byte{}
	for _, file := range spooledFiles(t, dir) {
		text, err := os.ReadFile(file)
		must(t, err)
		kept[file] = text
	}
	if len(kept) != 4 {
		t.Errorf("%d records wait", len(kept))
	}
	for range 2 { // the second time as after a crash before the files were removed
		for file, text := range kept {
			must(t, os.WriteFile(file, text, 0o600))
		}
		l = p.open(t, o)
		if got := spooledFiles(t, dir); len(got) != 0 || l.Waiting() != 0 {
			t.Errorf("%q", got)
		}
	}
	if c := card(t, l, "A1"); c.State != ledger.Active || len(c.Credentials) != 1 || !c.Secrets[0].Set {
		t.Errorf("%+v", c)
	}
	if got := logged(t, l, ledger.EventFilter{}); len(got) != 6 || !strings.Contains(got[5], `"late":true`) || !strings.Contains(got[5], `"result":"done"`) {
		t.Errorf("%q", got)
	}
	must(t, os.WriteFile(filepath.Join(dir, "rubbish.json"), []byte("rubbish"), 0o600))
	_, err = ledger.Open(ctx, p.address, o)
	refused(t, "rubbish in the spool", err, problem.Mismatch)
}

// passingFault holds that what was spooled is recorded before what the same process
// records next.
func passingFault(t *testing.T, p place) {
	dir, ctx := filepath.Join(t.TempDir(), "spool"), t.Context()
	l := p.open(t, ledger.Options{Spool: dir, Patience: time.Second})
	_, to := owner(t)
	e := begin(t, l, ledger.Change{Serial: "A1", Person: &alice, State: ledger.Issuing})
	id := seal(t, e, "11111111", to)
	p.tamper(t, "ALTER TABLE secret RENAME TO away")
	refused(t, "has", e.Has(ctx, id), problem.Failed)
	refused(t, "certified", e.Certified(ctx, ledger.Credential{Ref: "K"}), problem.Failed)
	if _, err := l.Begin(ctx, ledger.Change{Command: "provision", Serial: "A2"}); err == nil {
		t.Error("a change was announced before what was done is recorded")
	}
	p.tamper(t, "ALTER TABLE away RENAME TO secret")
	must(t, e.State(ctx, ledger.Active))
	if c := card(t, l, "A1"); c.State != ledger.Active || len(c.Credentials) != 1 || !c.Secrets[0].Set {
		t.Errorf("%+v", c)
	}
	var order []string
	for _, record := range logged(t, l, ledger.EventFilter{Serial: "A1"}) {
		for _, what := range []string{"set", "certified", "state"} {
			if strings.Contains(record, fmt.Sprintf(`"what":%q`, what)) {
				order = append(order, what)
			}
		}
	}
	if got := strings.Join(order, " "); got != "set certified state" || l.Waiting() != 0 {
		t.Errorf("%s, %d wait", got, l.Waiting())
	}

	p.tamper(t, "ALTER TABLE card RENAME TO away")
	refused(t, "end", e.End(ctx, nil), problem.Failed)
	p.tamper(t, "ALTER TABLE away RENAME TO card")
	begin(t, l, ledger.Change{Serial: "A1", State: ledger.Damaged})
	all := logged(t, l, ledger.EventFilter{Serial: "A1"})
	if end := all[len(all)-2]; !strings.Contains(end, `"result":"done"`) || strings.Contains(end, "over") || l.Waiting() != 0 {
		t.Errorf("%q", all)
	}
}

// lateFacts holds that a record from before does not undo what happened since.
func lateFacts(t *testing.T, p place) {
	dir, ctx := filepath.Join(t.TempDir(), "spool"), t.Context()
	l := p.open(t, ledger.Options{Spool: dir})
	_, to := owner(t)
	e := begin(t, l, ledger.Change{Serial: "A1", Person: &alice, State: ledger.Issuing})
	id := seal(t, e, "11111111", to)
	cut(t, l)
	refused(t, "has", e.Has(ctx, id), problem.Failed)
	refused(t, "state", e.State(ctx, ledger.Active), problem.Failed)

	l = p.open(t, ledger.Options{}) // another station, which has another spool
	f := begin(t, l, ledger.Change{Serial: "A1", State: ledger.Damaged})
	must(t, f.End(ctx, nil))
	records := len(logged(t, l, ledger.EventFilter{}))

	l = p.open(t, ledger.Options{Spool: dir})
	if c := card(t, l, "A1"); c.State != ledger.Damaged || c.Secrets[0].Set {
		t.Errorf("%+v", c)
	}
	all := logged(t, l, ledger.EventFilter{})
	if len(all) != records+2 || !strings.Contains(all[records], `"over":true`) {
		t.Errorf("%q", all)
	}
	if got := spooledFiles(t, dir); len(got) != 0 {
		t.Errorf("%q", got)
	}
}

func backups(t *testing.T, p place) {
	l, ctx := p.open(t, ledger.Options{}), t.Context()
	identity, to := owner(t)
	offer(t, l, "a", "b")
	x := claim(t, l, "A1")
	e := begin(t, l, ledger.Change{Serial: "A1", Person: &x.Row.Person, State: ledger.Issuing, Lease: x})
	must(t, e.Has(ctx, seal(t, e, "11111111", to)), e.Certified(ctx, ledger.Credential{Ref: "K"}), e.State(ctx, ledger.Active), e.End(ctx, nil), x.Done(ctx, true, ""))
	a, err := l.Sign(ctx, key(t))
	must(t, err)
	path := filepath.Join(t.TempDir(), "backup.db")
	must(t, l.Backup(ctx, path))
	refused(t, "over a file", l.Backup(ctx, path), problem.Refused)
	if info, err := os.Stat(path); err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("%v, %v", info, err)
	}
	again, err := ledger.Open(ctx, "sqlite:"+path, ledger.Options{})
	must(t, err)
	defer func() { must(t, again.Close()) }()
	if v, err := again.Verify(ctx, a); err != nil || v.Signed != v.Records {
		t.Errorf("%+v, %v", v, err)
	}
	if c := card(t, again, "A1"); c.State != ledger.Active || len(c.Credentials) != 1 || c.Person.Name != "A" {
		t.Errorf("%+v", c)
	}
	if value, err := again.Reveal(ctx, "A1", "puk", identity); err != nil || string(value.Reveal()) != "11111111" {
		t.Error(err)
	}
	if got := rowsAre(t, again); got != "a done A1, b free" {
		t.Error(got)
	}
	if left, err := filepath.Glob(filepath.Join(filepath.Dir(path), ".*")); err != nil || len(left) != 0 {
		t.Errorf("%q, %v", left, err)
	}
}
