//go:build unix

package setup

import (
	"os"
	"path/filepath"
	"syscall"
	"testing"
)

// TestUmask writes what others have to read, for an administrator whose files others do
// not read otherwise.
func TestUmask(t *testing.T) {
	defer syscall.Umask(syscall.Umask(0o077))
	for _, c := range []struct {
		public     bool
		file, made os.FileMode
	}{{true, 0o644, 0o755}, {false, 0o600, 0o700}} {
		f := onDisk(t, &whole{"x"})
		f.Mode, f.Public = 0o644, c.public
		written(t, f)
		for path, want := range map[string]os.FileMode{f.Path: c.file, filepath.Dir(f.Path): c.made} {
			if info, err := os.Stat(path); err != nil || info.Mode().Perm() != want {
				t.Errorf("public %v, %s: %v, %v", c.public, path, info.Mode(), err)
			}
		}
		undone(t, f)
	}
}
