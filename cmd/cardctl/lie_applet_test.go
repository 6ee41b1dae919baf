package main

import (
	"context"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/cardctl/cardctl/internal/cardsim"
	"github.com/cardctl/cardctl/internal/gp"
	"github.com/cardctl/cardctl/internal/iso7816"
	"github.com/cardctl/cardctl/test/stack"
)

// newKey is what keys.gpsh gives the card.
const newKey = "505152535455565758595A5B5C5D5E5F"

// appletLie is a command on a Java card that is lied about. done is what is on the
// card where it says that it worked, and whether the card has new keys then.
type appletLie struct {
	command string
	done    string
	newKeys bool
}

var appletLies = map[string]appletLie{
	"applet list":                         {"applet list --card-keys default", onlyOld, false},
	"applet install":                      {"applet install $W/new.cap --card-keys default", bothOn, false},
	"applet install, replacing":           {"applet install $W/there.cap --replace --yes --card-keys default", onlyOld, false},
	"applet install, a further instance":  {"applet install --package F000000001 --applet F00000000101 --instance F0000000AA --card-keys default", "F00000000101 F0000000AA F000000001", false},
	"applet install, loading only":        {"applet install $W/new.cap --load-only --card-keys default", "F00000000101 F000000001 F000000002", false},
	"applet state lock":                   {"applet state lock F00000000101 --card-keys default", onlyOld, false},
	"applet delete":                       {"applet delete F00000000101 --yes --card-keys default", "F000000001", false},
	"applet delete with applets":          {"applet delete F000000001 --with-applets --yes --card-keys default", "", false},
	"applet set-keys":                     {"applet set-keys --generate --keys-file $W/new.keys --yes --card-keys default", onlyOld, true},
	"applet set-keys beside the old ones": {"applet set-keys --generate --new-key-version 5 --add --keys-file $W/new.keys --yes --card-keys default", onlyOld, true},
	"applet script":                       {"applet script $W/job.gpsh --yes", "F00000000201 F000000002", false},
	"applet script with new keys":         {"applet script $W/keys.gpsh --yes", onlyOld, true},
}

// lyingCards are the Java cards that lie.
func lyingCards() map[string]string {
	cards := map[string]string{"SCP03, short": "--secure-channel scp03-70 --profile short-apdus"}
	if everyPoint() {
		cards["SCP02, short"] = "--secure-channel scp02-55 --profile short-apdus"
		cards["SCP02, extended"] = "--secure-channel scp02-15"
		cards["SCP03, extended"] = "--secure-channel scp03-00"
	}
	return cards
}

// TestLiedToByJavaCard answers every command of every workflow by a status word
// that does not say whether it was carried out, carried out and not: no key is
// lost, none is tried after the answer, and what is said of the card is true.
func TestLiedToByJavaCard(t *testing.T) {
	for card, flags := range lyingCards() {
		for name, l := range appletLies {
			t.Run(name+", "+card, func(t *testing.T) {
				t.Parallel()
				d := newJavaDesk(t, strings.Fields(flags)...)
				d.vars = append(d.vars, "NEW_KEYS="+newKey)
				d.writeFile("job.gpsh", []byte("open_sc -security 1 -key "+testKey+"\ndelete -AID F00000000101\ndelete -AID F000000001\ninstall -file new.cap\nget_status -element 60\n"))
				d.writeFile("keys.gpsh", []byte("open_sc -security 1 -key "+testKey+"\nput_sc_key -keyver 0 -newkeyver 1 -key "+newKey+"\n"))
				start, words := d.save(), d.words(l.command)
				commands := d.run(context.Background(), words, cardsim.Delay(0)).traffic.APDUs
				points, held := 0, 0
				for _, done := range []bool{true, false} {
					for i, status := range cardsim.Lies() {
						for n := 1; ; n++ {
							if !everyPoint() && n <= commands && (n+i)%3 != 0 {
								continue
							}
							d.restore(start)
							trace := filepath.Join(t.TempDir(), "trace")
							r := d.run(context.Background(), append(words, "--trace", trace), cardsim.Lie(n, status, done))
							if r.traffic.APDUs < n {
								break
							}
							points++
							at := fmt.Sprintf("%04X to command %d, carried out: %t", uint16(status), n, done)
							if t.Run(at, func(t *testing.T) { javaDesk{d.in(t)}.lied(l, r, d.traced(trace), n, status) }) {
								held++
							}
						}
					}
				}
				stack.Held(t, "lied to", "Java card, "+card, name, "in-process", points, held)
			})
		}
	}
}

// traced are the headers of the commands in a trace, GET RESPONSE among them.
func (d *testDesk) traced(path string) (sent []string) {
	d.t.Helper()
	text, err := os.ReadFile(path)
	if err != nil {
		d.t.Fatal(err)
	}
	for line := range strings.Lines(string(text)) {
		if command, ok := strings.CutPrefix(line, "> "); ok {
			sent = append(sent, command[:8])
		}
	}
	return sent
}

