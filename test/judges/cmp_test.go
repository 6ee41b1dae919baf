//go:build stack

package judges

import (
	"strings"
	"testing"

	"github.com/cardctl/cardctl/test/stack"
)

const sharedSecret = "4711081547110815"

// cmpDesk has a card with a key, and me.csr.pem, a certificate for it that OpenSSL's server gives
// to everybody. The RA of the server is ra.csr.pem.
func cmpDesk(t *testing.T, app, key, algorithm string) *stack.Desk {
	d := stack.NewDesk(t)
	d.Setenv("CARDCTL_READER", "sim:card")
	d.Setenv("CARDCTL_ISSUER_SECRET", sharedSecret)
	d.Run("cardctl", "sim", "create", "card", "--applications", app)
	switch app {
	case "piv":
		d.Setenv("CARDCTL_PIN", pivPIN)
		d.Setenv("CARDCTL_MANAGEMENT_KEY", pivManagementKey)
	default:
		d.Setenv("CARDCTL_PIN", stack.UserPIN)
		d.Setenv("CARDCTL_ADMIN_PIN", stack.AdminPIN)
		d.Run("cardctl", "init", "--yes")
	}
	d.Run("cardctl", "gen-key", "--key", key, "--algorithm", algorithm)
	request := d.Write("me.csr", d.Run("cardctl", "gen-csr", "--key", key, "--subject", "CN=Floppy Head", "--email", "floppy@example.com"), 0o600)
	d.Authority().Sign(request)
	d.RegistrationAuthority()
	return d
}

// cmpServer starts OpenSSL's CMP server, and returns its address.
func cmpServer(d *stack.Desk, t *testing.T, options ...string) (port string) {
	t.Helper()
	port = stack.FreePort(t)
	d.CMPServer(port, append([]string{"-rsp_cert", "me.csr.pem"}, options...)...)
	return port
}

// TestCMP has OpenSSL's CMP server give certificates to cards, by a shared secret, and
// renew them by signatures of the card.
func TestCMP(t *testing.T) {
	for name, c := range map[string][3]string{
		"OpenPGP P-256": {"openpgp", "OPENPGP.3", "p256"}, "OpenPGP RSA": {"openpgp", "OPENPGP.1", "rsa2048"},
		"PIV P-384": {"piv", "PIV.9C", "p384"}, "PIV RSA": {"piv", "PIV.9A", "rsa2048"},
	} {
		t.Run(name, func(t *testing.T) {
			d := cmpDesk(t, c[0], c[1], c[2])
			bySecret := cmpServer(d, t, "-srv_secret", "pass:"+sharedSecret, "-srv_ref", "desk")
			d.Run("cardctl", "enroll", "--key", c[1], "--subject", "CN=Floppy Head", "--email", "floppy@example.com",
				"--issuer", "cmp+http://desk@localhost:"+bySecret+"/", "--issuer-ca", "ca.pem")
			made := stack.ParseCertificate(t, []byte(d.Run("cardctl", "export-cert", "--key", c[1])))
			if !made.Equal(stack.ParseCertificate(t, d.Read("me.csr.pem"))) {
				t.Errorf("another certificate: %s", made.Subject)
			}
			bySignature := cmpServer(d, t, "-srv_cert", "ra.csr.pem", "-srv_key", "ra.key", "-srv_trusted", "ca.pem")
			d.Run("cardctl", "renew", "--key", c[1], "--issuer", "cmp+http://localhost:"+bySignature+"/", "--issuer-ca", "ca.pem")
			d.Run("openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-keyout", "other.key", "-out", "other.pem", "-subj", "/CN=RA", "-days", "2")
			stranger := cmpServer(d, t, "-srv_cert", "other.pem", "-srv_key", "other.key", "-srv_trusted", "ca.pem")
			refused := d.Refused("renew", "--key", c[1], "--issuer", "cmp+http://localhost:"+stranger+"/", "--issuer-ca", "ca.pem")
			if refused.Code != "mismatch" || !strings.Contains(refused.Message, "does not verify") { // OpenSSL sends no self-signed certificate
				t.Errorf("%+v", refused)
			}
			stack.Judged(t, "openssl", name, "CMP server: gave and renewed the certificate")
		})
	}
}

// TestCMPRefusals has OpenSSL's server answer otherwise.
func TestCMPRefusals(t *testing.T) {
	d := cmpDesk(t, "openpgp", "OPENPGP.3", "p256")
	ours := []string{"-srv_secret", "pass:" + sharedSecret, "-srv_ref", "desk"}
	for name, test := range map[string]struct {
		server []string
		code   string
		word   string
	}{
		"another secret": {[]string{"-srv_secret", "pass:0", "-srv_ref", "desk"}, "mismatch", "does not verify"},
		"rejected":       {append(ours[:4:4], "-pkistatus", "2", "-failure", "19", "-statusstring", "not today"), "failed", "not today [badCertTemplate]"},
		"an error":       {append(ours[:4:4], "-send_error"), "failed", "It said"},
		"unprotected":    {append(ours[:4:4], "-send_unprotected"), "mismatch", "not protected"},
		"waits":          {append(ours[:4:4], "-poll_count", "3", "-check_after", "90"), "failed", "again in 1m30s"},
		"an unproven error": {
			append(ours[:4:4], "-send_error", "-send_unprot_err"), "failed", "Nothing proves",
		},
	} {
		t.Run(name, func(t *testing.T) {
			port := cmpServer(d, t, test.server...)
			refused := d.Refused("enroll", "--key", "OPENPGP.3", "--subject", "CN=Floppy Head", "--email", "floppy@example.com", "--ask-anew",
				"--issuer", "cmp+http://desk@localhost:"+port+"/", "--issuer-ca", "ca.pem")
			if refused.Code != test.code || !strings.Contains(refused.Message, test.word) || strings.Contains(refused.Message+refused.Hint, sharedSecret) {
				t.Errorf("%+v", refused)
			}
		})
	}
	if result := d.Try("cardctl", "export-cert", "--key", "OPENPGP.3"); result.Exit == 0 {
		t.Error("there is a certificate on the card")
	}
}
