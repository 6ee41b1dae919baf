//go:build stack

package agent_test

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/cardctl/cardctl/test/stack"
)

// owner is whose the certificates are.
const owner = "/CN=Floppy Head/emailAddress=floppy@example.com"

// newSetupDesk has a card with a key and a certificate in each place, and an agent.
func newSetupDesk(t *testing.T) *agentDesk {
	t.Helper()
	d := newAgentDesk(t)
	c := d.Card("desk", 0)
	t.Cleanup(c.Pull)
	d.Setenv("ADMIN_PIN", "12345678")
	for _, ref := range []string{"OPENPGP.1", "OPENPGP.2", "OPENPGP.3"} {
		d.Run("cardctl", "gen-key", "--key", ref, "--algorithm", "p256", "--admin-pin", "env:ADMIN_PIN")
		d.Write("public.pem", d.Run("cardctl", "export-key", "--key", ref), 0o600)
		d.Authority().Certify(d.Path("public.pem"), owner, d.Path(ref+".pem"))
		d.Run("cardctl", "import-cert", "--key", ref, "--admin-pin", "env:ADMIN_PIN", d.Path(ref+".pem"))
	}
	d.Write("message", "a message\n", 0o600)
	return d
}

// setUp sets a program up, and checks it before and after; undo takes it back.
func (d *agentDesk) setUp(t *testing.T, target string, options ...string) (undo func()) {
	t.Helper()
	setup := append([]string{"setup", target, "--agent"}, options...)
	if r := d.Try("cardctl", append(setup, "--check")...); r.Exit != 3 {
		t.Errorf("--check before: %v", r)
	}
	d.Run("cardctl", append(setup, "--print")...)
	t.Log(d.Run("cardctl", setup...))
	t.Log(d.Run("cardctl", append(setup, "--check")...))
	if again := d.Run("cardctl", setup...); strings.Contains(again, "written") {
		t.Errorf("a second time: %s", again)
	}
	return func() {
		t.Helper()
		d.Run("cardctl", "setup", target, "--undo")
		if r := d.Try("cardctl", append(setup, "--check")...); r.Exit != 3 {
			t.Errorf("--check after --undo: %v", r)
		}
	}
}

// once reports the work of a person: the PIN was asked for once.
func (d *agentDesk) once(t *testing.T) {
	t.Helper()
	if n := d.asked(); n != 1 {
		t.Errorf("a person was asked %d times", n)
	}
}

// TestSetupGnuPG has gpg and gpgsm sign through the agent.
func TestSetupGnuPG(t *testing.T) {
	d := newSetupDesk(t)
	gnupg := stack.Shared(t, "gnupg-")
	d.Setenv("GNUPGHOME", gnupg)
	t.Cleanup(func() { d.Run("gpgconf", "--kill", "all") })
	undoGPG := d.setUp(t, "gpg", "--key", "OPENPGP.1")
	undoGPGSM := d.setUp(t, "gpgsm", "--key", "OPENPGP.3", "--ca", d.Path("ca.pem"))
	d.Run("gpgconf", "--kill", "gpg-agent")
	if out := d.Run("gpg", "--card-status"); !strings.Contains(out, "D2760001240103") {
		t.Error(out)
	}
	d.Run("gpg", "--batch", "--output", d.Path("message.gpg"), "--detach-sign", d.Path("message"))
	d.Run("gpg", "--verify", d.Path("message.gpg"), d.Path("message"))
	d.Run("gpgsm", "--batch", "--disable-dirmngr", "--output", d.Path("message.p7s"), "--detach-sign", d.Path("message"))
	d.Run("gpgsm", "--batch", "--disable-dirmngr", "--verify", d.Path("message.p7s"), d.Path("message"))
	d.setUp(t, "git", "--format", "x509", "--key", "OPENPGP.3")()
	d.once(t)
	if r := d.Try("cardctl", "setup", "gpgsm", "--key", "OPENPGP.3", "--print"); r.Exit != 7 {
		t.Errorf("without --agent: %v", r)
	}
	undoGPGSM()
	d.Run("gpgconf", "--kill", "gpg-agent")
	d.Run("gpg", "--batch", "--yes", "--output", d.Path("message.gpg"), "--detach-sign", d.Path("message"))
	undoGPG()
	links, err := filepath.Glob(d.Path("state/cardctl/setup/gnupg-*"))
	if _, missing := os.Stat(filepath.Join(gnupg, "gpg-agent.conf")); !os.IsNotExist(missing) || err != nil || len(links) > 0 {
		t.Errorf("after --undo: %v, %v, %v", missing, links, err)
	}
}

