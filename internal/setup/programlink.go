package setup

import (
	"context"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
)

// programLink is a symbolic link to a program, by whose name it does something else.
type programLink struct {
	Path   string `json:"path"`
	Target string `json:"target"`
	// Config is the configuration that names the link.
	Config string `json:"config"`
	// Made are the directories that had to be made for it, the innermost first.
	Made []string `json:"made,omitempty"`
}

func (l *programLink) kind() string  { return "link" }
func (l *programLink) whole() bool   { return filepath.IsAbs(l.Path) && l.Target != "" }
func (l *programLink) place() string { return l.Path }
func (l *programLink) text() string  { return "a link to " + l.Target + "\n" }

func (l *programLink) look(context.Context) (state, string, error) {
	now, err := os.Readlink(l.Path)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return absent, "", nil
	case err != nil:
		return absent, "", unreadable(l.Path, err)
	case now != l.Target:
		return foreign, difference(l.Target, now), nil
	}
	return present, "", nil
}

func (l *programLink) remember(context.Context) (err error) {
	l.Made, err = missing(filepath.Dir(l.Path))
	return err
}

func (l *programLink) write(context.Context) error {
	err := os.MkdirAll(filepath.Dir(l.Path), 0o700)
	if err == nil {
		err = remove(l.Path)
	}
	if err == nil {
		err = os.Symlink(l.Target, l.Path)
	}
	if err != nil {
		return unwritable(l.Path, err)
	}
	return nil
}

// remove deletes the link, unless the configuration names it for another program.
func (l *programLink) remove(context.Context) error {
	config, err := readFile(l.Config)
	if err != nil || strings.Contains(string(config), l.Path) {
		return err
	}
	if err := remove(l.Path); err != nil {
		return unwritable(l.Path, err)
	}
	unmake(l.Made)
	return nil
}
