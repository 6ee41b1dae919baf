package main

import (
	"context"
	"fmt"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/cardctl/cardctl/internal/cardsim"
	"github.com/cardctl/cardctl/internal/iso7816"
	"github.com/cardctl/cardctl/test/stack"
)

// manage is a command that manages a Java card.
type manage struct {
	// before are the commands that bring the card to where it is needed.
	before  []string
	command string
	// already is what the same command exits with where its work is done.
	already int
}

func manages() map[string]manage {
	const keys = " --card-keys default"
	const ownKeys = " --card-keys file:$W/first.keys"
	domain := []string{"applet domain create F0000000DD" + keys}
	return map[string]manage{
		"applet state lock":         {command: "applet state lock F00000000101" + keys},
		"applet state unlock":       {before: []string{"applet state lock F00000000101" + keys}, command: "applet state unlock F00000000101" + keys},
		"applet state initialized":  {command: "applet state initialized --yes" + keys},
		"applet state secured":      {before: []string{"applet state initialized --yes" + keys}, command: "applet state secured --yes" + keys},
		"applet state lock-card":    {before: []string{"applet state initialized --yes" + keys, "applet state secured --yes" + keys}, command: "applet state lock-card" + keys},
		"applet state unlock-card":  {before: []string{"applet state initialized --yes" + keys, "applet state secured --yes" + keys, "applet state lock-card" + keys}, command: "applet state unlock-card" + keys},
		"applet domain create":      {command: "applet domain create F0000000DD" + keys, already: 9},
		"applet domain extradite":   {before: domain, command: "applet domain extradite F00000000101 --to F0000000DD --yes" + keys},
		"applet domain list":        {before: domain, command: "applet domain list" + keys},
		"applet store-data":         {command: "applet store-data 4504A0B1C2D3" + keys},
		"applet install, load only": {command: "applet install $W/new.cap --load-only" + keys, already: 9},
		"applet install, a further instance": {
			command: "applet install --package F000000001 --applet F00000000101 --instance F0000000AA" + keys, already: 9,
		},
		"applet delete of keys": {before: []string{
			"applet set-keys --generate --new-key-version 5 --keys-file $W/first.keys --yes" + keys,
			"applet set-keys --generate --new-key-version 6 --add --keys-file $W/second.keys --yes" + ownKeys,
		}, command: "applet delete --key-version 6 --yes" + ownKeys, already: 3},
	}
}

// TestPulledWhileManaged pulls a Java card out at every command and every write of the
// commands that manage it: it is as before or as after, no try of its keys is gone, what
// is said of it is true, and the same command again completes or says that it is done.
func TestPulledWhileManaged(t *testing.T) {
	for card, made := range pulledCards {
		if !everyPoint() && card != "SCP02, short" {
			continue
		}
		for name, m := range manages() {
			t.Run(name+", "+card, func(t *testing.T) {
				t.Parallel()
				d := newJavaDeskOf(t, made.code, strings.Fields(made.flags)...)
				start, allowed := d.managed(m)
				command := d.words(m.command)
				points, held := 0, 0
				for moment, how := range moments {
					for n := 1; ; n++ {
						d.testDesk.restore(start)
						d.forgetKeys()
						r := d.run(context.Background(), command, how.fault(n))
						if how.what(r.traffic) < n && r.exit == 0 {
							break
						}
						points++
						at := fmt.Sprintf("pulled %s %d", moment, n)
						if t.Run(at, func(t *testing.T) { javaDesk{d.in(t)}.pulledWhileManaged(m, command, r, how.inside, allowed) }) {
							held++
						}
					}
				}
				stack.Held(t, "pulled out", "Java card, "+card, name, "in-process", points, held)
			})
		}
	}
}

// managed brings the card to where a command needs it, and returns it with what it is
// before and after the command.
func (d javaDesk) managed(m manage) (start []byte, allowed []string) {
	d.t.Helper()
	for _, line := range m.before {
		d.must(d.words(line)...)
	}
	start = d.save()
	d.must(d.words(m.command)...)
	allowed = []string{javaState(d.t, start).String(), javaState(d.t, d.save()).String()}
	d.testDesk.restore(start)
	return start, allowed
}

// unchangedSaid is what errors say of a card that is as before.
var unchangedSaid = regexp.MustCompile(`Nothing on the card was changed|The state is still`)

