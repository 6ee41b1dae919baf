package provision

import (
	"path/filepath"
	"testing"
	"time"

	"github.com/cardctl/cardctl/internal/ledger"
	"github.com/cardctl/cardctl/internal/problem"
)

// A step is not begun if the row may be another station's before it ends.
func TestNoStepOutlastsItsRow(t *testing.T) {
	for lease, lasts := range map[time.Duration]bool{margin / 2: false, 3 * margin: true} {
		l, err := ledger.Open(t.Context(), "sqlite:"+filepath.Join(t.TempDir(), "ledger.db"), ledger.Options{Create: true, Lease: lease})
		if err != nil {
			t.Fatal(err)
		}
		if err := l.Offer(t.Context(), "plan", []ledger.Row{{Key: "a", Person: ledger.Person{ID: "a"}}}); err != nil {
			t.Fatal(err)
		}
		w := &work{report: Row{Serial: "A1"}}
		if err := w.lasts(); err != nil {
			t.Errorf("without a row: %v", err)
		}
		if w.lease, err = l.Claim(t.Context(), "plan", "A1"); err != nil || w.lease == nil {
			t.Fatal(err)
		}
		if err = w.lasts(); (err == nil) != lasts || !lasts && !problem.Is(err, problem.Failed) {
			t.Errorf("%s: %v", lease, err)
		}
		if err := w.lease.Free(t.Context()); err != nil {
			t.Error(err)
		}
		if err := l.Close(); err != nil {
			t.Error(err)
		}
	}
}
