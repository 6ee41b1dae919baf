//go:build stack

package programs

import (
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/cardctl/cardctl/test/stack"
)

// wiredNetwork is a cable on this machine: hostapd guards one end of it, and lets in who
// has a certificate of the desk's authority.
type wiredNetwork struct {
	t *testing.T
	s *served
}

const (
	station = "cardctl-station" // the end of the client
	port    = "cardctl-port"
)

func newWiredNetwork(t *testing.T, s *served) *wiredNetwork {
	t.Helper()
	s.d.Run("ip", "link", "add", station, "type", "veth", "peer", "name", port)
	t.Cleanup(func() { _ = s.d.Try("ip", "link", "delete", station) })
	for _, end := range []string{station, port} {
		s.d.Run("ip", "link", "set", end, "up")
	}
	certificate, key := s.d.Authority().Server()
	users := s.d.Write("hostapd.users", "* TLS\n", 0o600)
	s.d.Start("hostapd.log", "hostapd", "-d", s.d.Write("hostapd.conf", `
interface=`+port+`
driver=wired
ieee8021x=1
eap_server=1
eap_user_file=`+users+`
ca_cert=`+s.d.Path("ca.pem")+`
server_cert=`+certificate+`
private_key=`+key+`
`, 0o600))
	n := &wiredNetwork{t, s}
	s.d.Eventually("hostapd guards the network", func() bool { return strings.Contains(n.log("hostapd"), "AP-ENABLED") })
	return n
}

func (n *wiredNetwork) log(name string) string {
	text, _ := os.ReadFile(n.s.d.Path(name + ".log"))
	return string(text)
}

// join starts wpa_supplicant as its service does, with what was written and these variables
// alone.
func (n *wiredNetwork) join(environment ...string) (leave func()) {
	n.t.Helper()
	environment = append([]string{"-i", "PATH=" + os.Getenv("PATH")}, environment...)
	args := n.s.command("env", append(environment, "wpa_supplicant", "-d", "-c", wpaDir+"cardctl.conf", "-D", "wired", "-i", station)...)
	return n.s.d.Start("wpa_supplicant.log", "unshare", args...)
}

const wpaDir = "/etc/wpa_supplicant/"

// cli is a command of wpa_cli.
func (n *wiredNetwork) cli(words ...string) string {
	return n.s.d.Try("wpa_cli", append([]string{"-i", station}, words...)...).Stdout
}

// enter types a PIN once wpa_supplicant asks for it.
func (n *wiredNetwork) enter(pin string) {
	n.t.Helper()
	n.s.d.Eventually("wpa_supplicant asks", func() bool { return strings.Contains(n.log("wpa_supplicant"), "CTRL-REQ-") })
	if said := n.cli("pin", "0", pin); !strings.Contains(said, "OK") {
		n.t.Errorf("wpa_cli: %s", said)
	}
}

func (n *wiredNetwork) loggedIn() bool {
	return strings.Contains(n.cli("status"), "suppPortStatus=Authorized") && strings.Contains(n.log("hostapd"), "CTRL-EVENT-EAP-SUCCESS")
}

// unitVariables are those that a drop-in gives to a service.
func unitVariables(t *testing.T, path string) []string {
	t.Helper()
	text, err := os.ReadFile(path)
	if os.IsNotExist(err) {
		return nil
	}
	if err != nil {
		t.Fatal(err)
	}
	var all []string
	for _, found := range regexp.MustCompile(`(?m)^Environment="(.*)"$`).FindAllStringSubmatch(string(text), -1) {
		all = append(all, found[1])
	}
	return all
}

