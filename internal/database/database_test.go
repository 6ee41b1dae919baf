package database

import (
	"bytes"
	"io/fs"
	"os"
	"path/filepath"
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
