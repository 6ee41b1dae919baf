package main

import (
	"context"
	"fmt"
	"maps"
	"path/filepath"
	"strings"
	"testing"

	"github.com/cardctl/cardctl/internal/cardsim"
)

// TestProvisionPulledTwice pulls a card out before it gets its last secret, which the ledger
// has sealed, and once more at each point of the run that finds out whether the card has it.
// The third run goes on: the two before it leave more than one try.
func TestProvisionPulledTwice(t *testing.T) {
	for _, name := range []string{"OpenPGP", "MyEID"} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			d := newProvisioning(t, provisionings[name])
			restore := d.keep(t)
			honest, tries := d.honest(t)
			identity := []string{"--identity", filepath.Join(d.state, "desk.key")}
			for n := honest.APDUs; ; n-- {
				if n == 0 {
					t.Fatal("no run leaves it open which secret the card has")
				}
				restore()
				d.run(context.Background(), d.command(), cardsim.RemoveBefore(n))
				if r := d.in(t).run(context.Background(), d.command()); r.exit == 9 && strings.Contains(r.stderr, "--identity") {
					break
				}
			}
			restore = d.keep(t)
			second := d.run(context.Background(), d.command(identity...), cardsim.RemoveBefore(1<<30))
			for moment, m := range moments {
				for n := 1; n <= m.what(second.traffic); n++ {
					restore()
					d.run(context.Background(), d.command(identity...), m.fault(n))
					t.Run(fmt.Sprintf("pulled %s %d", moment, n), func(t *testing.T) {
						here := d.in(t)
						r := here.run(context.Background(), d.command(identity...))
						if m.inside && r.exit == 5 && strings.Contains(r.stderr, "one try left and was not sent") {
							return // a cut inside the command after the refusal costs one more
						}
						if r.exit != 0 {
							t.Fatalf("exit status %d\n%s", r.exit, r.stderr)
						}
						d.complete(t, here)
						if now := here.tries(); !maps.Equal(now, tries) {
							t.Errorf("tries left: %v, want %v", now, tries)
						}
					})
				}
			}
		})
	}
}
