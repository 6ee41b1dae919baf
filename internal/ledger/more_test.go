package ledger

import (
	"io/fs"
	"testing/fstest"
)

// more are migrations with another one.
type more struct{ fs.FS }

const another = "00002_more.sql"

func (m more) second() fs.FS {
	return fstest.MapFS{another: {Data: []byte("-- +goose Up\nCREATE TABLE more (a TEXT);\n")}}
}

func (m more) Open(name string) (fs.File, error) {
	if name == another {
		return m.second().Open(name)
	}
	return m.FS.Open(name)
}

func (m more) ReadDir(name string) ([]fs.DirEntry, error) {
	first, err := fs.ReadDir(m.FS, name)
	if err != nil {
		return nil, err
	}
	second, err := fs.ReadDir(m.second(), name)
	return append(first, second...), err
}
