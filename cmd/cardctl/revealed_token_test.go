//go:build cgo && unix

package main

import (
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"filippo.io/age"
)

// TestRevealedTokenPINs has the PINs of a token shown: the next run changes them.
func TestRevealedTokenPINs(t *testing.T) {
	identity, err := age.GenerateX25519Identity()
	if err != nil {
		t.Fatal(err)
	}
	d := newTokenDesk(t)
	for name, text := range map[string]string{
		"desk.key": identity.String(),
		"plan.yaml": `schema: cardctl/v1
kind: Plan
person: {id: floppy}
card: {application: pkcs11, module: softhsm2, label: floppy}
pins: {user: {generate: 8 digits, keep: both}, so: {generate: 8 digits, keep: ledger}}
keys: [{ref: "pkcs11:object=vpn", algorithm: p256}]
seal: [` + identity.Recipient().String() + `]
`,
	} {
		if err := os.WriteFile(filepath.Join(d.dir, name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	d.must("cardctl", "provision", d.path("plan.yaml"), "--yes")
	var list struct{ Cards []struct{ Serial string } }
	if err := json.Unmarshal([]byte(d.run("cardctl", "ledger", "list", "-o", "json").stdout), &list); err != nil || len(list.Cards) != 1 {
		t.Fatalf("%v, %+v", err, list)
	}
	serial := list.Cards[0].Serial
	pins := map[string]string{"so-pin": "so-pin", "user-pin": "pin"}
	for name := range pins {
		reveal := func() string {
			r := d.run("cardctl", "ledger", "reveal", serial, "--secret", name, "--identity", d.path("desk.key"))
			if r.exit != 0 {
				t.Fatalf("%+v", r)
			}
			return strings.TrimSpace(r.stdout)
		}
		old := reveal()
		if r := d.run("cardctl", "provision", d.path("plan.yaml"), "--yes"); r.exit != 9 || !strings.Contains(r.stderr, "--identity") {
			t.Errorf("%+v", r)
		}
		d.must("cardctl", "provision", d.path("plan.yaml"), "--yes", "--identity", d.path("desk.key"))
		d.must("cardctl", "provision", d.path("plan.yaml"), "--yes")
		now := reveal()
		if now == old {
			t.Errorf("the %s is the same", name)
		}
		t.Setenv("NOW", now)
		t.Setenv("OLD", old)
		set := []string{"set-pin", strings.TrimSuffix(name, "-pin"), "--token", "floppy", "--allow-unknown-tries", "--new-pin", "env:NOW"}
		if r := d.run("cardctl", append(set, "--"+pins[name], "env:OLD")...); r.exit != 4 {
			t.Errorf("the former %s: %+v", name, r)
		}
		d.must("cardctl", append(set, "--"+pins[name], "env:NOW")...)
		d.must("cardctl", "provision", d.path("plan.yaml"), "--yes", "--identity", d.path("desk.key"))
	}
}
