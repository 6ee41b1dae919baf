//go:build stack

package agent_test

import (
	"strings"
	"testing"

	"github.com/cardctl/cardctl/test/stack"
)

// certified has the desk's authority certify a key, in client.pem, and the card hold the
// certificate.
func (d *agentDesk) certified(k keyOn) {
	d.Authority().Certify(d.Path(k.public()), owner, d.Path("client.pem"))
	d.Run("cardctl", "import-cert", "--reader", stack.ReaderName(0), "--key", k.ref, d.Path("client.pem"))
}

// TestTLSLogin has programs log in to openssl's server with a key of a card.
func TestTLSLogin(t *testing.T) {
	for _, test := range []struct {
		card keysOn
		key  int
		// tls12 is of a key without PSS, which TLS 1.3 needs, and OpenSSL prefers before.
		tls12 bool
	}{{openPGPEC, 2, false}, {openPGPRSA, 2, true}, {pivCard, 0, false}, {myEID, 1, false}} {
		c, k := test.card, test.card.keys[test.key]
		t.Run(c.name, func(t *testing.T) {
			d := newStillDesk(t)
			c.bring(t, d, 0)
			d.certified(k)
			serverCertificate, serverKey := d.Authority().Server()
			d.start(t)
			port := stack.FreePort(t)
			server := []string{"s_server", "-accept", port, "-cert", serverCertificate, "-key", serverKey, "-CAfile", d.Path("ca.pem"), "-Verify", "1", "-verify_return_error", "-www"}
			curlOptions, priority := "", "NORMAL"
			if test.tls12 {
				server, curlOptions, priority = append(server, "-tls1_2", "-client_sigalgs", "RSA+SHA256"), "--tls-max 1.2", "NORMAL:-VERS-ALL:+VERS-TLS1.2"
			}
			d.Start("s_server.log", "openssl", server...)
			d.Eventually("the server listens", func() bool { return d.Try("bash", "-c", "exec 3<>/dev/tcp/localhost/"+port).Exit == 0 })

			d.Setenv("PKCS11_MODULE_PATH", module)
			uri := "pkcs11:token=" + escapedLabel(d.labelOf(c, k)) + ";id=%" + k.id
			url := "https://localhost:" + port + "/"
			const request = `printf 'GET / HTTP/1.0\r\n\r\n' | `
			for program, line := range map[string]string{
				"curl": `curl --silent --show-error --cacert ca.pem ` + curlOptions + ` --engine pkcs11 --key-type ENG --key '` + uri + `;type=private' --cert client.pem ` + url,
				"openssl s_client": request + `openssl s_client -quiet -connect localhost:` + port + ` -CAfile ca.pem -verify_return_error -engine pkcs11 -keyform engine -key '` + uri +
					`;type=private' -cert client.pem`,
				"gnutls-cli": request + `gnutls-cli --provider ` + module + ` --x509cafile ca.pem --x509certfile '` + uri + `;type=cert' --x509keyfile '` + uri + `;type=private' --priority ` + priority +
					` -p ` + port + ` localhost`,
			} {
				r := d.Try("sh", "-c", line)
				if r.Exit != 0 || !strings.Contains(r.Stdout, "Client certificate") || !strings.Contains(r.Stdout, "Floppy Head") {
					t.Errorf("%s: %v", program, r)
				}
				stack.Judged(t, program, "the agent with "+c.name, "logs in by TLS")
			}
			if r := d.Try("curl", "--silent", "--cacert", d.Path("ca.pem"), url); r.Exit == 0 {
				t.Errorf("without a certificate: %v", r)
			}
			d.once(t)
		})
	}
}

// TestSSHLoginWithCards has ssh log in with a key of a card by the agent's doors for SSH and
// for PKCS#11.
func TestSSHLoginWithCards(t *testing.T) {
	for _, test := range []struct {
		card keysOn
		key  int
	}{{openPGPEC, 2}, {openPGPRSA, 2}, {pivCard, 0}, {softHSMToken, 1}} {
		c, k := test.card, test.card.keys[test.key]
		t.Run(c.name, func(t *testing.T) {
			d, _ := newCardDesk(t, c)
			d.Write("card.pub", d.Run("ssh-keygen", "-i", "-m", "PKCS8", "-f", k.public()), 0o600)
			login := sshServer(t, d.Desk, d.Read("card.pub"))
			for door, options := range map[string][]string{
				"SSH":     {"IdentitiesOnly=yes", "IdentityFile=" + d.Path("card.pub")},
				"PKCS#11": {"IdentityAgent=none", "PKCS11Provider=" + module},
			} {
				if r, server := login(options...); r.Exit != 0 || r.Stdout != "in\n" {
					t.Errorf("%s: %v\nserver:\n%s", door, r, server)
				}
			}
			if r, _ := login("IdentityAgent=none"); r.Exit != 255 {
				t.Errorf("without a key: %v", r)
			}
			d.once(t)
			stack.Judged(t, "ssh", "the agent with "+c.name, "logs in")
		})
	}
}
