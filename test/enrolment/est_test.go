//go:build stack

package enrolment

import (
	"encoding/json"
	"strings"
	"testing"

	"github.com/cardctl/cardctl/test/stack"
)

// estServer starts GlobalSign's server of EST with the desk's authority, and returns its
// port. Its label csrattrs asks for what the example of RFC 7030, 4.5.2, has.
func estServer(t *testing.T, d *stack.Desk) (port string) {
	t.Helper()
	certificate, key := d.Authority().Server()
	port = stack.FreePort(t)
	configuration, err := json.Marshal(map[string]any{
		"mock_ca":       map[string]string{"certificates": d.Path("ca.pem"), "private_key": d.Path("ca.key")},
		"tls":           map[string]any{"listen_address": "localhost:" + port, "certificates": certificate, "private_key": key, "client_cas": []string{d.Path("ca.pem")}},
		"allowed_hosts": []string{"localhost"}, "rate_limit": 150, "timeout": 30, "log_file": d.Path("estserver.requests"),
	})
	if err != nil {
		t.Fatal(err)
	}
	serve(t, d, port, "estserver", "-config", d.Write("estserver.json", string(configuration), 0o600))
	return port
}

// TestEST has GlobalSign's server certify keys of every kind, and renew their certificates
// for the card that is the TLS client.
func TestEST(t *testing.T) {
	d := stack.NewDesk(t)
	port := estServer(t, d)
	at := "est+https://localhost:" + port
	for i, card := range []struct{ profile, key, algorithm string }{
		{"openpgp-3.4", "OPENPGP.3", "p256"}, {"openpgp-3.4", "OPENPGP.1", "rsa2048"},
		{"piv-yubikey-5.7", "PIV.9A", "p256"}, {"piv-yubikey-5.7", "PIV.9C", "p384"}, {"piv-yubikey-5.7", "PIV.9A", "rsa2048"},
	} {
		name := "card" + string(rune('a'+i))
		d.Run("cardctl", "sim", "create", name, "--profile", card.profile)
		d.Setenv("CARDCTL_READER", "sim:"+name)
		d.Setenv("CARDCTL_PIN", pivPIN)
		d.Setenv("CARDCTL_ADMIN_PIN", "12345678")
		d.Setenv("CARDCTL_MANAGEMENT_KEY", managementKey)
		d.Run("cardctl", "gen-key", "--key", card.key, "--algorithm", card.algorithm)
		enroll := []string{"enroll", "--key", card.key, "--subject", "CN=Floppy Head,O=Snake Oil", "--email", "floppy@example.com", "--issuer"}
		fails(t, d, "mismatch", []string{"is not trusted"}, append(enroll, at)...)
		d.Run("cardctl", append(enroll, at, "--issuer-ca", "ca.pem")...)
		first := stored(t, d, card.key)
		d.Run("cardctl", "renew", "--key", card.key, "--issuer-ca", "ca.pem")
		second := stored(t, d, card.key)
		if first.Equal(second) || first.Subject.String() != second.Subject.String() || len(second.EmailAddresses) != 1 {
			t.Errorf("%s: %s, %s", card.key, second.Subject, second.EmailAddresses)
		}
	}
}

// TestESTAsksForMore has the server ask for a curve, a digest, and a link to the connection.
func TestESTAsksForMore(t *testing.T) {
	d := stack.NewDesk(t)
	port := estServer(t, d)
	at := "est+https://localhost:" + port + "/csrattrs"
	pivCard(t, d, "PIV.9A", "p384")
	d.Run("cardctl", "gen-key", "--key", "PIV.9C", "--algorithm", "p256")
	fails(t, d, "not-supported", []string{"asks for p384"}, "enroll", "--key", "PIV.9C", "--subject", "CN=Floppy Head", "--issuer", at, "--issuer-ca", "ca.pem")
	var document struct{ Notes []string }
	if err := json.Unmarshal([]byte(d.Run("cardctl", "enroll", "--key", "PIV.9A", "--subject", "CN=Floppy Head", "--issuer", at, "--issuer-ca", "ca.pem", "--output", "json")), &document); err != nil {
		t.Fatal(err)
	}
	if len(document.Notes) != 1 { // the address of a network card
		t.Errorf("%q", document.Notes)
	}
}

// TestDocumentedEST types what the document says about EST.
func TestDocumentedEST(t *testing.T) {
	d := stack.NewDesk(t)
	port := estServer(t, d)
	d.Run("cardctl", "sim", "create", "card")
	d.Setenv("CARDCTL_READER", "sim:card")
	d.Setenv("CARDCTL_PIN", pivPIN)
	d.Setenv("CARDCTL_ADMIN_PIN", "12345678")
	d.Setenv("ENROLMENT_PASSWORD", "36451")
	d.Run("cardctl", "gen-key", "--key", "OPENPGP.3", "--algorithm", "p256")
	t.Log(d.Run("bash", "-euxc", strings.ReplaceAll(documented(t, "EST"), "ca.example.com", "localhost:"+port)))
	if name := stored(t, d, "OPENPGP.3").Subject.CommonName; name != "Floppy Head" {
		t.Error(name)
	}
}