// pulledWhileManaged looks at the card, and runs the command again.
func (d javaDesk) pulledWhileManaged(m manage, command []string, r result, inside bool, allowed []string) {
	d.t.Helper()
	if r.exit != 0 && (r.exit != 10 || !strings.Contains(r.stderr, "removed") || !strings.Contains(r.stderr, "\nTry: ")) {
		d.t.Errorf("exit status %d\n%s", r.exit, r.stderr)
	}
	now := javaState(d.t, d.save())
	switch is := now.String(); {
	case now.Tries != 10 && !(inside && now.Tries == 9): // a card counts a try down before it compares
		d.t.Errorf("%d tries of the card keys left", now.Tries)
	case !slices.Contains(allowed, is):
		d.t.Errorf("the card is neither as before nor as after: %s", is)
	case r.exit == 0 && is != allowed[1]:
		d.t.Errorf("it is said to be done, and the card is %s", is)
	case unchangedSaid.MatchString(r.stderr) && is != allowed[0]:
		d.t.Errorf("the card was changed to %s\n%s", is, r.stderr)
	}
	again := d.run(context.Background(), append(command, "--retry-keys"))
	if again.exit != 0 && again.exit != m.already {
		d.t.Errorf("the same command again: exit status %d\n%s", again.exit, again.stderr)
	}
	if now = javaState(d.t, d.save()); now.String() != allowed[1] || now.Tries != 10 {
		d.t.Errorf("in the end, the card has %d tries and is %s", now.Tries, now)
	}
}

// TestLiedToWhileManaged answers every command of the commands that manage a Java card
// by a status word that does not say whether it was carried out, carried out and not.
func TestLiedToWhileManaged(t *testing.T) {
	for card, flags := range lyingCards() {
		for name, m := range manages() {
			t.Run(name+", "+card, func(t *testing.T) {
				t.Parallel()
				d := newJavaDesk(t, strings.Fields(flags)...)
				start, allowed := d.managed(m)
				words := d.words(m.command)
				points, held := 0, 0
				for _, done := range []bool{true, false} {
					for i, status := range cardsim.Lies() {
						for n := 1; ; n++ {
							if !everyPoint() && n < 5 && (n+i)%3 != 0 {
								continue // the channel, which other rows open too
							}
							d.testDesk.restore(start)
							d.forgetKeys()
							trace := filepath.Join(t.TempDir(), "trace")
							r := d.run(context.Background(), append(words, "--trace", trace), cardsim.Lie(n, status, done))
							if r.traffic.APDUs < n {
								break
							}
							points++
							at := fmt.Sprintf("%04X to command %d, carried out: %t", uint16(status), n, done)
							if t.Run(at, func(t *testing.T) { javaDesk{d.in(t)}.liedWhileManaged(r, d.traced(trace), n, status, allowed) }) {
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

// liedWhileManaged compares what is said after the n-th command was lied about with the
// card.
func (d javaDesk) liedWhileManaged(r result, sent []string, n int, status iso7816.Status, allowed []string) {
	d.t.Helper()
	const authenticate, storeData = "8482", "84E2"
	normal := status>>8 == 0x61 // the normal end of a command (ISO/IEC 7816-4, 5.6)
	if !normal && strings.HasPrefix(sent[n-1], authenticate) && slices.ContainsFunc(sent[n:], func(s string) bool { return strings.HasPrefix(s, authenticate) }) {
		d.t.Errorf("keys are tried again: %q", sent)
	}
	now := javaState(d.t, d.save())
	switch is := now.String(); {
	case now.Tries != 10:
		d.t.Errorf("%d tries of the card keys left", now.Tries)
	case !slices.Contains(allowed, is):
		d.t.Errorf("the card is neither as before nor as after: %s", is)
	case r.exit == 0 && is != allowed[1] && !(normal && strings.HasPrefix(sent[n-1], storeData)):
		d.t.Errorf("it is said to be done, and the card is %s", is)
	case r.exit == 4 || r.exit == 10 || r.exit != 0 && strings.Count(r.stderr, "\nTry: ") > 1:
		d.t.Errorf("exit status %d\n%s", r.exit, r.stderr)
	case unchangedSaid.MatchString(r.stderr) && is != allowed[0]:
		d.t.Errorf("the card was changed to %s\n%s", is, r.stderr)
	case regexp.MustCompile(`the card refused [^\[]*\[(?:6[1-5C]|6985|6F)|keys are wrong|too little free memory`).MatchString(r.stderr):
		d.t.Errorf("a lie is taken for a reason\n%s", r.stderr)
	}
}
