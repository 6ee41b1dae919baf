package ledger

import (
	"bytes"
	"context"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/cardctl/cardctl/internal/advice"
	"github.com/cardctl/cardctl/internal/database"
	"github.com/cardctl/cardctl/internal/problem"
)

// broken fails unless a change of a card is refused with these words, and leaves nothing.
func broken(t *testing.T, l *Ledger, words string) {
	t.Helper()
	_, err := l.Begin(t.Context(), Change{Command: "init", Serial: "A1", Data: map[string]any{"long": strings.Repeat("x", 1<<20)}})
	if !problem.Is(err, problem.Failed) || !strings.Contains(err.Error(), words) {
		t.Errorf("%v, want %s", err, words)
	}
	if c, err := l.Card(t.Context(), "A1"); c != nil || err != nil {
		t.Errorf("%v, %v", c, err)
	}
}

func pragma(t *testing.T, l *Ledger, text string) {
	t.Helper()
	if err := l.db.Exec(t.Context(), "PRAGMA "+text); err != nil {
		t.Fatal(err)
	}
}

// A ledger that cannot be written stops a command before the card is changed, and says
// why.
func TestALedgerThatCannotBeWritten(t *testing.T) {
	t.Run("full", func(t *testing.T) {
		l := opened(t)
		pragma(t, l, "max_page_count = 60")
		broken(t, l, "is full")
	})
	t.Run("read-only", func(t *testing.T) {
		l := opened(t)
		pragma(t, l, "query_only = ON")
		broken(t, l, "read-only")
	})
	t.Run("locked", func(t *testing.T) {
		path := filepath.Join(t.TempDir(), "ledger.db")
		l, other := at(t, path, Options{Create: true}), at(t, path, Options{})
		pragma(t, l, "busy_timeout = 20")
		tx, err := other.db.BeginTx(t.Context(), nil)
		if err != nil {
			t.Fatal(err)
		}
		broken(t, l, "is locked")
		if err := tx.Rollback(); err != nil {
			t.Error(err)
		}
		if _, err := l.Begin(t.Context(), Change{Command: "init", Serial: "A1"}); err != nil {
			t.Error(err)
		}
	})
}

// A ledger of another program is refused, and left as it is.
func TestOtherTablesAreLeftAlone(t *testing.T) {
	for name, test := range map[string]struct{ statement, words string }{
		"newer": {"INSERT INTO goose_db_version (version_id, is_applied) VALUES (99, 1)", "newer cardctl"},
		"older": {"DELETE FROM goose_db_version WHERE version_id > 0", "no tables yet"},
	} {
		t.Run(name, func(t *testing.T) {
			path := filepath.Join(t.TempDir(), "ledger.db")
			l := at(t, path, Options{Create: true})
			if err := l.db.Exec(t.Context(), test.statement); err != nil {
				t.Fatal(err)
			}
			if err := l.Close(); err != nil {
				t.Fatal(err)
			}
			before, err := os.ReadFile(path)
			if err != nil {
				t.Fatal(err)
			}
			for _, o := range []Options{{}, {Create: true}, {ReadOnly: true}} {
				l, err := Open(t.Context(), "sqlite:"+path, o)
				if l != nil || !problem.Is(err, problem.Mismatch) || !strings.Contains(err.Error(), test.words) {
					t.Errorf("%v", err)
				}
				var p *problem.Error
				if errors.As(err, &p) && (p.Next.Action == advice.MigrateLedger) != (name == "older") {
					t.Errorf("the advice is %+v", p.Next)
				}
			}
			if after, err := os.ReadFile(path); err != nil || !bytes.Equal(before, after) {
				t.Errorf("it was changed, %v", err)
			}
		})
	}
}

// A damaged file is said to be one, also where it says which ledger it is.
func TestADamagedFile(t *testing.T) {
	path := filepath.Join(t.TempDir(), "ledger.db")
	l := at(t, path, Options{Create: true})
	var page int64
	if err := l.db.QueryRowContext(t.Context(), "SELECT rootpage FROM sqlite_schema WHERE name = 'about'").Scan(&page); err != nil {
		t.Fatal(err)
	}
	if err := l.Close(); err != nil {
		t.Fatal(err)
	}
	data, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	copy(data[(page-1)*4096:page*4096], bytes.Repeat([]byte("damage"), 4096/6))
	if err := os.WriteFile(path, data, 0o600); err != nil {
		t.Fatal(err)
	}
	if l, err := Open(t.Context(), "sqlite:"+path, Options{}); l != nil || !problem.Is(err, problem.Mismatch) || !strings.Contains(err.Error(), "damaged") {
		t.Errorf("%v", err)
	}
}

