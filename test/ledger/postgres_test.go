//go:build stack

package ledger_test

import (
	"fmt"
	"sync/atomic"
	"testing"

	"github.com/cardctl/cardctl/internal/ledger"
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