// TestSetupGpgsmOfPIV has gpgsm use an elliptic curve key of a PIV card. gpg adopts none.
func TestSetupGpgsmOfPIV(t *testing.T) {
	d := newAgentDesk(t)
	c := d.Card("piv", 0, "--applications", "piv")
	t.Cleanup(c.Pull)
	d.Setenv("CARDCTL_MANAGEMENT_KEY", managementKey)
	d.Run("cardctl", "gen-key", "--key", "PIV.9A", "--algorithm", "p256")
	d.Write("public.pem", d.Run("cardctl", "export-key", "--key", "PIV.9A"), 0o600)
	d.Authority().Certify(d.Path("public.pem"), owner, d.Path("piv.pem"))
	d.Run("cardctl", "import-cert", "--key", "PIV.9A", d.Path("piv.pem"))
	d.Setenv("GNUPGHOME", stack.Shared(t, "gnupg-"))
	t.Cleanup(func() { d.Run("gpgconf", "--kill", "all") })
	defer d.setUp(t, "gpgsm", "--key", "PIV.9A", "--ca", d.Path("ca.pem"))()
	d.once(t)
	if r := d.Try("cardctl", "setup", "gpg", "--agent", "--key", "PIV.9A"); r.Exit != 7 {
		t.Errorf("gpg: %v", r)
	}
}

// TestSetupSSH has ssh log in and git sign through the agent.
func TestSetupSSH(t *testing.T) {
	d := newSetupDesk(t)
	d.Setenv("SSH_AUTH_SOCK", "")
	undo := d.setUp(t, "ssh", "--key", "OPENPGP.3")
	if config := string(d.Read(".ssh/config")); !strings.Contains(config, "IdentityAgent") || strings.Contains(config, "PKCS11Provider") {
		t.Error(config)
	}
	undo()
	defer d.setUp(t, "git", "--key", "OPENPGP.3")()
	d.once(t)
}

// TestSetupOpenSSL has openssl sign through the agent.
func TestSetupOpenSSL(t *testing.T) {
	d := newSetupDesk(t)
	defer d.setUp(t, "openssl", "--key", "OPENPGP.3")()
	d.once(t)
	if out := d.Run("cardctl", "setup", "openssl", "--key", "OPENPGP.3", "--agent", "--print"); !strings.Contains(out, "p11-kit-client.so") {
		t.Error(out)
	}
}

// TestSetupP11Kit has p11tool find the card by a module file of p11-kit, and by no other.
func TestSetupP11Kit(t *testing.T) {
	d := newSetupDesk(t)
	etc := filepath.Join(t.TempDir(), "etc")
	d.Run("cp", "-a", "/etc", etc)
	const others = `mount --bind "$1" /etc; mount --bind "$2" /usr/share/p11-kit/modules; shift 2; exec "$@"`
	sees := func(program string, args ...string) stack.Result {
		return d.Try("unshare", append([]string{"--mount", "sh", "-ec", others, "sh", etc, t.TempDir(), program}, args...)...)
	}
	works := func(r stack.Result) {
		t.Helper()
		if r.Exit != 0 {
			t.Error(r)
		}
	}
	setup := []string{"setup", "p11-kit", "--agent", "--system"}
	if r := sees("cardctl", append(setup, "--check")...); r.Exit != 3 {
		t.Errorf("--check before: %v", r)
	}
	works(sees("cardctl", setup...))
	works(sees("cardctl", append(setup, "--check")...))
	if r := sees("p11tool", "--list-token-urls"); !strings.Contains(r.Stdout, "OpenPGP%20card") {
		t.Error(r)
	}
	works(sees("p11tool", "--test-sign", "pkcs11:id=%03;type=private"))
	d.once(t)
	works(sees("cardctl", "setup", "p11-kit", "--undo"))
	if r := sees("p11tool", "--list-token-urls"); strings.Contains(r.Stdout, "OpenPGP%20card") {
		t.Errorf("after --undo: %v", r)
	}
}

// TestSetupWithoutAgent is refused where the program would find none.
func TestSetupWithoutAgent(t *testing.T) {
	d := &agentDesk{Desk: stack.NewDesk(t)}
	d.Card("desk", 0)
	for _, target := range []string{"firefox", "chromium", "thunderbird", "openssl"} {
		if r := d.Try("cardctl", "setup", target, "--key", "OPENPGP.3", "--agent", "--print"); r.Exit != 3 || !strings.Contains(r.Stderr, "cardctl agent") {
			t.Error(r)
		}
	}
}
