//go:build stack

package agent_test

import (
	"context"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/cardctl/cardctl/test/stack"
)

// agentDesk is a desk with an agent, and who is asked for the PIN.
type agentDesk struct {
	*stack.Desk

	run string // the directory of the user's sockets
}

// newAgentDesk starts an agent, and stops it at the end.
func newAgentDesk(t *testing.T, options ...string) *agentDesk {
	t.Helper()
	d := newStillDesk(t)
	d.start(t, options...)
	return d
}

// newStillDesk is a desk whose agent was not started.
func newStillDesk(t *testing.T) *agentDesk {
	t.Helper()
	d := &agentDesk{stack.NewDesk(t), stack.Shared(t, "run-")}
	d.Setenv("XDG_RUNTIME_DIR", d.run)
	d.Person(cardPIN)
	d.Setenv("SSH_AUTH_SOCK", filepath.Join(d.run, "cardctl", "ssh"))
	return d
}

// start starts the agent, and stops it at the end.
func (d *agentDesk) start(t *testing.T, options ...string) {
	t.Helper()
	d.Run("cardctl", append([]string{"agent"}, options...)...)
	t.Cleanup(func() {
		d.Run("cardctl", "agent", "stop")
		if t.Failed() {
			t.Logf("%s", d.Read("state/cardctl/agent.log"))
		}
	})
}

// foreground starts an agent that a test ends.
func (d *agentDesk) foreground(t *testing.T, options ...string) *stack.Process {
	t.Helper()
	p := d.Process(t.Context(), nil, nil, "cardctl", append([]string{"agent", "--foreground"}, options...)...)
	d.Eventually("the agent runs", func() bool { return d.Try("cardctl", "agent", "status").Exit == 0 })
	return p
}

// gnuPG makes a GnuPG home whose scdaemon is the agent, and has it find an OpenPGP card.
func (d *agentDesk) gnuPG(t *testing.T) {
	t.Helper()
	home := stack.Shared(t, "gnupg-")
	d.Setenv("GNUPGHOME", home)
	program, err := exec.LookPath("cardctl")
	if err != nil {
		t.Fatal(err)
	}
	if err := os.Symlink(program, d.Path("cardctl-scd")); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(home, "gpg-agent.conf"), []byte("scdaemon-program "+d.Path("cardctl-scd")+"\nenable-ssh-support\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { d.Run("gpgconf", "--kill", "gpg-agent") })
	if out := d.Run("gpg", "--card-status"); !strings.Contains(out, "D2760001240103") {
		t.Error(out)
	}
}

// asked is how often a person was asked for the PIN.
func (d *agentDesk) asked() int { return d.Asked() }

// status is what the agent says of its cards.
type status struct {
	Cards []struct {
		Serial, Reader    string
		Held, PINCached   bool
		APDUs, Operations int
	}
	Clients int
}

func (d *agentDesk) status(t *testing.T) (s status) {
	t.Helper()
	if err := json.Unmarshal([]byte(d.Run("cardctl", "agent", "status", "--output", "json")), &s); err != nil {
		t.Fatal(err)
	}
	return s
}

// TestAllAtOnce has programs use one card through all doors at once, as fast as they go: every
// operation succeeds, and one person is asked once. test/programs does so for two minutes,
// with a browser.
func TestAllAtOnce(t *testing.T) {
	const each = 100
	d := newAgentDesk(t)
	c := d.Card("desk", 0)
	d.Setenv("ADMIN_PIN", "12345678")
	for _, ref := range []string{"OPENPGP.1", "OPENPGP.2", "OPENPGP.3"} {
		d.Run("cardctl", "gen-key", "--key", ref, "--algorithm", "p256", "--admin-pin", "env:ADMIN_PIN")
	}
	defer c.Pull()
	d.Write("message", "a message\n", 0o600)
	keys := d.Run("ssh-add", "-L")
	var login string
	for line := range strings.Lines(keys) {
		if strings.Contains(line, "OPENPGP.3") {
			login = line
		}
	}
	d.Write("login.pub", login, 0o600)
	d.Run("bash", "-c", "openssl dgst -sha256 -binary -out digest message")
	d.gnuPG(t)
	works := map[string]string{
		"SSH":     `cp message ssh-$i && ssh-keygen -q -Y sign -f login.pub -n file ssh-$i 2>&1 && ssh-keygen -Y check-novalidate -n file -s ssh-$i.sig < ssh-$i`,
		"PKCS#11": `pkcs11-tool --module ` + stack.AgentModule + ` --sign --mechanism ECDSA --id 03 --input-file digest --output-file p11-$i 2>&1 && test -s p11-$i`,
		"GnuPG":   `gpg-connect-agent 'SCD SERIALNO' "SCD SETDATA $(od -An -tx1 digest | tr -d "\n ")" 'SCD PKAUTH OPENPGP.3' /bye | tee gpg-$i | grep -a -q '^D ' || { cat gpg-$i; false; }`,
	}
	var all sync.WaitGroup
	begun := time.Now()
	for name, work := range works {
		all.Go(func() {
			script := fmt.Sprintf("for i in $(seq %d); do %s || exit 1; done", each, work)
			var out strings.Builder
			if exit := d.Process(context.Background(), &out, &out, "bash", "-c", script).Wait(); exit != 0 {
				t.Errorf("%s: exit status %d\n%s", name, exit, out.String())
			}
		})
	}
	all.Wait()
	s := d.status(t)
	if len(s.Cards) != 1 || s.Cards[0].Operations != 3*each {
		t.Errorf("%+v", s)
	}
	if n := d.asked(); n != 1 {
		t.Errorf("a person was asked %d times", n)
	}
	t.Logf("%d operations in %s, %d APDUs", s.Cards[0].Operations, time.Since(begun).Round(time.Millisecond), s.Cards[0].APDUs)
}
