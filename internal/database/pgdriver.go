package database

import (
	"bytes"
	"context"
	"database/sql/driver"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"strconv"
	"time"

	"github.com/jackc/pgx/v5/pgconn"
)

// The driver of pgx knows every type of PostgreSQL, which makes the program 4 MB larger.
// This one knows those of the tables of this program.

// connector makes connections to a server.
type connector struct{ config *pgconn.Config }

func (c connector) Connect(ctx context.Context) (driver.Conn, error) {
	conn, err := pgconn.ConnectConfig(ctx, c.config)
	if err != nil {
		return nil, err
	}
	return &connection{pg: conn, used: time.Now()}, nil
}

func (c connector) Driver() driver.Driver { return c }

// Open is there for the interface alone.
func (c connector) Open(string) (driver.Conn, error) { return c.Connect(context.Background()) }

// connection is one of them.
type connection struct {
	pg   *pgconn.PgConn
	used time.Time // when it was taken out of the pool last
}

// IsValid reports whether it may be used again.
func (c *connection) IsValid() bool { return !c.pg.IsClosed() && !c.pg.IsBusy() }

// ResetSession refuses a connection in the middle of a transaction, or one that the server
// closed in the meantime.
func (c *connection) ResetSession(ctx context.Context) error {
	const idle = 'I' // ReadyForQuery, 55.7 of the manual
	if !c.IsValid() || c.pg.TxStatus() != idle {
		return driver.ErrBadConn
	}
	if time.Since(c.used) > time.Second && c.pg.Ping(ctx) != nil {
		return driver.ErrBadConn
	}
	c.used = time.Now()
	return nil
}

// retried has database/sql take another connection if nothing was sent on this one.
func retried(err error) error {
	if err != nil && pgconn.SafeToRetry(err) {
		return driver.ErrBadConn
	}
	return err
}

const goodbye = 5 * time.Second // for what may be left undone

func (c *connection) Close() error {
	ctx, cancel := context.WithTimeout(context.Background(), goodbye)
	defer cancel()
	return c.pg.Close(ctx)
}

// Ping asks for an answer.
func (c *connection) Ping(ctx context.Context) error { return c.run(ctx, "SELECT 1") }

// run runs statements without arguments.
func (c *connection) run(ctx context.Context, statements string) error {
	_, err := c.pg.Exec(ctx, statements).ReadAll()
	return retried(err)
}

// BeginTx begins a transaction.
func (c *connection) BeginTx(ctx context.Context, o driver.TxOptions) (driver.Tx, error) {
	begin := "BEGIN"
	switch o.Isolation {
	case isolationDefault:
	case isolationRepeatableRead:
		begin += " ISOLATION LEVEL REPEATABLE READ"
	default:
		return nil, errors.ErrUnsupported
	}
	if o.ReadOnly {
		begin += " READ ONLY"
	}
	return transaction{c, ctx}, c.run(ctx, begin)
}

// The levels of isolation that are used, as database/sql numbers them.
const (
	isolationDefault        driver.IsolationLevel = 0
	isolationRepeatableRead driver.IsolationLevel = 4
)

// Begin is there for the interface alone.
func (c *connection) Begin() (driver.Tx, error) {
	return c.BeginTx(context.Background(), driver.TxOptions{})
}

type transaction struct {
	c   *connection
	ctx context.Context // of the whole transaction: the interface has no other one for its end
}

// Commit is an error if the server undid the transaction.
func (t transaction) Commit() error {
	results, err := t.c.pg.Exec(t.ctx, "COMMIT").ReadAll()
	if err == nil && len(results) == 1 && results[0].CommandTag.String() == "ROLLBACK" {
		err = errUndone
	}
	return err
}

var errUndone = errors.New("the server undid the transaction")

func (t transaction) Rollback() error {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(t.ctx), goodbye)
	defer cancel()
	return t.c.run(ctx, "ROLLBACK")
}

// Prepare keeps the text: the server reads it each time, together with the arguments.
func (c *connection) Prepare(query string) (driver.Stmt, error) { return &statement{c, query}, nil }

type statement struct {
	c     *connection
	query string
}

func (s *statement) Close() error  { return nil }
func (s *statement) NumInput() int { return -1 }

func (s *statement) ExecContext(ctx context.Context, args []driver.NamedValue) (driver.Result, error) {
	return s.c.ExecContext(ctx, s.query, args)
}

