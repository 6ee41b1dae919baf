package database

import (
	"bytes"
	"database/sql"
	"errors"
	"io/fs"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"testing/fstest"

	"github.com/cardctl/cardctl/internal/problem"
)

func kind(id uint32) Kind {
	return Kind{ID: id, Migrations: fstest.MapFS{"00001_a.sql": {Data: []byte("-- +goose Up\nCREATE TABLE a (b TEXT) STRICT;\n-- +goose Down\nDROP TABLE a;\n")}}}
}

func create(t *testing.T, id uint32) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "a ?#%41.db")
	db, err := Create(t.Context(), path, kind(id))
	if err != nil {
		t.Fatal(err)
	}
	if err := db.Close(); err != nil {
		t.Fatal(err)
	}
	return path
}

// Nothing is written to a file that is not of this kind.
func TestOpenLeavesOthersAlone(t *testing.T) {
	other := create(t, 1)
	garbage := filepath.Join(t.TempDir(), "garbage.db")
	if err := os.WriteFile(garbage, bytes.Repeat([]byte("garbage "), 1000), 0o600); err != nil {
		t.Fatal(err)
	}
	for path, want := range map[string]problem.Code{other: problem.Mismatch, garbage: problem.Mismatch, t.TempDir(): problem.Mismatch, other + "2": problem.NotFound} {
		before, _ := os.ReadFile(path)
		if _, err := Open(t.Context(), path, kind(2)); !problem.Is(err, want) {
			t.Errorf("%s: %v", path, err)
		}
		if after, _ := os.ReadFile(path); !bytes.Equal(before, after) {
			t.Errorf("%s was changed", path)
		}
	}
	db, err := Open(t.Context(), other, kind(1))
	if err != nil {
		t.Fatal(err)
	}
	if err := db.Close(); err != nil {
		t.Error(err)
	}
}

