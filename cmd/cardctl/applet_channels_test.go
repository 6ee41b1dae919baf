package main

import (
	"context"
	"fmt"
	"strconv"
	"strings"
	"testing"

	"github.com/cardctl/cardctl/internal/cardsim"
)

// securityLevels are what --security-level takes, the weakest first, each with
// what the parameter i of a protocol must have for it.
var securityLevels = []struct {
	name         string
	scp02, scp03 uint64
}{
	{"c-mac", 0, 0},
	{"c-decryption", 0, 0},
	{"r-mac", 0x20, 0x20},
	{"c-decryption,r-mac", 0x20, 0x20},
	{"r-encryption", never, 0x40},
}

// never is a bit that no parameter i has.
const never = 0x100

// hasLevel reports whether a secure channel, as sim create calls it, has a level.
func hasLevel(channel string, level int) bool {
	protocol, parameter, _ := strings.Cut(channel, "-")
	i, err := strconv.ParseUint(parameter, 16, 8)
	if err != nil {
		panic(err)
	}
	needs := securityLevels[level]
	switch protocol {
	case "scp03":
		return i&needs.scp03 == needs.scp03
	case "scp02":
		return i&needs.scp02 == needs.scp02
	}
	return needs.scp02 == 0
}

// TestEverySecureChannel opens every protocol at every level that it has, and
// at the strongest installs, deletes and changes keys.
func TestEverySecureChannel(t *testing.T) {
	for _, channel := range cardsim.SecureChannels() {
		t.Run(channel, func(t *testing.T) {
			t.Parallel()
			d := newJavaDesk(t, "--secure-channel", channel)
			with := ""
			for level := range securityLevels {
				want := 7
				if hasLevel(channel, level) {
					want, with = 0, " --security-level "+securityLevels[level].name
				}
				r := d.run(context.Background(), d.words("applet list --card-keys default --security-level "+securityLevels[level].name))
				if r.exit != want {
					t.Errorf("%s: exit status %d, want %d\n%s", securityLevels[level].name, r.exit, want, r.stderr)
				}
			}
			d.must(d.words("applet install $W/new.cap --load-hash --card-keys default" + with)...)
			d.must(d.words("applet set-keys --generate --keys-file $W/new.keys --yes --card-keys default" + with)...)
			d.must(d.words("applet delete F000000002 --with-applets --yes --card-keys file:$W/new.keys" + with)...)
			if l, _ := d.list(channel); l.contents() != onlyOld {
				t.Errorf("on the card are %q", l.contents())
			}
		})
	}
}

// lies are answers of a card that cannot be trusted.
var lies = map[string][]byte{
	"nothing":        {0x90, 0x00},
	"garbage":        append([]byte("\x6F\x84\xFF\xFF\xFF garbage, which is of no length"), 0x90, 0x00),
	"a long nothing": append(make([]byte, 250), 0x90, 0x00),
	"6F00":           {0x6F, 0x00},
	"6982":           {0x69, 0x82},
	"6A84":           {0x6A, 0x84},
	"more, for ever": {0x63, 0x10},
	"half a status":  {0x90},
}

// TestLyingJavaCard answers each command in turn with what is wrong. Nothing is
// believed, three lines say so, and no key is in them.
func TestLyingJavaCard(t *testing.T) {
	for name, test := range map[string]struct{ command, done string }{
		"list":     {"applet list", onlyOld},
		"install":  {"applet install $W/new.cap", bothOn},
		"delete":   {"applet delete F000000001 --with-applets --yes", ""},
		"set-keys": {"applet set-keys --generate --keys-file $W/new.keys --yes", onlyOld},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			d := newJavaDesk(t, "--secure-channel", "scp03-30")
			start, words := d.save(), d.words(test.command+" --card-keys default --security-level c-decryption,r-mac")
			commands := d.run(context.Background(), words, cardsim.Delay(0)).traffic.APDUs
			for lie, answer := range lies {
				for n := 1; n <= commands; n++ {
					d.restore(start)
					r := d.run(context.Background(), words, cardsim.Garbage(n, answer))
					at := fmt.Sprintf("%s to command %d", lie, n)
					if l, _ := d.list(at); r.exit == 0 && l.contents() != test.done {
						t.Errorf("%s: it is said to be done, and on the card are %q", at, l.contents())
					}
					if r.exit == 0 {
						continue // the answer did not matter
					}
					if strings.Count(r.stderr, "\nTry: ") != 1 || strings.Contains(r.stderr, "panic") {
						t.Errorf("%s: %s", at, r.stderr)
					}
					if strings.Contains(r.stdout+r.stderr, testKey) {
						t.Errorf("%s: a key is in the output", at)
					}
				}
			}
		})
	}
}