func (s *statement) QueryContext(ctx context.Context, args []driver.NamedValue) (driver.Rows, error) {
	return s.c.QueryContext(ctx, s.query, args)
}

// Exec and Query are there for the interface alone.
func (s *statement) Exec([]driver.Value) (driver.Result, error) { return nil, errors.ErrUnsupported }
func (s *statement) Query([]driver.Value) (driver.Rows, error)  { return nil, errors.ErrUnsupported }

// ExecContext runs one statement, or several that have no arguments.
func (c *connection) ExecContext(ctx context.Context, query string, args []driver.NamedValue) (driver.Result, error) {
	if len(args) == 0 {
		results, err := c.pg.Exec(ctx, query).ReadAll()
		if err != nil || len(results) == 0 {
			return driver.RowsAffected(0), retried(err)
		}
		return driver.RowsAffected(results[len(results)-1].CommandTag.RowsAffected()), nil
	}
	values, err := texts(args)
	if err != nil {
		return nil, err
	}
	tag, err := c.pg.ExecParams(ctx, query, values, nil, nil, nil).Close()
	return driver.RowsAffected(tag.RowsAffected()), retried(err)
}

// QueryContext runs one statement, and reads its rows.
func (c *connection) QueryContext(ctx context.Context, query string, args []driver.NamedValue) (driver.Rows, error) {
	values, err := texts(args)
	if err != nil {
		return nil, err
	}
	r := &rows{result: c.pg.ExecParams(ctx, query, values, nil, nil, nil)}
	r.ahead = r.result.NextRow() // its error, and its columns, are those of the first row
	if !r.ahead {
		if _, err := r.result.Close(); err != nil {
			return nil, retried(err)
		}
	}
	return r, nil
}

// texts are arguments as PostgreSQL reads them, whatever their type.
func texts(args []driver.NamedValue) ([][]byte, error) {
	values := make([][]byte, len(args))
	for i, arg := range args {
		switch v := arg.Value.(type) {
		case nil:
		case int64:
			values[i] = strconv.AppendInt(nil, v, 10)
		case bool:
			values[i] = strconv.AppendBool(nil, v)
		case string:
			values[i] = []byte(v)
		case []byte:
			values[i] = fmt.Appendf(nil, `\x%x`, v)
		case time.Time:
			values[i] = v.AppendFormat(nil, time.RFC3339Nano)
		default:
			return nil, fmt.Errorf("an argument is a %T", v)
		}
		if bytes.IndexByte(values[i], 0) >= 0 {
			return nil, errors.New("an argument has a zero byte")
		}
	}
	return values, nil
}

// rows are those of a result.
type rows struct {
	result *pgconn.ResultReader
	ahead  bool // a row was read and not handed out
}

func (r *rows) Columns() []string {
	var names []string
	for _, field := range r.result.FieldDescriptions() {
		names = append(names, field.Name)
	}
	return names
}

func (r *rows) Close() error {
	_, err := r.result.Close()
	return err
}

func (r *rows) Next(into []driver.Value) error {
	if !r.ahead && !r.result.NextRow() {
		if err := r.Close(); err != nil {
			return err
		}
		return io.EOF
	}
	r.ahead = false
	for i, value := range r.result.Values() {
		var err error
		if into[i], err = typed(r.result.FieldDescriptions()[i].DataTypeOID, value); err != nil {
			return err
		}
	}
	return nil
}

// The numbers of types (pg_type.dat).
const (
	oidBool        = 16
	oidBytes       = 17
	oidInt8        = 20
	oidInt2        = 21
	oidInt4        = 23
	oidTimestamp   = 1114
	timestampWords = "2006-01-02 15:04:05.999999"
)

// typed is a value of its type; of other types it is the text.
func typed(oid uint32, text []byte) (driver.Value, error) {
	if text == nil {
		return nil, nil
	}
	switch oid {
	case oidBool:
		return len(text) == 1 && text[0] == 't', nil
	case oidInt8, oidInt4, oidInt2:
		return strconv.ParseInt(string(text), 10, 64)
	case oidTimestamp:
		return time.Parse(timestampWords, string(text))
	case oidBytes:
		return hex.DecodeString(string(bytes.TrimPrefix(text, []byte(`\x`))))
	}
	return string(text), nil
}
