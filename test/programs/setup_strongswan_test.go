//go:build stack

package programs

import (
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/cardctl/cardctl/test/stack"
)

// TestSetupStrongSwan has Debian's charon, with its own settings and a connection as a
// person writes it, connect to a gateway that trusts the CA of the certificate.
func TestSetupStrongSwan(t *testing.T) {
	for _, c := range []card{openPGP, openPGPRSA, piv, isoApplet, token} {
		t.Run(c.name, func(t *testing.T) { testStrongSwan(t, c) })
	}
}

func testStrongSwan(t *testing.T, c card) {
	d := c.desk(t)
	s := newServed(t, d, "/etc")
	swanctl := filepath.Join(s.copy, "swanctl")
	g := newGateway(t, d)
	write(t, filepath.Join(swanctl, "x509ca/gateway.pem"), string(d.Read("ca.pem")))
	write(t, filepath.Join(swanctl, "conf.d/vpn.conf"), g.connection)
	before := tree(t, s.copy)
	setup := []string{"setup", "strongswan"}
	keyed := append(slices.Clone(setup), "--key", c.key)
	if connects(t, s) {
		t.Fatal("it connects before it is set up")
	}
	if r := s.try("cardctl", append(keyed, "--check")...); r.Exit != 3 {
		t.Errorf("--check before: %v", r)
	}
	if r := s.try("cardctl", append(keyed, "--no-input")...); r.Exit != 9 || !strings.Contains(r.Stderr, "Write the PIN") {
		t.Errorf("unasked: %v", r)
	}
	s.must(t, append(keyed, "--print")...)
	same(t, "not confirmed", before, tree(t, s.copy))
	s.must(t, append(keyed, "--yes", "--ca", d.Path("ca.pem"))...)
	pin := filepath.Join(swanctl, "cardctl.pin")
	if info, err := os.Stat(pin); err != nil || info.Mode() != 0o600 {
		t.Errorf("the file of the PIN: %v, %v", info, err)
	}
	for path, content := range tree(t, s.copy) {
		if path != pin && strings.Contains(content, c.pin) && before[path] == "" {
			t.Errorf("%s has the PIN", path)
		}
	}
	if record := d.Run("sh", "-c", "cat state/cardctl/setup/*"); strings.Contains(record, c.pin) {
		t.Error("the record has the PIN")
	}
	if !connects(t, s) {
		t.Error("it does not connect")
	}
	check := append(keyed, "--check", "--ca", d.Path("ca.pem"))
	s.must(t, check...)
	write(t, pin, "pin = \"918273\"\n")
	if r := s.try("cardctl", check...); r.Exit != 4 || !strings.Contains(r.Stderr, "cardctl.pin") {
		t.Errorf("--check with a wrong PIN in the file: %v", r)
	}
	if c.name == openPGP.name && triesLeft(t, d) != 2 {
		t.Errorf("after a wrong PIN %d of 3 tries are left", triesLeft(t, d))
	}
	write(t, pin, "pin = \""+c.pin+"\"\n")
	s.must(t, check...)
	s.must(t, append(setup, "--undo")...)
	same(t, "--undo", before, tree(t, s.copy))
	if connects(t, s) {
		t.Error("it connects after it was taken back")
	}
	stack.Uses(t, "strongSwan", c.name, "")
}

// must runs cardctl where the copy is seen.
func (s *served) must(t *testing.T, args ...string) {
	t.Helper()
	if r := s.try("cardctl", args...); r.Exit != 0 {
		t.Fatalf("cardctl %q: %v", args, r)
	}
}

// connects starts charon, and connects to the gateway.
func connects(t *testing.T, s *served) bool {
	t.Helper()
	defer s.charon()()
	loaded := s.try("swanctl", "--load-all", "--noprompt")
	r := s.initiate()
	t.Logf("%v\n%v", loaded, r)
	return r.Exit == 0
}

// charon starts charon as Debian's service does.
func (s *served) charon() (stop func()) {
	const socket = "/run/charon.vici"
	_ = os.Remove(socket)
	stop = startCharon(s.d, "charon.log", append([]string{"unshare"}, s.command("charon-systemd")...)...)
	s.d.Eventually("charon listens", func() bool { _, err := os.Stat(socket); return err == nil })
	return stop
}

func (s *served) initiate() stack.Result {
	return s.try("swanctl", "--initiate", "--ike", "vpn", "--timeout", "10")
}

// startCharon starts charon, which ends at SIGTERM only.
func startCharon(d *stack.Desk, log string, command ...string) (stop func()) {
	return d.Start(log, "sh", append([]string{"-c", `"$@" & trap 'kill $!' INT; wait; wait`, "sh"}, command...)...)
}

