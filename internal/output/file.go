package output

import (
	"crypto/rand"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
)

// WriteFile writes data to path so that the file is whole or as it was before.
// A regular file that is there is replaced and keeps its permissions, and of a
// symbolic link the file it leads to, as a shell's > would do; what is no
// regular file, such as /dev/null or a pipe, is written to. A new file gets
// perm, less the umask.
func WriteFile(path string, data []byte, perm fs.FileMode) error {
	if target, err := filepath.EvalSymlinks(path); err == nil {
		path = target
	}
	info, err := os.Stat(path)
	switch {
	case errors.Is(err, fs.ErrNotExist):
	case err != nil:
		return err
	case !info.Mode().IsRegular():
		return writeTo(path, data)
	default:
		perm = info.Mode().Perm()
	}
	return replace(path, data, perm, err == nil)
}

func writeTo(path string, data []byte) error {
	f, err := os.OpenFile(path, os.O_WRONLY, 0)
	if err != nil {
		return err
	}
	_, err = f.Write(data)
	return errors.Join(err, f.Close())
}

// unfinished is the name that a file has until it is whole.
func unfinished(path, suffix string) string {
	return filepath.Join(filepath.Dir(path), fmt.Sprintf(".%s.%s", filepath.Base(path), suffix))
}

// RemoveUnfinished removes what a WriteFile of this path left that was killed. Nobody may
// write the file meanwhile.
func RemoveUnfinished(path string) error {
	entries, err := os.ReadDir(filepath.Dir(path))
	if err != nil {
		return err
	}
	whole := filepath.Base(unfinished(path, ""))
	for _, e := range entries {
		suffix, is := strings.CutPrefix(e.Name(), whole)
		if is && len(suffix) == len(rand.Text()) && strings.Trim(suffix, "ABCDEFGHIJKLMNOPQRSTUVWXYZ234567") == "" && e.Type().IsRegular() {
			err = errors.Join(err, os.Remove(unfinished(path, suffix)))
		}
	}
	return err
}

func replace(path string, data []byte, perm fs.FileMode, exact bool) (err error) {
	temporary := unfinished(path, rand.Text())
	f, err := os.OpenFile(temporary, os.O_WRONLY|os.O_CREATE|os.O_EXCL, perm)
	if err != nil {
		var pathError *fs.PathError
		if errors.As(err, &pathError) {
			pathError.Path = path // the user never saw the other name
		}
		return err
	}
	defer func() {
		if err != nil {
			_ = os.Remove(temporary)
		}
	}()
	if exact {
		err = f.Chmod(perm) // the umask is no concern of a file that was there
	}
	if err == nil {
		_, err = f.Write(data)
	}
	if err == nil {
		err = f.Sync()
	}
	if err = errors.Join(err, f.Close()); err != nil {
		return err
	}
	if err = os.Rename(temporary, path); err != nil {
		return err
	}
	return syncDirectory(filepath.Dir(path))
}

// syncDirectory makes the new name last. Some file systems cannot; the file is
// there all the same.
func syncDirectory(path string) error {
	d, err := os.Open(path)
	if err != nil {
		return nil
	}
	_ = d.Sync()
	return d.Close()
}
