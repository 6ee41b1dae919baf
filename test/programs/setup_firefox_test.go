//go:build stack

package programs

import (
	"encoding/json"
	"fmt"
	"path/filepath"
	"strings"
	"testing"

	"github.com/cardctl/cardctl/test/stack"
)

// setup runs cardctl setup for a card, and returns what it printed.
func setup(d *stack.Desk, c card, target string, args ...string) string {
	return d.Run("cardctl", append(c.setup(target), args...)...)
}

func (c card) setup(target string) []string {
	args := []string{"setup", target, "--key", c.key}
	if c.tls12 {
		args = append(args, "--allow-tls12")
	}
	return args
}

// person is a home with one profile of Firefox, in which a CA and a module are already.
func person(d *stack.Desk) { personOf(d, "config/mozilla/firefox") }

// personOf is a person of another program, whose profiles are there.
func personOf(d *stack.Desk, profiles string) {
	d.Write(profiles+"/profiles.ini", "[Profile0]\nName=me\nIsRelative=0\nPath="+d.Path(profile)+"\n", 0o600)
	d.Write(profile+"/user.js", userPreferences, 0o600)
	d.Write(profile+"/prefs.js", "// Mozilla\nuser_pref(\"browser.startup.page\", 0);\n", 0o600)
	d.Run("certutil", "-N", "-d", nssOf(d), "--empty-password")
	d.Run("openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-keyout", "other.key", "-out", "other.pem",
		"-subj", "/CN=Other CA")
	d.Run("certutil", "-A", "-d", nssOf(d), "-n", "Other CA", "-t", "C,,", "-i", d.Path("other.pem"))
	d.Run("modutil", "-dbdir", nssOf(d), "-force", "-add", "theirs", "-libfile", "libnssckbi.so")
}

// userPreferences are of a person who has no wish to be asked which certificate to use.
const userPreferences = "user_pref(\"security.default_personal_cert\", \"Select Automatically\");\n"

func nssOf(d *stack.Desk) string { return "sql:" + d.Path(profile) }

// listed is what the tools of NSS show of the profile.
func listed(d *stack.Desk) string {
	return d.Run("certutil", "-L", "-d", nssOf(d)) + d.Run("modutil", "-dbdir", nssOf(d), "-rawlist")
}

func TestSetupFirefox(t *testing.T) {
	for _, c := range []card{openPGP, openPGPRSA, piv, isoApplet, token} {
		t.Run(c.name, func(t *testing.T) {
			d := c.desk(t)
			person(d)
			url := nginx(t, d)
			before, preferences := listed(d), string(d.Read(profile+"/prefs.js"))
			d.Refused(append(c.setup("firefox"), "--check")...)

			setup(d, c, "firefox", "--ca", d.Path("ca.pem"))
			sees(t, setup(d, c, "firefox", "--ca", d.Path("ca.pem"), "--check"), c)
			d.Run("cardctl", "setup", "firefox", "--undo")
			if after := listed(d); after != before {
				t.Errorf("after --undo:\n%s\nbefore:\n%s", after, before)
			}
			if after := string(d.Read(profile + "/prefs.js")); after != preferences {
				t.Errorf("after --undo: %q", after)
			}

			if c.name != openPGP.name {
				return
			}
			f := startFirefox(t, d, c.pin)
			_ = f.session.Navigate(t.Context(), url) // the CA of the server is not trusted any more
			if shown := f.shown(); strings.Contains(shown, welcome) {
				t.Errorf("Firefox logs in without the card: %s", shown)
			}
		})
	}
}

// sees reads what a check reports: who logged in, and the version of TLS.
func sees(t *testing.T, report string, c card) {
	t.Helper()
	version := "TLS 1.3"
	if c.tls12 {
		version = "TLS 1.2"
	}
	if seen := strings.Join(strings.Fields(report), " "); !strings.Contains(seen, subject) || !strings.Contains(seen, version) {
		t.Errorf("the check saw:\n%s", report)
	}
}

// TestFirefoxIsOpen changes no profile that Firefox has open.
func TestFirefoxIsOpen(t *testing.T) {
	d := openPGP.desk(t)
	person(d)
	before := listed(d)
	f := startFirefox(t, d, openPGP.pin)
	refused := d.Refused(openPGP.setup("firefox")...)
	if refused.Exit != 9 || !strings.Contains(refused.Message, "Firefox is running") {
		t.Errorf("refused: %+v", refused)
	}
	f.quit()
	if after := listed(d); after != before {
		t.Errorf("changed:\n%s", after)
	}
	setup(d, openPGP, "firefox")
	f = startFirefox(t, d, openPGP.pin)
	if refused := d.Refused("setup", "firefox", "--undo"); refused.Exit != 9 {
		t.Errorf("refused: %+v", refused)
	}
	f.quit()
	d.Run("cardctl", "setup", "firefox", "--undo")
}

