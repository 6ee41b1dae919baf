//go:build stack

package programs

import (
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/cardctl/cardctl/test/stack"
)

// alone is an OpenVPN that runs without cardctl, at a terminal, until it is connected or
// has ended.
func (n *network) alone(pin, name string, args ...string) stack.Result {
	n.t.Helper()
	asked := 0
	return n.d.AtTerminal(func(screen string) string {
		switch {
		case strings.Contains(screen, established):
			return "\x03"
		case strings.HasSuffix(strings.TrimRight(screen, " "), "Password:"):
			if asked++; asked > 1 {
				return "\x03" // the PIN was wrong
			}
			time.Sleep(300 * time.Millisecond) // OpenVPN drops what is typed before it turns the echo off
			return pin + "\r"
		}
		return ""
	}, name, args...)
}

// knowsTheClient reports whether the server saw the certificate of the card.
func (n *network) knowsTheClient() bool {
	return strings.Contains(string(n.d.Read(n.log())), "[Floppy Head] Peer Connection Initiated")
}

// TestSetupOpenVPN has an OpenVPN that a person starts use the key, by the file that its
// configuration includes.
func TestSetupOpenVPN(t *testing.T) {
	for _, c := range vpnCards {
		t.Run(c.name, func(t *testing.T) {
			d := stack.NewDesk(t)
			inReader := c.make(t, d)
			pin := d.Run("printenv", "CARDCTL_PIN")
			pin = strings.TrimSuffix(pin, "\n")
			issue(t, d, c.key, c.algorithm)
			n := newNetwork(t, d)
			before := files(t, d.Path(""))
			include := "config '" + d.Path("config/cardctl/openvpn.conf") + "'"
			n.serve(include)
			if r := n.alone(pin, "openvpn", "--config", configuration); r.Exit == 0 {
				t.Errorf("it works before it is set up: %v", r)
			}
			keyed := []string{"setup", "openvpn", "--key", c.key}
			if c.tls12 {
				if refused := d.Refused(keyed...); refused.Exit != 7 || !strings.Contains(refused.Hint, "--allow-tls12") {
					t.Errorf("a key that needs TLS 1.2: %+v", refused)
				}
				keyed = append(keyed, "--allow-tls12")
			}
			check := append(slices.Clone(keyed), "--check")
			if r := d.Try("cardctl", check...); r.Exit != 3 {
				t.Errorf("--check before: %v", r)
			}
			d.Run("cardctl", append(keyed, "--print")...)
			same(t, "--print", before, files(t, d.Path("")))
			written := d.Run("cardctl", keyed...)

			// What it says to type, with this configuration.
			_, command, _ := strings.Cut(written, "Now type:\n")
			command = strings.Replace(strings.TrimSpace(command), "NAME.conf", configuration, 1)
			r := n.alone(pin, "sh", "-c", "exec env "+command)
			if !strings.Contains(r.Stdout, established) || !n.knowsTheClient() {
				t.Fatalf("it does not work after it was set up: %s: %v\n%s", command, r, d.Read(n.log()))
			}
			if c.tls12 != strings.Contains(r.Stdout, "Control Channel: TLSv1.2") {
				t.Errorf("%v", r)
			}
			sent := verifications(d, inReader)
			d.Run("cardctl", check...)
			if sent = verifications(d, inReader) - sent; inReader != nil && sent != 2 {
				t.Errorf("--check sent the PIN %d times: by cardctl and by OpenVPN it is twice", sent)
			}
			d.Setenv("CARDCTL_PIN", wrongPIN)
			sent = verifications(d, inReader)
			if r := d.Try("cardctl", check...); r.Exit != 4 {
				t.Errorf("--check with a wrong PIN: %v", r)
			}
			if sent = verifications(d, inReader) - sent; inReader != nil && sent != 1 {
				t.Errorf("a wrong PIN was sent %d times", sent)
			}
			d.Setenv("CARDCTL_PIN", pin)
			d.Run("cardctl", check...)
			n.withCardctl(c)

			d.Run("cardctl", "setup", "openvpn", "--undo")
			same(t, "--undo", before, files(t, d.Path("")))
			n.serve(include)
			if r := n.alone(pin, "openvpn", "--config", configuration); r.Exit == 0 {
				t.Errorf("it still works after it was taken back: %v", r)
			}
			n.leavesNothing()
			with := ""
			if c.tls12 {
				with = "TLS 1.2"
			}
			stack.Uses(t, "OpenVPN, by itself", c.name, with)
		})
	}
}

// withCardctl has cardctl openvpn use the same configuration.
func (n *network) withCardctl(c vpnCard) {
	n.t.Helper()
	n.serve("config '" + n.d.Path("config/cardctl/openvpn.conf") + "'")
	args := []string{"--key", c.key}
	if c.tls12 {
		args = append(args, "--allow-tls12")
	}
	running := n.start(args...)
	running.awaits(established, 1)
	running.ends(syscall.SIGTERM)
}

