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

// TestSetupP11Kit has a machine where p11-kit loads no module: GnuTLS's p11tool does not
// see the card, and signs with it after the module was registered.
func TestSetupP11Kit(t *testing.T) {
	for _, c := range []card{openPGP, openPGPRSA, piv, isoApplet, token} {
		t.Run(c.name, func(t *testing.T) {
			d := c.desk(t)
			s := newServed(t, d, "/etc")
			s.more = [][2]string{{"/usr/share/p11-kit/modules", t.TempDir()}}
			before := tree(t, s.copy)
			setup := []string{"setup", "p11-kit", "--system", "--module", modulePath(c)}
			uri := printedURI(d, c)
			d.Setenv("GNUTLS_PIN", c.pin)
			sign := func() stack.Result { return s.try("p11tool", "--login", "--test-sign", uri) }
			if r := sign(); r.Exit == 0 {
				t.Fatalf("it works before it is set up: %v", r)
			}
			if r := s.try("cardctl", append(setup, "--check")...); r.Exit != 3 {
				t.Errorf("--check before: %v", r)
			}
			s.run("cardctl", append(setup, "--print")...)
			same(t, "--print", before, tree(t, s.copy))
			s.run("cardctl", setup...)
			if listed := s.run("p11-kit", "list-modules"); !strings.Contains(listed, "cardctl-") {
				t.Errorf("p11-kit lists %s", listed)
			}
			if r := sign(); r.Exit != 0 {
				t.Errorf("it does not work after it was set up: %v", r)
			}
			s.run("cardctl", append(setup, "--check")...)
			s.run("cardctl", "setup", "p11-kit", "--undo")
			same(t, "--undo", before, tree(t, s.copy))
			if r := sign(); r.Exit == 0 {
				t.Errorf("it still works after it was taken back: %v", r)
			}
			stack.Uses(t, "p11tool, through p11-kit", c.name, "")
		})
	}
}

// run is try of a program that has to work.
func (s *served) run(name string, args ...string) string {
	s.t.Helper()
	r := s.try(name, args...)
	if r.Exit != 0 {
		s.t.Fatal(r)
	}
	return r.Stdout
}

// TestSetupP11KitForAUser registers the module in a home directory, as one who is not root.
func TestSetupP11KitForAUser(t *testing.T) {
	d := openPGP.desk(t)
	s := newServed(t, d, "/etc")
	s.more = [][2]string{{"/usr/share/p11-kit/modules", t.TempDir()}}
	home := stack.Shared(t, "home-")
	d.Run("chown", "nobody", home)
	for _, variable := range []string{"XDG_CONFIG_HOME", "XDG_CACHE_HOME", "XDG_STATE_HOME", "XDG_RUNTIME_DIR", "CARDCTL_STATE_DIR"} {
		d.Setenv(variable, "")
	}
	d.Setenv("HOME", home)
	as := func(args ...string) string {
		return s.run("setpriv", append([]string{"--reuid", "nobody", "--regid", "nogroup", "--clear-groups", "--"}, args...)...)
	}
	seen := func() bool {
		return strings.Contains(as("p11tool", "--list-token-urls"), "OpenPGP%20card")
	}
	if seen() {
		t.Error("p11tool sees the card before")
	}
	setup := []string{"cardctl", "setup", "p11-kit", "--module", modulePath(openPGP)}
	as(setup...)
	as(append(setup, "--check")...)
	if !seen() {
		t.Error("p11tool does not see the card afterwards")
	}
	as("cardctl", "setup", "p11-kit", "--undo")
	if seen() {
		t.Error("p11tool still sees the card after --undo")
	}
	if _, err := os.Stat(filepath.Join(home, ".config")); !os.IsNotExist(err) {
		t.Errorf("after --undo: %v", err)
	}
}