// TestCheckWithAWrongPIN costs one try.
func TestCheckWithAWrongPIN(t *testing.T) {
	d := openPGP.desk(t)
	person(d)
	setup(d, openPGP, "firefox")
	d.Setenv("CARDCTL_PIN", "111111")
	if wrong := d.Refused(append(openPGP.setup("firefox"), "--check")...); wrong.Exit != 4 || wrong.TriesLeft == nil || *wrong.TriesLeft != 2 {
		t.Errorf("%+v", wrong)
	}
	if left := triesLeft(t, d); left != 2 {
		t.Errorf("%d tries left", left)
	}
}

// TestKeysForNoBrowser are refused before anything is written.
func TestKeysForNoBrowser(t *testing.T) {
	d := stack.NewDesk(t)
	initialOpenPGP(t, d)
	person(d)
	before := listed(d)
	d.Run("cardctl", "gen-key", "--key", "OPENPGP.3", "--algorithm", "p256")
	if refused := d.Refused("setup", "firefox", "--key", "OPENPGP.3"); refused.Exit != 3 || !strings.Contains(refused.Message, "no certificate") {
		t.Errorf("a key without a certificate: %+v", refused)
	}
	issue(t, d, "OPENPGP.1", "ed25519")
	if refused := d.Refused("setup", "firefox", "--key", "OPENPGP.1", "--allow-tls12"); refused.Exit != 7 {
		t.Errorf("an Ed25519 key: %+v", refused)
	}
	if after := listed(d); after != before {
		t.Errorf("written: %s", after)
	}
}

// etc is a copy of /etc, in the place of which commands see it.
type etc struct {
	d   *stack.Desk
	dir string
}

func copyOfEtc(t *testing.T, d *stack.Desk) etc {
	t.Helper()
	dir := d.Path("etc")
	d.Run("cp", "-a", "/etc", dir)
	return etc{d, dir}
}

func (e etc) command(args ...string) []string {
	return append([]string{"--mount", "--propagation", "private", "sh", "-c", `mount --bind "$1" /etc && shift && exec "$@"`, "sh", e.dir}, args...)
}

func (e etc) run(args ...string) string { return e.d.Run("unshare", e.command(args...)...) }

func (e etc) try(args ...string) stack.Result { return e.d.Try("unshare", e.command(args...)...) }

// TestSetupFirefoxForAll writes policies beside those of others.
func TestSetupFirefoxForAll(t *testing.T) {
	for _, c := range []card{openPGP, openPGPRSA} {
		t.Run(c.name, func(t *testing.T) {
			d := c.desk(t)
			e := copyOfEtc(t, d)
			const theirs = `{"policies":{"DisableTelemetry":true,"Certificates":{"ImportEnterpriseRoots":false}}}`
			d.Write("etc/firefox/policies/policies.json", theirs, 0o644)
			cardctl := append([]string{"cardctl"}, append(c.setup("firefox"), "--system", "--ca", d.Path("ca.pem"))...)
			e.run(cardctl...)
			var written struct {
				Policies struct {
					DisableTelemetry bool
					Certificates     struct{ Install []string }
				}
			}
			if err := json.Unmarshal(d.Read("etc/firefox/policies/policies.json"), &written); err != nil || !written.Policies.DisableTelemetry || len(written.Policies.Certificates.Install) != 1 {
				t.Errorf("written: %+v, %v", written, err)
			}
			sees(t, e.run(append(cardctl, "--check")...), c)
			e.run("cardctl", "setup", "firefox", "--system", "--undo")
			if after := string(d.Read("etc/firefox/policies/policies.json")); after != theirs {
				t.Errorf("after --undo: %s", after)
			}
			if left, _ := filepath.Glob(d.Path("etc/firefox/policies/*.pem")); len(left) > 0 {
				t.Errorf("left: %v", left)
			}
		})
	}
}

// TestPoliciesOfOthers are shown, and replaced if that is confirmed.
func TestPoliciesOfOthers(t *testing.T) {
	d := openPGP.desk(t)
	e := copyOfEtc(t, d)
	const theirs = `{"policies":{"SecurityDevices":{"cardctl":"/usr/lib/other.so"}}}`
	d.Write("etc/firefox/policies/policies.json", theirs, 0o644)
	cardctl := append([]string{"cardctl"}, append(openPGP.setup("firefox"), "--system")...)
	result := e.try(append(cardctl, "--no-input")...)
	if result.Exit != 9 || !strings.Contains(result.Stdout, "+ policies.SecurityDevices.cardctl: \"/usr/lib/other.so\"") {
		t.Error(result)
	}
	if now := string(d.Read("etc/firefox/policies/policies.json")); now != theirs {
		t.Errorf("written: %s", now)
	}
	e.run(append(cardctl, "--yes")...)
	d.Write("etc/firefox/policies/policies.json", fmt.Sprintf(`{"policies":{"SecurityDevices":{"cardctl":%q}}}`, "/usr/lib/changed.so"), 0o644)
	if result := e.try("cardctl", "setup", "firefox", "--system", "--undo", "--no-input"); result.Exit != 9 || !strings.Contains(result.Stdout, "changed.so") {
		t.Error(result)
	}
	e.run("cardctl", "setup", "firefox", "--system", "--undo", "--yes")
	d.Write("etc/firefox/policies/policies.json", "{", 0o644)
	if result := e.try(cardctl...); result.Exit != 8 {
		t.Error(result)
	}
}
