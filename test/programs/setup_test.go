//go:build stack

package programs

import (
	"maps"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/cardctl/cardctl/test/stack"
)

// use is a program that cardctl sets up, and how somebody finds out whether it works.
type use struct {
	program string
	target  []string // what follows cardctl setup
	key     bool     // the target is set up for the key of the card
	// before is there before cardctl writes: paths below the home directory, and contents.
	before map[string]string
	// anyway says that it works without, too: Debian registers the module with p11-kit,
	// from which the engine of OpenSSL takes it.
	anyway bool
	// tls says that it makes TLS connections.
	tls bool
	// works has the program use the key.
	works func(t *testing.T, d *stack.Desk, c card) stack.Result
}

// TestSetup has a program fail before it is set up, work afterwards, and leaves its files
// as they were.
func TestSetup(t *testing.T) {
	for name, u := range map[string]use{
		"ssh":                {program: "ssh", target: []string{"ssh"}, key: true, before: map[string]string{".ssh/config": "User root\n"}, works: logIn},
		"ssh, some hosts":    {program: "ssh", target: []string{"ssh", "--url", "local*"}, key: true, before: map[string]string{".ssh/config": "# nothing\n"}, works: logIn},
		"ssh with the agent": {program: "ssh-agent", target: []string{"ssh", "--agent"}, key: true, works: logInWithAgent},
		"git":                {program: "git (ssh)", target: []string{"git", "--format", "ssh"}, key: true, before: map[string]string{".gitconfig": "[user]\n\tname = Floppy\n\temail = f@example.com"}, works: commit},
		"java":               {program: "jarsigner", target: []string{"java"}, key: true, works: signJar},
		"openssl":            {program: "openssl", target: []string{"openssl"}, key: true, anyway: true, tls: true, works: signWithOpenSSL},
	} {
		for _, c := range []card{openPGP, openPGPRSA, piv, isoApplet, token} {
			if len(u.target) > 1 && c.name != openPGP.name && c.name != token.name {
				continue
			}
			t.Run(name+"/"+c.name, func(t *testing.T) { u.run(t, c) })
		}
	}
}

func (u use) run(t *testing.T, c card) {
	d := c.desk(t)
	home := d.Path("")
	for path, content := range u.before {
		d.Write(path, content, 0o600)
	}
	before := files(t, home)
	setup := append([]string{"setup"}, u.target...)
	if u.tls && c.tls12 {
		if r := d.Try("cardctl", append(setup, "--key", c.key)...); r.Exit != 7 || !strings.Contains(r.Stderr, "--allow-tls12") {
			t.Errorf("a key that needs TLS 1.2: %v", r)
		}
		setup = append(setup, "--allow-tls12")
	}
	if c.module == softHSM {
		setup = append(setup, "--module", softHSM)
	}
	undo := append(append([]string{}, setup...), "--undo")
	undo = slices.DeleteFunc(undo, func(word string) bool { return word == "--allow-tls12" })
	if u.key {
		setup = append(setup, "--key", c.key)
	}
	if r := u.works(t, d, c); !u.anyway && r.Exit == 0 {
		t.Fatal("it works before it is set up")
	}
	if r := d.Try("cardctl", append(setup, "--check")...); r.Exit != 3 {
		t.Errorf("--check before: %+v", r)
	}
	d.Run("cardctl", append(setup, "--print")...)
	same(t, "--print", before, files(t, home))
	d.Run("cardctl", setup...)
	if r := u.works(t, d, c); r.Exit != 0 {
		t.Errorf("it does not work after it was set up: %+v", r)
	}
	d.Run("cardctl", append(setup, "--check")...)
	noAgent(t, d)
	d.Setenv("CARDCTL_PIN", "918273")
	if r := d.Try("cardctl", append(setup, "--check")...); r.Exit != 4 {
		t.Errorf("--check with a wrong PIN: %+v", r)
	}
	if c.name == openPGP.name && triesLeft(t, d) != 2 {
		t.Errorf("after a wrong PIN %d of 3 tries are left", triesLeft(t, d))
	}
	d.Setenv("CARDCTL_PIN", c.pin)
	d.Run("cardctl", append(setup, "--check")...)
	d.Run("cardctl", undo...)
	same(t, "--undo", before, files(t, home))
	with := ""
	if u.tls {
		with = c.with()
	}
	stack.Uses(t, u.program, c.name, with)
	if r := u.works(t, d, c); !u.anyway && r.Exit == 0 {
		t.Error("it still works after it was taken back")
	}
}

