package main

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"
)

// misplaced stand where a secret might: digits, a password, hexadecimal, words.
var misplaced = []string{"777312", "Kanarienvogel", "hunter2", "A1B2C3D4E5F60718293A4B5C6D7E8F90", "correct horse", "p=w:d,7"}

// lineage makes command lines with mistakes in them.
type lineage struct {
	*rand.Rand
	commands []*cobra.Command
}

// TestCommandLinesRepeatNoSecret runs command lines that went wrong in all ways
// that people do it. What might be a secret is in no output.
func TestCommandLinesRepeatNoSecret(t *testing.T) {
	const lines = 5_000
	t.Chdir(t.TempDir())
	l := lineage{Rand: rand.New(rand.NewPCG(9, 2026))}
	everyCommand(newRootCmd(newSession(newEnv())), func(cmd *cobra.Command) {
		if !slices.Contains([]string{"doctor", "create", "backup"}, cmd.Name()) { // they look at this machine, and make what is named
			l.commands = append(l.commands, cmd)
		}
	})
	d := &testDesk{t: t, state: t.TempDir(), vars: []string{"CARDCTL_MODULE=/nonexistent/module.so", "HOME=/nonexistent"}}
	d.must("sim", "create", "desk")
	failed := map[int]int{}
	for range lines {
		canary := misplaced[l.IntN(len(misplaced))]
		line := l.line(canary)
		r := d.run(t.Context(), line)
		failed[r.exit]++
		said := strings.ToLower(r.stdout + r.stderr)
		for _, word := range append(strings.Fields(canary), canary) {
			if strings.Contains(said, strings.ToLower(word)) {
				t.Errorf("%q repeats %q:\n%s%s", line, word, r.stdout, r.stderr)
			}
		}
	}
	// Most lines are to be wrong, or nothing was tried; the others find no card.
	if failed[2] < lines/2 || failed[3] < lines/100 || failed[0] > lines/5 {
		t.Errorf("exit statuses: %v", failed)
	}
}

// line is a command, flags of it, and the canary in one to three wrong places.
func (l lineage) line(canary string) []string {
	cmd := l.commands[l.IntN(len(l.commands))]
	line := strings.Fields(cmd.CommandPath())[1:]
	var flags []*pflag.Flag
	cmd.InheritedFlags() // makes Flags complete
	cmd.Flags().VisitAll(func(f *pflag.Flag) { flags = append(flags, f) })
	for range l.IntN(3) {
		line = append(line, harmless(flags[l.IntN(len(flags))])...)
	}
	for range 1 + l.IntN(3) {
		mistake := l.mistake(flags, canary)
		at := l.IntN(len(line) + 1)
		line = slices.Insert(line, at, mistake...)
	}
	if l.IntN(4) == 0 {
		line = append(line, "--reader", "sim:desk")
	}
	if l.IntN(2) == 0 {
		line = append(line, "-o", "json")
	}
	if l.IntN(20) == 0 {
		line = append([]string{[]string{"help", "__complete", "completion", "hepl"}[l.IntN(4)]}, line...)
	}
	return line
}

// harmless is a flag as it should be.
func harmless(f *pflag.Flag) []string {
	switch {
	case f.Name == "wait" || f.Name == "help" || f.Name == "version":
		return nil // it waits, or does something else altogether
	case f.Value.Type() == "source":
		return []string{"--" + f.Name, "env:UNSET"}
	case f.NoOptDefVal != "":
		return []string{"--" + f.Name}
	case f.Value.Type() == "int" || f.Value.Type() == "uint8":
		return []string{"--" + f.Name + "=1"}
	case f.Value.Type() == "duration":
		return []string{"--" + f.Name, "5s"}
	case f.Name == "key":
		return []string{"-k", "OPENPGP.3"}
	}
	return nil
}

