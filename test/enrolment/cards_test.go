//go:build stack

package enrolment

import (
	"crypto/x509"
	"encoding/json"
	"slices"
	"strings"
	"testing"

	"github.com/cardctl/cardctl/test/stack"
)

// PINs that new cards have.
const (
	pivPIN        = "123456"
	managementKey = "010203040506070801020304050607080102030405060708"
)

// pivCard makes a simulated PIV card that states where its keys are from, with a key, and
// has cardctl use it. Its maker's CA is maker.pem.
func pivCard(t *testing.T, d *stack.Desk, key, algorithm string) {
	t.Helper()
	d.Run("cardctl", "sim", "create", "card", "--profile", "piv-yubikey-5.7", "--serial", pivSerialHex, "--attestation-ca", d.Path("maker.pem"))
	d.Setenv("CARDCTL_READER", "sim:card")
	d.Setenv("CARDCTL_PIN", pivPIN)
	d.Setenv("CARDCTL_MANAGEMENT_KEY", managementKey)
	d.Run("cardctl", "gen-key", "--key", key, "--algorithm", algorithm)
}

// The serial of the card, as it is printed on it, and as sim create takes it.
const (
	pivSerial    = "20220195"
	pivSerialHex = "01348923"
)

// officer makes the card sim:officer, whose key OPENPGP.3 the desk's authority has certified.
func officer(t *testing.T, d *stack.Desk) {
	t.Helper()
	d.Setenv("OFFICER_PIN", stack.UserPIN)
	d.Setenv("OFFICER_ADMIN_PIN", stack.AdminPIN)
	pin, adminPIN := []string{"--pin", "env:OFFICER_PIN"}, []string{"--admin-pin", "env:OFFICER_ADMIN_PIN"}
	run := func(secrets []string, args ...string) string {
		return d.Run("cardctl", slices.Concat(args, secrets, []string{"--reader", "sim:officer"})...)
	}
	d.Run("cardctl", "sim", "create", "officer")
	run(slices.Concat(pin, adminPIN), "init", "--yes")
	run(adminPIN, "gen-key", "--key", "OPENPGP.3")
	request := run(pin, "gen-csr", "--key", "OPENPGP.3", "--subject", "CN=officer", "--key-usage", "digitalSignature", "--ext-key-usage", "clientAuth")
	run(adminPIN, "import-cert", "--key", "OPENPGP.3", d.Authority().Sign(d.Write("officer.csr", request, 0o600)))
}

// stored is the certificate on the card; options can name its reader.
func stored(t *testing.T, d *stack.Desk, key string, options ...string) *x509.Certificate {
	t.Helper()
	return stack.ParseCertificate(t, []byte(d.Run("cardctl", append([]string{"export-cert", "--key", key}, options...)...)))
}

// fails runs cardctl, which has to fail with a code, and with words in its error.
func fails(t *testing.T, d *stack.Desk, code string, words []string, args ...string) {
	t.Helper()
	result := d.Try("cardctl", append(args, "--output", "json")...)
	var failure struct{ Code, Message, Hint string }
	if err := json.Unmarshal([]byte(result.Stderr), &failure); err != nil || result.Exit == 0 {
		t.Fatalf("%v: %v", result, err)
	}
	if said := result.Stdout + result.Stderr; strings.Contains(said, pebbleMACKey) || strings.Contains(said, scepChallenge) || strings.Contains(said, "eyJ") { // a token begins so
		t.Errorf("%v: with a secret", result)
	}
	if failure.Code != code {
		t.Errorf("%v: want %s", result, code)
	}
	for _, word := range words {
		if !strings.Contains(failure.Message, word) {
			t.Errorf("%v: nothing of %q", result, word)
		}
	}
}
