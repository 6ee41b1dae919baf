//go:build stack

package programs

import (
	"fmt"
	"net"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/cardctl/cardctl/test/softhsm"
	"github.com/cardctl/cardctl/test/stack"
)

const (
	configuration = "client.ovpn"
	established   = "Initialization Sequence Completed"
	wrongPIN      = "135791"
)

// A network is a private one with a server, on this machine.
type network struct {
	t       *testing.T
	d       *stack.Desk
	clients int
}

// newNetwork has a server's certificate of the desk's authority.
func newNetwork(t *testing.T, d *stack.Desk) *network {
	t.Helper()
	authority := d.Authority()
	d.Setenv("TMPDIR", filepath.Dir(d.Write("tmp/.keep", "", 0o600)))
	d.Run("openssl", "req", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-keyout", "vpn.key", "-out", "vpn.csr",
		"-subj", "/CN=server", "-addext", "extendedKeyUsage=serverAuth", "-addext", "keyUsage=digitalSignature")
	d.Run("cp", authority.Sign("vpn.csr"), "vpn.pem")
	return &network{t: t, d: d}
}

// serve starts a server, for one client, and writes the configuration of that.
func (n *network) serve(options ...string) {
	n.t.Helper()
	free, err := net.ListenPacket("udp", "127.0.0.1:0")
	if err != nil {
		n.t.Fatal(err)
	}
	_, port, _ := net.SplitHostPort(free.LocalAddr().String())
	_ = free.Close()
	n.clients++
	server := n.d.Write(fmt.Sprintf("server%d.conf", n.clients),
		"dev null\nlocal 127.0.0.1\nport "+port+"\nproto udp\ntls-server\nca ca.pem\ncert vpn.pem\nkey vpn.key\ndh none\nremote-cert-tls client\n", 0o600)
	n.d.Start(n.log(), "openvpn", "--config", server)
	n.d.Eventually("the server waits", func() bool { return strings.Contains(string(n.d.Read(n.log())), "link remote") })
	n.d.Write(configuration, "dev null\nremote 127.0.0.1 "+port+" udp\nnobind\ntls-client\nca ca.pem\nremote-cert-tls server\nverb 3\n"+strings.Join(options, "\n")+"\n", 0o600)
}

func (n *network) log() string { return fmt.Sprintf("server%d.log", n.clients) }

// client is cardctl openvpn while it runs.
type client struct {
	*stack.Process
	n    *network
	file string
}

func (n *network) start(args ...string) *client {
	n.t.Helper()
	c := &client{n: n, file: n.d.Path(fmt.Sprintf("client%d.log", n.clients))}
	log, err := os.Create(c.file)
	if err != nil {
		n.t.Fatal(err)
	}
	n.t.Cleanup(func() { _ = log.Close() })
	c.Process = n.d.Process(n.t.Context(), nil, log, "cardctl", append([]string{"openvpn", configuration}, args...)...)
	return c
}

func (c *client) said() string {
	text, err := os.ReadFile(c.file)
	if err != nil {
		c.n.t.Fatal(err)
	}
	return string(text)
}

// awaits waits until the client says something for the nth time.
func (c *client) awaits(what string, times int) {
	c.n.t.Helper()
	said := ""
	for deadline := time.Now().Add(30 * time.Second); time.Now().Before(deadline); time.Sleep(50 * time.Millisecond) {
		if said = c.said(); strings.Count(said, what) >= times {
			return
		}
		if strings.Contains(said, "\nTry: ") {
			break
		}
	}
	c.n.t.Fatalf("%q was not said %d times:\n%s\n%s", what, times, said, c.n.d.Read(c.n.log()))
}

// ends sends a signal, and wants OpenVPN to have ended in order before the command did.
func (c *client) ends(s os.Signal) {
	c.n.t.Helper()
	if err := c.Signal(s); err != nil {
		c.n.t.Fatal(err)
	}
	if exit := c.Wait(); exit != 130 || !strings.Contains(c.said(), "process exiting") {
		c.n.t.Errorf("exit status %d\n%s", exit, c.said())
	}
	c.n.leavesNothing()
}

