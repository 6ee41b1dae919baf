//go:build stack

package programs

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/cardctl/cardctl/test/stack"
)

// TestSetupInOddPlaces has programs read the configurations of a home directory, and of
// another configuration, whose names have what their formats use for themselves.
func TestSetupInOddPlaces(t *testing.T) {
	d := openPGP.desk(t)
	home := d.Path(`o dd'"#%=;\$\`)
	if err := os.Mkdir(home, 0o700); err != nil {
		t.Fatal(err)
	}
	d.Setenv("HOME", home)
	d.Setenv("XDG_CONFIG_HOME", home+"/.config")
	other := filepath.Join(home, "other.cnf")
	write(t, other, "openssl_conf = own\n[own]\n")
	d.Setenv("OPENSSL_CONF", other)
	for _, target := range [][]string{{"ssh", "--url", "!none,one"}, {"ssh", "--agent"}, {"git"}, {"openssl"}} {
		setup := append([]string{"setup"}, target...)
		d.Run("cardctl", append(setup, "--key", openPGP.key)...)
		d.Run("cardctl", append(setup, "--key", openPGP.key, "--check")...)
		d.Run("cardctl", "setup", target[0], "--undo")
	}
	left := tree(t, home)
	delete(left, home)
	delete(left, other)
	for path := range left {
		if !strings.Contains(path, ".cache") {
			t.Errorf("left: %s", path)
		}
	}
}

// TestSetupOfWhatDoesNotParse writes into no configuration that the program itself cannot
// read.
func TestSetupOfWhatDoesNotParse(t *testing.T) {
	d := openPGP.desk(t)
	for path, target := range map[string]string{".ssh/config": "ssh", ".gitconfig": "git"} {
		broken := d.Write(path, "[Hots one two\n", 0o600)
		if r := d.Try("cardctl", "setup", target, "--key", openPGP.key); r.Exit != 8 || !strings.Contains(r.Stderr, "cannot be parsed") || !strings.Contains(r.Stderr, "line 1") {
			t.Errorf("%s: %v", target, r)
		}
		if now := string(d.Read(path)); now != "[Hots one two\n" {
			t.Errorf("%s has %q", broken, now)
		}
		if r := d.Try("cardctl", "setup", target, "--undo"); r.Exit != 3 {
			t.Errorf("%s --undo: %v", target, r)
		}
		d.Write(path, "", 0o600)
		d.Run("cardctl", "setup", target, "--key", openPGP.key)
		d.Write(path, "# cardctl "+target+": begin\n", 0o600)
		if r := d.Try("cardctl", "setup", target, "--undo"); r.Exit != 8 || strings.Contains(r.Stderr, "--undo") {
			t.Errorf("%s --undo of half a block: %v", target, r)
		}
	}
}

// TestSetupKeepsWhatGitWrites: git writes into the last section of a name.
func TestSetupKeepsWhatGitWrites(t *testing.T) {
	d := openPGP.desk(t)
	d.Write(".gitconfig", "[user]\n\tname = Floppy\n", 0o600)
	d.Run("cardctl", "setup", "git", "--key", openPGP.key)
	d.Run("git", "config", "--global", "user.email", "f@example.com")
	d.Run("cardctl", "setup", "git", "--key", openPGP.key, "--check")
	d.Run("cardctl", "setup", "git", "--undo", "--no-input")
	if got := string(d.Read(".gitconfig")); got != "[user]\n\tname = Floppy\n\temail = f@example.com\n" {
		t.Errorf("after --undo: %q", got)
	}
}

// TestSetupForAnotherUser writes files of that user, with nothing of root's environment.
func TestSetupForAnotherUser(t *testing.T) {
	d := openPGP.desk(t)
	const name = "cardctl-test"
	home := stack.Shared(t, name)
	d.Try("userdel", name)
	d.Run("useradd", "--no-create-home", "--home-dir", home, name)
	t.Cleanup(func() { d.Try("userdel", name) })
	d.Run("chown", name, home)
	secret := d.Write("root.cnf", "", 0o600)
	d.Setenv("OPENSSL_CONF", secret)
	d.Setenv("XDG_CONFIG_HOME", d.Path("config"))
	for _, target := range []string{"ssh", "git", "openssl", "openvpn"} {
		d.Run("cardctl", "setup", target, "--user", name, "--key", openPGP.key)
	}
	d.Run("cardctl", "setup", "openvpn", "--user", name, "--key", openPGP.key, "--check")
	if got := d.Run("find", home, "!", "-user", name); got != "" {
		t.Errorf("of another user: %s", got)
	}
	if got := d.Run("cat", home+"/.config/cardctl/openssl.cnf"); strings.Contains(got, secret) {
		t.Errorf("names a file of root: %s", got)
	}
	for _, target := range []string{"ssh", "git", "openssl", "openvpn"} {
		d.Run("cardctl", "setup", target, "--user", name, "--undo")
	}
	if got := d.Run("find", home, "-type", "f"); got != "" {
		t.Errorf("left: %s", got)
	}
	if r := d.Try("cardctl", "setup", "ssh", "--user", "nobody-of-this-name", "--key", openPGP.key); r.Exit != 3 {
		t.Errorf("an unknown user: %v", r)
	}
}
