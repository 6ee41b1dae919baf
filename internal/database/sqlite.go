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

	"modernc.org/sqlite" // the driver

	"github.com/cardctl/cardctl/internal/advice"
	"github.com/cardctl/cardctl/internal/problem"
)

// Create makes a database that only its owner can read. A file that is there is a
// problem.Refused.
func Create(ctx context.Context, path string, kind Kind) (*DB, error) {
	if err := empty(path); err != nil {
		return nil, err
	}
	db, err := fresh(ctx, path, kind)
	if err != nil {
		return nil, err
	}
	return upToDate(ctx, db)
}

// fresh makes a database of an empty file.
func fresh(ctx context.Context, path string, kind Kind) (*DB, error) {
	return connect(ctx, path, kind, readWrite, fmt.Sprintf("application_id(%d)", kind.ID))
}

// Open opens a database, and brings it up to date. One that is not there is a
// problem.NotFound, one of a newer program or of something else a problem.Mismatch: then
// nothing is written to it.
func Open(ctx context.Context, path string, kind Kind) (*DB, error) {
	db, err := OpenFile(ctx, path, kind, false)
	if err != nil {
		return nil, err
	}
	return upToDate(ctx, db)
}

func upToDate(ctx context.Context, db *DB) (*DB, error) {
	if err := db.migrate(ctx); err != nil {
		return nil, errors.Join(db.explain(err), db.Close())
	}
	return db, nil
}

// OpenFile is Open, but leaves the tables as they are: Check and Migrate are up to the
// caller.
func OpenFile(ctx context.Context, path string, kind Kind, readOnly bool) (*DB, error) {
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
	if readOnly {
		return openRead(ctx, path, kind)
	}
	if err := look(ctx, path, kind); err != nil {
		return nil, err
	}
	return connect(ctx, path, kind, readWrite)
}

// look refuses what is of another or a newer program before it is opened to be written:
// SQLite would put the changes in a file beside it (-wal) into the database, when it is
// closed. Other errors are found again.
func look(ctx context.Context, path string, kind Kind) error {
	if info, err := os.Stat(path + "-wal"); err != nil || info.Size() == 0 {
		return nil
	}
	db, err := connect(ctx, path, kind, onlyRead)
	if err == nil {
		_, _, err = db.known(ctx)
		err = errors.Join(db.explain(err), db.Close())
	}
	if problem.Is(err, problem.Mismatch) {
		return err
	}
	return nil
}

// openRead opens a database to be read, also where nothing can be written beside it.
func openRead(ctx context.Context, path string, kind Kind) (*DB, error) {
	db, err := connect(ctx, path, kind, onlyRead)
	if err == nil || !cannotWrite(err) {
		return db, err
	}
	if err := complete(path, err); err != nil {
		return nil, err
	}
	return connect(ctx, path, kind, immutable)
}

const (
	readWrite = "rw"
	onlyRead  = "ro"
	// immutable is a file that nobody changes: SQLite needs no file beside it then, and
	// does not look for one.
	immutable = "immutable"
)

// OpenToRead is Open, also where nothing can be written: then the tables have to be those
// of this program. What was written last may be in a file beside the database (-wal). Where
// that cannot be read, it is an error: the rest would pass for all there is.
func OpenToRead(ctx context.Context, path string, kind Kind) (*DB, error) {
	db, err := Open(ctx, path, kind)
	if err == nil || !cannotWrite(err) {
		return db, err
	}
	if db, err = openRead(ctx, path, kind); err != nil {
		return nil, err
	}
	if err := db.Check(ctx); err != nil {
		return nil, errors.Join(err, db.Close())
	}
	return db, nil
}

// complete refuses a file whose last changes are in one beside it, which cannot be read
// because of an error.
func complete(path string, err error) error {
	log := path + "-wal"
	switch info, failed := os.Lstat(log); {
	case failed == nil && info.Size() > 0:
		p := problem.Wrap(problem.Failed, err, "the last changes in "+path+" cannot be read")
		return p.Because("They are in %s, and reading it needs a directory that can be written to. The rest would be out of date.", log).
			Advise(advice.Run("ls", "-l", filepath.Dir(path)))
	case failed != nil && !errors.Is(failed, fs.ErrNotExist):
		return problem.Wrap(problem.Failed, failed, "cannot read "+log)
	}
	return nil
}

