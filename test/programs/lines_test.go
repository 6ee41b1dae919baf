//go:build stack

package programs

import (
	"strings"
	"testing"

	"github.com/cardctl/cardctl/test/stack"
)

// A server that everybody may enter would show nothing: it refuses who has no
// certificate, and shows the page to who has one.
func TestServersAskForACertificate(t *testing.T) {
	for name, start := range servers {
		t.Run(name, func(t *testing.T) {
			d := stack.NewDesk(t)
			url := start(t, d)
			if out := d.Try("curl", "--silent", "--cacert", "ca.pem", url); strings.Contains(out.Stdout, "Welcome") {
				t.Errorf("without a certificate: %v", out)
			}
			d.Run("openssl", "req", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-keyout", "client.key",
				"-out", "client.csr", "-subj", "/"+subject)
			certificate := d.Authority().Sign(d.Path("client.csr"))
			if out := d.Try("curl", "--silent", "--cacert", "ca.pem", "--cert", certificate, "--key", "client.key", url); !strings.Contains(out.Stdout, welcome) {
				t.Errorf("with a certificate: %v", out)
			}
		})
	}
}

// curl uses OpenSSL, and wget GnuTLS. With a key that needs TLS 1.2 they log in if they are
// told, and else do not.
func TestCurlAndWgetLogIn(t *testing.T) {
	for _, c := range []card{openPGP, openPGPRSA, piv, isoApplet, token} {
		t.Run(c.name, func(t *testing.T) {
			d := c.desk(t)
			url := nginx(t, d)
			line := c.curl(d, url)
			for _, program := range []struct{ line, tls12 []string }{
				{
					line,
					[]string{"--tls-max", "1.2"}, // MaxProtocol in the configuration has no effect on curl
				}, {
					[]string{"wget", "--quiet", "--output-document=-", "--ca-certificate=ca.pem", "--certificate=client.pem", "--private-key=" + c.uriWithPIN(), url},
					[]string{"--ciphers=NORMAL:-VERS-TLS1.3"},
				},
			} {
				if out := d.Try(program.line[0], program.line[1:]...); strings.Contains(out.Stdout, welcome) == c.tls12 {
					t.Errorf("logs in: %v\n%v", !c.tls12, out)
				}
				if !c.tls12 {
					stack.Uses(t, program.line[0], c.name, "")
					continue
				}
				line := append([]string{"OPENSSL_CONF=" + d.Write("openssl.cnf", withoutPSS, 0o600)}, program.line...)
				if out := d.Try("env", append(line, program.tls12...)...); !strings.Contains(out.Stdout, welcome) {
					t.Errorf("does not log in with TLS 1.2:\n%v", out)
				}
				stack.Uses(t, program.line[0], c.name, c.with())
			}
		})
	}
}

// curl is the command line with which curl logs in with the card.
func (c card) curl(d *stack.Desk, url string) []string {
	d.Run("cardctl", "export-cert", "--key", c.key, "--out", "client.pem")
	d.Setenv("PKCS11_MODULE_PATH", c.module)
	return []string{"curl", "--silent", "--cacert", "ca.pem", "--cert", "client.pem", "--engine", "pkcs11", "--key-type", "ENG", "--key", c.uriWithPIN(), url}
}

func (c card) uriWithPIN() string { return c.uri + "?pin-value=" + c.pin }

// withoutPSS is a configuration of OpenSSL. By default it signs with RSA-PSS in TLS 1.2 too.
const withoutPSS = `openssl_conf = openssl
[openssl]
ssl_conf = ssl
[ssl]
system_default = default
[default]
ClientSignatureAlgorithms = ECDSA+SHA256:RSA+SHA256:RSA+SHA384
`
