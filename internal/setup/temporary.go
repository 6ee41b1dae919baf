package setup

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"

	"github.com/cardctl/cardctl/internal/problem"
)

// temporary makes a directory for one check, which whoever asked for it removes.
func temporary() (string, error) {
	dir, err := os.MkdirTemp("", "cardctl-")
	if err != nil {
		return "", problem.Wrap(problem.Failed, err, "cannot make a temporary directory")
	}
	return dir, nil
}

// copyFiles copies those of some files that there are into another directory, for its
// owner alone.
func copyFiles(to, from string, names ...string) error {
	for _, name := range names {
		path := filepath.Join(from, name)
		content, err := os.ReadFile(path)
		if errors.Is(err, fs.ErrNotExist) {
			continue
		}
		if err != nil {
			return unreadable(path, err)
		}
		if err := putFile(filepath.Join(to, name), content); err != nil {
			return err
		}
	}
	return nil
}

// putFile writes a file in a directory that is thrown away.
func putFile(path string, content []byte) error {
	err := os.MkdirAll(filepath.Dir(path), 0o700)
	if err == nil {
		err = os.WriteFile(path, content, 0o600)
	}
	if err != nil {
		return unwritable(path, err)
	}
	return nil
}
