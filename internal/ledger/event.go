package ledger

import (
	"context"
	"crypto/sha256"
	"database/sql"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/cardctl/cardctl/internal/database"
	"github.com/cardctl/cardctl/internal/problem"
)

// Event is a record of the log.
type Event struct {
	Number int64
	At     time.Time
	// Serial is that of a card, Person the number of somebody; they may be empty and 0.
	Serial string
	Person int64
	// Data is what happened, in JSON, as it is stored.
	Data []byte
}

// stored is a record with all that is hashed.
type stored struct {
	number, at, person  int64
	token, serial, data string
	previous, hash      string
}

// digest is the hash that a record must have.
func (s stored) digest() string {
	text := fmt.Sprintf("%s\n%d\n%d\n%s\n%s\n%d\n%s", s.previous, s.number, s.at, s.token, s.serial, s.person, s.data)
	return fmt.Sprintf("%X", sha256.Sum256([]byte(text)))
}

// record is what is put into the log.
type record struct {
	token, serial string
	person        int64
	data          map[string]any
}

// change is one transaction. Those of all stations come one after the other.
type change struct {
	*sql.Tx
	l *Ledger
}

// chainLock is the name of the advisory lock under which records are appended.
const chainLock = 0x63634C65

// errStored says that a transaction was stored before, and only its answer was lost.
var errStored = errors.New("it is stored already")

// write does work in one transaction, and tries again if the server went away. A
// transaction whose first record has this token is never stored twice; then number is that
// of the record. What is in the spool goes first.
func (l *Ledger) write(ctx context.Context, token string, work func(context.Context, *change) error) (number int64, err error) {
	if err := l.catchUp(ctx); err != nil {
		return 0, err
	}
	return l.writeWithin(ctx, l.trying(), silence, token, work)
}

// writeLong is write for a transaction that may take minutes, with this much time between
// two statements.
func (l *Ledger) writeLong(ctx context.Context, silence time.Duration, token string, work func(context.Context, *change) error) error {
	_, err := l.writeWithin(ctx, database.Trying{Patience: l.o.Patience}, silence, token, work)
	return err
}

// All stations wait for the one that writes. If nothing comes from it for this long, such
// as without network, the server ends its transaction.
const (
	silence      = 3 * time.Second
	askedSilence = time.Minute // if a person may be asked meanwhile
)

// trying is how long the server is tried for one change of one card.
func (l *Ledger) trying() database.Trying {
	const least, most = time.Second, 10 * time.Second
	return database.Trying{Patience: l.o.Patience, Attempt: max(least, min(most, l.o.Patience))}
}

func (l *Ledger) writeWithin(ctx context.Context, how database.Trying, silence time.Duration, token string, work func(context.Context, *change) error) (number int64, err error) {
	if err := l.writable(); err != nil {
		return 0, err
	}
	err = l.db.Try(ctx, how, func(ctx context.Context, tx *sql.Tx) error {
		c := &change{tx, l}
		if err := c.lock(ctx, silence); err != nil {
			return err
		}
		err := tx.QueryRowContext(ctx, "SELECT number FROM event WHERE token = $1", token).Scan(&number)
		if !errors.Is(err, sql.ErrNoRows) {
			if err == nil {
				err = errStored
			}
			return err
		}
		return work(ctx, c)
	})
	if errors.Is(err, errStored) {
		return number, nil
	}
	return 0, err
}

// writable refuses to change what was opened to be read.
func (l *Ledger) writable() error {
	if l.o.ReadOnly {
		return problem.New(problem.Refused, "%s was opened to be read only", l.Name())
	}
	return nil
}

// lock waits for the transactions of other stations. In a file they do so by themselves.
// The server ends this one after so long a silence.
func (c *change) lock(ctx context.Context, silence time.Duration) error {
	if !c.l.db.Shared() {
		return nil
	}
	_, err := c.ExecContext(ctx, "SELECT set_config('idle_in_transaction_session_timeout', $1, true), pg_advisory_xact_lock($2)",
		fmt.Sprint(silence.Milliseconds()), chainLock)
	return err
}

// now is the time, in SQL: that of the server, if there is one.
func (l *Ledger) now() string {
	if l.db.Shared() {
		return "(extract(epoch FROM clock_timestamp()) * 1000)::bigint"
	}
	return fmt.Sprint(l.o.Now().UnixMilli())
}

// Time is the time by which the ledger goes, in UTC: that of the server, if there is one.
func (l *Ledger) Time(ctx context.Context) (now time.Time, err error) {
	err = l.db.Rows(ctx, func(scan func(...any) error) error {
		var milliseconds int64
		err := scan(&milliseconds)
		now = moment(milliseconds)
		return err
	}, "SELECT "+l.now())
	return now, err
}

// head is the last record.
func (c *change) head(ctx context.Context) (number int64, hash string, err error) {
	err = c.QueryRowContext(ctx, "SELECT number, hash FROM event ORDER BY number DESC LIMIT 1").Scan(&number, &hash)
	if errors.Is(err, sql.ErrNoRows) {
		return 0, "", nil
	}
	return number, hash, err
}

// append puts a record at the end of the log. A server does that itself: a station has no
// right to write the table.
func (c *change) append(ctx context.Context, r record) (int64, error) {
	if strings.ContainsAny(r.serial, "\n\x00") {
		return 0, problem.New(problem.Usage, "a serial is one line")
	}
	data, err := json.Marshal(r.data)
	if err != nil {
		return 0, err
	}
	s := stored{token: r.token, serial: r.serial, person: r.person, data: string(data)}
	if c.l.db.Shared() {
		err := c.QueryRowContext(ctx, "SELECT ledger_append($1, $2, $3, $4)", s.token, s.serial, s.person, s.data).Scan(&s.number)
		return s.number, err
	}
	last, hash, err := c.head(ctx)
	if err != nil {
		return 0, err
	}
	s.number, s.at, s.previous = last+1, c.l.o.Now().UnixMilli(), hash
	_, err = c.ExecContext(ctx, "INSERT INTO event (number, at, token, serial, person, data, previous, hash) VALUES ($1, $2, $3, $4, $5, $6, $7, $8)",
		s.number, s.at, s.token, s.serial, s.person, s.data, s.previous, s.digest())
	return s.number, err
}

// EventFilter is which records are meant; its zero value is all of them.
type EventFilter struct {
	Serial string
	Person string // the ID
	After  int64  // a number
}

// Events calls each with records, the oldest first. each may not use the ledger.
func (l *Ledger) Events(ctx context.Context, f EventFilter, each func(Event) error) error {
	query, args := "SELECT number, at, serial, person, data FROM event WHERE number > $1", []any{f.After}
	if f.Serial != "" {
		args = append(args, exact(f.Serial))
		query += fmt.Sprintf(" AND serial = $%d", len(args))
	}
	if f.Person != "" {
		args = append(args, f.Person)
		query += fmt.Sprintf(" AND person = (SELECT number FROM person WHERE id = $%d AND id <> '')", len(args))
	}
	return l.db.Rows(ctx, func(scan func(...any) error) error {
		var e Event
		var at int64
		var data string
		if err := scan(&e.Number, &at, &e.Serial, &e.Person, &data); err != nil {
			return err
		}
		e.At, e.Data = moment(at), []byte(data)
		return each(e)
	}, query+" ORDER BY number", args...)
}

// moment is a time as it is stored; the zero time of 0.
func moment(milliseconds int64) time.Time {
	if milliseconds == 0 {
		return time.Time{}
	}
	return time.UnixMilli(milliseconds).UTC()
}
