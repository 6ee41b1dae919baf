package main

import (
	"bytes"
	"context"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/cardctl/cardctl/internal/cardsim"
)

// canaries are the secrets of the desks of these tests, and what is entered in
// their place.
var canaries = []string{
	userPIN, adminPIN, "904412", "27182818", "2718281828459045", "314159", challenge, testKey, managementKey, otherManagementKey,
	"wrong-804127", "80412700FFEEDDCC80412700FFEEDDCC",
}

// challenge is a challenge password, which the request holds in base64 only.
const challenge = "6180339887"

// leftBy is all that a command left: its output, and every file but the simulated
// cards, scripts and files of keys.
func (d *testDesk) leftBy(r result) map[string][]byte {
	d.t.Helper()
	seen := map[string][]byte{"stdout": []byte(r.stdout), "stderr": []byte(r.stderr)}
	err := filepath.WalkDir(d.state, func(path string, entry fs.DirEntry, err error) error {
		ours := filepath.Ext(path) == ".keys" || filepath.Ext(path) == ".gpsh" || path == d.file()
		if err != nil || entry.IsDir() || ours {
			return err
		}
		seen[path], err = os.ReadFile(path)
		return err
	})
	if err != nil {
		d.t.Fatal(err)
	}
	return seen
}

// checkSecrets looks for secrets, and for their bytes in hex, in all that a
// command left.
func (d *testDesk) checkSecrets(what string, r result) {
	d.t.Helper()
	for where, content := range d.leftBy(r) {
		upper := bytes.ToUpper(content)
		for _, canary := range canaries {
			if holds(upper, strings.ToUpper(canary)) || bytes.Contains(upper, fmt.Appendf(nil, "%X", canary)) {
				d.t.Errorf("%s: %s is in %s", what, canary, where)
			}
		}
	}
}

// byChance is how short a secret is that random bytes in hex, of which a trace is full, may
// have in them.
const byChance = 8

// holds reports whether a text has a canary in it, a short one not as a part of longer
// digits in hex.
func holds(text []byte, canary string) bool {
	if len(canary) >= byChance {
		return bytes.Contains(text, []byte(canary))
	}
	for at := 0; ; at += len(canary) {
		i := bytes.Index(text[at:], []byte(canary))
		if i < 0 {
			return false
		}
		at += i
		after := at + len(canary)
		if (at == 0 || !isHex(text[at-1])) && (after == len(text) || !isHex(text[after])) {
			return true
		}
	}
}

func isHex(c byte) bool { return strings.IndexByte("0123456789ABCDEF", c) >= 0 }

func TestHolds(t *testing.T) {
	for text, is := range map[string]bool{"904412": true, "PIN 904412.": true, "> 00A4904412FF": false, "904412F": false, "904412904412": false, "904412904412 904412": true, "27182818": true, "F27182818F": true} {
		if got := holds([]byte(text), "904412") || holds([]byte(text), "27182818"); got != is {
			t.Errorf("%q: %v", text, got)
		}
	}
}

// wrongSecrets are what is entered in the place of every secret.
var wrongSecrets = []string{
	"CARDCTL_PIN=wrong-804127", "CARDCTL_ADMIN_PIN=wrong-804127", "CARDCTL_SO_PIN=wrong-804127", "CARDCTL_PUK=wrong-804127",
	"CARDCTL_MANAGEMENT_KEY=80412700FFEEDDCC80412700FFEEDDCC", "OTHER_KEY=wrong-804127",
	"CARDCTL_CURRENT_ADMIN_PIN=wrong-804127", "NEW=wrong-804127", "NEW8=wrong-804127", "WRONG_KEY=80412700FFEEDDCC80412700FFEEDDCC",
}

// TestSecretsAppearNowhere runs every command that speaks to a card to success,
// with wrong secrets, without any, with secrets as bare values, and with a card
// that refuses or goes away, and looks for secrets in everything that is left.
func TestSecretsAppearNowhere(t *testing.T) {
	for kind, commands := range cardCommands {
		t.Run(kind, func(t *testing.T) {
			t.Parallel()
			d := hostileDesk(t, kind)
			start := d.save()
			for _, line := range commands {
				d.restore(start)
				command := append(d.words(line), "-v", "--trace", filepath.Join(d.state, "trace"))
				for name, way := range map[string]struct {
					vars   []string
					more   []string
					faults []cardsim.Fault
				}{
					"right":           {},
					"JSON":            {more: []string{"-o", "json"}},
					"wrong":           {vars: wrongSecrets},
					"wrong, JSON":     {vars: wrongSecrets, more: []string{"-o", "json"}},
					"none":            {vars: []string{"CARDCTL_PIN=", "CARDCTL_ADMIN_PIN=", "CARDCTL_SO_PIN=", "CARDCTL_PUK="}},
					"bare":            {more: []string{"--pin", userPIN, "--admin-pin=" + adminPIN, "--card-keys", testKey}},
					"refused":         {faults: []cardsim.Fault{cardsim.Garbage(4, []byte{0x69, 0x85})}},
					"removed":         {faults: []cardsim.Fault{cardsim.RemoveAfter(4)}},
					"removed at once": {faults: []cardsim.Fault{cardsim.RemoveBefore(1)}},
				} {
					d.restore(start)
					d.vars = append(d.vars, way.vars...)
					what := line + ", " + name
					args := append(append([]string{}, command...), way.more...)
					if name == "wrong" || name == "wrong, JSON" {
						for i, arg := range args {
							args[i] = strings.ReplaceAll(arg, "default", "env:WRONG_KEY")
						}
					}
					r := d.run(context.Background(), args, way.faults...)
					// OpenSC does not see cards in process, OpenPGP cards delete no
					// keys, the Java card has one set of them, and a CA is made once.
					if name == "right" && !strings.HasPrefix(line, "ca init") && r.exit != 0 && kind != "pkcs15" && command[0] != "delete-key" && !slices.Contains(command, "--key-version") {
						t.Errorf("%s: exit status %d\n%s", what, r.exit, r.stderr)
					}
					d.checkSecrets(what, r)
					d.vars = d.vars[:len(d.vars)-len(way.vars)]
				}
			}
		})
	}
}