func TestAddresses(t *testing.T) {
	dir := t.TempDir()
	other := filepath.Join(dir, "other.db")
	db, err := database.Create(t.Context(), other, database.Kind{ID: 1, Migrations: records().Migrations})
	if err != nil {
		t.Fatal(err)
	}
	if err := db.Close(); err != nil {
		t.Fatal(err)
	}
	for address, want := range map[string]problem.Code{
		"":                                   problem.Usage,
		"sqlite:":                            problem.Usage,
		"mysql://a/b":                        problem.Usage,
		"/var/ledger.db":                     problem.Usage,
		"sqlite:" + dir + "/missing.db":      problem.NotFound,
		"sqlite:" + dir:                      problem.Mismatch,
		"sqlite:" + other:                    problem.Mismatch,
		"postgres://u:password@h/d":          problem.Usage,
		"postgres://u@h/d?password=x":        problem.Usage,
		"postgres://u@h.example/d?sslmode=x": problem.Usage,
		"postgres://u@192.0.2.1/d?sslmode=disable":                      problem.Usage,
		"postgres://u@192.0.2.1/d?sslmode=require":                      problem.Usage,
		"postgres://u@localhost,h.example/d?sslmode=prefer":             problem.Usage,
		"postgres://u@localhost/d?host=h.example&sslmode=verify-ca":     problem.Usage,
		"postgres://u@/d?host=" + dir + "&port=1&sslmode=disable":       problem.Failed,
		"postgres://u@/d?host=" + dir + "&port=1":                       problem.Failed,
		"postgresql://u@/d?host=" + dir + "&port=1&connect_timeout=abc": problem.Usage,
	} {
		l, err := Open(t.Context(), address, Options{})
		if l != nil || !problem.Is(err, want) {
			t.Errorf("%s: %v, want %s", address, err, want)
		}
	}
}

// A file is made whole, or not at all, whoever makes it first.
func TestSeveralMakeTheSameFile(t *testing.T) {
	path := filepath.Join(t.TempDir(), "new", "ledger.db")
	type made struct {
		l   *Ledger
		err error
	}
	results := make(chan made)
	const programs = 5
	for range programs {
		go func() {
			l, err := Open(t.Context(), "sqlite:"+path, Options{Create: true})
			results <- made{l, err}
		}()
	}
	ids := map[string]bool{}
	for range programs {
		m := <-results
		if m.err != nil {
			t.Error(m.err)
			continue
		}
		ids[m.l.id] = true
		if err := m.l.Close(); err != nil {
			t.Error(err)
		}
	}
	if len(ids) != 1 {
		t.Errorf("%d ledgers", len(ids))
	}
	if left, err := filepath.Glob(filepath.Join(filepath.Dir(path), ".*")); err != nil || len(left) != 0 {
		t.Errorf("%q, %v", left, err)
	}
}

// A transaction whose answer was lost is not stored twice.
func TestAnAnswerThatWasLost(t *testing.T) {
	l := opened(t)
	token, works := random(), 0
	write := func() (int64, error) {
		return l.write(t.Context(), token, func(ctx context.Context, c *change) error {
			works++
			_, err := c.append(t.Context(), record{token: token, data: map[string]any{"what": "note"}})
			return err
		})
	}
	if n, err := write(); n != 0 || err != nil {
		t.Errorf("%d, %v", n, err)
	}
	if n, err := write(); n != 1 || err != nil {
		t.Errorf("%d, %v", n, err)
	}
	if v, err := l.Verify(t.Context(), nil); err != nil || v.Records != 1 || works != 1 {
		t.Errorf("%+v, %v, done %d times", v, err, works)
	}
}

// Tables are brought up to date by Migrate alone, after a backup.
func TestMigrate(t *testing.T) {
	ctx := t.Context()
	path := filepath.Join(t.TempDir(), "ledger.db")
	if m, err := Migrate(ctx, "sqlite:"+path, Options{}, ""); err != nil || m.From != 1 || m.To != 1 {
		t.Fatalf("%+v, %v", m, err)
	}
	l := at(t, path, Options{})
	if err := l.GrantStation(ctx, "desk"); !problem.Is(err, problem.NotSupported) {
		t.Error(err)
	}
	if err := l.Close(); err != nil {
		t.Fatal(err)
	}
	// The same file, for a program with one migration more.
	kind := records()
	kind.Migrations = more{kind.Migrations}
	backup := filepath.Join(t.TempDir(), "backup.db")
	for _, step := range []struct {
		backup string
		want   problem.Code
	}{{"", problem.Refused}, {path, problem.Refused}, {backup, ""}} {
		db, err := database.OpenFile(ctx, path, kind, false)
		if err != nil {
			t.Fatal(err)
		}
		if err := db.Check(ctx); (step.want != "" || step.backup == backup) && !problem.Is(err, problem.Mismatch) {
			t.Error(err)
		}
		m, err := migrate(ctx, db, step.backup)
		switch {
		case step.want != "" && !problem.Is(err, step.want):
			t.Errorf("%+v, %v", m, err)
		case step.want == "" && (err != nil || m.From != 1 || m.To != 2):
			t.Errorf("%+v, %v", m, err)
		}
		if err := db.Close(); err != nil {
			t.Error(err)
		}
	}
	if l, err := Open(ctx, "sqlite:"+path, Options{}); l != nil || !problem.Is(err, problem.Mismatch) {
		t.Errorf("a newer ledger: %v", err)
	}
	if _, err := Migrate(ctx, "sqlite:"+path, Options{}, backup+"2"); !problem.Is(err, problem.Mismatch) {
		t.Errorf("a newer ledger: %v", err)
	}
	at(t, backup, Options{})
}
