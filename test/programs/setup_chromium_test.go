//go:build stack

package programs

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// TestSetupChromium makes the database of a person, has NSS log in with it, and takes it
// back.
func TestSetupChromium(t *testing.T) {
	for _, c := range []card{openPGP, openPGPRSA, piv, isoApplet, token} {
		t.Run(c.name, func(t *testing.T) {
			d := c.desk(t)
			if refused := d.Refused(append(c.setup("chromium"), "--check")...); refused.Exit != 3 {
				t.Errorf("--check before: %+v", refused)
			}
			setup(d, c, "chromium", "--ca", d.Path("ca.pem"))
			sees(t, setup(d, c, "chromium", "--ca", d.Path("ca.pem"), "--check"), c)
			if c.name == openPGP.name {
				d.Setenv("CARDCTL_PIN", "111111")
				if wrong := d.Refused(append(c.setup("chromium"), "--check")...); wrong.Exit != 4 || triesLeft(t, d) != 2 {
					t.Errorf("--check with a wrong PIN: %+v", wrong)
				}
			}
			d.Run("cardctl", "setup", "chromium", "--undo")
			if _, err := os.Stat(d.Path(".pki")); !os.IsNotExist(err) {
				t.Errorf("after --undo: %v", err)
			}
		})
	}
}

// TestChromiumHasADatabase keeps what others have in it.
func TestChromiumHasADatabase(t *testing.T) {
	d := openPGP.desk(t)
	database := "sql:" + d.Path(".pki/nssdb")
	d.Write("config/chromium/.keep", "", 0o600)
	d.Write(".pki/nssdb/.keep", "", 0o600)
	d.Run("certutil", "-N", "-d", database, "--empty-password")
	d.Run("certutil", "-A", "-d", database, "-n", "theirs", "-t", "C,,", "-i", d.Path("ca.pem"))
	shown := func() string {
		return d.Run("certutil", "-L", "-d", database) + d.Run("modutil", "-dbdir", database, "-rawlist")
	}
	before, lock := shown(), d.Path("config/chromium/SingletonLock")
	if err := os.Symlink("host-1", lock); err != nil {
		t.Fatal(err)
	}
	if refused := d.Refused(openPGP.setup("chromium")...); refused.Exit != 9 || !strings.Contains(refused.Message, "Chromium is running") {
		t.Errorf("while it runs: %+v", refused)
	}
	if err := os.Remove(lock); err != nil {
		t.Fatal(err)
	}
	setup(d, openPGP, "chromium", "--ca", d.Path("ca.pem"))
	if now := shown(); !strings.Contains(now, `name="cardctl"`) || strings.Contains(now, "cardctl ") {
		t.Errorf("the module, and no second name for the CA: %s", now)
	}
	d.Run("cardctl", "setup", "chromium", "--undo")
	if after := shown(); after != before {
		t.Errorf("after --undo: %s\nbefore: %s", after, before)
	}
}

// TestChromiumForAll writes policies and options, without which the users' databases are
// of no use for a key that needs TLS 1.2.
func TestChromiumForAll(t *testing.T) {
	d := openPGPRSA.desk(t)
	e := copyOfEtc(t, d)
	if refused := d.Refused(append(openPGPRSA.setup("chromium"), "--url", "https://localhost")...); refused.Exit != 2 {
		t.Errorf("sites of one user: %+v", refused)
	}
	cardctl := append([]string{"cardctl"}, append(openPGPRSA.setup("chromium"), "--system")...)
	d.Write("etc/chromium/policies/managed/theirs.json", `{"CACertificates":[]}`, 0o644)
	written := e.run(append(cardctl, "--ca", d.Path("ca.pem"), "--url", "https://localhost")...)
	if !strings.Contains(strings.Join(strings.Fields(written), " "), "has the policy CACertificates, too") {
		t.Errorf("written: %s", written)
	}
	policies := string(d.Read("etc/chromium/policies/managed/cardctl.json"))
	if !strings.Contains(policies, `{\"pattern\":\"https://localhost\",\"filter\":{\"ISSUER\":{\"CN\":\"Snake Oil CA\"}}}`) {
		t.Errorf("policies: %s", policies)
	}
	if options := string(d.Read("etc/chromium.d/cardctl")); !strings.Contains(options, " --ssl-version-max=tls1.2\"") {
		t.Errorf("options: %s", options)
	}
	if missing := e.try(append(cardctl, "--ca", d.Path("ca.pem"), "--url", "https://localhost", "--check")...); missing.Exit != 3 || !strings.Contains(missing.Stderr, "cardctl setup chromium") {
		t.Errorf("without the module of the user: %v", missing)
	}
	e.run("cardctl", "setup", "chromium", "--system", "--undo")
	for _, pattern := range []string{"etc/chromium/policies/managed/cardctl*", "etc/chromium.d/cardctl*"} {
		if left, err := filepath.Glob(d.Path(pattern)); err != nil || len(left) > 0 {
			t.Errorf("left: %v, %v", left, err)
		}
	}
	issue(t, d, "OPENPGP.1", "p256")
	if nothing := d.Refused("setup", "chromium", "--system", "--key", "OPENPGP.1"); nothing.Exit != 2 {
		t.Errorf("nothing to write: %+v", nothing)
	}
}

// TestChromiumBefore shows that the policies alone let nobody in.
func TestChromiumBefore(t *testing.T) {
	d := openPGP.desk(t)
	c := newChromium(t, d)
	cardctl := append([]string{"cardctl"}, openPGP.setup("chromium")...)
	c.etc.run(append(cardctl, "--system", "--ca", d.Path("ca.pem"), "--url", "https://localhost")...)
	c.start(nginx(t, d))
	c.eventually("400 No required SSL certificate was sent" + pageEnd)
}
