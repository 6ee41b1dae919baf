package stack

import (
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
)

// GnuPG is a GnuPG home on a desk, whose agent answers every question for a
// PIN itself.
type GnuPG struct {
	desk *Desk
}

// pinentry answers GETPIN with the admin PIN where the description speaks of
// it, else with the user PIN (the protocol of pinentry, Assuan).
const pinentry = `#!/bin/sh
echo 'OK ready'
while read -r verb rest; do
	case $verb in
	SETDESC)
		pin='%[1]s'
		case $rest in *Admin*) pin='%[2]s' ;; esac
		echo OK ;;
	GETPIN) echo "D $pin"; echo OK ;;
	BYE) echo OK; exit ;;
	*) echo OK ;;
	esac
done
`

// GnuPG prepares a GnuPG home whose scdaemon uses one reader of the PC/SC
// daemon, and stops its daemons when the test ends.
func (d *Desk) GnuPG(reader int, userPIN, adminPIN string) *GnuPG {
	d.tb.Helper()
	home := d.Path("gnupg")
	if err := os.MkdirAll(home, 0o700); err != nil {
		d.tb.Fatal(err)
	}
	program := d.Write("gnupg/pinentry", fmt.Sprintf(pinentry, userPIN, adminPIN), 0o700)
	d.Write("gnupg/gpg-agent.conf", "pinentry-program "+program+"\n", 0o600)
	d.Write("gnupg/scdaemon.conf", "disable-ccid\nreader-port "+ReaderName(reader)+"\n", 0o600)
	d.Setenv("GNUPGHOME", home)
	g := &GnuPG{desk: d}
	d.tb.Cleanup(g.Release)
	return g
}

// Release makes scdaemon let the card go. The agent ends with it, for one that
// lost its scdaemon does not find another. It returns when both have ended: gpgconf
// does not wait, and the next program would find an agent that is about to end.
func (g *GnuPG) Release() {
	g.desk.tb.Helper()
	g.desk.Run("gpgconf", "--kill", "all")
	g.desk.Eventually("the daemons of GnuPG have ended", func() bool { return !g.Runs() })
}

// Runs reports whether a process has this home in its command line, as all daemons of
// GnuPG have.
func (g *GnuPG) Runs() bool {
	processes, _ := filepath.Glob("/proc/[0-9]*/cmdline")
	return slices.ContainsFunc(processes, func(process string) bool {
		line, err := os.ReadFile(process)
		return err == nil && slices.Contains(strings.Split(string(line), "\x00"), g.Home())
	})
}

// CardStatus is gpg's listing for programs: per kind of line its fields.
func (g *GnuPG) CardStatus() map[string][]string {
	g.desk.tb.Helper()
	status := map[string][]string{}
	for line := range strings.Lines(g.desk.Run("gpg", "--batch", "--with-colons", "--card-status")) {
		kind, fields, _ := strings.Cut(strings.TrimSpace(line), ":")
		status[kind] = strings.Split(strings.TrimSuffix(fields, ":"), ":")
	}
	return status
}

// SCD sends one command to scdaemon through the agent and returns its data
// lines unescaped; an answer ERR fails the test.
func (g *GnuPG) SCD(command string) (data []byte, status []string) {
	g.desk.tb.Helper()
	out := g.desk.Run("gpg-connect-agent", "SCD "+command, "/bye")
	for line := range strings.Lines(out) {
		line = strings.TrimSuffix(line, "\n")
		switch {
		case strings.HasPrefix(line, "D "):
			data = append(data, Unescape(line[2:])...)
		case strings.HasPrefix(line, "S "):
			status = append(status, line[2:])
		case strings.HasPrefix(line, "ERR "):
			g.desk.tb.Fatalf("SCD %s: %s", command, line)
		}
	}
	return data, status
}

var escaped = regexp.MustCompile(`%[0-9A-Fa-f]{2}`)

// Unescape undoes Assuan's percent escapes.
func Unescape(s string) []byte {
	return escaped.ReplaceAllFunc([]byte(s), func(code []byte) []byte {
		var b byte
		_, _ = fmt.Sscanf(string(code[1:]), "%02X", &b)
		return []byte{b}
	})
}

// Home is where its files are.
func (g *GnuPG) Home() string { return filepath.Join(g.desk.dir, "gnupg") }
