//go:build stack

package programs

import (
	"crypto/tls"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/cardctl/cardctl/test/stack"
)

// served is a server that is set up in a copy of its configuration, which only the
// programs of the test see in its place.
type served struct {
	t         *testing.T
	d         *stack.Desk
	etc, copy string
	// more are further directories, each with the one that is in its place.
	more [][2]string
}

func newServed(t *testing.T, d *stack.Desk, etc string) *served {
	t.Helper()
	s := &served{t: t, d: d, etc: etc, copy: filepath.Join(t.TempDir(), "etc")}
	d.Run("cp", "-a", etc, s.copy)
	return s
}

// try runs a program that sees the copy.
func (s *served) try(name string, args ...string) stack.Result {
	return s.d.Try("unshare", s.command(name, args...)...)
}

func (s *served) command(name string, args ...string) []string {
	words := []string{"--mount", "sh", "-ec", `while [ "$1" != -- ]; do mount --bind "$2" "$1"; shift 2; done; shift; exec "$@"`, "sh", s.etc, s.copy}
	for _, m := range s.more {
		words = append(words, m[0], m[1])
	}
	return slices.Concat(words, []string{"--", name}, args)
}

// TestSetupServers has servers of Debian's configuration use a key on a card.
func TestSetupServers(t *testing.T) {
	for _, c := range []card{openPGP, piv, token} {
		t.Run("nginx/"+c.name, func(t *testing.T) {
			testServer(t, c, "nginx", "nginx", "sites-enabled/default", `
server {
	listen 127.0.0.1:PORT ssl;
	include snippets/cardctl.conf;
}
`, "nginx", "-g", "daemon off;")
		})
		t.Run("apache/"+c.name, func(t *testing.T) {
			testServer(t, c, "apache", "apache2", "sites-enabled/000-default.conf", `
Listen 127.0.0.1:PORT
<VirtualHost 127.0.0.1:PORT>
	Include cardctl-host.conf
</VirtualHost>
`, "sh", "-c", ". /etc/apache2/envvars; mkdir -p /run/apache2 /var/log/apache2; cd /etc/apache2/mods-enabled; ln -sf ../mods-available/ssl.* ../mods-available/socache_shmcb.load .; exec apache2 -D FOREGROUND")
		})
		t.Run("stunnel/"+c.name, func(t *testing.T) {
			testServer(t, c, "stunnel", "stunnel", "web.conf", `
foreground = yes
pid =
include = /etc/stunnel/cardctl.d/global
[web]
accept = 127.0.0.1:PORT
connect = 127.0.0.1:9
include = /etc/stunnel/cardctl.d/service
`, "stunnel", "/etc/stunnel/web.conf")
		})
	}
}

func testServer(t *testing.T, c card, target, etc, site, configuration string, start ...string) {
	d := c.desk(t)
	if c.name == token.name && target != "stunnel" { // the workers read the token
		d.Run("chown", "-R", "www-data", d.Path("hsm"))
		d.Run("chmod", "755", d.Path(""))
	}
	s := newServed(t, d, "/etc")
	etc = filepath.Join(s.copy, etc)
	site = filepath.Join(etc, site)
	_ = os.Remove(site)
	if err := os.WriteFile(filepath.Join(etc, "ports.conf"), nil, 0o600); err != nil { // of Apache, whose port may be taken
		t.Fatal(err)
	}
	before := tree(t, s.copy)
	setup := []string{"setup", target}
	keyed := append(slices.Clone(setup), "--key", c.key)
	if r := s.try("cardctl", append(keyed, "--check")...); r.Exit != 3 {
		t.Errorf("--check before: %v", r)
	}
	if r := s.try("cardctl", append(keyed, "--no-input")...); r.Exit != 9 || !strings.Contains(r.Stderr, "Write the PIN") {
		t.Errorf("unasked: %v", r)
	}
	same(t, "not confirmed", before, tree(t, s.copy))
	if r := s.try("cardctl", append(keyed, "--yes")...); r.Exit != 0 {
		t.Fatalf("setup: %v", r)
	}
	pin, err := os.Stat(filepath.Join(etc, "cardctl.pin"))
	if err != nil || pin.Mode() != 0o600 {
		t.Errorf("the file of the PIN: %v, %v", pin, err)
	}
	if record := d.Run("sh", "-c", "cat state/cardctl/setup/*"); strings.Contains(record, c.pin) {
		t.Error("the record has the PIN")
	}
	if r := s.try("cardctl", append(keyed, "--check")...); r.Exit != 0 {
		t.Errorf("--check: %v", r)
	}
	testWrongPINFile(t, s, c, filepath.Join(etc, "cardctl.pin"), append(keyed, "--check"))
	port := stack.FreePort(t)
	write(t, site, strings.ReplaceAll(configuration, "PORT", port))
	if unit := units[target]; unit != "" { // as its service starts it
		start = slices.Concat([]string{"env", "-i", "PATH=" + os.Getenv("PATH")}, s.environment(t, unit), start)
	}
	stop := d.Start(target+".log", "unshare", s.command(start[0], start[1:]...)...)
	shown := ""
	d.Eventually(target+" answers with the card's certificate", func() bool {
		shown = subjectOf("127.0.0.1:" + port)
		return shown != ""
	})
	if shown != subject {
		t.Errorf("%s shows %q", target, shown)
	}
	stack.Uses(t, serverNames[target], c.name, "")
	stop()
	_ = os.Remove(site)
	if r := s.try("cardctl", append(setup, "--undo")...); r.Exit != 0 {
		t.Errorf("--undo: %v", r)
	}
	after := tree(t, s.copy)
	for path := range after {
		if strings.Contains(path, "mods-enabled") {
			delete(after, path)
			delete(before, path)
		}
	}
	same(t, "--undo", before, after)
}

