//go:build stack

package agent_test

import (
	"bytes"
	"encoding/hex"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"github.com/cardctl/cardctl/test/stack"
)

// leftBehind is a card that an agent held when it was killed: how another program selects its
// application and verifies the PIN (ISO/IEC 7816-4, 11.5.6).
type leftBehind struct {
	keysOn

	key             string
	selects, verify string // the second without a PIN asks whether one is verified
	pad             int    // bytes of the PIN that is sent, 0 for those that it has
}

// TestAgentIsKilled kills an agent that holds a card with a verified PIN: no file has the PIN,
// and the card does not know it for the next program.
func TestAgentIsKilled(t *testing.T) {
	for _, c := range []leftBehind{
		{openPGPEC, "OPENPGP.3", "00A4040006D27600012401", "00200082", 0},
		{pivCard, "PIV.9A", "00A4040005A000000308", "00200080", 8},
		{myEID, "PKCS15.46", "00A404000CA000000063504B43532D3135", "00200001", 8},
	} {
		t.Run(c.name, func(t *testing.T) {
			d := newStillDesk(t)
			card := c.bring(t, d, 0)
			d.killed(t, c.key)
			pin := bytes.Repeat([]byte{0xFF}, max(c.pad, len(canary)))
			copy(pin, canary)
			line := stack.NewLine(t, 0)
			line.Alone()
			if sw := line.Sends(t, c.verify); sw == "9000" {
				t.Error("the card knows the PIN as the agent left it")
			}
			line.Sends(t, c.selects)
			if sw := line.Sends(t, c.verify); !strings.HasPrefix(sw, "63c") {
				t.Errorf("without a PIN: %s", sw)
			}
			if sw := line.Sends(t, c.verify+hex.EncodeToString(append([]byte{byte(len(pin))}, pin...))); sw != "9000" {
				t.Errorf("VERIFY: %s", sw)
			}
			if sw := line.Sends(t, c.verify); sw != "9000" {
				t.Errorf("with the PIN: %s", sw)
			}
			if err := line.Release(); err != nil {
				t.Error(err)
			}
			card.Pull()
		})
	}
	t.Run(softHSMToken.name, func(t *testing.T) { // whose login ends with the process
		d := newStillDesk(t)
		softHSMToken.bring(t, d, 0)
		d.killed(t, "floppy", "--token-module", softHSM)
	})
}

// canary is a PIN that nothing else is called.
const canary = "73645182"

// killed has an agent sign with a key, kills it, and looks for the PIN in files.
func (d *agentDesk) killed(t *testing.T, key string, options ...string) {
	t.Helper()
	d.Setenv("CARDCTL_NEW_PIN", canary)
	if len(options) > 0 {
		d.Run("pkcs11-tool", "--module", softHSM, "--login", "--pin", cardPIN, "--change-pin", "--new-pin", canary)
	} else {
		d.Run("cardctl", "set-pin", "user", "--reader", stack.ReaderName(0))
	}
	d.Setenv("CARD_PIN", canary)
	d.Setenv("TMPDIR", filepath.Dir(d.Write("tmp/.keep", "", 0o600)))
	p := d.foreground(t, append(options, "--idle-release", "1h", "--pin-cache", "removal")...)
	login := d.Run("ssh-add", "-L")
	if key != "floppy" {
		login = d.sshKeyOf(key)
	} else {
		login = login[strings.Index(login, "ecdsa"):]
	}
	if r := d.sshSigns(login); r.Exit != 0 {
		t.Fatal(r)
	}
	if s := d.status(t); len(s.Cards) != 1 || !s.Cards[0].Held || !s.Cards[0].PINCached {
		t.Errorf("before: %+v", s)
	}
	if err := p.Signal(syscall.SIGKILL); err != nil {
		t.Fatal(err)
	}
	p.Wait()
	places := []string{d.Path("tmp"), d.Path("config"), d.Path("cache"), d.Path("state/cardctl"), d.Path("hsm"), d.run}
	if found := d.filesWith(t, canary, places...); len(found) > 0 {
		t.Errorf("files with the PIN: %v", found)
	}
	d.Write("tmp/planted", "PIN="+canary, 0o600)
	if found := d.filesWith(t, canary, places...); len(found) != 1 {
		t.Errorf("files with the PIN, of which one was planted: %v", found)
	}
}

// filesWith are the files in directories that have a text, except the simulated cards: they
// know their PINs.
func (d *agentDesk) filesWith(t *testing.T, text string, places ...string) (found []string) {
	t.Helper()
	for _, place := range places {
		err := filepath.WalkDir(place, func(path string, entry fs.DirEntry, err error) error {
			switch {
			case os.IsNotExist(err):
				return nil
			case err != nil:
				return err
			case entry.IsDir() && entry.Name() == "sim":
				return fs.SkipDir
			case !entry.Type().IsRegular():
				return nil
			}
			content, err := os.ReadFile(path)
			if bytes.Contains(content, []byte(text)) {
				found = append(found, path)
			}
			return err
		})
		if err != nil {
			t.Fatal(err)
		}
	}
	return found
}
