package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/cardctl/cardctl/test/stack"
)

// testKey is the key that blank Java cards have.
const testKey = "404142434445464748494A4B4C4D4E4F"

// javaDesk is a desk with a Java card, some files, and a package on the card.
type javaDesk struct{ *testDesk }

// newJavaDesk makes the card with these flags too, for short APDUs.
func newJavaDesk(t *testing.T, made ...string) javaDesk {
	t.Helper()
	return newJavaDeskOf(t, 400, append([]string{"--profile", "short-apdus"}, made...)...)
}

// newJavaDeskOf makes the card with these flags; the package to install has so
// many bytes of code.
func newJavaDeskOf(t *testing.T, code int, made ...string) javaDesk {
	t.Helper()
	d := javaDesk{newDesk(t, "OLD_KEYS="+testKey)}
	d.must("sim", "delete", "desk", "--yes")
	d.must(append([]string{"sim", "create", "desk", "--applications", "gp"}, made...)...)
	for name, c := range map[string]capFile{
		"there.cap": {pkg: "F000000001", applets: []string{"F00000000101"}},
		"new.cap":   {pkg: "F000000002", applets: []string{"F00000000201"}, code: code},
	} {
		data, err := c.bytes()
		if err == nil {
			err = os.WriteFile(filepath.Join(d.state, name), data, 0o600)
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	d.must(d.words("applet install $W/there.cap --card-keys default")...)
	return d
}

// keysFile is where set-keys puts the new keys.
func (d javaDesk) keysFile() string { return filepath.Join(d.state, "new.keys") }

// restore puts everything back to where it was: the card, the file of keys, and
// what is remembered of failed ones.
func (d javaDesk) restore(state []byte) {
	d.t.Helper()
	d.testDesk.restore(state)
	d.forgetKeys()
}

func (d javaDesk) forgetKeys() {
	d.t.Helper()
	for _, path := range []string{d.keysFile(), filepath.Join(d.state, "newer.keys"), filepath.Join(d.state, "card-keys")} {
		if err := os.RemoveAll(path); err != nil {
			d.t.Fatal(err)
		}
	}
}

// TestInstallShowsABar has it on a terminal, and nowhere else.
func TestInstallShowsABar(t *testing.T) {
	d := newJavaDesk(t)
	start, install := d.save(), d.words("applet install $W/new.cap --card-keys default")
	if r := d.must(install...); strings.Contains(r.stderr, "[#") || !strings.Contains(r.stderr, "loading\n") {
		t.Errorf("no terminal: %q", r.stderr)
	}
	d.restore(start)
	d.live = true
	r := d.must(install...)
	for _, want := range []string{"loading [....", "[########################]", " left", "checking"} {
		if !strings.Contains(r.stderr, want) {
			t.Errorf("no %q in %q", want, r.stderr)
		}
	}
}

// registry is what is on a card, as applet list says it.
type registry struct {
	Applications, Packages []struct {
		AID string `json:"aid"`
	}
}

// list is what is on the card, and which of the keys that are known open it.
func (d javaDesk) list(at string) (l registry, keys string) {
	d.t.Helper()
	sources := []string{"env:OLD_KEYS"}
	if _, err := os.Stat(d.keysFile()); !errors.Is(err, fs.ErrNotExist) {
		sources = append(sources, "file:"+d.keysFile())
	}
	var last result
	for _, keys = range sources {
		last = d.run(context.Background(), []string{"applet", "list", "-o", "json", "--retry-keys", "--card-keys", keys})
		if last.exit == 0 {
			if err := json.Unmarshal([]byte(last.stdout), &l); err != nil {
				d.t.Fatal(err)
			}
			return l, keys
		}
	}
	d.t.Fatalf("%s: applet list: exit status %d\n%s", at, last.exit, last.stderr)
	return l, ""
}

// contents are the AIDs on the card, applications first.
func (l registry) contents() string {
	var aids []string
	for _, i := range append(l.Applications, l.Packages...) {
		aids = append(aids, i.AID)
	}
	return strings.Join(aids, " ")
}

// What is on the card before and after.
const (
	onlyOld = "F00000000101 F000000001"
	bothOn  = "F00000000101 F00000000201 F000000001 F000000002"
)

// appletPull is a command that changes a card.
type appletPull struct {
	command string
	// afterwards is what may be on the card once it was pulled, done what is
	// there in the end.
	afterwards []string
	done       string
	// again takes what the same command says the next time: the commands that
	// complete the work where it says that something is in the way.
	again map[int]string
}

var appletPulls = map[string]appletPull{
	"applet install": {
		command:    "applet install $W/new.cap --card-keys default",
		afterwards: []string{onlyOld, "F00000000101 F000000001 F000000002", bothOn},
		done:       bothOn,
		again:      map[int]string{9: "applet install $W/new.cap --card-keys default --replace --yes"},
	},
	"applet install, replacing": {
		command:    "applet install $W/there.cap --card-keys default --replace --yes",
		afterwards: []string{onlyOld, "", "F000000001"},
		done:       onlyOld,
	},
	"applet delete": {
		command:    "applet delete F000000001 --with-applets --yes --card-keys default",
		afterwards: []string{onlyOld, "F000000001", ""},
		again:      map[int]string{3: "applet list --card-keys default"},
	},
	"applet set-keys": {
		command:    "applet set-keys --generate --keys-file $W/new.keys --yes --card-keys default",
		afterwards: []string{onlyOld},
		done:       onlyOld,
		again:      map[int]string{9: "applet set-keys --generate --keys-file $W/newer.keys --yes --retry-keys --card-keys $K"},
	},
}

// pulledCards are the Java cards that are pulled: each with the code that its
// package has, which in long blocks is as many of them.
var pulledCards = map[string]struct {
	flags string
	code  int
}{
	"SCP02, short":    {"--secure-channel scp02-55 --profile short-apdus", 400},
	"SCP02, extended": {"--secure-channel scp02-15", 9000},
	"SCP03, short":    {"--secure-channel scp03-70 --profile short-apdus", 400},
	"SCP03, extended": {"--secure-channel scp03-00", 9000},
}

// TestPulledJavaCard pulls a Java card out at every command and every write of
// the commands that change it: what is on it can be seen, its keys are known,
// and the same command again completes or says what is there.
func TestPulledJavaCard(t *testing.T) {
	for card, made := range pulledCards {
		for name, p := range appletPulls {
			t.Run(name+", "+card, func(t *testing.T) {
				t.Parallel()
				d := newJavaDeskOf(t, made.code, strings.Fields(made.flags)...)
				start, command := d.save(), d.words(p.command)
				points, recovered := 0, 0
				for moment, m := range moments {
					removed := 0
					for n := 1; ; n++ {
						d.restore(start)
						r := d.run(context.Background(), command, m.fault(n))
						if m.what(r.traffic) < n && r.exit == 0 {
							break
						}
						points++
						if r.exit == 10 {
							removed++
						} else if r.exit != 0 {
							t.Fatalf("pulled %s %d: exit status %d\n%s", moment, n, r.exit, r.stderr)
						}
						at := fmt.Sprintf("pulled %s %d", moment, n)
						if t.Run(at, func(t *testing.T) { javaDesk{d.in(t)}.pulled(at, command, p, r) }) {
							recovered++
						}
					}
					if removed == 0 {
						t.Errorf("the card was never missed when pulled %s", moment)
					}
				}
				stack.Held(t, "pulled out", "Java card, "+card, name, "in-process", points, recovered)
			})
		}
	}
}

// pulled looks at a card that was pulled while a command ran, and runs the
// command again.
func (d javaDesk) pulled(at string, command []string, p appletPull, r result) {
	d.t.Helper()
	if r.exit == 10 && (!strings.Contains(r.stderr, "removed") || !strings.Contains(r.stderr, "\nTry: ")) {
		d.t.Errorf("%s: %s", at, r.stderr)
	}
	l, keys := d.list(at)
	if now := l.contents(); !slices.Contains(p.afterwards, now) {
		d.t.Errorf("%s: on the card are %q", at, now)
	}
	d.again(at, command, p.again, keys)
	if l, _ = d.list(at + " and done again"); l.contents() != p.done {
		d.t.Errorf("%s: in the end %q are on the card, not %q", at, l.contents(), p.done)
	}
}

// again runs the same command, and what it asks for where something is in the
// way.
func (d javaDesk) again(at string, command []string, ways map[int]string, keys string) {
	d.t.Helper()
	r := d.run(context.Background(), append(command, "--retry-keys"))
	if r.exit == 0 {
		return
	}
	way, ok := ways[r.exit]
	if !ok {
		d.t.Errorf("%s: the same command again: exit status %d\n%s", at, r.exit, r.stderr)
		return
	}
	next := d.run(context.Background(), d.words(strings.ReplaceAll(way, "$K", keys)))
	if next.exit != 0 {
		d.t.Errorf("%s: %s: exit status %d\n%s", at, way, next.exit, next.stderr)
		return
	}
	if strings.Contains(way, "newer.keys") {
		if err := os.Rename(filepath.Join(d.state, "newer.keys"), d.keysFile()); err != nil {
			d.t.Fatal(err)
		}
	}
}
