//go:build stack

package enrolment

import (
	"fmt"
	"strings"
	"testing"

	"github.com/cardctl/cardctl/test/stack"
)

// TestPlanOfCMP has a plan get a certificate from OpenSSL's CMP server by a shared secret,
// after it was given a wrong one, and renew it by a signature of the card. The server gives
// what it was started with, and renews nothing else.
func TestPlanOfCMP(t *testing.T) {
	const secret, wrong = "4711081547110815", "12345678"
	for name, kind := range map[string]*plannedKind{"OpenPGP": &plannedOpenPGP, "PIV": &plannedPIV} {
		t.Run(name, func(t *testing.T) {
			d := stack.NewDesk(t)
			reader, printed := kind.cards(d)[0], plannedCards[0].printed
			d.Authority()
			d.RegistrationAuthority()
			port := stack.FreePort(t)
			kind.plan(t, d, planned{fields: `url: "cmp+http://desk@localhost:` + port + `/", ca: ca.pem, secret: "env:ISSUER"`, names: withoutMail})
			d.Write("rows.csv", "id\n"+printed+"\n", 0o600)
			command := provisioning("--rows", "rows.csv", "--reader", reader)
			log := func() string {
				return d.Run("cardctl", "ledger", "export", "--ledger", "sqlite:"+d.Path("ledger.db"), "--format", "jsonl")
			}
			bySecret := func(certificate string) (stop func()) {
				return d.CMPServer(port, "-rsp_cert", certificate, "-srv_secret", "pass:"+secret, "-srv_ref", "desk")
			}

			tries := triesLeft(d, reader)
			stop := bySecret("ra.csr.pem")
			d.Setenv("ISSUER", wrong)
			for range 2 {
				r := d.Try("cardctl", command...)
				if r.Exit != 8 || !strings.Contains(r.Stderr, "does not verify") || strings.Contains(r.Stdout+r.Stderr, wrong) {
					t.Fatalf("with a wrong secret: %v", r)
				}
			}
			if now := triesLeft(d, reader); now != tries {
				t.Errorf("tries left: %s, and before: %s", now, tries)
			}
			key := publicKey(d, kind.key, reader)
			d.Write("public.pem", key, 0o600)
			d.Authority().Certify("public.pem", "/CN="+printed, "made.pem")
			stop()

			stop = bySecret("made.pem")
			d.Setenv("ISSUER", secret)
			d.Run("cardctl", command...)
			if !stored(t, d, kind.key, "--reader", reader).Equal(stack.ParseCertificate(t, d.Read("made.pem"))) {
				t.Error("the card has another certificate")
			}
			stop()
			before := log()
			if d.Run("cardctl", command...); log() != before {
				t.Error("the same command again was recorded")
			}

			d.CMPServer(port, "-rsp_cert", "made.pem", "-srv_cert", "ra.csr.pem", "-srv_key", "ra.key", "-srv_trusted", "ca.pem")
			said := d.Run("cardctl", provisioning("--renew", "--expiring", "4000d", "--reader", reader)...)
			if !strings.Contains(strings.Join(strings.Fields(said), " "), "certificate "+kind.key+" done") || publicKey(d, kind.key, reader) != key {
				t.Errorf("the certificate was not renewed for the key: %s", said)
			}
			if now := triesLeft(d, reader); now != tries {
				t.Errorf("tries left in the end: %s, and before: %s", now, tries)
			}
			if text := log(); strings.Contains(text, secret) || strings.Contains(text, wrong) {
				t.Error("the ledger has the secret of the issuer")
			}
		})
	}
}

// triesLeft are those of all PINs of a card.
func triesLeft(d *stack.Desk, reader string) (all string) {
	for _, pin := range d.Info("--reader", reader).PINs {
		all += fmt.Sprintf("%s %d ", pin.Name, pin.TriesLeft)
	}
	return all
}