// testWrongPINFile checks a server whose file has a wrong PIN: one try is used up, and the
// server does not get it.
func testWrongPINFile(t *testing.T, s *served, c card, path string, check []string) {
	t.Helper()
	write(t, path, "918273")
	if r := s.try("cardctl", check...); r.Exit != 4 || !strings.Contains(r.Stderr, "cardctl.pin") {
		t.Errorf("--check with a wrong PIN in the file: %v", r)
	}
	write(t, path, c.pin)
	if r := s.try("cardctl", check...); r.Exit != 0 {
		t.Errorf("--check with the right PIN again: %v", r)
	}
}

// subjectOf is the subject of the certificate that a server proves to have the key of.
func subjectOf(address string) string {
	conn, err := tls.Dial("tcp", address, &tls.Config{InsecureSkipVerify: true}) // it is compared
	if err != nil {
		return ""
	}
	defer conn.Close()
	return conn.ConnectionState().PeerCertificates[0].Subject.String()
}

// units are those of systemd that servers get their environment from, in Debian.
var units = map[string]string{"nginx": "nginx.service", "apache": "apache2.service"}

// serverNames are the names of the servers in the table, by their targets.
var serverNames = map[string]string{
	"nginx": "nginx, the key of the server", "apache": "Apache, the key of the server", "stunnel": "stunnel, the key of the server",
}

// TestSetupServersRefuse: a key that OpenSSL does not use, another user than root, and a
// server whose workers cannot read the token.
func TestSetupServersRefuse(t *testing.T) {
	d := openPGPRSA.desk(t)
	for target, name := range serverNames {
		if r := newServed(t, d, "/etc").try("cardctl", "setup", target, "--key", openPGPRSA.key); r.Exit != 7 || !strings.Contains(r.Stderr, "p256") {
			t.Errorf("%s, RSA: %v", target, r)
		}
		stack.Uses(t, name, openPGPRSA.name, "no")
	}
	d.Run("sh", "-c", "cp $(command -v cardctl) program && chmod -R a+rwX .")
	nobody := []string{"-u", "nobody", "--", d.Path("program"), "setup"}
	if r := d.Try("runuser", append(nobody, "nginx", "--key", openPGPRSA.key)...); r.Exit != 9 {
		t.Errorf("as nobody: %v", r)
	}
	if r := d.Try("runuser", append(nobody, "openssl", "--user", "root")...); r.Exit != 9 {
		t.Errorf("for root, as nobody: %v", r)
	}

	d = token.desk(t)
	s := newServed(t, d, "/etc")
	setup := []string{"setup", "nginx", "--key", token.key, "--yes"}
	if r := s.try("cardctl", setup...); r.Exit != 0 {
		t.Errorf("setup: %v", r)
	}
	if r := s.try("cardctl", append(setup, "--check")...); r.Exit != 1 || !strings.Contains(r.Stderr, "nginx does not use the key") {
		t.Errorf("a token that the workers cannot read: %v", r)
	}
}
