//go:build !windows

package ledger_test

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"github.com/cardctl/cardctl/internal/ledger"
	"github.com/cardctl/cardctl/internal/problem"
)

// What somebody put into the spool is refused, and neither waited for nor recorded.
func TestForeignFilesInTheSpool(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "spool")
	address := "sqlite:" + filepath.Join(t.TempDir(), "ledger.db")
	l, err := ledger.Open(t.Context(), address, ledger.Options{Create: true, Spool: dir})
	must(t, err)
	defer func() { _ = l.Close() }()
	e := begin(t, l, ledger.Change{Serial: "A1"})
	a, err := l.Sign(t.Context(), key(t))
	must(t, err, os.MkdirAll(dir, 0o700))
	name := filepath.Join(dir, "t.json")
	record := func(rest string) error {
		line := fmt.Sprintf(`{"ledger":%q,"token":"t","entry":%d,"serial":"A1",%s}`, a.Ledger, e.Number(), rest)
		return os.WriteFile(name, []byte(line), 0o600)
	}
	for what, put := range map[string]func() error{
		"a pipe": func() error { return syscall.Mkfifo(name, 0o600) },
		"a link": func() error {
			elsewhere := filepath.Join(t.TempDir(), "t.json")
			return errors.Join(record(`"what":"end"`), os.Rename(name, elsewhere), os.Symlink(elsewhere, name))
		},
		"a directory":       func() error { return os.Mkdir(name, 0o700) },
		"a device":          func() error { return os.Symlink("/dev/zero", name) },
		"no JSON":           func() error { return os.WriteFile(name, []byte("{"), 0o600) },
		"too long":          func() error { return os.WriteFile(name, []byte(strings.Repeat(" ", 1<<20)+"{}"), 0o600) },
		"another name":      func() error { return os.WriteFile(name, []byte(`{"token":"u","what":"end"}`), 0o600) },
		"no certificate":    func() error { return record(`"what":"certified"`) },
		"nothing revoked":   func() error { return record(`"what":"revoked"`) },
		"an unknown state":  func() error { return record(`"what":"state","state":"eaten"`) },
		"an unknown record": func() error { return record(`"what":"eaten"`) },
	} {
		t.Run(what, func(t *testing.T) {
			must(t, put())
			_, err := ledger.Open(t.Context(), address, ledger.Options{Spool: dir})
			refused(t, what, err, problem.Mismatch)
			if _, err := os.Lstat(name); err != nil {
				t.Error("it was deleted")
			}
			must(t, os.RemoveAll(name))
		})
	}
	if n := len(logged(t, l, ledger.EventFilter{})); n != 1 {
		t.Errorf("%d records", n)
	}
	must(t, record(`"what":"end"`))
	again, err := ledger.Open(t.Context(), address, ledger.Options{Spool: dir})
	must(t, err, again.Close())
	if n := len(logged(t, l, ledger.EventFilter{})); n != 2 {
		t.Errorf("%d records after a good one", n)
	}
}