// leavesNothing looks for the directory of the management interface, and a client.
func (n *network) leavesNothing() {
	n.t.Helper()
	if left, err := filepath.Glob(n.d.Path("tmp/cardctl-*")); err != nil || len(left) > 0 {
		n.t.Error(left, err)
	}
	if n.clientLeft() {
		n.t.Error("OpenVPN still runs")
	}
}

func (n *network) clientLeft() bool {
	return n.d.Try("pgrep", "-f", "--", "--management-client").Exit == 0
}

// vpnCard is a card or token with one key.
type vpnCard struct {
	name, key, algorithm string
	make                 func(*testing.T, *stack.Desk) *stack.Card // with PINs and without keys; nil for a token
	tls12                bool
}

func vpnOpenPGP(_ *testing.T, d *stack.Desk) *stack.Card {
	c := d.Card("openpgp", 0)
	c.Initialise()
	return c
}

func vpnPIV(_ *testing.T, d *stack.Desk) *stack.Card {
	c := d.Card("piv", 0, "--applications", "piv")
	d.Setenv("CARDCTL_PIN", "123456") // from the factory
	d.Setenv("CARDCTL_MANAGEMENT_KEY", "010203040506070801020304050607080102030405060708")
	return c
}

func vpnIsoApplet(_ *testing.T, d *stack.Desk) *stack.Card {
	c := d.Card("isoapplet", 0, "--applications", "pkcs15")
	d.Setenv("OPENSC_DRIVER", "isoApplet") // an ATR of Java cards names no applet
	d.Setenv("CARDCTL_PUK", "1357246813572468")
	d.Run("cardctl", "init", "--app", "pkcs15", "--yes")
	return c
}

func vpnToken(t *testing.T, d *stack.Desk) *stack.Card {
	t.Helper()
	configuration, err := softhsm.Configure(filepath.Dir(d.Write("hsm/.keep", "", 0o600)))
	if err != nil {
		t.Fatal(err)
	}
	d.Setenv(softhsm.Variable, configuration)
	d.Setenv("CARDCTL_MODULE", "softhsm2")
	d.Setenv("CARDCTL_PIN", `ä"\ 'x' #1`) // what OpenVPN's parser has to be told apart from its own
	d.Setenv("CARDCTL_SO_PIN", stack.AdminPIN)
	d.Run("cardctl", "init", "--app", "pkcs11", "--label", "my 'desk' \\ token", "--yes")
	return nil
}

const vpnTokenKey = "pkcs11:token=my%20%27desk%27%20%5C%20token;object=vpn"

var vpnCards = []vpnCard{
	{"OpenPGP P-256", "OPENPGP.3", "p256", vpnOpenPGP, false},
	{"OpenPGP RSA", "OPENPGP.3", "rsa2048", vpnOpenPGP, true},
	{"PIV P-256", "PIV.9A", "p256", vpnPIV, false},
	{"PIV RSA", "PIV.9A", "rsa2048", vpnPIV, false},
	{"IsoApplet RSA", "PKCS15.45", "rsa2048", vpnIsoApplet, true},
	{"SoftHSM P-256", vpnTokenKey, "p256", vpnToken, false},
	{"SoftHSM RSA", vpnTokenKey, "rsa2048", vpnToken, false},
}

