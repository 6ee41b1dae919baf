package ledger

import (
	"context"
	"errors"

	"github.com/cardctl/cardctl/internal/database"
	"github.com/cardctl/cardctl/internal/problem"
)

// Backup writes all that the ledger has to a new file, which is a ledger itself.
func (l *Ledger) Backup(ctx context.Context, path string) error { return l.db.Backup(ctx, path) }

// GrantStation lets a role of PostgreSQL do what a station does: it can add to the log and
// cannot change it. Only the owner may; a file has no roles.
func (l *Ledger) GrantStation(ctx context.Context, role string) error {
	if !l.db.Shared() {
		return problem.New(problem.NotSupported, "%s is a file, which has no roles", l.Name())
	}
	return l.db.Exec(ctx, "SELECT ledger_station($1)", role)
}

// Migrated is what Migrate did.
type Migrated struct {
	// From and To are versions of the tables; From is 0 if there were none.
	From, To int64
}

// Migrate makes the tables of a ledger, or brings them up to date after a backup to a new
// file. Only the owner may. A newer ledger is a problem.Mismatch.
func Migrate(ctx context.Context, address string, o Options, backup string) (*Migrated, error) {
	o = o.filled()
	o.Create, o.ReadOnly = true, false
	db, err := connect(ctx, address, o)
	if err != nil {
		return nil, err
	}
	m, err := migrate(ctx, db, backup)
	return m, errors.Join(err, db.Close())
}

func migrate(ctx context.Context, db *database.DB, backup string) (*Migrated, error) {
	from, to, err := db.Versions(ctx)
	if err != nil {
		return nil, err
	}
	if from != 0 && from < to {
		if backup == "" {
			return nil, problem.New(problem.Refused, "%s was not backed up", db.Name()).
				Because("Its tables have version %d, and get version %d.", from, to)
		}
		if err := db.Backup(ctx, backup); err != nil {
			return nil, err
		}
	}
	if err := db.Migrate(ctx); err != nil {
		return nil, err
	}
	return &Migrated{From: from, To: to}, name(ctx, db)
}