// gateway is another charon, with a key in a file.
type gateway struct {
	connection string // to it, as a person writes it
}

func newGateway(t *testing.T, d *stack.Desk) gateway {
	t.Helper()
	dir, port := t.TempDir(), stack.FreePort(t)
	certificate, _ := d.Authority().Server()
	replaced := strings.NewReplacer("DIRECTORY", dir, "PORT", port, "SERVER", certificate, "CA", d.Path("ca.pem"))
	for _, name := range []string{"private", "x509ca"} {
		if err := os.Mkdir(filepath.Join(dir, name), 0o700); err != nil {
			t.Fatal(err)
		}
	}
	write(t, filepath.Join(dir, "strongswan.conf"), replaced.Replace(`
charon-systemd {
	load = random nonce openssl pem pkcs1 pkcs8 x509 pubkey constraints kdf vici kernel-netlink socket-default
	port = 0
	port_nat_t = PORT
	filelog {
		stderr {
			default = 1
		}
	}
	plugins {
		vici {
			socket = unix://DIRECTORY/vici
		}
	}
}
`))
	write(t, filepath.Join(dir, "swanctl.conf"), replaced.Replace(`
connections {
	road {
		local {
			auth = pubkey
			certs = SERVER
		}
		remote {
			auth = pubkey
			cacerts = CA
		}
	}
}
`))
	write(t, filepath.Join(dir, "private/key.pem"), string(d.Read("server.key")))
	write(t, filepath.Join(dir, "x509ca/ca.pem"), string(d.Read("ca.pem")))
	settings := "STRONGSWAN_CONF=" + filepath.Join(dir, "strongswan.conf")
	startCharon(d, "gateway.log", "env", settings, "charon-systemd")
	d.Eventually("the gateway listens", func() bool { _, err := os.Stat(filepath.Join(dir, "vici")); return err == nil })
	d.Run("env", settings, "swanctl", "--load-all", "--noprompt", "--uri", "unix://"+filepath.Join(dir, "vici"), "--file", filepath.Join(dir, "swanctl.conf"))
	return gateway{replaced.Replace(`
connections {
	vpn {
		remote_addrs = 127.0.0.1
		remote_port = PORT
		local_port = 4500
		local {
			auth = pubkey
			certs = cardctl.pem
		}
		remote {
			auth = pubkey
		}
	}
}
`)}
}

// VERIFY without data only asks for the tries.
var (
	looked  = regexp.MustCompile(`(?m)^> 00CA`)
	sentPIN = regexp.MustCompile(`(?m)^> 0020....[^\n]`)
)

// TestStrongSwanGivesThePINToNoOtherCard exchanges the card for another OpenPGP card, whose
// key has the same ID, while charon runs and before it loads its keys.
func TestStrongSwanGivesThePINToNoOtherCard(t *testing.T) {
	d := stack.NewDesk(t)
	own := d.Card("own", 0)
	own.Initialise()
	issue(t, d, openPGP.key, openPGP.algorithm)
	s := newServed(t, d, "/etc")
	s.must(t, "setup", "strongswan", "--key", openPGP.key, "--ca", d.Path("ca.pem"), "--yes")
	write(t, filepath.Join(s.copy, "swanctl/conf.d/vpn.conf"), newGateway(t, d).connection)
	own.Pull()
	other := d.Card("other", 0)
	d.Setenv("CARDCTL_PIN", "135792")
	other.Initialise()
	issue(t, d, openPGP.key, openPGP.algorithm)
	other.Pull()
	own.Insert()

	s.charon()
	s.try("swanctl", "--load-all", "--noprompt")
	if r := s.initiate(); r.Exit != 0 {
		t.Fatal(r)
	}
	s.try("swanctl", "--terminate", "--ike", "vpn")
	own.Pull()
	if err := os.Remove(other.Trace()); err != nil {
		t.Fatal(err)
	}
	other.Insert()
	if r := s.initiate(); r.Exit == 0 {
		t.Error("it connects with another card")
	}
	s.try("swanctl", "--load-creds", "--noprompt")
	if r := s.initiate(); r.Exit == 0 {
		t.Error("it connects with another card, whose key was looked for")
	}
	if triesLeft(t, d) != 3 {
		t.Errorf("%d of 3 tries are left", triesLeft(t, d))
	}
	if trace := d.Read("other.trace"); !looked.Match(trace) || sentPIN.Match(trace) {
		t.Errorf("the other card got\n%s", trace)
	}
	other.Pull()
	own.Insert()
	s.try("swanctl", "--load-creds", "--noprompt")
	if r := s.initiate(); r.Exit != 0 {
		t.Errorf("with the card again: %v", r)
	}
}
