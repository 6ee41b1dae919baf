package paper

import (
	"context"
	"time"

	"github.com/cardctl/cardctl/internal/ledger"
)

// Read reads what the report shows.
func Read(ctx context.Context, l *ledger.Ledger, now time.Time) (*Report, error) {
	cards, err := l.Cards(ctx, ledger.Filter{})
	if err != nil {
		return nil, err
	}
	failures, err := l.Failures(ctx)
	return &Report{At: now, Ledger: l.Name(), Cards: cards, Failures: failures}, err
}