// pending is a copy of a database whose last change is in a file beside it, as a program
// leaves it that was killed.
func pending(t *testing.T, path, change string) string {
	t.Helper()
	copied := filepath.Join(t.TempDir(), "pending.db")
	name := url.URL{Scheme: "file", OmitHost: true, Path: path}
	db, err := sql.Open("sqlite", name.String())
	if err != nil {
		t.Fatal(err)
	}
	db.SetMaxOpenConns(1)
	defer func() { _ = db.Close() }()
	for _, statement := range []string{"PRAGMA journal_mode = WAL", change} {
		if _, err := db.ExecContext(t.Context(), statement); err != nil {
			t.Fatal(err)
		}
	}
	for _, ending := range []string{"", "-wal"} {
		data, err := os.ReadFile(path + ending)
		if err != nil || len(data) == 0 {
			t.Fatalf("%s: %d bytes, %v", ending, len(data), err)
		}
		if err := os.WriteFile(copied+ending, data, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	return copied
}

// What is refused stays as it is, also if its last changes are not in the file yet.
func TestPendingChangesOfOthersStay(t *testing.T) {
	for name, path := range map[string]string{
		"another program": pending(t, filepath.Join(t.TempDir(), "other.db"), "CREATE TABLE other (a)"),
		"another kind":    pending(t, create(t, 2), "INSERT INTO a VALUES ('1')"),
		"a newer program": pending(t, create(t, 1), "INSERT INTO goose_db_version (version_id, is_applied) VALUES (99, 1)"),
	} {
		for _, readOnly := range []bool{false, true} {
			before, beside := contents(t, path), contents(t, path+"-wal")
			db, err := OpenFile(t.Context(), path, kind(1), readOnly)
			if err == nil {
				err = errors.Join(db.Check(t.Context()), db.Close())
			}
			if !problem.Is(err, problem.Mismatch) {
				t.Errorf("%s: %v", name, err)
			}
			if !bytes.Equal(contents(t, path), before) || !bytes.Equal(contents(t, path+"-wal"), beside) {
				t.Errorf("%s, read only %t: it was changed", name, readOnly)
			}
		}
	}
	path := pending(t, create(t, 1), "INSERT INTO a VALUES ('1')")
	db, err := OpenFile(t.Context(), path, kind(1), false)
	if err != nil {
		t.Fatal(err)
	}
	var n int
	if err := errors.Join(db.QueryRowContext(t.Context(), "SELECT count(*) FROM a").Scan(&n), db.Close()); err != nil || n != 1 {
		t.Errorf("%d, %v", n, err)
	}
}

func contents(t *testing.T, path string) []byte {
	t.Helper()
	data, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return data
}

// Whatever its name is, a backup is in the file, whole, and for its owner alone.
func TestBackup(t *testing.T) {
	db, err := Open(t.Context(), create(t, 1), kind(1))
	if err != nil {
		t.Fatal(err)
	}
	t.Chdir(t.TempDir())
	if err := os.Mkdir("file:d", 0o700); err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"backup.db", "file:x?mode=memory", "file:d/x"} {
		if err := db.Backup(t.Context(), name); err != nil {
			t.Fatal(err)
		}
		if info, err := os.Stat(name); err != nil || info.Size() == 0 || info.Mode().Perm() != 0o600 {
			t.Errorf("%v, %v", info, err)
		}
		again, err := Open(t.Context(), name, kind(1))
		if err != nil {
			t.Fatal(err)
		}
		if err := again.Close(); err != nil {
			t.Error(err)
		}
		if err := db.Backup(t.Context(), name); !problem.Is(err, problem.Refused) {
			t.Error(err)
		}
	}
	if err := db.Close(); err != nil {
		t.Error(err)
	}
	if left, err := fs.Glob(os.DirFS("."), ".backup*"); err != nil || len(left) > 0 {
		t.Errorf("%v, %v", left, err)
	}
}

// unwritable has SQLite find no place for the file that it shares with other processes, as
// in a directory that cannot be written to.
func unwritable(t *testing.T, path string) {
	t.Helper()
	if err := os.RemoveAll(path + "-shm"); err != nil {
		t.Fatal(err)
	}
	if err := os.Symlink("nowhere", path+"-shm"); err != nil { // SQLite follows no link
		t.Fatal(err)
	}
}

// TestOpenToRead reads where nothing can be written, unless it would miss something.
func TestOpenToRead(t *testing.T) {
	path := create(t, 1)
	count := func(db *DB) (n int) {
		t.Helper()
		if err := db.QueryRowContext(t.Context(), "SELECT count(*) FROM a").Scan(&n); err != nil {
			t.Fatal(err)
		}
		return n
	}
	db, err := OpenToRead(t.Context(), path, kind(1))
	if err != nil || db.ReadOnly() {
		t.Fatalf("one that can be written: %v", err)
	}
	if err := db.Exec(t.Context(), "INSERT INTO a VALUES ('1')"); err != nil {
		t.Fatal(err)
	}
	pending, err := os.ReadFile(path + "-wal") // what is not in the file yet
	if err != nil || len(pending) == 0 {
		t.Fatalf("%d bytes, %v", len(pending), err)
	}
	if err := db.Close(); err != nil {
		t.Fatal(err)
	}

	unwritable(t, path)
	if _, err := Open(t.Context(), path, kind(1)); !problem.Is(err, problem.Failed) {
		t.Errorf("it was opened to write: %v", err)
	}
	if db, err = OpenToRead(t.Context(), path, kind(1)); err != nil {
		t.Fatal(err)
	}
	if looked, err := OpenFile(t.Context(), path, kind(1), true); err != nil || count(looked) != 1 || looked.Close() != nil {
		t.Errorf("it is not read: %v", err)
	}
	if !db.ReadOnly() || count(db) != 1 || db.Exec(t.Context(), "INSERT INTO a VALUES ('2')") == nil {
		t.Error("it is not only read, or not wholly")
	}
	if err := db.Close(); err != nil {
		t.Error(err)
	}
	if _, err := OpenToRead(t.Context(), path, kind(2)); !problem.Is(err, problem.Mismatch) {
		t.Errorf("of another program: %v", err)
	}
	if err := os.WriteFile(path+"-wal", pending, 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := OpenToRead(t.Context(), path, kind(1)); !problem.Is(err, problem.Failed) || !strings.Contains(err.Error(), "the last changes") {
		t.Errorf("without the last changes: %v", err)
	}
}
