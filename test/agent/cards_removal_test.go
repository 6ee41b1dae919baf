//go:build stack

package agent_test

import (
	"bufio"
	"fmt"
	"net"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/cardctl/cardctl/test/stack"
)

// door is a way in which programs are told how many cards there are.
type door struct {
	name  string
	cards func() int
}

// doors are all of them: programs that ask, and programs that wait to be told.
func (d *agentDesk) doors(t *testing.T) []door {
	t.Helper()
	counts := func(part, name string, args ...string) func() int {
		return func() int { return strings.Count(d.Try(name, args...).Stdout, part) }
	}
	return []door{
		{"PKCS#11", counts("(User PIN)", "pkcs11-tool", "--module", module, "-L")},
		{"PKCS#11 event", d.slotEvents(t)},
		{"SSH", counts("(OPENPGP.3)", "sh", "-c", "ssh-add -L | sed 's/.*OPENPGP.3.*/(OPENPGP.3)/'")},
		{"GnuPG", counts("S SERIALNO", "gpg-connect-agent", "SCD SERIALNO", "/bye")},
		{"DEVINFO", d.deviceEvents(t)},
	}
}

// slotEvents are those of C_WaitForSlotEvent. A card has two tokens.
func (d *agentDesk) slotEvents(t *testing.T) func() int {
	t.Helper()
	var cards atomic.Int64
	_, said := d.program(t, "watch")
	go func() {
		for line := range said {
			n, _ := strconv.Atoi(line)
			cards.Store(int64(n / 2))
		}
	}()
	return func() int { return int(cards.Load()) }
}

// deviceEvents are those of scdaemon's DEVINFO --watch.
func (d *agentDesk) deviceEvents(t *testing.T) func() int {
	t.Helper()
	socket := strings.TrimSuffix(strings.TrimSpace(d.Run("printenv", "SSH_AUTH_SOCK")), "ssh") + "scd"
	conn, err := net.Dial("unix", socket)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = conn.Close() })
	if _, err := fmt.Fprintln(conn, "DEVINFO --watch"); err != nil {
		t.Fatal(err)
	}
	var cards atomic.Int64
	go func() {
		n := 0
		for text := bufio.NewScanner(conn); text.Scan(); {
			switch line := text.Text(); {
			case strings.HasPrefix(line, "S DEVINFO_START"):
				n = 0
			case strings.HasPrefix(line, "S DEVICE "):
				n++
			case strings.HasPrefix(line, "S DEVINFO_END"):
				cards.Store(int64(n))
			}
		}
	}()
	return func() int { return int(cards.Load()) }
}

// told waits until every door tells of so many cards. Who asks a second after a change at
// the latest is told, and who waits is told by then.
func told(t *testing.T, doors []door, want int) {
	t.Helper()
	const within = time.Second
	changed := time.Now()
	var all sync.WaitGroup
	for _, one := range doors {
		all.Go(func() {
			for {
				asked := time.Since(changed)
				n := one.cards()
				if n == want {
					t.Logf("%s: %d cards after %s", one.name, n, asked.Round(time.Millisecond))
					return
				}
				if asked > within {
					t.Errorf("%s: %d cards after %s, not %d", one.name, n, asked, want)
					return
				}
				time.Sleep(10 * time.Millisecond)
			}
		})
	}
	all.Wait()
}

// sshSigns has ssh-keygen sign with a key of the agent, named in its comment or its line.
func (d *agentDesk) sshSigns(key string) stack.Result {
	d.Write("login.pub", key, 0o600)
	d.Write("message", "a message\n", 0o600)
	return d.Try("sh", "-c", "rm -f message.sig; ssh-keygen -q -Y sign -f login.pub -n file message")
}

// sshKeyOf is the line of a key in what ssh-add lists.
func (d *agentDesk) sshKeyOf(ref string) string {
	for line := range strings.Lines(d.Run("ssh-add", "-L")) {
		if strings.Contains(line, ref) {
			return line
		}
	}
	return ""
}

// TestCardIsPulledAndPutBack has every door tell so within a second, and use the card again
// afterwards, for which a person gives the PIN again.
func TestCardIsPulledAndPutBack(t *testing.T) {
	d, card := newCardDesk(t, openPGPEC, "--idle-release", "1h", "--pin-cache", "removal")
	defer card.Pull()
	d.gnuPG(t)
	key := d.sshKeyOf("OPENPGP.3")
	doors := d.doors(t)
	told(t, doors, 1)
	use := func() {
		t.Helper()
		d.signs(t, openPGPEC, openPGPEC.keys[2])
		if r := d.sshSigns(key); r.Exit != 0 {
			t.Error(r)
		}
		if r := d.gpgAuthenticates(); !strings.Contains(r.Stdout, "D ") {
			t.Error(r)
		}
	}
	use()
	d.once(t)

	card.Pull()
	told(t, doors, 0)
	if r := d.tool(openPGPEC, openPGPEC.keys[2], "--sign", "--mechanism", "ECDSA", "--input-file", "digest", "--output-file", "signature"); r.Exit == 0 {
		t.Error(r)
	}
	if r := d.sshSigns(key); r.Exit == 0 {
		t.Error(r)
	}
	if r := d.gpgAuthenticates(); !strings.Contains(r.Stdout, "ERR ") {
		t.Error(r)
	}

	card.Insert()
	told(t, doors, 1)
	use()
	if n := d.asked(); n != 2 {
		t.Errorf("a person was asked %d times", n)
	}
}

// gpgAuthenticates has GnuPG's door sign a digest.
func (d *agentDesk) gpgAuthenticates() stack.Result {
	return d.Try("gpg-connect-agent", "SCD SERIALNO", "SCD SETDATA "+strings.Repeat("5A", 32), "SCD PKAUTH OPENPGP.3", "/bye")
}

// TestCardIsSwapped puts another card of the same kind, with the same PIN, in the place of one
// that the agent holds: it gets no PIN until a person gives it.
func TestCardIsSwapped(t *testing.T) {
	d := newStillDesk(t)
	second := openPGPEC
	second.name = "another"
	other := second.bring(t, d, 0)
	other.Pull()
	defer other.Pull()
	card := openPGPEC.bring(t, d, 0)
	d.start(t, "--idle-release", "1h", "--pin-cache", "removal")
	key := d.sshKeyOf("OPENPGP.3")
	if r := d.sshSigns(key); r.Exit != 0 {
		t.Fatal(r)
	}
	d.once(t)
	card.Pull()
	other.Insert()
	now := d.sshKeyOf("OPENPGP.3")
	if now == "" || now == key {
		t.Errorf("the key of the other card: %q", now)
	}
	if r := d.sshSigns(key); r.Exit == 0 {
		t.Error(r)
	}
	verify := func() int { return strings.Count(string(d.Read("another.trace")), "> 00200082*") } // with a PIN, which the trace hides
	if n := verify(); n != 0 || d.asked() != 1 {
		t.Errorf("the other card got %d PINs, a person was asked %d times", n, d.asked())
	}
	if r := d.sshSigns(now); r.Exit != 0 {
		t.Error(r)
	}
	if n := verify(); n != 1 || d.asked() != 2 {
		t.Errorf("the other card got %d PINs, a person was asked %d times", n, d.asked())
	}
}
