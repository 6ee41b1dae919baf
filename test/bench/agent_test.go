//go:build stack

package bench

import (
	"fmt"
	"net"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/cardctl/cardctl/test/stack"
)

// withAgent starts an agent that has the PIN, and stops it at the end.
func withAgent(t *testing.T, d *stack.Desk, idle string) (stop func()) {
	t.Helper()
	run := stack.Shared(t, "run-")
	d.Setenv("XDG_RUNTIME_DIR", run)
	d.Setenv("PIN", "123456")
	d.Setenv("SSH_AUTH_SOCK", filepath.Join(run, "cardctl", "ssh"))
	d.Run("cardctl", "agent", "--pin", "env:PIN", "--idle-release", idle, "--cache-always")
	return func() { d.Run("cardctl", "agent", "stop") }
}

// TestAgentCounts counts what a signature costs by each door of the agent, for a program
// that was just started: while the card is held, and after it was released.
func TestAgentCounts(t *testing.T) {
	var table table
	table.row("a signature through `cardctl agent`", "by", "APDUs", "at most", "after a release", "at most")
	for _, card := range []struct {
		name, key, id, use, secret string
		each, released             int
		create                     []string
	}{
		{"OpenPGP, OPENPGP.3", "OPENPGP.3", "03", "AUTH", "--admin-pin", 1, 4, nil},
		{"OpenPGP, OPENPGP.1", "OPENPGP.1", "01", "SIGN --hash=sha256", "--admin-pin", 2, 4, nil},
		{"PIV, PIV.9A", "PIV.9A", "01", "AUTH", "--management-key", 1, 5, []string{"--applications", "piv", "--profile", "piv-yubikey-5.7"}},
	} {
		t.Run(card.name, func(t *testing.T) {
			d := stack.NewDesk(t)
			_, wire := d.WiredCard("card", 0, card.create...)
			d.Setenv("SECRET", map[string]string{"--admin-pin": "12345678", "--management-key": "010203040506070801020304050607080102030405060708"}[card.secret])
			d.Run("cardctl", "gen-key", "--key", card.key, "--algorithm", "p256", card.secret, "env:SECRET")
			stop := withAgent(t, d, "1h")
			d.Write("digest", strings.Repeat("d", 32), 0o600)
			d.Write("message", "a message\n", 0o600)
			d.Write("login.pub", d.Run("ssh-add", "-L"), 0o600)
			doors := []struct{ name, command string }{
				{"PKCS#11", "pkcs11-tool --module " + stack.AgentModule + " --sign --mechanism ECDSA --id " + card.id + " --input-file digest --output-file signature"},
				{"SSH", "rm -f message.sig; ssh-keygen -q -Y sign -f login.pub -n file message"},
				{"GnuPG", "printf 'SERIALNO\\nSETDATA " + strings.Repeat("64", 32) + "\\nPK" + card.use + " " + card.key + "\\nBYE\\n' | cardctl agent --stdio scd | tee said | grep -aq '^D ' || { cat said; exit 1; }"},
			}
			count := func(door int, pause time.Duration) int {
				time.Sleep(pause)
				before := wire.Count()
				d.Run("bash", "-c", doors[door].command)
				return wire.Count().Sub(before).APDUs
			}
			count(0, 0) // has the PIN verified
			each := make([]int, len(doors))
			for i := range doors {
				each[i] = count(i, 0)
			}
			stop()
			defer withAgent(t, d, "100ms")()
			count(0, 0)
			for i, door := range doors {
				held, released := each[i], count(i, time.Second)
				if held > card.each || released > card.released {
					t.Errorf("%s by %s: %d and %d APDUs, %d and %d are allowed", card.name, door.name, held, released, card.each, card.released)
				}
				table.row(card.name, door.name, fmt.Sprint(held), fmt.Sprint(card.each), fmt.Sprint(released), fmt.Sprint(card.released))
			}
		})
	}
	table.publish(t)
}

// TestAgentMemory connects a hundred clients.
func TestAgentMemory(t *testing.T) {
	const clients, most = 100, 60 << 20
	d := stack.NewDesk(t)
	d.Card("card", 0)
	defer withAgent(t, d, "1h")()
	socket := filepath.Join(filepath.Dir(strings.TrimSpace(d.Run("printenv", "SSH_AUTH_SOCK"))), "p11")
	for range clients {
		conn, err := net.Dial("unix", socket)
		if err != nil {
			t.Fatal(err)
		}
		defer func() { _ = conn.Close() }()
		if _, err := conn.Write([]byte{0}); err != nil {
			t.Fatal(err)
		}
		if _, err := conn.Read(make([]byte, 1)); err != nil {
			t.Fatal(err)
		}
	}
	pid := strings.TrimSpace(d.Run("bash", "-c", "pgrep -n -f 'agent --pin env:PIN.* --foreground'"))
	text, err := os.ReadFile("/proc/" + pid + "/status")
	if err != nil {
		t.Fatal(err)
	}
	_, rest, _ := strings.Cut(string(text), "VmRSS:")
	kib, err := strconv.Atoi(strings.Fields(rest)[0])
	if err != nil {
		t.Fatal(err)
	}
	if kib<<10 > most {
		t.Errorf("%d KiB with %d clients", kib, clients)
	}
	var table table
	table.row("`cardctl agent`", "memory", "at most")
	table.row(fmt.Sprintf("with %d clients", clients), fmt.Sprintf("%d MB", kib>>10), fmt.Sprintf("%d MB", most>>20))
	table.publish(t)
}
