//go:build stack

package programs

import (
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/cardctl/cardctl/test/stack"
)

// agent has an agent hold the cards, which knows the PIN.
func agent(t *testing.T, d *stack.Desk) {
	t.Helper()
	d.Setenv("XDG_RUNTIME_DIR", stack.Shared(t, "run-"))
	d.Run("cardctl", "agent", "--pin", "env:CARDCTL_PIN")
	t.Cleanup(func() { d.Run("cardctl", "agent", "stop") })
}

// TestSetupFirefoxByAgent has Firefox log in, and ask for no PIN.
func TestSetupFirefoxByAgent(t *testing.T) {
	for _, c := range []card{openPGP, piv} {
		t.Run(c.name, func(t *testing.T) {
			d := c.desk(t)
			agent(t, d)
			person(d)
			url := nginx(t, d)
			before := listed(d)
			set := append(c.setup("firefox"), "--agent", "--ca", d.Path("ca.pem"))
			d.Refused(append(set, "--check")...)
			d.Run("cardctl", set...)
			sees(t, d.Run("cardctl", append(set, "--check")...), c)
			f := startFirefox(t, d, "")
			f.open(url)
			f.eventuallyShows(welcome)
			if prompts := f.prompts(); len(prompts) > 0 {
				t.Errorf("Firefox asks: %q", prompts)
			}
			f.quit()
			d.Run("cardctl", "setup", "firefox", "--undo")
			if after := listed(d); after != before {
				t.Errorf("after --undo:\n%s\nbefore:\n%s", after, before)
			}
		})
	}
}

// TestSetupChromiumByAgent has NSS's own client log in, with the database of Chromium.
func TestSetupChromiumByAgent(t *testing.T) {
	for _, c := range []card{openPGP, piv} {
		t.Run(c.name, func(t *testing.T) {
			d := c.desk(t)
			agent(t, d)
			set := append(c.setup("chromium"), "--agent", "--ca", d.Path("ca.pem"))
			d.Refused(append(set, "--check")...)
			d.Run("cardctl", set...)
			sees(t, d.Run("cardctl", append(set, "--check")...), c)
			d.Run("cardctl", "setup", "chromium", "--undo")
			if _, err := os.Stat(d.Path(".pki")); !os.IsNotExist(err) {
				t.Errorf("after --undo: %v", err)
			}
		})
	}
}

// TestChromiumByAgent has Chromium log in through the agent of its user, and ask for no PIN.
func TestChromiumByAgent(t *testing.T) {
	for _, card := range []card{openPGP, piv} {
		t.Run(card.name, func(t *testing.T) {
			d := card.desk(t)
			c := newChromium(t, d)
			c.runtime = stack.Shared(t, "run-")
			giveTo(t, chromiumUser, c.runtime)
			url := nginx(t, d)
			c.etc.run(append(append([]string{"cardctl"}, card.setup("chromium")...), "--system", "--ca", d.Path("ca.pem"), "--url", "https://localhost")...)
			d.Run("unshare", c.asItsUser("cardctl", "agent", "--pin", "env:CARDCTL_PIN")...)
			t.Cleanup(func() { d.Run("unshare", c.asItsUser("cardctl", "agent", "stop")...) })
			ca := filepath.Join(c.home, "ca.pem") // which its user can read
			if err := os.WriteFile(ca, d.Read("ca.pem"), 0o644); err != nil {
				t.Fatal(err)
			}
			d.Run("unshare", c.asItsUser(slices.Concat([]string{"cardctl"}, card.setup("chromium"), []string{"--agent", "--ca", ca})...)...)
			c.start(url)
			d.Eventually("Chromium logs in, or asks", func() bool { return c.window("nginx: "+welcome+pageEnd) != "" || c.window(pinDialog) != "" })
			if c.window(pinDialog) != "" {
				t.Error("Chromium asks for a PIN")
			}
		})
	}
}

// TestSetupJavaByAgent has jarsigner sign without a PIN.
func TestSetupJavaByAgent(t *testing.T) {
	for _, c := range []card{openPGP, openPGPRSA, piv} {
		t.Run(c.name, func(t *testing.T) {
			d := c.desk(t)
			agent(t, d)
			set := []string{"setup", "java", "--key", c.key, "--agent"}
			d.Refused(append(set, "--check")...)
			if told := d.Run("cardctl", set...); !strings.Contains(told, "-protected") {
				t.Errorf("what to type: %s", told)
			}
			d.Run("cardctl", append(set, "--check")...)
			d.Run("cardctl", "setup", "java", "--undo")
		})
	}
}

// TestSetupOpenVPNByAgent has OpenVPN connect, and ask for no PIN.
func TestSetupOpenVPNByAgent(t *testing.T) {
	for _, c := range []card{openPGP, openPGPRSA, piv} {
		t.Run(c.name, func(t *testing.T) {
			d := c.desk(t)
			agent(t, d)
			set := append(c.setup("openvpn"), "--agent")
			d.Refused(append(set, "--check")...)
			d.Run("cardctl", set...)
			d.Run("cardctl", append(set, "--check")...)
			d.Run("cardctl", "setup", "openvpn", "--undo")
		})
	}
}

// TestSetupThunderbirdByAgent has NSS's own tool sign a message with a copy of the profile.
func TestSetupThunderbirdByAgent(t *testing.T) {
	m := keyOf(openPGP, "OPENPGP.1", "digitalSignature", "signs a message with the key")
	d := m.desk(t)
	agent(t, d)
	personOf(d, ".thunderbird")
	before := listed(d)
	set := append(m.setup("thunderbird"), "--agent", "--ca", d.Path("ca.pem"))
	d.Refused(append(set, "--check")...)
	d.Run("cardctl", set...)
	if seen := d.Run("cardctl", append(set, "--check")...); !strings.Contains(strings.Join(strings.Fields(seen), " "), m.seen) {
		t.Errorf("the check saw: %s", seen)
	}
	d.Run("cardctl", "setup", "thunderbird", "--undo")
	if after := listed(d); after != before {
		t.Errorf("after --undo:\n%s\nbefore:\n%s", after, before)
	}
}
