package output

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
)

// NewPrivateFile writes a file for its owner alone, down to the disk. It never writes
// over one that exists: then the error is fs.ErrExist.
func NewPrivateFile(path string, content []byte) error {
	f, err := os.OpenFile(path, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		return err
	}
	_, err = f.Write(content)
	if err == nil {
		err = f.Sync()
	}
	err = errors.Join(err, f.Close())
	if err == nil {
		err = syncDirectory(filepath.Dir(path))
	}
	if err != nil {
		return errors.Join(err, os.Remove(path))
	}
	return nil
}

// errLink is in the fs.PathError of a name that is a symbolic link.
var errLink = errors.New("the file is a symbolic link, which is not followed")

// PrivateFile opens a file for its owner alone, empty. It follows no link, which
// somebody else may have put there; what is no regular file, such as a pipe, is
// left as it is.
func PrivateFile(path string) (*os.File, error) {
	if err := noLink(path); err != nil {
		return nil, err
	}
	f, err := os.OpenFile(path, os.O_WRONLY|os.O_CREATE, 0o600)
	if err != nil {
		return nil, err
	}
	if err := makePrivate(f, path); err != nil {
		return nil, errors.Join(err, f.Close())
	}
	return f, nil
}

func makePrivate(f *os.File, path string) error {
	opened, err := f.Stat()
	if err != nil || !opened.Mode().IsRegular() {
		return err
	}
	// The name may have become a link in the meantime.
	named, err := os.Lstat(path)
	if err != nil {
		return err
	}
	if !os.SameFile(named, opened) {
		return isLink(path)
	}
	if err := f.Chmod(0o600); err != nil {
		return err
	}
	return f.Truncate(0)
}

func noLink(path string) error {
	info, err := os.Lstat(path)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return nil
	case err != nil:
		return err
	case info.Mode()&fs.ModeSymlink != 0:
		return isLink(path)
	}
	return nil
}

func isLink(path string) error { return &fs.PathError{Op: "open", Path: path, Err: errLink} }
