// Package database keeps records in an embedded SQLite database, one file, or in a
// PostgreSQL database that several programs share. Tables are brought up to date by
// migrations, the same for both. Which records there are is left to its users.
package database

import (
	"context"
	"database/sql"
	"errors"
	"io/fs"
	"time"

	"github.com/cardctl/cardctl/internal/problem"
)

// DB is an open database.
type DB struct {
	*sql.DB

	server   bool   // PostgreSQL
	readOnly bool   // a file
	name     string // of the file, or host and database
	kind     Kind
}

// Kind are the records of one user of this package.
type Kind struct {
	// ID is in the file, and tells it from the databases of others.
	ID uint32
	// Migrations make the tables.
	Migrations fs.FS
	// Versions is the table in which a PostgreSQL database has the version of its tables,
	// and which tells it from the databases of others.
	Versions string
	// Routines are SQL that PostgreSQL runs after the migrations, each time.
	Routines string
}

// Name is what a person knows the database by; never with a secret.
func (db *DB) Name() string { return db.name }

// ReadOnly reports whether nothing can be written to it.
func (db *DB) ReadOnly() bool { return db.readOnly }

// Shared reports whether it is on a server, with other stations.
func (db *DB) Shared() bool { return db.server }

// explain names the database in an error.
func (db *DB) explain(err error) error {
	var known *problem.Error
	if err == nil || errors.As(err, &known) || errors.Is(err, context.Canceled) || errors.Is(err, context.DeadlineExceeded) {
		return err
	}
	if db.server {
		return db.explainServer(err)
	}
	return db.explainFile(err)
}

// Change does work in one transaction: all of it is stored, or nothing.
func (db *DB) Change(ctx context.Context, work func(*sql.Tx) error) error {
	return db.explain(db.change(ctx, work))
}

func (db *DB) change(ctx context.Context, work func(*sql.Tx) error) error {
	tx, err := db.BeginTx(ctx, nil)
	if err != nil {
		return err
	}
	if err := work(tx); err != nil {
		_ = tx.Rollback() // it is undone, or the connection is gone, and undoes it
		return err
	}
	return tx.Commit()
}

// Exec runs one statement.
func (db *DB) Exec(ctx context.Context, statement string, args ...any) error {
	_, err := db.ExecContext(ctx, statement, args...)
	return db.explain(err)
}

// attempt is change, within a time if there is a server.
func (db *DB) attempt(ctx context.Context, most time.Duration, work func(context.Context, *sql.Tx) error) error {
	if !db.server || most == 0 {
		return db.change(ctx, func(tx *sql.Tx) error { return work(ctx, tx) })
	}
	within, cancel := context.WithTimeoutCause(ctx, most, errNoAnswer)
	defer cancel()
	err := db.change(within, func(tx *sql.Tx) error { return work(within, tx) })
	if err != nil && ctx.Err() == nil && within.Err() != nil {
		return errNoAnswer
	}
	return err
}

var errNoAnswer = errors.New("the server does not answer")

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

// Trying is how long a server is tried that does not answer.
type Trying struct {
	// Patience is for all attempts, Attempt for each; 0 is for one that may take long.
	Patience, Attempt time.Duration
}

// Try is Change, and does it again if the server goes away. work gets the context of the
// attempt, and must find out whether it was stored before: the answer of a server may be
// lost.
func (db *DB) Try(ctx context.Context, how Trying, work func(context.Context, *sql.Tx) error) error {
	const pause = 200 * time.Millisecond
	end := time.Now().Add(how.Patience)
	for {
		err := db.attempt(ctx, how.Attempt, work)
		if err == nil || !db.server || !lost(err) || time.Now().Add(pause).After(end) {
			return db.explain(err)
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-time.After(pause):
		}
	}
}
