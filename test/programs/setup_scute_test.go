//go:build stack

package programs

import (
	"strings"
	"testing"

	"github.com/cardctl/cardctl/test/stack"
)

// pinentry is a program that types the PIN for GnuPG's agent, and has no other card to
// insert.
func (g gnupg) pinentry(pin string) {
	g.d.Write(".gnupg/pinentry", "#!/bin/sh\necho OK\nwhile read -r verb rest; do case $verb in GETPIN) echo 'D "+pin+"' ;; CONFIRM) echo ERR 83886179 cancelled; continue ;; esac; echo OK; done\n", 0o700)
	g.d.Write(".gnupg/gpg-agent.conf", "pinentry-program "+g.d.Path(".gnupg/pinentry")+"\n", 0o600)
}

// signatures is how often something is tried that needs one: Scute 1.5 omits a zero at the
// beginning of a signature, which then is not valid. That is one of some 200.
const signatures = 3

// byScute runs cardctl with an agent that starts.
func (g gnupg) byScute(t *testing.T, args ...string) string {
	t.Helper()
	var last stack.Result
	for range signatures {
		g.end()
		if last = g.d.Try("cardctl", args...); last.Exit == 0 {
			break
		}
	}
	g.end()
	if last.Exit != 0 {
		t.Errorf("%+v", last)
	}
	return last.Stdout
}

// withScute is Firefox's name in the table if it loads Scute.
const withScute = "Firefox, Scute"

// TestFirefoxByScute logs in by GnuPG, which asks for the PIN.
func TestFirefoxByScute(t *testing.T) {
	c := openPGPRSA
	d := c.desk(t)
	g := newGnuPG(t, d, ".gnupg")
	g.pinentry(c.pin)
	person(d)
	url := nginx(t, d)
	before := listed(d)
	d.Run("cardctl", "setup", "gpgsm", "--key", c.key, "--ca", d.Path("ca.pem"))
	set := append(c.setup("firefox"), "--module", "scute", "--ca", d.Path("ca.pem"))
	if r := d.Try("cardctl", append(set, "--check")...); r.Exit != 3 {
		t.Errorf("--check before: %+v", r)
	}
	if printed := d.Run("cardctl", append(set, "--print")...); !strings.Contains(printed, "pinentry") {
		t.Errorf("printed:\n%s", printed)
	}
	d.Run("cardctl", set...)
	f := startFirefox(t, d, "")
	for range signatures {
		if f.open(url); strings.Contains(f.shown(), welcome) {
			break
		}
	}
	f.eventuallyShows(welcome)
	f.keepPicture("Firefox", "Scute")
	f.quit()
	// scdaemon has lost the card, which cardctl read meanwhile. That of GnuPG 2.4 lets
	// Firefox wait, until the check ends it.
	if !before24(d) {
		g.end()
	} else if r := d.Try("cardctl", append(set, "--check")...); r.Exit != 0 && !strings.Contains(r.Stderr, "Try: gpgconf --kill gpg-agent") {
		t.Errorf("--check after Firefox: %+v", r)
	}
	sees(t, g.byScute(t, append(set, "--check")...), c)
	g.byScute(t, "smoke-test", "--module", "scute", "--key", c.key)
	stack.Uses(t, withScute, c.name, c.with())
	d.Run("cardctl", "setup", "firefox", "--undo")
	if after := listed(d); after != before {
		t.Errorf("after --undo:\n%s\nbefore:\n%s", after, before)
	}
}

// TestKeysThatScuteDoesNotUse are refused before anything is written.
func TestKeysThatScuteDoesNotUse(t *testing.T) {
	d := openPGP.desk(t)
	newGnuPG(t, d, ".gnupg")
	person(d)
	before := listed(d)
	for _, command := range [][]string{{"setup", "firefox"}, {"smoke-test"}} {
		refused := d.Refused(append(command, "--module", "scute", "--key", openPGP.key)...)
		if refused.Exit != 7 || !strings.Contains(refused.Message, "RSA keys only") || !strings.Contains(refused.Hint, "--module opensc") {
			t.Errorf("%s: %+v", command, refused)
		}
	}
	if after := listed(d); after != before {
		t.Errorf("written: %s", after)
	}
	if told := strings.Join(strings.Fields(d.Try("cardctl", "doctor").Stdout), " "); !strings.Contains(told, "scute.so (RSA keys only)") {
		t.Errorf("doctor: %s", told)
	}
	stack.Uses(t, withScute, openPGP.name, "no")
}
