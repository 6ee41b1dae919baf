// Package ledger is the database of the desk: persons, cards, credentials, sealed secrets,
// the rows of plans, and a log whose records are a chain of hashes. It records what is
// done with cards; what is done, and in which order, is left to its callers. It knows no
// kind of card and signs nothing itself.
package ledger

import (
	"context"
	"crypto/rand"
	"embed"
	"encoding/hex"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"time"

	"github.com/cardctl/cardctl/internal/advice"
	"github.com/cardctl/cardctl/internal/database"
	"github.com/cardctl/cardctl/internal/problem"
	"github.com/cardctl/cardctl/internal/secret"
)

//go:embed migrations
var embedded embed.FS

//go:embed routines.sql
var routines string

func records() database.Kind {
	const id = 0x63634C65 // "ccLe"
	sub, err := fs.Sub(embedded, "migrations")
	if err != nil {
		panic(err) // the name is that of the folder above
	}
	return database.Kind{ID: id, Migrations: sub, Versions: "ledger_version", Routines: routines}
}

// Options are how a ledger is opened.
type Options struct {
	// Password is asked for the one of PostgreSQL; its answer may be nil.
	Password func(context.Context) (*secret.Bytes, error)
	// Station is what others know this machine by.
	Station string
	// Spool is a directory for records that could not be written; empty for none.
	Spool string
	// Now is the clock of a file; a server has its own.
	Now func() time.Time
	// ReadOnly is for those who only look; nothing is written, the spool neither.
	ReadOnly bool
	// Create makes a file that does not exist. The tables of a server are made by Migrate.
	Create bool
	// Patience is how long a server that cannot be reached is tried again; 15 s if 0.
	Patience time.Duration
	// Lease is how long a row of a plan is held without a sign of life; 1 min if 0.
	Lease time.Duration
}

func (o Options) filled() Options {
	if o.Now == nil {
		o.Now = time.Now
	}
	if o.Patience == 0 {
		o.Patience = 15 * time.Second
	}
	if o.Lease == 0 {
		o.Lease = time.Minute
	}
	return o
}

// Ledger is an open one. Close closes it. It may be used by several goroutines at once.
type Ledger struct {
	db *database.DB
	o  Options
	id string // tells it from other ledgers

	// How many records this process put into the spool, and up to which it sent them.
	spooled, sent atomic.Int64
}

// Open opens a ledger: sqlite:FILE, or postgres://USER@HOST/DATABASE. One of an older or a
// newer program is a problem.Mismatch, and is left untouched. Records that could not be
// written before are sent first.
func Open(ctx context.Context, address string, o Options) (*Ledger, error) {
	o = o.filled()
	db, err := connect(ctx, address, o)
	if err != nil {
		return nil, err
	}
	l := &Ledger{db: db, o: o}
	if err := l.begin(ctx); err != nil {
		return nil, errors.Join(err, db.Close())
	}
	return l, nil
}

const (
	file    = "sqlite:"
	server  = "postgres://"
	server2 = "postgresql://"
)

// connect opens the database, and makes a file if that is allowed.
func connect(ctx context.Context, address string, o Options) (*database.DB, error) {
	if err := CheckAddress(address); err != nil {
		return nil, err
	}
	path, ok := strings.CutPrefix(address, file)
	if !ok {
		return database.Connect(ctx, address, records(), o.Password)
	}
	db, err := database.OpenFile(ctx, path, records(), o.ReadOnly)
	if o.Create && !o.ReadOnly && problem.Is(err, problem.NotFound) {
		return create(ctx, path)
	}
	return db, err
}

// CheckAddress refuses what is not the address of a ledger.
func CheckAddress(address string) error {
	if path, ok := strings.CutPrefix(address, file); ok && path != "" || strings.HasPrefix(address, server) || strings.HasPrefix(address, server2) {
		return nil
	}
	return problem.New(problem.Usage, "not an address of a ledger").
		Because("Valid addresses: sqlite:FILE, postgres://USER@HOST/DATABASE.")
}

// create makes a file in one step: another program sees it whole, or not at all.
func create(ctx context.Context, path string) (*database.DB, error) {
	if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
		return nil, problem.Wrap(problem.Failed, err, "cannot write "+path)
	}
	unfinished := filepath.Join(filepath.Dir(path), ".ledger-"+random())
	db, err := database.Create(ctx, unfinished, records())
	if err != nil {
		return nil, err
	}
	err = errors.Join(name(ctx, db), db.Close())
	if err == nil {
		err = os.Link(unfinished, path)
	}
	if errors.Is(err, fs.ErrExist) { // another program was faster
		err = nil
	}
	if err = errors.Join(err, os.Remove(unfinished)); err != nil {
		return nil, problem.Wrap(problem.Failed, err, "cannot write "+path)
	}
	return database.OpenFile(ctx, path, records(), false)
}

// name gives a new ledger what tells it from others.
func name(ctx context.Context, db *database.DB) error {
	return db.Exec(ctx, "INSERT INTO about (name, value) VALUES ('id', $1) ON CONFLICT DO NOTHING", random())
}

// begin checks the tables, and sends what is in the spool.
func (l *Ledger) begin(ctx context.Context) error {
	if err := l.db.Check(ctx); err != nil {
		return older(err)
	}
	err := l.db.Rows(ctx, func(scan func(...any) error) error { return scan(&l.id) }, "SELECT value FROM about WHERE name = 'id'")
	if err != nil {
		return err
	}
	if l.id == "" {
		return problem.New(problem.Mismatch, "%s is not a ledger", l.db.Name())
	}
	if l.o.ReadOnly {
		return nil
	}
	return l.sendSpool(ctx)
}

// older says how tables of an older program are brought up to date.
func older(err error) error {
	var old *database.OlderError
	var p *problem.Error
	if errors.As(err, &old) && errors.As(err, &p) {
		return p.Advise(advice.Do(advice.MigrateLedger))
	}
	return err
}

// Close closes the ledger.
func (l *Ledger) Close() error { return l.db.Close() }

// Name is what a person knows the ledger by.
func (l *Ledger) Name() string { return l.db.Name() }

// random is a name that nobody else has.
func random() string {
	b := make([]byte, 16)
	_, _ = rand.Read(b) // never fails
	return hex.EncodeToString(b)
}
