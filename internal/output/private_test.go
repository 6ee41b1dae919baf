//go:build unix

package output

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"testing"
)

// A name that becomes a link between the look and the opening is noticed.
func TestPrivateFileThatBecomesALink(t *testing.T) {
	dir := t.TempDir()
	victim, link := filepath.Join(dir, "victim"), filepath.Join(dir, "link")
	if err := os.WriteFile(victim, []byte("precious"), 0o644); err != nil {
		t.Fatal(err)
	}
	if err := os.Symlink(victim, link); err != nil {
		t.Fatal(err)
	}
	f, err := os.OpenFile(link, os.O_WRONLY, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = f.Close() }()
	if err := makePrivate(f, link); !errors.Is(err, errLink) {
		t.Error(err)
	}
	if info, err := os.Stat(victim); err != nil || info.Size() == 0 || info.Mode() != fs.FileMode(0o644) {
		t.Errorf("%v, %v", info, err)
	}
}
