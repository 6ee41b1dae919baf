package provision

import (
	"path/filepath"
	"testing"
	"time"

	"github.com/cardctl/cardctl/internal/desk"
	"github.com/cardctl/cardctl/internal/ledger"
)

// Certificates are renewed by the clock of the ledger, not by that of the station.
func TestRenewalsGoByTheLedger(t *testing.T) {
	const ahead = 50 * time.Hour
	l, err := ledger.Open(t.Context(), "sqlite:"+filepath.Join(t.TempDir(), "ledger.db"), ledger.Options{Create: true, Now: func() time.Time { return time.Now().Add(ahead) }})
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = l.Close() }()
	for _, books := range []*ledger.Ledger{l, nil} {
		r := &run{o: &Options{Ledger: books}, access: desk.Access{Now: time.Now}}
		if err := r.readClock(t.Context()); err != nil {
			t.Fatal(err)
		}
		want := time.Duration(0)
		if books != nil {
			want = ahead
		}
		if by := time.Until(r.ledgerNow()) - want; by.Abs() > time.Minute {
			t.Errorf("%s off", by)
		}
	}
}
