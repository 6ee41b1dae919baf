//go:build stack

package provision

import "testing"

// TestCommandsOfACard counts what a blank card gets, from all programs, until it has its
// PINs, its key and its certificate.
func TestCommandsOfACard(t *testing.T) {
	for name, most := range map[string]int{"OpenPGP": 24, "PIV": 40, "IsoApplet": 140} {
		t.Run(name, func(t *testing.T) {
			d := newDesk(t, 1)
			d.family = families[name]
			d.write(name, d.plan)
			_, wire := d.WiredCard("blank", 0, d.create...)
			before := wire.Count()
			done := d.provision(t, name, nil)
			if done.exit != 0 {
				t.Fatalf("exit status %d\n%s", done.exit, done.stderr)
			}
			if n := wire.Count().Sub(before).APDUs; n > most {
				t.Errorf("%d commands, at most %d are right\n%+v", n, most, done.Rows)
			} else {
				t.Logf("%d commands", n)
			}
		})
	}
}