// cannotWrite reports whether SQLite cannot write to the file, or beside it.
func cannotWrite(err error) bool {
	var failed *sqlite.Error
	return errors.As(err, &failed) && slices.Contains([]int{sqliteReadOnly, sqliteCannotOpen}, failed.Code()&0xFF)
}

func connect(ctx context.Context, path string, kind Kind, mode string, first ...string) (*DB, error) {
	absolute, err := filepath.Abs(path)
	if err != nil {
		return nil, err
	}
	// A change is on the disk when it is done, and waits for that of another process. What
	// is deleted is overwritten.
	parameters := url.Values{
		"_pragma": slices.Concat(first, []string{"busy_timeout(10000)", "synchronous(FULL)", "foreign_keys(ON)", "trusted_schema(OFF)", "secure_delete(ON)"}),
		"_txlock": {"immediate"},
		"mode":    {mode},
	}
	if mode != readWrite {
		parameters.Set("_txlock", "deferred")
	}
	if mode == immutable {
		parameters.Set("mode", "ro")
		parameters.Set("immutable", "1")
	}
	name := url.URL{Scheme: "file", OmitHost: true, Path: filepath.ToSlash(absolute), RawQuery: parameters.Encode()}
	pool, err := sql.Open("sqlite", name.String())
	if err != nil {
		return nil, err
	}
	pool.SetMaxOpenConns(1) // a transaction and a query beside it would wait for each other
	db := &DB{DB: pool, name: path, kind: kind, readOnly: mode != readWrite}
	if err := db.prepare(ctx); err != nil {
		return nil, errors.Join(db.explain(err), pool.Close())
	}
	return db, nil
}

// prepare refuses a database of something else before it writes to it.
func (db *DB) prepare(ctx context.Context) error {
	var id uint32
	if err := db.QueryRowContext(ctx, "PRAGMA application_id").Scan(&id); err != nil {
		return err
	}
	if id != db.kind.ID {
		return problem.New(problem.Mismatch, "%s is the database of another program", db.name).Advise(advice.Run("ls", "-l", db.name))
	}
	return nil
}

// writable is for a database of this program alone: the way of writing is in the file.
func (db *DB) writable(ctx context.Context) error {
	if db.server || db.readOnly {
		return nil
	}
	_, err := db.ExecContext(ctx, "PRAGMA journal_mode = WAL")
	return err
}

// Flush writes what was changed last into the file itself, so that what was deleted is not
// in a file beside it any more, unless another program is reading that.
func (db *DB) Flush(ctx context.Context) error {
	if db.server || db.readOnly {
		return nil
	}
	return db.Exec(ctx, "PRAGMA wal_checkpoint(TRUNCATE)")
}

// The result codes of SQLite that a person can do something about.
const (
	sqliteBusy         = 5
	sqliteReadOnly     = 8
	sqliteIO           = 10
	sqliteCorrupt      = 11
	sqliteFull         = 13
	sqliteCannotOpen   = 14
	sqliteNotADatabase = 26
)

// explainFile says what is wrong with the file.
func (db *DB) explainFile(err error) error {
	look := advice.Run("ls", "-l", db.name)
	var failed *sqlite.Error
	if !errors.As(err, &failed) {
		return problem.Wrap(problem.Failed, err, "the database "+db.name+" failed").Advise(look)
	}
	switch failed.Code() & 0xFF {
	case sqliteCorrupt, sqliteNotADatabase:
		return problem.Wrap(problem.Mismatch, err, db.name+" is damaged, or is no database").Advise(look)
	case sqliteBusy:
		return problem.Wrap(problem.Failed, err, "the database "+db.name+" is locked").
			Because("Another program has been writing to it for 10 seconds.").Advise(advice.Run("fuser", "-v", db.name))
	case sqliteReadOnly, sqliteCannotOpen:
		return problem.Wrap(problem.Failed, err, "the database "+db.name+" cannot be written").
			Because("The file, its directory or its file system is read-only.").Advise(look)
	case sqliteFull, sqliteIO: // SQLite may have no place for a file of its own
		return problem.Wrap(problem.Failed, err, "the database "+db.name+" cannot be written").
			Because("Its file system is full, or failed.").Advise(advice.Run("df", filepath.Dir(db.name)))
	}
	return problem.Wrap(problem.Failed, err, "the database "+db.name+" failed").Advise(look)
}
