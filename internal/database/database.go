// Package database keeps records in an embedded SQLite database: one file, whose tables
// are brought up to date by migrations. Which records there are is left to its users.
package database

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"io/fs"
	"net/url"
	"os"
	"path/filepath"
	"slices"

	"github.com/pressly/goose/v3"
	"modernc.org/sqlite" // the driver

	"github.com/cardctl/cardctl/internal/advice"
	"github.com/cardctl/cardctl/internal/output"
	"github.com/cardctl/cardctl/internal/problem"
)

// DB is an open database.
type DB struct {
	*sql.DB

	path string
}

// Kind are the records of one user of this package.
type Kind struct {
	// ID is in the file, and tells it from the databases of others.
	ID uint32
	// Migrations make the tables.
	Migrations fs.FS
}

// Create makes a database that only its owner can read. A file that is there is a
// problem.Refused.
func Create(ctx context.Context, path string, kind Kind) (*DB, error) {
	if err := empty(path); err != nil {
		return nil, err
	}
	return connect(ctx, path, kind, fmt.Sprintf("application_id(%d)", kind.ID))
}

// Open opens a database, and brings it up to date. One that is not there is a
// problem.NotFound, one of a newer program or of something else a problem.Mismatch: then
// nothing is written to it.
func Open(ctx context.Context, path string, kind Kind) (*DB, error) {
	info, err := os.Stat(path)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return nil, problem.New(problem.NotFound, "there is no database %s", path)
	case err != nil:
		return nil, problem.Wrap(problem.Failed, err, "cannot open "+path)
	case !info.Mode().IsRegular():
		return nil, problem.New(problem.Mismatch, "%s is not a regular file", path).Advise(advice.Run("ls", "-ld", path))
	case info.Size() == 0: // what made it was interrupted
		return nil, problem.New(problem.NotFound, "the database %s is empty", path)
	}
	return connect(ctx, path, kind)
}

func connect(ctx context.Context, path string, kind Kind, first ...string) (*DB, error) {
	absolute, err := filepath.Abs(path)
	if err != nil {
		return nil, err
	}
	// A change is on the disk when it is done, and waits for that of another process.
	parameters := url.Values{
		"_pragma": slices.Concat(first, []string{"busy_timeout(10000)", "synchronous(FULL)", "foreign_keys(ON)", "trusted_schema(OFF)"}),
		"_txlock": {"immediate"},
	}
	name := url.URL{Scheme: "file", OmitHost: true, Path: filepath.ToSlash(absolute), RawQuery: parameters.Encode()}
	pool, err := sql.Open("sqlite", name.String())
	if err != nil {
		return nil, err
	}
	pool.SetMaxOpenConns(1) // a transaction and a query beside it would wait for each other
	db := &DB{DB: pool, path: path}
	if err := db.prepare(ctx, kind); err != nil {
		return nil, errors.Join(db.explain(err), pool.Close())
	}
	return db, nil
}

// prepare refuses a database of something else before it writes to it, and brings the
// tables up to date.
func (db *DB) prepare(ctx context.Context, kind Kind) error {
	var id uint32
	if err := db.QueryRowContext(ctx, "PRAGMA application_id").Scan(&id); err != nil {
		return err
	}
	if id != kind.ID {
		return problem.New(problem.Mismatch, "%s is the database of another program", db.path).Advise(advice.Run("ls", "-l", db.path))
	}
	if _, err := db.ExecContext(ctx, "PRAGMA journal_mode = WAL"); err != nil {
		return err
	}
	return db.migrate(ctx, kind.Migrations)
}

// migrate brings the tables up to date.
func (db *DB) migrate(ctx context.Context, migrations fs.FS) error {
	provider, err := goose.NewProvider(goose.DialectSQLite3, db.DB, migrations, goose.WithDisableGlobalRegistry(true))
	if err != nil {
		return err
	}
	has, knows, err := provider.GetVersions(ctx)
	switch {
	case err != nil:
		return err
	case has > knows:
		return problem.New(problem.Mismatch, "%s is of a newer cardctl", db.path).
			Because("Its tables have version %d, and this cardctl knows up to %d.", has, knows)
	case has == knows:
		return nil
	}
	_, err = provider.Up(ctx)
	return err
}

// explain names the file in an error.
func (db *DB) explain(err error) error {
	var known *problem.Error
	if err == nil || errors.As(err, &known) || errors.Is(err, context.Canceled) || errors.Is(err, context.DeadlineExceeded) {
		return err
	}
	const corrupt, notADatabase = 11, 26 // SQLITE_CORRUPT, SQLITE_NOTADB
	var failed *sqlite.Error
	if errors.As(err, &failed) && (failed.Code()&0xFF == corrupt || failed.Code()&0xFF == notADatabase) {
		return problem.Wrap(problem.Mismatch, err, db.path+" is damaged, or is no database").Advise(advice.Run("ls", "-l", db.path))
	}
	return problem.Wrap(problem.Failed, err, "the database "+db.path+" failed").Advise(advice.Run("ls", "-l", db.path))
}

// Change does work in one transaction: all of it is stored, or nothing.
func (db *DB) Change(ctx context.Context, work func(*sql.Tx) error) error {
	tx, err := db.BeginTx(ctx, nil)
	if err != nil {
		return db.explain(err)
	}
	if err := work(tx); err != nil {
		return errors.Join(db.explain(err), undone(tx))
	}
	return db.explain(tx.Commit())
}

func undone(tx *sql.Tx) error {
	if err := tx.Rollback(); !errors.Is(err, sql.ErrTxDone) {
		return err
	}
	return nil
}

// Rows calls each with every row of a query.
func (db *DB) Rows(ctx context.Context, each func(scan func(...any) error) error, query string, args ...any) error {
	rows, err := db.QueryContext(ctx, query, args...)
	if err != nil {
		return db.explain(err)
	}
	defer func() { _ = rows.Close() }() // it is read to its end
	for rows.Next() {
		if err := each(rows.Scan); err != nil {
			return db.explain(err)
		}
	}
	return db.explain(rows.Err())
}

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
	absolute, err := filepath.Abs(f.Name()) // SQLite takes file:… for a URI
	if err == nil {
		_, err = db.ExecContext(ctx, "VACUUM INTO ?", absolute)
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
