package database

import (
	"context"
	"errors"
	"io/fs"
	"os"
	"path/filepath"

	"github.com/cardctl/cardctl/internal/advice"
	"github.com/cardctl/cardctl/internal/output"
	"github.com/cardctl/cardctl/internal/problem"
)

// Backup writes all that is stored to a new file that only its owner can read. A copy of
// the file alone would lack what is not in it yet.
func (db *DB) Backup(ctx context.Context, path string) error {
	if err := empty(path); err != nil {
		return err
	}
	if err := db.copied(ctx, path); err != nil {
		return errors.Join(err, os.Remove(path))
	}
	return nil
}

// copied replaces a file with all that is stored, in one step: a backup that was
// interrupted does not look like a whole one.
func (db *DB) copied(ctx context.Context, path string) error {
	f, err := os.CreateTemp(filepath.Dir(path), ".backup-*")
	if err != nil {
		return problem.Wrap(problem.Failed, err, "cannot write "+path)
	}
	if db.server {
		err = db.copyServer(ctx, f.Name())
	} else {
		err = db.vacuum(ctx, f.Name())
	}
	err = errors.Join(db.explain(err), f.Sync(), f.Close())
	if err == nil {
		err = os.Rename(f.Name(), path)
	}
	if err != nil {
		return errors.Join(err, os.Remove(f.Name()))
	}
	return nil
}

func (db *DB) vacuum(ctx context.Context, path string) error {
	absolute, err := filepath.Abs(path) // SQLite takes file:… for a URI
	if err != nil {
		return err
	}
	_, err = db.ExecContext(ctx, "VACUUM INTO ?", absolute)
	return err
}

// empty makes a new file for its owner alone, which SQLite takes for an empty database.
func empty(path string) error {
	err := output.NewPrivateFile(path, nil)
	switch {
	case errors.Is(err, fs.ErrExist):
		return problem.New(problem.Refused, "the file exists already: %s", path).
			Because("It is never written over.").Advise(advice.Run("ls", "-l", path))
	case err != nil:
		return problem.Wrap(problem.Failed, err, "cannot write "+path)
	}
	return nil
}
