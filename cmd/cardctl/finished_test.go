package main

import (
	"strings"
	"testing"

	"github.com/cardctl/cardctl/internal/cardsim"
)

// TestInterruptedKeyIsFinished: the same command again says whether it generated a key
// or kept the one that an interrupted command had generated.
func TestInterruptedKeyIsFinished(t *testing.T) {
	d := newDesk(t)
	d.must("init", "--yes")
	start, finished := d.save(), 0
	public := func() string { return d.run(t.Context(), d.words("export-key -k OPENPGP.3")).stdout }
	for n := 1; ; n++ {
		d.restore(start)
		if r := d.run(t.Context(), d.words("gen-key -k OPENPGP.3"), cardsim.RemoveAfter(n)); r.exit == 0 {
			break
		}
		before := public()
		r := d.run(t.Context(), d.words("gen-key -k OPENPGP.3"))
		if r.exit == 9 { // it was complete
			continue
		}
		kept := before != "" && public() == before
		if said := strings.HasPrefix(r.stdout, "Finished the key of an interrupted gen-key, OPENPGP.3"); r.exit != 0 || said != kept {
			t.Errorf("interrupted after command %d: exit status %d, kept: %t\n%s%s", n, r.exit, kept, r.stdout, r.stderr)
		}
		if kept {
			finished++
		}
	}
	if finished == 0 {
		t.Error("no key was finished")
	}
}
