package desk

import (
	"errors"
	"slices"
	"testing"

	"github.com/cardctl/cardctl/internal/problem"
)

// TestALineThatIsKept is the one that is opened next, once, with the card that it
// knows; and it is closed where nobody opens it.
func TestALineThatIsKept(t *testing.T) {
	for name, meanwhile := range map[string]func(*tray){
		"the same card":                  func(*tray) {},
		"a twin":                         func(r *tray) { r.insert("one") },
		"another card behind the handle": func(r *tray) { r.card = "two" },
	} {
		t.Run(name, func(t *testing.T) {
			r, kept := &tray{}, &Kept{}
			r.insert("one")
			l := lineTo(t, r)
			l.desk.Kept, l.desk.Keep = kept, true
			if err := errors.Join(change(t, l), l.Close()); err != nil || r.open != 1 {
				t.Fatalf("%d connections: %v", r.open, err)
			}
			meanwhile(r)
			d := &Desk{OpenReaders: l.desk.OpenReaders, Kept: kept}
			again, err := d.Open(t.Context())
			if err != nil || again != l {
				t.Fatalf("another line: %v", err)
			}
			if err := change(t, again); (err == nil) != (name == "the same card") || err != nil && !problem.Is(err, problem.CardChanged) || slices.Contains(r.did, "DA to two") {
				t.Errorf("%v, %q", err, r.did)
			}
			if err := errors.Join(again.Close(), kept.Close()); err != nil || r.open != 0 {
				t.Errorf("%d connections are left: %v", r.open, err)
			}
			if next, err := d.Open(t.Context()); err != nil || next == l {
				t.Errorf("it is opened twice: %v", err)
			}
		})
	}
	r, kept := &tray{}, &Kept{}
	r.insert("one")
	l := lineTo(t, r)
	l.desk.Kept, l.desk.Keep = kept, true
	if err := errors.Join(l.Close(), kept.Close(), kept.Close()); err != nil || r.open != 0 {
		t.Errorf("%d connections are left: %v", r.open, err)
	}
}