func TestOpenVPNConnects(t *testing.T) {
	for _, c := range vpnCards {
		t.Run(c.name, func(t *testing.T) {
			d := stack.NewDesk(t)
			inReader := c.make(t, d)
			issue(t, d, c.key, c.algorithm)
			n := newNetwork(t, d)
			n.serve()
			before := verifications(d, inReader)
			args := []string{"--key", c.key}
			if c.tls12 {
				refused := d.Refused("openvpn", "--key", c.key, configuration)
				if refused.Code != "not-supported" || !strings.Contains(refused.Hint, "--allow-tls12") || verifications(d, inReader) != before {
					t.Errorf("without TLS 1.2: %+v", refused)
				}
				args = append(args, "--allow-tls12")
			}
			running := n.start(args...)
			running.awaits(established, 1)
			n.d.Eventually("the server knows the client", func() bool {
				return strings.Contains(string(d.Read(n.log())), "[Floppy Head] Peer Connection Initiated")
			})
			if protocol := "TLSv1.2"; c.tls12 != strings.Contains(running.said(), "Control Channel: "+protocol) {
				t.Errorf("%s", running.said())
			}
			if inReader != nil {
				d.Run("cardctl", "info") // the card is not held
			}
			running.ends(syscall.SIGTERM)
			if sent := verifications(d, inReader) - before; inReader != nil && sent != 1 {
				t.Errorf("the PIN was sent %d times", sent)
			}
			with := ""
			if c.tls12 {
				with = "TLS 1.2"
			}
			stack.Uses(t, "OpenVPN", c.name, with)
			// The only certificate needs no name.
			n.serve()
			running = n.start(args[2:]...)
			running.awaits(established, 1)
			running.ends(os.Interrupt)
		})
	}
}

// verifications are the commands that verify the user PIN which a card got.
func verifications(d *stack.Desk, c *stack.Card) int {
	if c == nil {
		return 0
	}
	trace, err := os.ReadFile(c.Trace())
	if err != nil {
		return 0
	}
	n := 0
	for line := range strings.Lines(string(trace)) {
		if fields := strings.Fields(line); len(fields) > 1 && fields[0] == ">" && strings.HasPrefix(fields[1], "0020") && len(fields[1]) > len("00200082") {
			n++
		}
	}
	return n
}

func TestOpenVPNWithAWrongPIN(t *testing.T) {
	for _, c := range vpnCards {
		if c.algorithm != "p256" {
			continue
		}
		t.Run(c.name, func(t *testing.T) {
			d := stack.NewDesk(t)
			inReader := c.make(t, d)
			issue(t, d, c.key, c.algorithm)
			n := newNetwork(t, d)
			d.Setenv("CARDCTL_PIN", wrongPIN)
			for left := 2; left > 0; left-- {
				n.serve()
				before := verifications(d, inReader)
				refused := d.Refused("openvpn", "--key", c.key, configuration)
				if refused.Code != "pin-incorrect" || refused.Exit != 4 {
					t.Errorf("%+v", refused)
				}
				if inReader != nil && (refused.TriesLeft == nil || *refused.TriesLeft != left || verifications(d, inReader)-before != 1) {
					t.Errorf("%d verifications, %+v", verifications(d, inReader)-before, refused)
				}
				n.leavesNothing()
			}
			if inReader == nil {
				return
			}
			n.serve()
			before := verifications(d, inReader)
			if refused := d.Refused("openvpn", configuration); refused.Code != "pin-blocked" || refused.Exit != 5 || verifications(d, inReader) != before {
				t.Errorf("the last try: %+v", refused)
			}
			n.leavesNothing()
		})
	}
}

// The card may come later, and be named by what nobody else has.
func TestOpenVPNWaitsForTheCard(t *testing.T) {
	d := stack.NewDesk(t)
	c := vpnOpenPGP(t, d)
	issue(t, d, "OPENPGP.3", "p256")
	serial := d.Info().Card.Serial
	n := newNetwork(t, d)
	for _, args := range [][]string{nil, {"--serial", serial, "--reader", ""}} {
		c.Pull()
		n.serve()
		running := n.start(args...)
		running.awaits("waiting for the card", 1)
		time.Sleep(500 * time.Millisecond)
		c.Insert()
		running.awaits(established, 1)
		running.ends(os.Interrupt)
	}
	c.Pull()
	n.serve()
	running := n.start("--module", "opensc", "--key", "pkcs11:serial="+strings.ToLower(serial)+";id=%03")
	running.awaits("waiting for a token", 1)
	c.Insert()
	running.awaits(established, 1)
	running.ends(os.Interrupt)
	c.Pull()
	if refused := d.Refused("openvpn", configuration, "--timeout", "1s"); refused.Code != "failed" || !strings.Contains(refused.Message, "gave up after 1s") {
		t.Errorf("%+v", refused)
	}
}

