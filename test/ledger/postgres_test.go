//go:build stack

package ledger_test

import (
	"context"
	"database/sql"
	"fmt"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	_ "github.com/jackc/pgx/v5/stdlib" // another driver than the program's

	"github.com/cardctl/cardctl/internal/ledger"
	"github.com/cardctl/cardctl/internal/problem"
	"github.com/cardctl/cardctl/internal/secret"
	"github.com/cardctl/cardctl/test/stack"
)

// served is a new ledger on a server, as a station opens it, and one for its owner.
func served(t *testing.T, server *stack.PostgreSQL, name string) (station place, owner string) {
	t.Helper()
	server.NewDatabase(name)
	owner = server.Address("owner", name)
	if _, err := ledger.Migrate(t.Context(), owner, ledger.Options{}, ""); err != nil {
		t.Fatal(err)
	}
	l, err := ledger.Open(t.Context(), owner, ledger.Options{})
	must(t, err)
	must(t, l.GrantStation(t.Context(), "station"), l.Close())
	return place{address: server.Address("station", name), tamper: func(t *testing.T, statements ...string) {
		t.Helper()
		for _, statement := range statements {
			server.Query(name, statement)
		}
	}}, owner
}

func TestPostgreSQL(t *testing.T) {
	server := stack.NewPostgreSQL(t, "fsync=off")
	server.Query("postgres", "CREATE ROLE station LOGIN")
	var n atomic.Int32
	suite(t, func(t *testing.T) place {
		station, _ := served(t, server, fmt.Sprintf("ledger%d", n.Add(1)))
		return station
	})
}

// The station's role adds to the log, and cannot change it.
func TestWhatAStationMayNot(t *testing.T) {
	server := stack.NewPostgreSQL(t, "fsync=off")
	server.Query("postgres", "CREATE ROLE station LOGIN; CREATE ROLE stranger LOGIN")
	p, _ := served(t, server, "ledger")
	l := p.open(t, ledger.Options{})
	issue(t, l, "A1", alice)

	station, err := sql.Open("pgx", p.address)
	must(t, err)
	defer func() { _ = station.Close() }()
	const denied = "SQLSTATE 42501"
	for _, statement := range []string{
		"UPDATE event SET data = '{}'", "UPDATE event SET number = number + 10", "DELETE FROM event", "TRUNCATE event", "DROP TABLE event",
		"INSERT INTO event (number, at, token, serial, person, data, previous, hash) VALUES (9, 0, 'x', '', 0, '{}', '', '')",
		"ALTER TABLE event DISABLE TRIGGER ALL", "CREATE TABLE other (a TEXT)", "CREATE RULE r AS ON INSERT TO event DO INSTEAD NOTHING",
		"UPDATE signature SET number = 1", "DELETE FROM signature", "DELETE FROM card", "DELETE FROM secret", "TRUNCATE secret", "DELETE FROM job", "DELETE FROM person",
		"UPDATE about SET value = 'x'", "UPDATE ledger_version SET version_id = 9", "INSERT INTO ledger_version (version_id, is_applied) VALUES (9, true)",
		"SELECT ledger_station('stranger')", "CREATE OR REPLACE FUNCTION ledger_append(a text, b text, c bigint, d text) RETURNS bigint LANGUAGE sql AS 'SELECT 1'",
		"SET ROLE owner",
	} {
		if _, err := station.ExecContext(t.Context(), statement); err == nil || !strings.Contains(err.Error(), denied) && !strings.Contains(err.Error(), "must be owner") {
			t.Errorf("%s: %v", statement, err)
		}
	}
	stranger, err := sql.Open("pgx", server.Address("stranger", "ledger"))
	must(t, err)
	defer func() { _ = stranger.Close() }()
	for _, statement := range []string{"SELECT * FROM event", "SELECT * FROM secret", "SELECT ledger_append('a', 'b', 0, '{}')"} {
		if _, err := stranger.ExecContext(t.Context(), statement); err == nil || !strings.Contains(err.Error(), denied) {
			t.Errorf("%s: %v", statement, err)
		}
	}
	// Names of its own do not change what the owner's routine writes to.
	if _, err := station.ExecContext(t.Context(), "CREATE TEMPORARY TABLE event (LIKE public.event)"); err == nil {
		if _, err := station.ExecContext(t.Context(), "SELECT ledger_append('token', 'B', 0, '{}')"); err != nil {
			t.Error(err)
		}
	}
	if v := whole(t, l); v.Records < 3 {
		t.Errorf("%+v", v)
	}
	_, err = ledger.Migrate(t.Context(), p.address, ledger.Options{}, "")
	refused(t, "migrate by a station", err, problem.Refused)
	refused(t, "rights by a station", l.GrantStation(t.Context(), "stranger"), problem.Refused)
	_, err = ledger.Open(t.Context(), server.Address("stranger", "ledger"), ledger.Options{})
	refused(t, "a stranger", err, problem.Refused)
}

