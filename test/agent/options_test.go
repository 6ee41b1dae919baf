//go:build stack

package agent_test

import (
	"fmt"
	"os"
	"strings"
	"testing"

	"github.com/cardctl/cardctl/test/stack"
)

// signing is the key that signs here, on a card in the first reader.
var signing = openPGPEC.keys[2]

// refused wants no signature, and a value of PKCS#11. pkcs11-tool tries twice.
func (d *agentDesk) refused(t *testing.T, value string) {
	t.Helper()
	d.Write("digest", strings.Repeat("d", 32), 0o600)
	if r := d.tool(openPGPEC, signing, "--sign", "--mechanism", "ECDSA", "--input-file", "digest"); r.Exit == 0 || !strings.Contains(r.Stdout+r.Stderr, value) {
		t.Errorf("%v, want %s", r, value)
	}
}

func (d *agentDesk) wantAsked(t *testing.T, want int) {
	t.Helper()
	if n := d.asked(); n != want {
		t.Errorf("a person was asked %d times, want %d", n, want)
	}
}

// cancel has the person cancel from now on.
func (d *agentDesk) cancel() (again func()) {
	d.Write("asked.cancel", "", 0o600)
	return func() { _ = os.Remove(d.Path("asked.cancel")) }
}

// TestPINCache has the agent keep no PIN: the card is asked after each release. Another one
// keeps it as long as the card is there.
func TestPINCache(t *testing.T) {
	for cache, want := range map[string]int{"none": 2, "removal": 1} {
		t.Run(cache, func(t *testing.T) {
			d, _ := newCardDesk(t, openPGPEC, "--pin-cache", cache, "--idle-release", "100ms")
			d.signs(t, openPGPEC, signing)
			d.Eventually("the card is released", func() bool { return !d.status(t).Cards[0].Held })
			d.signs(t, openPGPEC, signing)
			d.wantAsked(t, want)
			if kept := d.status(t).Cards[0].PINCached; kept != (cache == "removal") {
				t.Errorf("the PIN is kept: %v", kept)
			}
		})
	}
}

// TestAnotherSocket has programs reach the agent where they were told, and log in.
func TestAnotherSocket(t *testing.T) {
	socket := stack.Shared(t, "p11-") + "/there"
	d, _ := newCardDesk(t, openPGPEC, "--p11-socket", socket, "--p11-login")
	d.Setenv("P11_KIT_SERVER_ADDRESS", "unix:path="+socket)
	if out := d.Run("pkcs11-tool", "--module", module, "--list-token-slots"); !strings.Contains(out, "login required") {
		t.Error(out)
	}
	d.Setenv("P11_KIT_SERVER_ADDRESS", "")
	if r := d.Try("cardctl", "agent", "--foreground", "--p11-socket", socket); r.Exit != 6 {
		t.Errorf("a second agent: %v", r)
	}
}

// TestConfirm has a person allow each use, and shows who asks. A no is a refusal, and so is a
// window that is closed.
func TestConfirm(t *testing.T) {
	d, _ := newCardDesk(t, openPGPEC, "--confirm")
	d.signs(t, openPGPEC, signing)
	shown := string(d.Read("asked.shown"))
	for _, want := range []string{"pkcs11-tool (process ", "Allow it?", "OPENPGP.3"} {
		if !strings.Contains(shown, want) {
			t.Errorf("%q is not in what was shown:\n%s", want, shown)
		}
	}
	again := d.cancel()
	d.refused(t, "0x200")
	again()
	d.signs(t, openPGPEC, signing)
	d.wantAsked(t, 1)
}

// TestCancelled has a person close the window of pinentry: programs are told that, the card
// is not, and the next try asks again.
func TestCancelled(t *testing.T) {
	d, _ := newCardDesk(t, openPGPEC)
	again := d.cancel()
	d.refused(t, "CKR_FUNCTION_CANCELED")
	again()
	if tries := d.Info().PINs[0].TriesLeft; tries != 3 {
		t.Errorf("%d tries left", tries)
	}
	d.signs(t, openPGPEC, signing)
	d.wantAsked(t, 3)
}

// TestReleaseOfOne releases the card in one reader, and leaves the other one.
func TestReleaseOfOne(t *testing.T) {
	d, _ := newCardDesk(t, openPGPEC, "--idle-release", "1h")
	d.signs(t, openPGPEC, signing)
	if r := d.Try("cardctl", "agent", "release", "--reader", "no such reader"); r.Exit != 3 {
		t.Errorf("%v", r)
	}
	card := d.status(t).Cards[0]
	if !card.Held {
		t.Errorf("%+v", card)
	}
	d.Run("cardctl", "agent", "release", "--reader", card.Reader)
	if card := d.status(t).Cards[0]; card.Held {
		t.Errorf("%+v", card)
	}
}

// TestNamesOfPrograms has pinentry say which program asks, also behind another process of
// cardctl.
func TestNamesOfPrograms(t *testing.T) {
	d, _ := newCardDesk(t, openPGPEC)
	d.Write("asks", fmt.Sprintf("#!/bin/bash\n{ printf 'SERIALNO\\nSETDATA %s\\nPKAUTH OPENPGP.3\\n'; sleep 3; } | cardctl agent --stdio scd\nexit\n", strings.Repeat("64", 32)), 0o700)
	if out := d.Run(d.Path("asks")); !strings.Contains(out, "D ") {
		t.Errorf("%q", out)
	}
	if shown := string(d.Read("asked.shown")); !strings.Contains(shown, "asks (process ") {
		t.Error(shown)
	}
}
