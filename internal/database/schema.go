package database

import (
	"context"
	"database/sql"
	"errors"
	"io/fs"
	"strconv"
	"strings"

	"github.com/pressly/goose/v3"

	"github.com/cardctl/cardctl/internal/advice"
	"github.com/cardctl/cardctl/internal/problem"
)

// current refuses tables that are not those of this program, without writing anything.
func (db *DB) current(ctx context.Context) error {
	has, knows, err := db.known(ctx)
	if err != nil {
		return err
	}
	if has < knows {
		return &OlderError{name: db.name, has: has, needs: knows}
	}
	return db.writable(ctx)
}

// OlderError says that the tables are of an older program, or were never made.
type OlderError struct {
	name       string
	has, needs int64
}

func (e *OlderError) Error() string { return e.Unwrap().Error() }

// Unwrap is the problem.Mismatch that a person reads.
func (e *OlderError) Unwrap() error {
	if e.has == 0 {
		return problem.New(problem.Mismatch, "%s has no tables yet", e.name).
			Because("The owner of the database makes them.")
	}
	return problem.New(problem.Mismatch, "%s is of an older cardctl", e.name).
		Because("Its tables have version %d, and this cardctl needs %d. The owner of the database brings them up to date, after a backup.", e.has, e.needs)
}

// Empty reports whether there are no tables at all.
func (e *OlderError) Empty() bool { return e.has == 0 }

// known is the version of the tables, and the one that this program needs. Tables of a newer
// program are refused.
func (db *DB) known(ctx context.Context) (has, knows int64, err error) {
	if has, err = db.version(ctx); err != nil {
		return 0, 0, err
	}
	if knows, err = db.kind.latest(); err != nil {
		return 0, 0, err
	}
	if has <= knows {
		return has, knows, nil
	}
	return 0, 0, problem.New(problem.Mismatch, "%s is of a newer cardctl", db.name).
		Because("Its tables have version %d, and this cardctl knows up to %d.", has, knows).
		Advise(advice.Say("Install the newer cardctl."))
}

// latest is the version of the last migration.
func (k Kind) latest() (latest int64, err error) {
	files, err := fs.Glob(k.Migrations, "*.sql")
	for _, file := range files {
		number, _, _ := strings.Cut(file, "_")
		n, err := strconv.ParseInt(number, 10, 64)
		if err != nil {
			return 0, err
		}
		latest = max(latest, n)
	}
	return latest, err
}

// versions is the table with the versions of the tables.
func (db *DB) versions() string {
	if db.server {
		return db.kind.Versions
	}
	return goose.DefaultTablename
}

// version is that of the tables; 0 if there are none.
func (db *DB) version(ctx context.Context) (has int64, err error) {
	exists := "SELECT count(*) FROM sqlite_schema WHERE type = 'table' AND name = $1"
	if db.server {
		exists = "SELECT count(*) FROM pg_catalog.pg_tables WHERE schemaname = 'public' AND tablename = $1"
	}
	var n int
	if err := db.QueryRowContext(ctx, exists, db.versions()).Scan(&n); err != nil || n == 0 {
		return 0, err
	}
	err = db.QueryRowContext(ctx, "SELECT version_id FROM "+db.versions()+" ORDER BY id DESC LIMIT 1").Scan(&has)
	if errors.Is(err, sql.ErrNoRows) {
		return 0, nil
	}
	return has, err
}

// migrate brings the tables up to date.
func (db *DB) migrate(ctx context.Context) error { return db.migrateTo(ctx, 0) }

// migrateTo brings the tables up to a version; 0 is the latest.
func (db *DB) migrateTo(ctx context.Context, version int64) error {
	has, knows, err := db.known(ctx)
	if err != nil {
		return err
	}
	if err := db.writable(ctx); err != nil {
		return err
	}
	if version == 0 {
		version = knows
	}
	if has < version {
		dialect := goose.DialectSQLite3
		if db.server {
			dialect = goose.DialectPostgres
		}
		provider, err := goose.NewProvider(dialect, db.DB, db.kind.Migrations, goose.WithDisableGlobalRegistry(true), goose.WithTableName(db.versions()))
		if err != nil {
			return err
		}
		if _, err = provider.UpTo(ctx, version); err != nil {
			return err
		}
	}
	if !db.server || db.kind.Routines == "" {
		return nil
	}
	_, err = db.ExecContext(ctx, db.kind.Routines)
	return err
}

// Migrate brings the tables up to date. Whoever may do that is the owner of the database.
func (db *DB) Migrate(ctx context.Context) error { return db.explain(db.migrate(ctx)) }

// Check refuses tables of an older or a newer program, and writes nothing.
func (db *DB) Check(ctx context.Context) error { return db.explain(db.current(ctx)) }

// Versions are that of the tables, 0 if there are none, and the one that this program
// needs.
func (db *DB) Versions(ctx context.Context) (has, needs int64, err error) {
	if has, err = db.version(ctx); err != nil {
		return 0, 0, db.explain(err)
	}
	needs, err = db.kind.latest()
	return has, needs, err
}