// The time that a command may take ends when the connection is up.
func TestOpenVPNStaysConnected(t *testing.T) {
	d := stack.NewDesk(t)
	vpnOpenPGP(t, d)
	issue(t, d, "OPENPGP.3", "p256")
	n := newNetwork(t, d)
	n.serve()
	running := n.start("--timeout", "8s")
	running.awaits(established, 1)
	time.Sleep(9 * time.Second)
	running.ends(syscall.SIGTERM)

	n.d.Write(configuration, "dev null\nremote 127.0.0.1 9 udp\nnobind\ntls-client\nca ca.pem\n", 0o600)
	if refused := d.Refused("openvpn", configuration, "--timeout", "2s"); refused.Code != "failed" || !strings.Contains(refused.Message, "gave up after 2s") {
		t.Errorf("without a server: %+v", refused)
	}
	n.leavesNothing()
}

// A connection outlives its card until a new key is agreed on.
func TestOpenVPNWithoutItsCard(t *testing.T) {
	d := stack.NewDesk(t)
	c := vpnOpenPGP(t, d)
	issue(t, d, "OPENPGP.3", "p256")
	n := newNetwork(t, d)
	n.serve("reneg-sec 6")
	running := n.start("-o", "json")
	n.d.Eventually("the connection is up", func() bool { return strings.Contains(string(d.Read(n.log())), "Peer Connection Initiated") })
	c.Pull()
	if exit := running.Wait(); exit != 10 || !strings.Contains(running.said(), `"card-removed"`) {
		t.Errorf("exit status %d\n%s", exit, running.said())
	}
	n.leavesNothing()
}

// After another program reset the card, the PIN that was accepted is sent once more.
func TestOpenVPNAfterAReset(t *testing.T) {
	d := stack.NewDesk(t)
	c := vpnOpenPGP(t, d)
	issue(t, d, "OPENPGP.3", "p256")
	n := newNetwork(t, d)
	n.serve("reneg-sec 6")
	before := verifications(d, c)
	running := n.start()
	running.awaits(established, 1)
	d.Run("opensc-tool", "--reset")
	running.awaits("VERIFY OK: depth=0", 2)
	running.awaits("Control Channel", 2)
	if sent := verifications(d, c) - before; sent != 2 {
		t.Errorf("the PIN was sent %d times", sent)
	}
	running.ends(syscall.SIGTERM)
}

// OpenVPN begins anew, and needs no PIN for that.
func TestOpenVPNStartsAgain(t *testing.T) {
	d := stack.NewDesk(t)
	c := vpnOpenPGP(t, d)
	issue(t, d, "OPENPGP.3", "p256")
	n := newNetwork(t, d)
	n.serve("ping 1", "ping-restart 3")
	before := verifications(d, c)
	running := n.start()
	running.awaits(established, 1)
	n.d.Run("pkill", "-USR1", "-f", "--", "--management-client")
	running.awaits("process restarting", 1)
	running.awaits("VERIFY OK: depth=0", 2)
	if sent := verifications(d, c) - before; sent < 1 || sent > 2 {
		t.Errorf("the PIN was sent %d times", sent)
	}
	running.ends(syscall.SIGTERM)
}

