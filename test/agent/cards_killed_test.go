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

// TestAgentIsKilled kills an agent that holds a card with a verified PIN: no file has the PIN,
// and the card signs nothing for the next program without it.
func TestAgentIsKilled(t *testing.T) {
	d := newStillDesk(t)
	card := openPGPEC.bring(t, d, 0)
	// A PIN that nothing else is called.
	const pin = "canary-736451"
	d.Setenv("CARDCTL_NEW_PIN", pin)
	d.Run("cardctl", "set-pin", "user", "--reader", stack.ReaderName(0))
	d.Setenv("CARD_PIN", pin)
	d.Setenv("TMPDIR", filepath.Dir(d.Write("tmp/.keep", "", 0o600)))
	p := d.foreground(t, "--idle-release", "1h", "--pin-cache", "removal")
	if r := d.sshSigns(d.sshKeyOf("OPENPGP.3")); r.Exit != 0 {
		t.Fatal(r)
	}
	if s := d.status(t); len(s.Cards) != 1 || !s.Cards[0].Held || !s.Cards[0].PINCached {
		t.Errorf("before: %+v", s)
	}
	if err := p.Signal(syscall.SIGKILL); err != nil {
		t.Fatal(err)
	}
	p.Wait()

	places := []string{d.Path("tmp"), d.Path("config"), d.Path("cache"), d.Path("state/cardctl"), d.run}
	if found := d.filesWith(t, pin, places...); len(found) > 0 {
		t.Errorf("files with the PIN: %v", found)
	}
	d.Write("tmp/planted", "PIN="+pin, 0o600)
	if found := d.filesWith(t, pin, places...); len(found) != 1 {
		t.Errorf("files with the PIN, of which one was planted: %v", found)
	}

	const authenticate = "0088000020"
	digest := strings.Repeat("5A", 32) + "00"
	verify := "00200082" + hex.EncodeToString([]byte{byte(len(pin))}) + hex.EncodeToString([]byte(pin))
	line := stack.NewLine(t, 0)
	if sw := line.Sends(t, authenticate+digest); sw == "9000" {
		t.Error("the card signs as the agent left it")
	}
	line.Sends(t, "00A4040006D27600012401")
	if sw := line.Sends(t, authenticate+digest); sw != "6982" {
		t.Errorf("without a PIN: %s", sw)
	}
	if sw := line.Sends(t, verify); sw != "9000" {
		t.Errorf("VERIFY: %s", sw)
	}
	if sw := line.Sends(t, authenticate+digest); sw != "9000" {
		t.Errorf("with the PIN: %s", sw)
	}
	if err := line.Release(); err != nil {
		t.Error(err)
	}
	card.Pull()
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
