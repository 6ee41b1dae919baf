//go:build stack

package agent_test

import (
	"strings"
	"testing"

	"github.com/cardctl/cardctl/test/stack"
)

// TestSeveralCards has cards in two readers and a token of SoftHSM2 at once: all keys are
// listed, and each is used.
func TestSeveralCards(t *testing.T) {
	d := newStillDesk(t)
	all := []keysOn{openPGPEC, pivCard, softHSMToken}
	asked, signing := 0, 0
	for reader, c := range all {
		c.bring(t, d, reader)
		asked += 1 + c.always
		for _, k := range c.keys {
			if k.ref != "OPENPGP.2" { // that only decrypts
				signing++
			}
		}
	}
	d.start(t, "--token-module", softHSM)
	if keys := d.Run("ssh-add", "-L"); strings.Count(keys, "\n") != signing {
		t.Errorf("ssh-add does not list %d keys:\n%s", signing, keys)
	}
	for _, c := range all {
		d.lists(t, c)
	}
	for i := range len(pivCard.keys) { // in turn
		for _, c := range all {
			if i < len(c.keys) {
				d.does(t, c, c.keys[i])
			}
		}
	}
	if n := d.asked(); n != asked {
		t.Errorf("a person was asked %d times, not %d times", n, asked)
	}
	stack.Judged(t, "pkcs11-tool and p11tool", "the agent with two cards and a token", "list and use all keys")
}
