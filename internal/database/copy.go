package database

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"slices"
	"strings"
)

// copyServer writes all tables of a server to a file that is empty: the same tables in a
// database of its own.
func (db *DB) copyServer(ctx context.Context, path string) (err error) {
	has, err := db.version(ctx)
	if err != nil {
		return err
	}
	to, err := fresh(ctx, path, db.kind)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, to.Close()) }()
	if err := to.migrateTo(ctx, has); err != nil {
		return err
	}
	// All tables as they are at one moment.
	from, err := db.BeginTx(ctx, &sql.TxOptions{Isolation: sql.LevelRepeatableRead, ReadOnly: true})
	if err != nil {
		return err
	}
	defer func() { _ = from.Rollback() }() // it only reads
	return to.change(ctx, func(tx *sql.Tx) error {
		if _, err := tx.ExecContext(ctx, "PRAGMA defer_foreign_keys = ON"); err != nil {
			return err
		}
		tables, err := tablesOf(ctx, tx)
		for _, table := range tables {
			if err == nil {
				err = copyTable(ctx, from, tx, table)
			}
		}
		return err
	})
}

// tablesOf are those of the migrations.
func tablesOf(ctx context.Context, tx *sql.Tx) ([]string, error) {
	rows, err := tx.QueryContext(ctx, "SELECT name FROM sqlite_schema WHERE type = 'table' AND name NOT LIKE 'sqlite_%' AND name NOT LIKE 'goose_%' ORDER BY rowid")
	if err != nil {
		return nil, err
	}
	defer func() { _ = rows.Close() }() // it is read to its end
	var names []string
	for rows.Next() {
		var name string
		if err := rows.Scan(&name); err != nil {
			return nil, err
		}
		names = append(names, name)
	}
	return names, rows.Err()
}

func copyTable(ctx context.Context, from, to *sql.Tx, table string) error {
	rows, err := from.QueryContext(ctx, "SELECT * FROM "+table)
	if err != nil {
		return err
	}
	defer func() { _ = rows.Close() }() // it is read to its end
	columns, err := rows.Columns()
	if err != nil {
		return err
	}
	values, into := make([]any, len(columns)), make([]any, len(columns))
	places := make([]string, len(columns))
	for i := range columns {
		into[i], places[i] = &values[i], fmt.Sprintf("$%d", i+1)
	}
	if _, err := to.ExecContext(ctx, "DELETE FROM "+table); err != nil {
		return err
	}
	insert, err := to.PrepareContext(ctx, fmt.Sprintf("INSERT INTO %s (%s) VALUES (%s)", table, strings.Join(columns, ", "), strings.Join(places, ", ")))
	if err != nil {
		return err
	}
	defer func() { _ = insert.Close() }()
	for rows.Next() {
		if err := rows.Scan(into...); err != nil {
			return err
		}
		if _, err := insert.ExecContext(ctx, slices.Clone(values)...); err != nil {
			return err
		}
	}
	return rows.Err()
}