// noAgent fails if an agent that a check started goes on for longer than it takes to end.
func noAgent(t *testing.T, d *stack.Desk) {
	t.Helper()
	for range 20 {
		if d.Try("pgrep", "-x", "ssh-agent").Exit == 1 {
			return
		}
		time.Sleep(100 * time.Millisecond)
	}
	t.Error("an ssh-agent is still running")
}

// files are the contents of all files of a home directory that programs are set up by.
func files(t *testing.T, home string) map[string]string {
	t.Helper()
	all := tree(t, filepath.Join(home, ".ssh"))
	if config, err := os.ReadFile(filepath.Join(home, ".gitconfig")); err == nil {
		all[".gitconfig"] = string(config)
	}
	maps.Copy(all, tree(t, filepath.Join(home, "config")))
	return all
}

// tree are the contents of all files below a directory.
func tree(t *testing.T, root string) map[string]string {
	t.Helper()
	all := map[string]string{}
	err := filepath.WalkDir(root, func(path string, e os.DirEntry, err error) error {
		switch {
		case os.IsNotExist(err):
			return nil
		case err != nil || e.IsDir():
			all[path] = "directory"
			return err
		case e.Type() == os.ModeSymlink:
			all[path], err = os.Readlink(path)
			return err
		}
		data, err := os.ReadFile(path)
		all[path] = string(data)
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return all
}

func same(t *testing.T, when string, before, after map[string]string) {
	t.Helper()
	if !maps.Equal(before, after) {
		t.Errorf("%s: %q, before %q", when, after, before)
	}
}

// logIn logs in to a real server that accepts the key on the card alone.
func logIn(t *testing.T, d *stack.Desk, c card) stack.Result {
	t.Helper()
	port := sshServer(t, d, c)
	return d.Try("ssh", "-F", d.Path(".ssh/config"), "-p", port, "-o", "StrictHostKeyChecking=no", "-o", "UserKnownHostsFile=/dev/null",
		"-o", "PreferredAuthentications=publickey", "root@localhost", "echo", "welcome")
}

// commit signs a commit, which git verifies.
func commit(t *testing.T, d *stack.Desk, c card) stack.Result {
	t.Helper()
	defer withAgent(t, d, c)()
	d.Run("git", "init", "--quiet", "repository")
	if r := d.Try("git", "-C", "repository", "commit", "--quiet", "--allow-empty", "-S", "-m", "signed"); r.Exit != 0 {
		return r
	}
	return d.Try("git", "-C", "repository", "verify-commit", "HEAD")
}

func logInWithAgent(t *testing.T, d *stack.Desk, c card) stack.Result {
	t.Helper()
	defer withAgent(t, d, c)()
	return logIn(t, d, c)
}

// withAgent starts an agent and gives it the module, until end is called.
func withAgent(t *testing.T, d *stack.Desk, c card) (end func()) {
	t.Helper()
	socket := filepath.Join(t.TempDir(), "agent")
	stop := d.Start("agent.log", "ssh-agent", "-D", "-a", socket)
	d.Eventually("the agent listens", func() bool { _, err := os.Stat(socket); return err == nil })
	d.Setenv("SSH_AUTH_SOCK", socket)
	askpass(d, c.pin)
	d.Run("ssh-add", "-s", modulePath(c))
	return func() {
		d.Setenv("SSH_AUTH_SOCK", "")
		stop()
	}
}

func modulePath(c card) string {
	if c.module == softHSM {
		return softHSM
	}
	return "/usr/lib/x86_64-linux-gnu/opensc-pkcs11.so"
}

// askpass answers OpenSSH's question for the PIN.
func askpass(d *stack.Desk, pin string) {
	d.Setenv("SSH_ASKPASS", d.Write("askpass", "#!/bin/sh\necho "+pin+"\n", 0o700))
	d.Setenv("SSH_ASKPASS_REQUIRE", "force")
}

// sshServer is the port of OpenSSH's server, which lets root log in with the key on the
// card.
func sshServer(t *testing.T, d *stack.Desk, c card) string {
	t.Helper()
	askpass(d, c.pin)
	dir := t.TempDir()
	d.Run("ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", filepath.Join(dir, "host"))
	public := d.Run("cardctl", "export-key", "--key", c.key, "--format", "ssh")
	write(t, filepath.Join(dir, "authorized"), public)
	port := stack.FreePort(t)
	write(t, filepath.Join(dir, "config"), strings.NewReplacer("DIRECTORY", dir, "PORT", port).Replace(`
Port PORT
ListenAddress 127.0.0.1
HostKey DIRECTORY/host
AuthorizedKeysFile DIRECTORY/authorized
PidFile none
StrictModes no
PermitRootLogin yes
UsePAM no
`))
	if err := os.MkdirAll("/run/sshd", 0o755); err != nil {
		t.Fatal(err)
	}
	d.Start("sshd.log", "/usr/sbin/sshd", "-D", "-e", "-f", filepath.Join(dir, "config"))
	d.Eventually("sshd answers", func() bool { return d.Try("ssh-keyscan", "-p", port, "localhost").Stdout != "" })
	return port
}

// signWithOpenSSL signs by the URI that cardctl prints.
func signWithOpenSSL(t *testing.T, d *stack.Desk, c card) stack.Result {
	t.Helper()
	uri := printedURI(d, c)
	d.Setenv("OPENSSL_CONF", d.Path("config/cardctl/openssl.cnf"))
	defer d.Setenv("OPENSSL_CONF", "")
	d.Setenv("OPENSSL_PIN", c.pin)
	return d.Try("openssl", "dgst", "-engine", "pkcs11", "-keyform", "engine", "-sha256", "-passin", "env:OPENSSL_PIN", "-sign", uri, "-out", d.Path("signature"), d.Path("ca.pem"))
}

// printedURI is that of the key of a card, as cardctl prints it.
func printedURI(d *stack.Desk, c card) string {
	printed := d.Run("cardctl", "setup", "openssl", "--key", c.key, "--print", "--allow-tls12")
	return regexp.MustCompile(`pkcs11:[^']*`).FindString(printed)
}

// TestThePINGoesToNoOtherCard has a second card in a reader, to which ssh would log in too.
func TestThePINGoesToNoOtherCard(t *testing.T) {
	d := openPGP.desk(t)
	setup := []string{"setup", "ssh", "--key", openPGP.key, "--reader", d.Info().Reader}
	d.Run("cardctl", setup...)
	d.Run("cardctl", append(setup, "--check")...)
	d.Card("other", 1)
	if r := d.Try("cardctl", append(setup, "--check")...); r.Exit != 3 || !strings.Contains(r.Stderr, "Remove the other card") {
		t.Errorf("with another card: %+v", r)
	}
}

// signJar signs with the settings that cardctl wrote.
func signJar(t *testing.T, d *stack.Desk, c card) stack.Result {
	t.Helper()
	d.Run("sh", "-c", "rm -f signed.jar && jar cf signed.jar ca.pem")
	alias := ""
	for _, k := range d.Info().Keys {
		if k.CertificateLabel != nil { // the card has one certificate
			alias = *k.CertificateLabel
		}
	}
	d.Setenv("STORE_PIN", c.pin)
	if r := d.Try("jarsigner", "-addprovider", "SunPKCS11", "-providerArg", d.Path("config/cardctl/java-pkcs11.cfg"), "-keystore", "NONE", "-storetype", "PKCS11",
		"-storepass:env", "STORE_PIN", "signed.jar", alias); r.Exit != 0 {
		return r
	}
	return d.Try("sh", "-c", "jarsigner -verify signed.jar | grep 'jar verified'")
}
