package setup

import (
	"bytes"
	"context"
	"errors"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"

	"github.com/cardctl/cardctl/internal/advice"
	"github.com/cardctl/cardctl/internal/output"
	"github.com/cardctl/cardctl/internal/problem"
)

// maxFile bounds the configuration of a program, in bytes.
const maxFile = 4 << 20

// file is an edit of a file. Exactly one of the edits is set.
type file struct {
	Path string      `json:"path"`
	Mode fs.FileMode `json:"mode"`
	// Private says that others cannot search the directories that are made for it.
	Private bool `json:"private,omitempty"`
	// Public says that others have to read it, whatever the umask is.
	Public bool `json:"public,omitempty"`

	Whole   *whole      `json:"whole,omitempty"`
	Block   *block      `json:"block,omitempty"`
	Members *members    `json:"members,omitempty"`
	Pref    *preference `json:"preference,omitempty"`
	Stub    *stub       `json:"stub,omitempty"`

	// Adopted says that it belongs to a key which stays when the rest is taken back.
	Adopted bool `json:"adopted,omitempty"`
	// Holder is the program that may have the file in memory.
	Holder holder `json:"holder,omitzero"`
	// Before is the file before it was written; nil for none.
	Before *[]byte `json:"before"`
	// Made are the directories that had to be made for it, the innermost first.
	Made []string `json:"made,omitempty"`
}

// edit is what is changed in a file. A file that is not there is nil.
type edit interface {
	// text is what is written.
	text() string
	// compare finds the edit in a file.
	compare(now []byte) (is state, difference string, err error)
	// apply is the file with the edit.
	apply(now []byte) ([]byte, error)
	// strip is the file without it; nil for no file. Before is the file that there was.
	strip(now, before []byte) ([]byte, error)
}

func (f *file) edit() edit {
	switch {
	case f.Whole != nil:
		return f.Whole
	case f.Block != nil:
		return f.Block
	case f.Pref != nil:
		return f.Pref
	case f.Stub != nil:
		return f.Stub
	case f.Members != nil:
		return f.Members
	}
	return nil
}

// whole reports whether nothing is missing that the edit needs.
func (f *file) whole() bool {
	nameless := func(m member) bool { return len(m.Path) == 0 }
	return filepath.IsAbs(f.Path) && f.edit() != nil && (f.Members == nil || !slices.ContainsFunc(f.Members.Members, nameless))
}

func (f *file) free() error { return f.Holder.free() }

func (f *file) stays() bool { return f.Adopted }

func (f *file) kind() string  { return "file" }
func (f *file) place() string { return f.Path }
func (f *file) text() string  { return f.edit().text() }

func (f *file) look(context.Context) (state, string, error) {
	now, err := readFile(f.Path)
	if err != nil {
		return absent, "", err
	}
	is, difference, err := f.edit().compare(now)
	switch {
	case err != nil:
		return absent, "", f.unparsable(err)
	case is == foreign && f.Before != nil && bytes.Equal(now, *f.Before):
		return absent, "", nil // it was taken back
	}
	return is, difference, nil
}

func (f *file) unparsable(err error) error { return unparsable(f.Path, err) }

func unparsable(path string, err error) error {
	return problem.New(problem.Mismatch, "%s cannot be parsed", path).
		Because("%s", problem.Sentences(problem.Sentence(err.Error()), "The file was not changed.")).
		Advise(printInstead())
}

func (f *file) remember(context.Context) error {
	now, err := readFile(f.Path)
	if err != nil {
		return err
	}
	f.Before = nil
	if now != nil {
		f.Before = &now
	}
	f.Made, err = missing(filepath.Dir(f.Path))
	return err
}

// dirMode is that of a directory which has to be made for the file: who can read the one,
// can search the other.
func (f *file) dirMode() fs.FileMode {
	if f.Private {
		return 0o700
	}
	return f.Mode | f.Mode>>2&0o111 | 0o700
}

// before is the file before it was written, nil for none.
func (f *file) before() []byte {
	if f.Before == nil {
		return nil
	}
	return *f.Before
}