// bus is a system bus of its own, for whoever knows its address.
const bus = `<!DOCTYPE busconfig PUBLIC "-//freedesktop//DTD D-Bus Bus Configuration 1.0//EN" "http://www.freedesktop.org/standards/dbus/1.0/busconfig.dtd">
<busconfig>
<type>system</type>
<auth>EXTERNAL</auth>
<listen>unix:path=ADDRESS</listen>
<policy context="default"><allow user="*"/><allow own="*"/><allow send_type="*"/><allow receive_type="*"/></policy>
</busconfig>
`

// actions are those that pcscd of Debian 13 asks for. That of Debian 12 does not ask.
const actions = `<?xml version="1.0" encoding="UTF-8"?>
<!DOCTYPE policyconfig PUBLIC "-//freedesktop//DTD PolicyKit Policy Configuration 1.0//EN" "http://www.freedesktop.org/standards/PolicyKit/1/policyconfig.dtd">
<policyconfig>
<action id="org.debian.pcsc-lite.access_pcsc"><description>-</description><message>-</message><defaults>
<allow_any>no</allow_any><allow_inactive>no</allow_inactive><allow_active>yes</allow_active></defaults></action>
<action id="org.debian.pcsc-lite.access_card"><description>-</description><message>-</message><defaults>
<allow_any>no</allow_any><allow_inactive>no</allow_inactive><allow_active>yes</allow_active></defaults></action>
</policyconfig>
`

// TestSetupPolkit has the real polkitd decide: who is not at the console may use readers
// only with the rule.
func TestSetupPolkit(t *testing.T) {
	const one, other = "nobody", "games"
	d := openPGP.desk(t)
	s := newServed(t, d, "/etc")
	const policies = "/usr/share/polkit-1/actions"
	directory := stack.Shared(t, "polkit-")
	copied := filepath.Join(directory, "actions")
	d.Run("cp", "-a", policies, copied)
	write(t, filepath.Join(copied, "org.debian.pcsc-lite.policy"), actions)
	d.Run("chmod", "644", filepath.Join(copied, "org.debian.pcsc-lite.policy"))
	s.more = [][2]string{{policies, copied}}
	d.Run("sh", "-c", `echo "cardctl-test:x:64321:$1" >>"$2"`, "sh", one, filepath.Join(s.copy, "group"))
	before := tree(t, s.copy)

	address := filepath.Join(directory, "bus")
	d.Setenv("DBUS_SYSTEM_BUS_ADDRESS", "unix:path="+address)
	d.Start("bus.log", "dbus-daemon", "--nofork", "--nopidfile", "--config-file="+d.Write("bus.conf", strings.ReplaceAll(bus, "ADDRESS", address), 0o600))
	d.Eventually("the bus is there", func() bool { _, err := os.Stat(address); return err == nil })
	polkitd := s.command("/usr/lib/polkit-1/polkitd", "--no-debug")
	d.Start("polkitd.log", "unshare", polkitd...)
	may := func(user, what string) bool {
		action := "org.debian.pcsc-lite.access_" + what
		return d.Try("runuser", "-u", user, "--", "sh", "-c", `exec pkcheck --action-id "$1" --process $$`, "sh", action).Exit == 0
	}
	all := func(user string) bool { return may(user, "pcsc") && may(user, "card") }
	none := func(user string) bool { return !may(user, "pcsc") && !may(user, "card") }
	d.Eventually("polkitd answers", func() bool { return all("root") })

	for _, who := range [][]string{{"--user", one}, {"--group", "cardctl-test"}} {
		setup := append([]string{"setup", "polkit"}, who...)
		if !none(one) || !none(other) {
			t.Fatalf("%s: somebody may use readers before", who)
		}
		if r := s.try("cardctl", append(setup, "--check")...); r.Exit != 3 {
			t.Errorf("--check before: %v", r)
		}
		s.run("cardctl", setup...)
		d.Eventually(one+" may use readers", func() bool { return all(one) })
		if !none(other) {
			t.Errorf("%s: %s may, too", who, other)
		}
		s.run("cardctl", append(slices.Clone(setup), "--check")...)
		s.run("cardctl", append(slices.Clone(setup), "--undo")...)
		d.Eventually(one+" may no longer", func() bool { return none(one) })
	}
	same(t, "--undo", before, tree(t, s.copy))
}
