package main

import (
	"bytes"
	"cmp"
	"context"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/cardctl/cardctl/internal/cardsim"
	"github.com/cardctl/cardctl/internal/ledger"
	"github.com/cardctl/cardctl/test/stack"
)

// TestProvisionLiedTo has the card say of each command of a plan something else than what
// it did. What it says is never taken for another key, or a second certificate; the same
// command goes on, and no generated secret is anywhere but on the card and sealed.
func TestProvisionLiedTo(t *testing.T) {
	for name, p := range provisionings {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			d := newProvisioning(t, p)
			restore := d.keep(t)
			honest, tries := d.honest(t)
			points, held := 0, 0
			for n, point := 1, 1; n <= honest.APDUs; n, point = p.next(n), point+1 {
				for i, status := range cardsim.Lies() {
					// The quick run has one status word for each command, and those of the
					// commands that tell who the card is.
					if !everyPoint() && (point+i)%len(cardsim.Lies()) != 0 && !(n == 2 && i%3 == 0) {
						continue
					}
					for _, done := range []bool{true, false} {
						if status>>8 == 0x61 && !done {
							continue // 61xx is a normal end
						}
						points++
						at := fmt.Sprintf("APDU %d of %d, answered %04X, carried out: %v", n, honest.APDUs, uint16(status), done)
						restore()
						r := d.run(context.Background(), d.command("--trace", filepath.Join(d.state, "trace")), cardsim.Lie(n, status, done))
						if t.Run(at, func(t *testing.T) { d.afterLie(t, r, tries) }) {
							held++
						}
					}
				}
			}
			stack.Held(t, "lied to", name, "provision", "in-process", points, held)
		})
	}
}

// afterLie wants that nothing was lost, and that the same command goes on.
func (d *provisioning) afterLie(t *testing.T, r result, tries map[string]int) {
	t.Helper()
	d.sealedOnly(t, r)
	d.notDone(t, r)
	here := d.in(t)
	key := keygripOf(here.info(), d.key)
	again := here.run(context.Background(), d.command())
	if again.exit == 9 && strings.Contains(again.stderr, "--identity") {
		again = here.run(context.Background(), d.command("--identity", filepath.Join(d.state, "desk.key"), "--allow-last-try"))
	}
	if again.exit == 5 && strings.Contains(again.stderr, "card keys failed on this card") { // as far as the card told
		rows := &rowsDesk{d.testDesk, d.identity}
		rows.plan(strings.Replace(d.plan, "applet: {", "applet: {retryKeys: true, ", 1))
		defer rows.plan(d.plan)
		again = here.run(context.Background(), d.command())
	}
	if again.exit != 0 {
		t.Fatalf("after exit status %d\n%s\nexit status %d\n%s", r.exit, r.stderr, again.exit, again.stderr)
	}
	d.sealedOnly(t, again)
	d.complete(t, here)
	if now := keygripOf(here.info(), d.key); key != "" && now != key {
		t.Errorf("the key is another one, after exit status %d\n%s", r.exit, r.stderr)
	}
	if now := here.tries(); !maps.Equal(now, tries) {
		t.Errorf("tries left: %v, want %v", now, tries)
	}
}

// sealedOnly wants what the ledger has sealed nowhere in what a run left.
func (d *provisioning) sealedOnly(t *testing.T, r result) {
	t.Helper()
	for kind, value := range d.unsealed(t) {
		for where, content := range d.everything(t, r) {
			if bytes.Contains(bytes.ToUpper(content), bytes.ToUpper([]byte(value))) || bytes.Contains(bytes.ToUpper(content), fmt.Appendf(nil, "%X", value)) {
				t.Errorf("%s: %s is in %s", kind, value, where)
			}
		}
	}
}

// everything is what a run said, and all files but those of simulated cards.
func (d *provisioning) everything(t *testing.T, r result) map[string][]byte {
	t.Helper()
	seen := map[string][]byte{"stdout": []byte(r.stdout), "stderr": []byte(r.stderr)}
	err := filepath.WalkDir(d.state, func(path string, entry fs.DirEntry, err error) error {
		if entry != nil && entry.IsDir() && entry.Name() == "sim" {
			return fs.SkipDir
		}
		if err != nil || entry.IsDir() {
			return err
		}
		seen[path], err = os.ReadFile(path)
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return seen
}

// unsealed are the secrets of the ledger, current ones and others.
func (d *provisioning) unsealed(t *testing.T) map[string]string {
	t.Helper()
	values := map[string]string{}
	for _, c := range d.inLedger(t, ledger.Filter{All: true}) {
		for _, s := range c.Secrets {
			if len(s.Blob) == 0 {
				continue
			}
			value, err := ledger.Unseal(t.Context(), s.Blob, d.identity)
			if err != nil {
				t.Fatal(err)
			}
			values[fmt.Sprintf("%s %d", cmp.Or(string(s.Kind), "?"), s.ID)] = string(value.Reveal())
		}
	}
	return values
}