func TestOpenVPNWithSeveralCertificates(t *testing.T) {
	d := stack.NewDesk(t)
	vpnPIV(t, d)
	for _, key := range []string{"PIV.9A", "PIV.9D"} {
		d.Run("cardctl", "gen-key", "--key", key, "--algorithm", "p256")
		request := d.Run("cardctl", "gen-csr", "--key", key, "--subject", "CN="+key, "--key-usage", "digitalSignature", "--ext-key-usage", "clientAuth")
		d.Run("cardctl", "import-cert", "--key", key, d.Authority().Sign(d.Write("client.csr", request, 0o600)))
	}
	n := newNetwork(t, d)
	n.serve()
	refused := d.Refused("openvpn", configuration)
	if refused.Code != "usage" || !strings.Contains(refused.Message, "PIV.9A CN=PIV.9A; PIV.9D CN=PIV.9D") {
		t.Errorf("%+v", refused)
	}
	for _, key := range []string{"PIV.9A", "PIV.9D"} {
		n.serve()
		running := n.start("--key", key, "--", "--verb", "4")
		running.awaits(established, 1)
		running.ends(syscall.SIGTERM)
		if server := string(d.Read(n.log())); !strings.Contains(server, "["+key+"] Peer Connection Initiated") {
			t.Errorf("%s: the server says\n%s", key, server)
		}
	}
	d.Run("cardctl", "gen-key", "--key", "PIV.9C", "--algorithm", "p256")
	d.Run("cardctl", "gen-csr", "--key", "PIV.9C", "--subject", subject, "--self-signed", "--days", "7", "--out", "signing.pem")
	d.Run("cardctl", "import-cert", "--key", "PIV.9C", "signing.pem")
	if refused := d.Refused("openvpn", "--key", "PIV.9C", configuration); refused.Code != "not-supported" || !strings.Contains(refused.Message, "needs the PIN for every use") {
		t.Errorf("%+v", refused)
	}
	d.Setenv("CARDCTL_PIN", "")
	d.Setenv("TERM", "dumb")
	n.serve()
	result := d.AtTerminal(func(screen string) string {
		switch {
		case strings.Contains(screen, established):
			return "\x03"
		case strings.HasSuffix(screen, ": ") && strings.Contains(screen, "PIN"):
			return "123456\r"
		case strings.Contains(screen, "Which certificate?"):
			return "3\r"
		}
		return ""
	}, "cardctl", "openvpn", configuration)
	if result.Exit != 130 || !strings.Contains(result.Stdout, established) {
		t.Error(result)
	}
	n.leavesNothing()
}

// While somebody is asked for the PIN, the card can be changed: the other one gets none.
func TestOpenVPNWithAnotherCard(t *testing.T) {
	d := stack.NewDesk(t)
	c := vpnOpenPGP(t, d)
	issue(t, d, "OPENPGP.3", "p256")
	n := newNetwork(t, d)
	for name, insert := range map[string]func() *stack.Card{
		"another": func() *stack.Card { return d.Card("other", 0) },
		"itself":  func() *stack.Card { c.Insert(); return c },
	} {
		n.serve()
		running := n.start("--pin", "command:touch asked; sleep 4; printf "+stack.UserPIN, "-o", "json")
		d.Eventually("the PIN is asked for", func() bool { return d.Try("ls", "asked").Exit == 0 })
		d.Run("rm", "asked")
		before := verifications(d, c)
		c.Pull()
		there := insert()
		if exit := running.Wait(); exit != 10 || !strings.Contains(running.said(), `"card-changed"`) {
			t.Errorf("%s: exit status %d\n%s", name, exit, running.said())
		}
		if verifications(d, c) > before || there != c && verifications(d, there) > 0 {
			t.Errorf("%s: the PIN was sent", name)
		}
		n.leavesNothing()
		there.Pull()
		c.Insert()
	}
}

// What is no PIN of the card is not answered.
func TestOpenVPNAsksForSomethingElse(t *testing.T) {
	d := stack.NewDesk(t)
	c := vpnOpenPGP(t, d)
	issue(t, d, "OPENPGP.3", "p256")
	n := newNetwork(t, d)
	before := verifications(d, c)
	n.serve("pull", "auth-user-pass")
	refused := d.Refused("openvpn", configuration)
	if refused.Code != "not-supported" || !strings.Contains(refused.Hint, "auth-user-pass") || verifications(d, c) != before {
		t.Errorf("%+v", refused)
	}
	for option, code := range map[string]string{"daemon": "usage", "cert other.pem": "usage", "pkcs11-providers other.so": "usage", "nonsense": "failed", "pkcs11-cert-private 1": "usage", "config more": "usage"} {
		n.serve(option)
		d.Write("more", "daemon\n", 0o600)
		if refused := d.Refused("openvpn", configuration); refused.Code != code || verifications(d, c) != before {
			t.Errorf("%s: %+v", option, refused)
		}
		// One in the background is nobody's child to wait for.
		d.Eventually("no client is left", func() bool { return !n.clientLeft() })
		n.leavesNothing()
	}
}
