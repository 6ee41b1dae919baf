//go:build stack

package windows

import (
	"strings"
	"testing"
	"time"

	"github.com/cardctl/cardctl/test/stack"
	"github.com/cardctl/cardctl/test/wine"
)

// slowly is how long a person takes to answer: longer than Windows leaves a card alone
// within a transaction.
const slowly = 8 * time.Second

// testSlowAnswers answers a prompt, a question and a program that asks for a PIN slowly.
// The card was released meanwhile: it is not reset, and no try is used up.
func testSlowAnswers(t *testing.T, m *machine) {
	d := m.desk(t)
	d.Card("slow", 0).Initialise()
	m.Program(t, m.System("slow.exe"), "testdata/slow.c")
	m.relay.resets.Store(0)
	d.Setenv("TERM", "dumb") // questions are answered by a line

	asked := 0
	answer := func(when, typed string) func(string) string {
		return func(screen string) string {
			if !strings.Contains(screen, when) {
				return ""
			}
			asked++
			time.Sleep(slowly)
			return typed + "\r"
		}
	}
	for _, command := range []struct {
		when, typed string
		args        []string
	}{
		{"admin PIN", stack.AdminPIN, []string{"gen-key", "--key", "OPENPGP.3", "--algorithm", "p256", "--admin-pin", "prompt"}},
		{"", "", []string{"gen-csr", "--key", "OPENPGP.3", "--subject", "CN=slow", "--out", "slow.csr", "--pin", "command:slow " + stack.UserPIN}},
		{"[y/N]", "yes", []string{"init"}},
	} {
		if command.when == "" {
			d.windows(command.args...)
		} else if r := d.AtTerminal(answer(command.when, command.typed), wine.Launcher, d.line(command.args)...); r.Exit != 0 {
			t.Errorf("%v", r)
		}
	}
	if asked != 2 {
		t.Errorf("asked %d times, want 2", asked)
	}
	d.Run("openssl", "req", "-in", "slow.csr", "-noout", "-verify")
	if resets := m.relay.resets.Load(); resets != 0 {
		t.Errorf("the card was reset %d times", resets)
	}
	for _, p := range d.Info().PINs {
		if p.Name != "reset-code" && p.TriesLeft != 3 {
			t.Errorf("a try was used up: %+v", p)
		}
	}
	if keys := d.Info().Keys; len(keys) != 0 {
		t.Errorf("init left %+v", keys)
	}
}