// mistake is one way to give a secret in the wrong way or place.
func (l lineage) mistake(flags []*pflag.Flag, canary string) []string {
	names := []string{"pin", "admin-pin", "new-pin", "so-pin", "puk", "password", "card-keys", "reset-code", "management-key", "user-pin", "passwd"}
	name := names[l.IntN(len(names))]
	if l.IntN(3) > 0 {
		if f := flags[l.IntN(len(flags))]; !slices.Contains(written, f.Name) {
			name = f.Name
		}
	}
	source := []string{"env", "file", "fd", "stdin", "command", "pinentry", "prompt", "pass", "ENV", "env:", "text"}[l.IntN(11)]
	between := []string{":", " ", "=", "/", ",", "", "==", ": ", "= ", "-", "\t", "\n", "\u00a0", ";", "=\"", "='"}[l.IntN(16)]
	dash := []string{"-", "--", "---", "—", "–", "−", "‐", "-–", "", "/", "+", " --", "\u00a0--"}[l.IntN(13)]
	switch l.IntN(11) {
	case 0:
		return []string{canary}
	case 1:
		return []string{dash + name, canary}
	case 2, 3, 4:
		return []string{dash + name + between + canary}
	case 5:
		return []string{"--" + name, source + between + canary}
	case 6:
		return []string{"--" + name + "=" + source + ":" + canary}
	case 7:
		return []string{"--" + name + "=" + canary}
	case 8:
		return []string{"-" + string("rmokqvyphxD"[l.IntN(11)]) + between + canary}
	case 9:
		return []string{"--reader", "sim:" + canary}
	default:
		return []string{dash + name, source, canary}
	}
}

// cobra repeats on the process's own stderr a line that it cannot complete; so it
// gets none of those.
func TestLinesThatAreNotCompleted(t *testing.T) {
	env := newSession(newEnv())
	for line, want := range map[string]bool{
		"gen-key --777312=":          false,
		"gen-key --pin:777312=":      false,
		"gen-key -x=777312":          false,
		"gen-key --777312= ":         false,
		"gen-key --pin=":             true,
		"gen-key --admin-pin=777312": true,
		"gen-key --key=O":            true,
		"gen-key --a":                true,
		"gen-key --key ":             true,
		"gen-k":                      true,
	} {
		if got := env.completable(append([]string{cobra.ShellCompRequestCmd}, strings.Split(line, " ")...)); got != want {
			t.Errorf("%q: %v", line, got)
		}
	}
}

// written are the flags that make a file of this name, which is then there.
var written = []string{"trace", "out", "keys-file"}

// What a card refuses is not repeated either.
func TestRefusalsRepeatNoSecret(t *testing.T) {
	d := newDesk(t)
	d.must("init", "--yes")
	d.must("gen-key", "--key", "OPENPGP.3")
	for _, command := range []string{
		"gen-key --key OPENPGP.3 --replace 777312", "delete-key --key OPENPGP.3 --fingerprint 777312", "info --serial 777312",
		"smoke-test --key OPENPGP.3 --module 777312", "gen-csr --key OPENPGP.3 --subject CN=a --email 777312", "gen-csr --key OPENPGP.3 --subject 777312",
		"gen-csr --key OPENPGP.3 --subject CN=a --pin file:777312", "gen-csr --key OPENPGP.3 --subject CN=a --pin env:x777312",
		"gen-csr --key OPENPGP.3 --subject CN=a --pin command:777312", "gen-csr --key OPENPGP.3 --subject CN=a --pin fd:777312",
		"import-cert --key OPENPGP.3 777312", "import-key --key OPENPGP.2 777312", "applet install 777312", "applet delete 777312",
	} {
		typed := command[strings.Index(command, "7773"):] // four digits alone may be in a fingerprint
		if r := d.run(t.Context(), strings.Fields(command)); r.exit == 0 || strings.Contains(r.stdout+r.stderr, typed) {
			t.Errorf("%s: %+v", command, r)
		}
	}
}

// What is known not to be a secret is said.
func TestErrorsNameWhatIsThere(t *testing.T) {
	d := newDesk(t)
	for command, want := range map[string]string{
		"export-cert --key OPENPGP.3 --reader sim:desk":                             "OPENPGP.3",
		"gen-csr --key OPENPGP.3 --reader sim:desk --subject CN=a --pin 777312":     "Try: cardctl gen-csr --key OPENPGP.3 --reader sim:desk",
		"set-pin user -admin-pin=777312":                                            "--admin-pin needs two dashes",
		"set-pin user --new-pin:777312":                                             "--new-pin needs a space or =",
		"set-pin user —new-pin 777312":                                              "two hyphens",
		"lst-readers":                                                               "list-readers",
		fmt.Sprintf("set-pin user --pin file:%s --new-pin env:UNSET", d.file()+"x"): "from a file: no such file",
	} {
		if r := d.run(t.Context(), strings.Fields(command)); r.exit < 2 || r.exit > 3 || !strings.Contains(r.stderr, want) || strings.Contains(r.stderr, "777312") {
			t.Errorf("%s: %d, no %q in\n%s", command, r.exit, want, r.stderr)
		}
	}
}
