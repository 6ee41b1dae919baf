//go:build stack

package provision

import (
	"strings"
	"testing"
)

// TestKilledAtEachStep kills the process, first at the first thing that it tells, then at
// the second, and so on. Each time the same command goes on, with the key that is there,
// and the CA issues one certificate.
func TestKilledAtEachStep(t *testing.T) {
	for name, f := range families {
		t.Run(name, func(t *testing.T) {
			d := newDesk(t, 1)
			d.family = f
			if f.create != nil {
				d.Card("blank", 0, f.create...)
			}
			made := ""
			for at, killed := max(1, f.from), true; killed; at++ {
				killed = false
				told := 0
				done := d.provision(t, name, func(e event, kill func()) {
					if e.Step == "key "+f.key && e.Result == "done" {
						made = d.same(t, made, e.Detail)
					}
					if told++; told == at {
						killed = true
						kill()
					}
				})
				if killed && done.exit == -1 {
					continue
				}
				killed = d.goesOn(t, at, done)
			}
			d.done(t, name, made)
		})
	}
}

// TestKilledBetweenCommands kills the process when the card got so and so many commands,
// from any program, and at every few later ones. In between the card has all its power.
func TestKilledBetweenCommands(t *testing.T) {
	const stride = 7
	for name, first := range map[string]int{"MyEID": 1, "IsoApplet": 60, "Java card": 1} {
		t.Run(name, func(t *testing.T) {
			d := newDesk(t, 1)
			d.family = families[name]
			_, wire := d.WiredCard("blank", 0, d.create...)
			killed := 0
			for at := first; ; at += stride {
				before := wire.Count()
				d.cut = func() bool { return wire.Count().Sub(before).APDUs >= at }
				done := d.provision(t, name, nil)
				if done.exit == -1 {
					killed++
					continue
				}
				if !d.goesOn(t, at, done) {
					break
				}
			}
			if killed < 3 {
				t.Errorf("killed %d times", killed)
			}
			d.cut = nil
			d.done(t, name, "")
		})
	}
}

// goesOn says whether another run has to follow one that ended by itself.
func (d *desk) goesOn(t *testing.T, at int, done outcome) bool {
	t.Helper()
	switch {
	case done.exit == 0:
		return false
	case done.exit == 9 && d.identity == nil && strings.Contains(done.stderr, "--identity"):
		d.identity = []string{"--identity", "desk.key"}
		return true
	}
	t.Fatalf("run %d: exit status %d\n%s\n%+v", at, done.exit, done.stderr, done.Rows)
	return false
}

// same wants the key that was generated before, if one was.
func (d *desk) same(t *testing.T, before, now string) string {
	t.Helper()
	if before != "" && before != now {
		t.Errorf("the key %s became %s", before, now)
	}
	return now
}

// done runs the plan once more, and wants nothing to be left to do.
func (d *desk) done(t *testing.T, name, made string) {
	t.Helper()
	again := d.provision(t, name, nil)
	if again.exit != 0 || again.passed() != 1 {
		t.Fatalf("exit status %d\n%s", again.exit, again.stderr)
	}
	for _, step := range again.Rows[0].Steps {
		if step.Result != "already" {
			t.Errorf("%s is %s: %s", step.Name, step.Result, step.Detail)
		}
		if step.Name == "key "+d.key && made != "" && !strings.HasSuffix(made, step.Detail) {
			t.Errorf("the key %s became %s", made, step.Detail)
		}
	}
	if n := d.issued(t); n != 1 {
		t.Errorf("the CA issued %d certificates", n)
	}
	if n := d.active(t); n != 1 {
		t.Errorf("%d cards are active", n)
	}
	if d.create == nil {
		return
	}
	info := d.Info()
	if len(info.Keys) == 0 || info.Keys[0].Ref != d.key {
		t.Errorf("keys %+v", info.Keys)
	}
	for _, pin := range info.PINs {
		if pin.Blocked && pin.Name != "reset-code" || pin.TriesLeft != 3 && pin.Name == "user" {
			t.Errorf("a try of a PIN was lost: %+v", pin)
		}
	}
}