// TestSetupOpenVPNForAService has the service of Debian use the key: its command line, in
// its directory, with the variables that its drop-in has and no others.
func TestSetupOpenVPNForAService(t *testing.T) {
	for _, c := range []vpnCard{vpnCards[0], vpnCards[1], vpnCards[4], vpnCards[5]} {
		t.Run(c.name, func(t *testing.T) {
			d := stack.NewDesk(t)
			c.make(t, d)
			pin := d.Run("printenv", "CARDCTL_PIN")
			pin = strings.TrimSuffix(pin, "\n")
			issue(t, d, c.key, c.algorithm)
			n := newNetwork(t, d)
			s := newServed(t, d, "/etc")
			before := tree(t, s.copy)
			keyed := []string{"setup", "openvpn", "--system", "--key", c.key}
			if c.tls12 {
				keyed = append(keyed, "--allow-tls12")
			}
			check := append(slices.Clone(keyed), "--check")
			if r := s.try("cardctl", check...); r.Exit != 3 {
				t.Errorf("--check before: %v", r)
			}
			r := s.try("cardctl", keyed...)
			if r.Exit != 0 || !strings.Contains(r.Stdout, "systemctl restart openvpn-client@NAME") {
				t.Fatalf("setup: %v", r)
			}
			dropIn := filepath.Join(s.copy, "systemd/system/openvpn-client@.service.d/cardctl.conf")
			if _, err := os.Stat(dropIn); (err == nil) != strings.Contains(r.Stdout, "systemctl daemon-reload") || err != nil && c.tls12 {
				t.Errorf("%v: %v", err, r)
			}
			n.serve("config /etc/openvpn/cardctl/key.conf")
			d.Run("cp", configuration, "ca.pem", filepath.Join(s.copy, "openvpn/client"))
			service := append([]string{"sh", "-c", `cd /etc/openvpn/client && exec env -i "$@"`, "sh"}, s.environment(t, "openvpn-client@x.service")...)
			service = append(service, "/usr/sbin/openvpn", "--suppress-timestamps", "--nobind", "--config", configuration)
			r = n.alone(pin, "unshare", s.command(service[0], service[1:]...)...)
			if !strings.Contains(r.Stdout, established) || !n.knowsTheClient() {
				t.Errorf("the service: %v\n%s", r, d.Read(n.log()))
			}
			if r := s.try("cardctl", check...); r.Exit != 0 {
				t.Errorf("--check: %v", r)
			}
			d.Run("rm", filepath.Join(s.copy, "openvpn/client", configuration), filepath.Join(s.copy, "openvpn/client/ca.pem"))
			if r := s.try("cardctl", "setup", "openvpn", "--system", "--undo"); r.Exit != 0 {
				t.Errorf("--undo: %v", r)
			}
			same(t, "--undo", before, tree(t, s.copy))
		})
	}
}

// environment is what the drop-in has systemd give to a service.
func (s *served) environment(t *testing.T, unit string) []string {
	t.Helper()
	r := s.try("systemd-analyze", "verify", "--man=no", unit)
	if r.Exit != 0 || strings.Contains(r.Stderr, "cardctl.conf") {
		t.Errorf("systemd reads the drop-in: %v", r)
	}
	dropIn, err := os.ReadFile(filepath.Join(s.copy, "systemd/system", strings.Replace(unit, "@x.", "@.", 1)+".d/cardctl.conf"))
	if err != nil && !os.IsNotExist(err) {
		t.Fatal(err)
	}
	var env []string
	for _, entry := range regexp.MustCompile(`(?m)^Environment="(.*)"$`).FindAllStringSubmatch(string(dropIn), -1) {
		env = append(env, entry[1])
	}
	return env
}

// TestCardctlOpenVPNWithAnotherKey refuses a configuration that names another key.
func TestCardctlOpenVPNWithAnotherKey(t *testing.T) {
	d := stack.NewDesk(t)
	c := vpnPIV(t, d)
	for _, key := range []string{"PIV.9A", "PIV.9D"} {
		issue(t, d, key, "p256")
	}
	n := newNetwork(t, d)
	d.Run("cardctl", "setup", "openvpn", "--key", "PIV.9D")
	n.serve("config '" + d.Path("config/cardctl/openvpn.conf") + "'")
	before := verifications(d, c)
	refused := d.Refused("openvpn", "--key", "PIV.9A", configuration)
	if refused.Code != "usage" || !strings.Contains(refused.Message, "names another certificate than that of PIV.9A") || !strings.Contains(refused.Hint, "grep -n pkcs11-id") {
		t.Errorf("%+v", refused)
	}
	if sent := verifications(d, c) - before; sent != 0 {
		t.Errorf("the PIN was sent %d times", sent)
	}
	running := n.start("--key", "PIV.9D")
	running.awaits(established, 1)
	running.ends(syscall.SIGTERM)
}

// TestSetupOpenVPNOnACardWithTwoApplications: OpenSC shows one of them, unless it is told
// the driver of the other.
func TestSetupOpenVPNOnACardWithTwoApplications(t *testing.T) {
	d := stack.NewDesk(t)
	d.Card("both", 0, "--applications", "openpgp,piv")
	d.Run("cardctl", "init", "--app", "openpgp", "--yes")
	pins := map[string]string{"OPENPGP.3": stack.UserPIN, "PIV.9A": pivPIN}
	d.Setenv("CARDCTL_MANAGEMENT_KEY", "010203040506070801020304050607080102030405060708")
	n := newNetwork(t, d)
	told := 0
	for _, key := range []string{"OPENPGP.3", "PIV.9A"} {
		d.Setenv("CARDCTL_PIN", pins[key])
		issue(t, d, key, "p256")
		written := d.Run("cardctl", "setup", "openvpn", "--key", key, "--yes")
		_, command, _ := strings.Cut(written, "Now type:\n")
		if strings.Contains(command, "OPENSC_DRIVER=") {
			told++
		}
		n.serve("config '" + d.Path("config/cardctl/openvpn.conf") + "'")
		r := n.alone(pins[key], "sh", "-c", "exec env "+strings.Replace(strings.TrimSpace(command), "NAME.conf", configuration, 1))
		if !strings.Contains(r.Stdout, established) || !n.knowsTheClient() {
			t.Errorf("%s: %s: %v", key, command, r)
		}
		d.Run("cardctl", "setup", "openvpn", "--key", key, "--check")
	}
	if told != 1 {
		t.Errorf("OpenSC was told %d drivers", told)
	}
}
