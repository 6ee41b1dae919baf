//go:build stack

package judges

import (
	"encoding/json"
	"strings"
	"testing"

	"github.com/cardctl/cardctl/test/stack"
)

// smoke is what the tests read of the document that smoke-test prints.
type smoke struct {
	Module string
	Passed bool
	Checks []struct{ Name, Result, Detail string }
}

func (s smoke) result(name string) (result, detail string) {
	for _, check := range s.Checks {
		if check.Name == name {
			return check.Result, check.Detail
		}
	}
	return "", ""
}

func TestOpenSSLServerTakesTheClient(t *testing.T) {
	tests := []struct {
		algorithm, version string
		want               string // of the check, and whether the server saw the certificate
	}{
		{"p256", "-tls1_2", "pass"},
		{"p256", "-tls1_3", "pass"},
		{"p384", "-tls1_3", "pass"},
		{"rsa2048", "-tls1_2", "pass"},
		{"rsa2048", "-tls1_3", "skip"}, // that takes PSS, which the card does not know
	}
	for _, tt := range tests {
		t.Run(tt.algorithm+tt.version, func(t *testing.T) {
			d := stack.NewDesk(t)
			d.Card("client", 0).Initialise()
			issue(t, d, "OPENPGP.3", tt.algorithm)
			address := serve(t, d, tt.version)

			var report smoke
			out := d.Run("cardctl", "smoke-test", "--key", "OPENPGP.3", "--module", "opensc",
				"--tls-connect", address, "--ca", "ca.pem", "-o", "json")
			if err := json.Unmarshal([]byte(out), &report); err != nil {
				t.Fatal(err)
			}
			result, detail := report.result("tls-connect")
			if result != tt.want || detail == "" {
				t.Errorf("tls-connect: %s, %s\n%s", result, detail, out)
			}
			saw := strings.Contains(string(d.Read("server.log")), "CN=Floppy Head")
			if saw != (tt.want == "pass") {
				t.Errorf("the server says\n%s", d.Read("server.log"))
			}
		})
	}
}

// A card may sign no digest but the one as long as the curve, and no message
// as long as a handshake: that is no failure of what works.
func TestSmokeTestOfAStrictCard(t *testing.T) {
	for algorithm, want := range map[string]map[string]string{
		"p384":    {"sign CKM_ECDSA_SHA256": "skip", "sign CKM_ECDSA_SHA384": "pass", "tls1.2 as openssl, gnutls and nss": "skip", "tls1.2": "pass", "tls1.3": "pass"},
		"ed25519": {"tls1.2": "skip", "tls1.3": "pass", "tls1.3 as openssl and nss": "fail"},
	} {
		t.Run(algorithm, func(t *testing.T) {
			d := stack.NewDesk(t)
			d.Card("strict", 0, "--profile", "strict-lengths").Initialise()
			issue(t, d, "OPENPGP.3", algorithm)
			var report smoke
			out := d.Try("cardctl", "smoke-test", "--key", "OPENPGP.3", "--module", "opensc", "--tls", "-o", "json").Stdout
			if err := json.Unmarshal([]byte(out), &report); err != nil {
				t.Fatal(err)
			}
			for name, result := range want {
				if got, detail := report.result(name); got != result {
					t.Errorf("%s: %s, %s", name, got, detail)
				}
			}
		})
	}
}

func TestOpenSSLServerThatDoesNotFit(t *testing.T) {
	d := stack.NewDesk(t)
	d.Card("client", 0).Initialise()
	issue(t, d, "OPENPGP.3", "p256")
	d.Run("openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes",
		"-keyout", "other.key", "-out", "other.pem", "-subj", "/CN=Another CA")
	address := serve(t, d, "-tls1_3")
	if refused := d.Try("cardctl", "smoke-test", "--key", "OPENPGP.3", "--tls-connect", address, "--ca", "other.pem"); refused.Exit == 0 {
		t.Errorf("a server of another authority: %v", refused)
	}
	stranger := serve(t, d, "-tls1_3", "-CAfile", "other.pem")
	if refused := d.Try("cardctl", "smoke-test", "--key", "OPENPGP.3", "--tls-connect", stranger, "--ca", "ca.pem"); refused.Exit == 0 {
		t.Errorf("a server that trusts another authority: %v", refused)
	}
}

// serve runs an OpenSSL server that requires a client certificate of the desk's
// authority, and returns its address.
func serve(t *testing.T, d *stack.Desk, options ...string) string {
	t.Helper()
	certificate, key := d.Authority().Server()
	port := stack.FreePort(t)
	args := []string{"s_server", "-accept", port, "-cert", certificate, "-key", key,
		"-CAfile", "ca.pem", "-Verify", "1", "-verify_return_error", "-rev", "-nameopt", "RFC2253"}
	d.Start("server.log", "openssl", append(args, options...)...)
	d.Eventually("the server accepts", func() bool { return strings.Contains(string(d.Read("server.log")), "ACCEPT") })
	return "localhost:" + port
}