// A server with tables of another program is refused, and left as it is.
func TestTablesOfAServer(t *testing.T) {
	server := stack.NewPostgreSQL(t, "fsync=off")
	server.Query("postgres", "CREATE ROLE station LOGIN")
	server.NewDatabase("empty")
	_, err := ledger.Open(t.Context(), server.Address("owner", "empty"), ledger.Options{Create: true})
	refused(t, "no tables", err, problem.Mismatch)
	if got := server.Query("empty", "SELECT count(*) FROM pg_tables WHERE schemaname = 'public'"); got != "0" {
		t.Errorf("%s tables", got)
	}
	_, err = ledger.Open(t.Context(), server.Address("owner", "missing"), ledger.Options{})
	refused(t, "no database", err, problem.NotFound)
	_, err = ledger.Open(t.Context(), server.Address("nobody", "empty"), ledger.Options{})
	refused(t, "no role", err, problem.Failed)

	p, owner := served(t, server, "ledger")
	if m, err := ledger.Migrate(t.Context(), owner, ledger.Options{}, ""); err != nil || m.From != m.To {
		t.Errorf("%+v, %v", m, err)
	}
	p.open(t, ledger.Options{}) // the rights are still there
	server.Query("ledger", "INSERT INTO ledger_version (version_id, is_applied) VALUES (99, true)")
	for _, address := range []string{p.address, owner} {
		_, err = ledger.Open(t.Context(), address, ledger.Options{})
		refused(t, "newer tables", err, problem.Mismatch)
	}
	_, err = ledger.Migrate(t.Context(), owner, ledger.Options{}, "")
	refused(t, "newer tables", err, problem.Mismatch)
}

// A password is asked for, and a server elsewhere must prove who it is.
func TestPasswordsAndTLS(t *testing.T) {
	server := stack.NewPostgreSQL(t, "fsync=off")
	server.Query("postgres", "CREATE ROLE station LOGIN PASSWORD 'correct horse'")
	served(t, server, "ledger")
	ctx, near := t.Context(), "postgres://station@"+server.HostPort()+"/ledger"
	open := func(address, password string) error {
		o := ledger.Options{}
		if password != "" {
			o.Password = func(context.Context) (*secret.Bytes, error) { return pin(password), nil }
		}
		l, err := ledger.Open(ctx, address, o)
		if err == nil {
			err = l.Close()
		}
		return err
	}
	must(t, open(near, "correct horse"))
	for _, password := range []string{"", "wrong horse"} {
		err := open(near, password)
		refused(t, "the password "+password, err, problem.Failed)
		if err != nil && strings.Contains(err.Error(), "horse") {
			t.Errorf("the password is shown: %v", err)
		}
	}
	refused(t, "a server without TLS", open(near+"?sslmode=verify-full", "correct horse"), problem.Failed)

	ca := server.TLS("localhost")
	verified := "?sslmode=verify-full&sslrootcert=" + ca
	port := server.HostPort()[strings.LastIndex(server.HostPort(), ":"):]
	must(t, open("postgres://station@localhost"+port+"/ledger"+verified, "correct horse"))
	refused(t, "a name that is not in the certificate", open(near+verified, "correct horse"), problem.Failed)
	refused(t, "a certificate of somebody else", open("postgres://station@localhost"+port+"/ledger?sslmode=verify-full", "correct horse"), problem.Failed)
}

// A restart of the server, and connections that are cut, are no fault of a command.
func TestTheServerGoesAway(t *testing.T) {
	server := stack.NewPostgreSQL(t, "fsync=off")
	server.Query("postgres", "CREATE ROLE station LOGIN")
	p, _ := served(t, server, "ledger")
	l := p.open(t, ledger.Options{})
	for i := range 3 {
		e := begin(t, l, ledger.Change{Serial: fmt.Sprint("A", i)})
		server.Query("ledger", "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE usename = 'station'")
		must(t, e.End(t.Context(), nil))
	}
	server.Stop()
	restarted := make(chan struct{})
	go func() {
		defer close(restarted)
		time.Sleep(500 * time.Millisecond)
		server.Start()
	}()
	e := begin(t, l, ledger.Change{Serial: "B"})
	<-restarted
	must(t, e.End(t.Context(), nil))
	if v := whole(t, l); v.Records != 8 {
		t.Errorf("%+v", v)
	}
	server.Stop()
	hasty := ledger.Options{Patience: time.Millisecond}
	_, err := ledger.Open(t.Context(), p.address, hasty)
	refused(t, "a server that is stopped", err, problem.Failed)
	server.Start()
	l = p.open(t, hasty)
	server.Stop()
	_, err = l.Begin(t.Context(), ledger.Change{Serial: "C"})
	refused(t, "a server that is stopped", err, problem.Failed)
	server.Start()
}