// TestSetupWPASupplicant has wpa_supplicant log in to a wired network that hostapd guards.
func TestSetupWPASupplicant(t *testing.T) {
	for _, c := range []card{openPGP, openPGPRSA, piv, isoApplet, token} {
		t.Run(c.name, func(t *testing.T) {
			d := c.desk(t)
			s := newServed(t, d, "/etc")
			n := newWiredNetwork(t, s)
			before := tree(t, s.copy)
			setup := []string{"setup", "wpa-supplicant"}
			keyed := append(slices.Clone(setup), "--key", c.key, "--ca", d.Path("ca.pem"))
			if c.tls12 {
				if r := s.try("cardctl", keyed...); r.Exit != 7 || !strings.Contains(r.Stderr, "--allow-tls12") {
					t.Errorf("a key that needs TLS 1.2: %v", r)
				}
				keyed = append(keyed, "--allow-tls12")
			}
			if r := s.try("wpa_supplicant", "-c", wpaDir+"cardctl.conf", "-D", "wired", "-i", station); r.Exit == 0 {
				t.Errorf("it works before it is set up: %v", r)
			}
			if r := s.try("cardctl", append(keyed, "--check")...); r.Exit != 3 {
				t.Errorf("--check before: %v", r)
			}
			if r := s.try("cardctl", keyed...); r.Exit != 0 {
				t.Fatalf("setup: %v", r)
			}
			environment := unitVariables(t, filepath.Join(s.copy, "systemd/system/wpa_supplicant-wired@.service.d/cardctl.conf"))
			leave := n.join(environment...)
			n.enter(c.pin)
			d.Eventually("wpa_supplicant logs in", n.loggedIn)
			leave()
			if c.tls12 { // what the service would do without its drop-in
				leave = n.join(slices.DeleteFunc(environment, func(entry string) bool { return strings.HasPrefix(entry, "OPENSSL_CONF=") })...)
				n.enter(c.pin)
				d.Eventually("wpa_supplicant fails", func() bool { return strings.Contains(n.log("wpa_supplicant"), "TLS processing failed") })
				leave()
			}
			stack.Uses(t, "wpa_supplicant (EAP-TLS)", c.name, c.with())
			if r := s.try("cardctl", append(keyed, "--check")...); r.Exit != 0 || !strings.Contains(r.Stdout, "EAP-TLS") {
				t.Errorf("--check: %v", r)
			}
			d.Setenv("CARDCTL_PIN", wrongPIN)
			if r := s.try("cardctl", append(keyed, "--check")...); r.Exit != 4 {
				t.Errorf("--check with a wrong PIN: %v", r)
			}
			if c.name == openPGP.name && triesLeft(t, d) != 2 {
				t.Errorf("after a wrong PIN %d of 3 tries are left", triesLeft(t, d))
			}
			d.Setenv("CARDCTL_PIN", c.pin)
			if r := s.try("cardctl", append(setup, "--undo")...); r.Exit != 0 {
				t.Errorf("--undo: %v", r)
			}
			same(t, "--undo", before, tree(t, s.copy))
		})
	}
}

// TestWPASupplicantWithAWrongPIN: it costs one try, and none after what cardctl tells to
// type.
func TestWPASupplicantWithAWrongPIN(t *testing.T) {
	c := openPGP
	d := c.desk(t)
	s := newServed(t, d, "/etc")
	n := newWiredNetwork(t, s)
	if r := s.try("cardctl", "setup", "wpa-supplicant", "--key", c.key, "--ca", d.Path("ca.pem")); r.Exit != 0 || !strings.Contains(r.Stdout, `"disconnect"`) {
		t.Fatalf("setup: %v", r)
	}
	n.join()
	n.enter(wrongPIN)
	d.Eventually("the PIN is refused", func() bool { return strings.Contains(n.log("wpa_supplicant"), "PIN incorrect") })
	n.cli("disconnect")
	time.Sleep(2 * time.Second)
	if left := triesLeft(t, d); left != 2 {
		t.Errorf("%d of 3 tries are left", left)
	}
	n.cli("pin", "0", c.pin)
	n.cli("reconnect")
	d.Eventually("wpa_supplicant logs in", n.loggedIn)
}

// TestSetupWPASupplicantWireless writes wireless networks, which wpa_supplicant reads.
func TestSetupWPASupplicantWireless(t *testing.T) {
	c := openPGP
	d := c.desk(t)
	s := newServed(t, d, "/etc")
	setup := []string{"setup", "wpa-supplicant", "--key", c.key, "--ca", d.Path("ca.pem"), "--url", `"Snake ""Oil"" #1"`, "--url", "Öl", "--url", `"Oil, Ltd"`}
	for _, args := range [][]string{setup, append(setup, "--check")} {
		if r := s.try("cardctl", args...); r.Exit != 0 {
			t.Errorf("%v", r)
		}
	}
	r := s.try("eapol_test", "-c", wpaDir+"cardctl.conf", "-p", "1", "-t", "1")
	for _, name := range []string{`ssid='Snake \"Oil\" #1'`, `ssid='\xc3\x96l'`, `ssid='Oil, Ltd'`} {
		if !strings.Contains(r.Stdout, name) {
			t.Errorf("wpa_supplicant does not read %s:\n%s", name, r.Stdout)
		}
	}
}