func (f *file) write(context.Context) error {
	now, err := readFile(f.Path)
	if err != nil {
		return err
	}
	with, err := f.edit().apply(now)
	if err != nil {
		return f.unparsable(err)
	}
	if now != nil && bytes.Equal(now, with) {
		return nil
	}
	if err := os.MkdirAll(filepath.Dir(f.Path), f.dirMode()); err != nil {
		return unwritable(f.Path, err)
	}
	if err := output.WriteFile(f.Path, with, f.Mode); err != nil {
		return unwritable(f.Path, err)
	}
	if f.Public && now == nil {
		return f.publish()
	}
	return nil
}

// publish has others read a new file, and search the directories that were made for it.
func (f *file) publish() error {
	err := os.Chmod(f.Path, f.Mode)
	for _, dir := range f.Made {
		err = errors.Join(err, os.Chmod(dir, f.dirMode()))
	}
	if err != nil {
		return unwritable(f.Path, err)
	}
	return nil
}

// remove restores the file as it was, byte by byte, if it is as it was written.
// Otherwise only the edit is taken out.
func (f *file) remove(context.Context) error {
	now, err := readFile(f.Path)
	if err != nil {
		return err
	}
	without := f.before()
	if written, err := f.edit().apply(without); err != nil || !bytes.Equal(now, written) {
		if without, err = f.edit().strip(now, f.before()); err != nil {
			return f.unparsable(err)
		}
	}
	switch {
	case without == nil && now != nil:
		err = os.Remove(f.Path)
	case without != nil && !(now != nil && bytes.Equal(now, without)):
		err = output.WriteFile(f.Path, without, f.Mode)
	}
	if err != nil {
		return unwritable(f.Path, err)
	}
	f.tidy()
	return nil
}

// tidy removes what a run left that was killed, and the directories that were made.
func (f *file) tidy() {
	_ = output.RemoveUnfinished(f.Path) // it is no configuration
	unmake(f.Made)
}

// missing are the directories that have to be made for one, the innermost first.
func missing(dir string) (made []string, err error) {
	for ; ; dir = filepath.Dir(dir) {
		_, err := os.Lstat(dir)
		if !errors.Is(err, fs.ErrNotExist) {
			return made, err
		}
		made = append(made, dir)
	}
}

// unmake removes directories that were made. One that others use stays.
func unmake(made []string) {
	for _, dir := range made {
		_ = os.Remove(dir)
	}
}

// readFile reads a configuration; nil if there is none.
func readFile(path string) ([]byte, error) { return readUpTo(path, maxFile) }

// readUpTo reads a regular file of up to most bytes; nil if there is none.
func readUpTo(path string, most int) ([]byte, error) {
	info, err := os.Lstat(path)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return nil, nil
	case err != nil:
		return nil, unreadable(path, err)
	case info.Mode()&fs.ModeSymlink != 0:
		return nil, problem.New(problem.Refused, "%s is a symbolic link", path).
			Because("cardctl follows no links when it changes a configuration.").
			Advise(printInstead())
	case !info.Mode().IsRegular():
		return nil, problem.New(problem.Mismatch, "%s is not a regular file", path).
			Because("It is a directory, a device or a pipe.").Advise(advice.Run("ls", "-ld", path))
	}
	f, err := os.Open(path)
	if err != nil {
		return nil, unreadable(path, err)
	}
	data, err := io.ReadAll(io.LimitReader(f, int64(most)+1))
	if err = errors.Join(err, f.Close()); err != nil {
		return nil, unreadable(path, err)
	}
	if len(data) > most {
		return nil, problem.New(problem.Mismatch, "%s is too long", path).Because("cardctl changes files of up to %d bytes.", most).Advise(advice.Run("ls", "-l", path))
	}
	return append([]byte{}, data...), nil // an empty file is not nil
}

func unreadable(path string, err error) error {
	return problem.Wrap(problem.Failed, err, "cannot read "+path)
}

func unwritable(path string, err error) error {
	return problem.Wrap(problem.Failed, err, "cannot write "+path).Advise(printInstead())
}
