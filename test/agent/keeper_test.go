//go:build stack

package agent_test

import (
	"encoding/json"
	"os"
	"strings"
	"testing"
)

const softHSM = "/usr/lib/softhsm/libsofthsm2.so"

// TestTokenIsLocked has the agent hold a token of a module, which asks for the PIN again when
// its PIN was forgotten.
func TestTokenIsLocked(t *testing.T) {
	d := newStillDesk(t)
	if err := os.Mkdir(d.Path("tokens"), 0o700); err != nil {
		t.Fatal(err)
	}
	d.Setenv("SOFTHSM2_CONF", d.Write("softhsm2.conf", "directories.tokendir = "+d.Path("tokens")+"\n", 0o600))
	d.Run("softhsm2-util", "--init-token", "--free", "--label", "floppy", "--pin", "123456", "--so-pin", "12345678")
	d.Run("pkcs11-tool", "--module", softHSM, "--login", "--pin", "123456", "--keypairgen", "--key-type", "EC:prime256v1", "--id", "01")
	d.start(t, "--token-module", softHSM)
	d.Write("message", "a message\n", 0o600)
	sign := func() {
		t.Helper()
		keys := d.Run("ssh-add", "-L")
		if !strings.HasPrefix(keys, "ecdsa") {
			t.Fatalf("%s", keys)
		}
		d.Write("login.pub", keys, 0o600)
		d.Run("bash", "-c", "rm -f message.sig; ssh-keygen -q -Y sign -f login.pub -n file message")
	}
	sign()
	sign()
	if n := d.asked(); n != 1 {
		t.Errorf("asked %d times", n)
	}
	d.Run("cardctl", "agent", "lock")
	sign()
	if n := d.asked(); n != 2 {
		t.Errorf("asked %d times after lock", n)
	}
}

// TestKeyIsReplaced has another command replace a key while the agent runs, which offers the
// new one.
func TestKeyIsReplaced(t *testing.T) {
	d := newAgentDesk(t)
	c := d.Card("desk", 0)
	defer c.Pull()
	d.Setenv("ADMIN_PIN", "12345678")
	words := []string{"gen-key", "--key", "OPENPGP.3", "--algorithm", "p256", "--admin-pin", "env:ADMIN_PIN"}
	var made struct{ Fingerprint string }
	if err := json.Unmarshal([]byte(d.Run("cardctl", append(words, "--output", "json")...)), &made); err != nil {
		t.Fatal(err)
	}
	before := d.Run("ssh-add", "-L")
	d.Run("cardctl", append(words, "--replace", made.Fingerprint)...)
	after := d.Run("ssh-add", "-L")
	if !strings.HasPrefix(after, "ecdsa") || before == after {
		t.Errorf("%s\n%s", before, after)
	}
	d.Write("login.pub", after, 0o600)
	d.Write("message", "a message\n", 0o600)
	d.Run("ssh-keygen", "-q", "-Y", "sign", "-f", "login.pub", "-n", "file", "message")
	if n := d.asked(); n != 1 {
		t.Errorf("asked %d times", n)
	}
}
