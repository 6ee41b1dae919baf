package database

import (
	"context"
	"database/sql"
	"database/sql/driver"
	"errors"
	"io"
	"net"
	"net/url"
	"slices"
	"strings"
	"time"

	"github.com/jackc/pgx/v5/pgconn"

	"github.com/cardctl/cardctl/internal/advice"
	"github.com/cardctl/cardctl/internal/problem"
	"github.com/cardctl/cardctl/internal/secret"
)

// Connect opens a PostgreSQL database: postgres://USER@HOST/DATABASE. A password in the
// address, and a server elsewhere whose certificate is not verified, are a problem.Usage.
// password is asked for once; its answer may be nil. The tables are left as they are: Check
// and Migrate are up to the caller.
func Connect(ctx context.Context, address string, kind Kind, password func(context.Context) (*secret.Bytes, error)) (*DB, error) {
	config, err := configure(address)
	if err != nil {
		return nil, err
	}
	if password != nil {
		value, err := password(ctx)
		if err != nil {
			return nil, err
		}
		if value != nil {
			config.Password = string(value.Reveal())
			value.Wipe()
		}
	}
	pool := sql.OpenDB(connector{config})
	const connections = 4 // of one station
	pool.SetMaxOpenConns(connections)
	pool.SetMaxIdleConns(connections)
	db := &DB{DB: pool, server: true, name: config.Database + " on " + config.Host, kind: kind}
	if err := pool.PingContext(ctx); err != nil {
		return nil, errors.Join(db.explain(err), pool.Close())
	}
	return db, nil
}

const (
	sslMode  = "sslmode"
	verified = "verify-full"
)

func configure(address string) (*pgconn.Config, error) {
	u, err := url.Parse(address)
	if err != nil {
		return nil, problem.New(problem.Usage, "not an address of a database").
			Because("It has the form postgres://USER@HOST/DATABASE.")
	}
	query := u.Query()
	if _, ok := u.User.Password(); ok || query.Has("password") || query.Has("sslpassword") {
		return nil, problem.New(problem.Usage, "a password in the address of a database").
			Because("Other programs can see it there.").Advise(advice.Repeat(advice.Ask(secret.LedgerPassword)))
	}
	chosen := query.Has(sslMode)
	if !chosen {
		query.Set(sslMode, verified) // the environment does not lower it
	}
	config, err := parse(u, query)
	if err != nil {
		return nil, err
	}
	hosts := []string{config.Host}
	for _, other := range config.Fallbacks {
		hosts = append(hosts, other.Host)
	}
	switch near := !slices.ContainsFunc(hosts, elsewhere); {
	case near && !chosen:
		query.Set(sslMode, "prefer") // nobody is in between
		config, err = parse(u, query)
	case !near && query.Get(sslMode) != verified:
		err = problem.New(problem.Usage, "sslmode=%s does not verify who the server is", query.Get(sslMode)).
			Because("The ledger of another machine is reached with sslmode=verify-full alone, which is the default.").
			Advise(advice.Repeat())
	}
	if err != nil {
		return nil, err
	}
	// Names of tables and routines are those of the schema public.
	config.RuntimeParams["search_path"] = "public"
	config.RuntimeParams["application_name"] = "cardctl"
	config.ConnectTimeout = connectTimeout
	return config, nil
}

const connectTimeout = 10 * time.Second

func parse(u *url.URL, query url.Values) (*pgconn.Config, error) {
	with := *u
	with.RawQuery = query.Encode()
	config, err := pgconn.ParseConfig(with.String())
	if err != nil {
		return nil, problem.Wrap(problem.Usage, err, "not an address of a database")
	}
	return config, nil
}

// elsewhere reports whether a host is reached through a network.
func elsewhere(host string) bool {
	if strings.HasPrefix(host, "/") || strings.HasPrefix(host, "@") || host == "localhost" {
		return false
	}
	ip := net.ParseIP(host)
	return ip == nil || !ip.IsLoopback()
}

// Classes and codes of PostgreSQL's errors (appendix A of its manual).
const (
	pgConnection    = "08"
	pgShutdown      = "57P0" // 57P01 to 57P03
	pgSerialization = "40"   // a deadlock too
	pgTooMany       = "53300"
	pgFull          = "53100"
	pgReadOnly      = "25006"
	pgDenied        = "42501"
	pgSilent        = "25P03" // a transaction in which nothing came for too long
	pgNoDatabase    = "3D000"
	pgPassword      = "28"
)

// lost reports whether the server, or the way to it, went away.
func lost(err error) bool {
	var said *pgconn.PgError
	if errors.As(err, &said) {
		return strings.HasPrefix(said.Code, pgConnection) || strings.HasPrefix(said.Code, pgShutdown) ||
			strings.HasPrefix(said.Code, pgSerialization) || said.Code == pgTooMany || said.Code == pgSilent
	}
	var network net.Error
	var connecting *pgconn.ConnectError
	return errors.Is(err, errNoAnswer) || errors.As(err, &network) || errors.As(err, &connecting) || errors.Is(err, driver.ErrBadConn) || errors.Is(err, sql.ErrConnDone) ||
		errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) || errors.Is(err, net.ErrClosed) || pgconn.SafeToRetry(err)
}

// explainServer says what is wrong with the server.
func (db *DB) explainServer(err error) error {
	var said *pgconn.PgError
	errors.As(err, &said)
	switch {
	case lost(err):
		return problem.Wrap(problem.Failed, err, "the database "+db.name+" cannot be reached")
	case said == nil:
		return problem.Wrap(problem.Failed, err, "the database "+db.name+" failed")
	case strings.HasPrefix(said.Code, pgPassword):
		return problem.Wrap(problem.Failed, err, "the database "+db.name+" does not let you in").
			Because("%s", problem.Sentence(said.Message)).Advise(advice.Repeat(advice.Ask(secret.LedgerPassword)))
	case said.Code == pgNoDatabase:
		return problem.Wrap(problem.NotFound, err, "there is no database "+db.name)
	case said.Code == pgDenied:
		return problem.Wrap(problem.Refused, err, "the database "+db.name+" refuses this").
			Because("The role has no right to do it [%s]: %s.", said.Code, said.Message)
	case said.Code == pgReadOnly:
		return problem.Wrap(problem.Failed, err, "the database "+db.name+" cannot be written").Because("The server is read-only.")
	case said.Code == pgFull:
		return problem.Wrap(problem.Failed, err, "the database "+db.name+" cannot be written").Because("Its file system is full.")
	}
	return problem.Wrap(problem.Failed, err, "the database "+db.name+" failed").Because("%s [%s].", said.Message, said.Code)
}