// lied compares what is said after the n-th command was lied about with the card.
func (d javaDesk) lied(l appletLie, r result, sent []string, n int, status iso7816.Status) {
	d.t.Helper()
	const authenticate = "8482"
	// 61xx is the normal end of a command (ISO/IEC 7816-4, 5.6).
	if status>>8 != 0x61 && strings.HasPrefix(sent[n-1], authenticate) && slices.ContainsFunc(sent[n:], func(s string) bool { return strings.HasPrefix(s, authenticate) }) {
		d.t.Errorf("keys are tried again: %q", sent)
	}
	now, fresh := d.present()
	switch {
	case r.exit == 0 && (now != l.done || fresh != l.newKeys):
		d.t.Errorf("it is said to be done; on the card are %q, new keys: %t", now, fresh)
	case r.exit == 4 || r.exit == 10, r.exit != 0 && strings.Count(r.stderr, "\nTry: ") > 1:
		d.t.Errorf("exit status %d\n%s", r.exit, r.stderr)
	}
	for _, s := range untrue(r.stderr, now, fresh) {
		d.t.Errorf("on the card are %q, new keys: %t; not true: %q in\n%s", now, fresh, s, r.stderr)
	}
}

// present is what is on the card, and whether it has new keys. The test ends where
// nobody has its keys, or a try of them is gone.
func (d javaDesk) present() (contents string, fresh bool) {
	d.t.Helper()
	var card struct {
		Applications []struct {
			State struct {
				Tries int
				Keys  []struct{ Version int }
			}
		}
	}
	if err := json.Unmarshal(d.save(), &card); err != nil {
		d.t.Fatal(err)
	}
	state := card.Applications[0].State
	if state.Tries != 10 {
		d.t.Errorf("the card has counted a failed attempt: %d tries left", state.Tries)
	}
	sources := []string{"env:OLD_KEYS"}
	for _, k := range state.Keys {
		if k.Version == gp.FactoryKeyVersion {
			continue
		}
		fresh, sources = true, []string{"env:NEW_KEYS"}
		if _, err := os.Stat(d.keysFile()); err == nil {
			sources = []string{"file:" + d.keysFile()}
		}
	}
	r := d.run(context.Background(), []string{"applet", "list", "-o", "json", "--retry-keys", "--card-keys", sources[0]})
	if r.exit != 0 {
		d.t.Fatalf("nobody has the keys of the card: %s", r.stderr)
	}
	var l registry
	if err := json.Unmarshal([]byte(r.stdout), &l); err != nil {
		d.t.Fatal(err)
	}
	return l.contents(), fresh
}

// claims are the sentences about a card that an error may have, and when they are
// true.
var claims = []struct {
	text *regexp.Regexp
	true func(aids []string, now string, fresh bool) bool
}{
	{regexp.MustCompile(`Nothing on the card was changed`), func(_ []string, now string, fresh bool) bool { return now == onlyOld && !fresh }},
	{regexp.MustCompile(`[0-9A-F, ]+ (?:was|were) deleted, with the keys`), func(aids []string, now string, _ bool) bool {
		return !slices.ContainsFunc(aids, func(aid string) bool { return strings.Contains(" "+now+" ", " "+aid+" ") })
	}},
	{regexp.MustCompile(`What was loaded was deleted again`), func(_ []string, now string, _ bool) bool { return now == onlyOld || now == "" }},
	{regexp.MustCompile(`has its old keys[.;]`), func(_ []string, _ string, fresh bool) bool { return !fresh }},
	{regexp.MustCompile(`(?:has|accepted) the new keys, version`), func(_ []string, _ string, fresh bool) bool { return fresh }},
	// A lie is no refusal, no room was missing, no key was wrong.
	{regexp.MustCompile(`the card refused [^\[]*\[(?:6[1-5C]|6985|6F)|no room|too little free memory|keys are wrong|already on the card|does not have`), func([]string, string, bool) bool { return false }},
}

var anyAID = regexp.MustCompile(`[0-9A-F]{10,}`)

// untrue are the claims of an error that do not hold.
func untrue(said, now string, fresh bool) (list []string) {
	for _, c := range claims {
		for _, text := range c.text.FindAllString(said, -1) {
			if !c.true(anyAID.FindAllString(text, -1), now, fresh) {
				list = append(list, text)
			}
		}
	}
	return list
}

// TestLiedToByMUSCLE lies about the set-up of a MUSCLE applet.
func TestLiedToByMUSCLE(t *testing.T) {
	d := hostileDesk(t, "muscle")
	start, words, points, held := d.save(), d.words("init --app muscle --yes"), 0, 0
	setUp := regexp.MustCompile(`"done": ?true`)
	for _, done := range []bool{true, false} {
		for _, status := range cardsim.Lies() {
			for n := 1; ; n++ {
				d.restore(start)
				trace := filepath.Join(t.TempDir(), "trace")
				r := d.run(context.Background(), append(words, "--trace", trace), cardsim.Lie(n, status, done))
				if r.traffic.APDUs < n {
					break
				}
				points++
				if status>>8 == 0x61 && r.exit == 0 {
					held++ // what is said is the normal end of a command (ISO/IEC 7816-4, 5.6)
					continue
				}
				is, sent := setUp.Match(d.save()), d.traced(trace)
				set := strings.Contains(r.stderr, "The applet is set up")
				not := strings.Contains(r.stderr, "not set up") || strings.Contains(r.stderr, "Nothing on the card was changed")
				once := len(slices.DeleteFunc(slices.Clone(sent), func(s string) bool { return !strings.HasPrefix(s, "B02A") })) <= 1
				if r.exit == 0 && !is || set && !is || not && is || !once || strings.Contains(r.stderr, "the card refused [9C") {
					t.Errorf("%s to command %d, carried out: %t: set up: %t, %q\n%s", status, n, done, is, sent, r.stderr)
					continue
				}
				held++
			}
		}
	}
	stack.Held(t, "lied to", "MUSCLE", "init", "in-process", points, held)
}
