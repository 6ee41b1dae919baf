//go:build stack

package enrolment

import (
	"cmp"
	"crypto/x509"
	"fmt"
	"strings"
	"testing"

	"filippo.io/age"

	"github.com/cardctl/cardctl/test/stack"
)

// planned is the issuer of a plan: its fields, the names that it certifies, and the secret
// that it takes, with one that it refuses; without both it takes none.
type planned struct {
	fields, names, secret, wrong string
	algorithm                    string // empty for p256
}

// Names of a person, whose ID is what is printed on the card.
const (
	withMail    = `subject: "CN={{.id}}", email: ["{{.id}}@example.com"]`
	withoutMail = `subject: "CN={{.id}}"`
)

// TestPlans has a plan get certificates from servers, and renew them. A wrong secret stops
// a card, which then goes on with the key that it has.
func TestPlans(t *testing.T) {
	for name, test := range map[string]struct {
		kind  *plannedKind
		serve func(t *testing.T, d *stack.Desk) planned
	}{
		"step-ca, password": {&plannedOpenPGP, func(t *testing.T, d *stack.Desk) planned {
			return planned{fmt.Sprintf(`url: %q, secret: "env:ISSUER"`, joeAddress(t, d, stepCA(t, d, jwk()))), withMail, joePassword, "12345678", ""}
		}},
		"step-ca, officer": {&plannedOpenPGP, func(t *testing.T, d *stack.Desk) planned {
			officer(t, d)
			port := stepCA(t, d, provisioner{"type": "X5C", "name": "cards", "roots": d.Read("ca.pem")})
			return planned{fields: `url: "step+https://cards@localhost:` + port + `", ca: ca.pem, key: OPENPGP.3, reader: "sim:officer", pin: "env:OFFICER_PIN"`, names: withMail}
		}},
		"EST": {&plannedPIV, func(t *testing.T, d *stack.Desk) planned {
			return planned{fields: `url: "est+https://localhost:` + estServer(t, d) + `", ca: ca.pem`, names: withMail}
		}},
		"SCEP": {&plannedPIV, func(t *testing.T, d *stack.Desk) planned {
			port := scepServer(t, d, "-challenge", scepChallenge, "-allowrenew", "0")
			return planned{`url: "scep+http://localhost:` + port + `/scep", ca: depot/ca.pem, secret: "env:ISSUER"`, withMail, scepChallenge, "another", "rsa2048"} // or it could not renew
		}},
		"ACME": {&plannedPIV, func(t *testing.T, d *stack.Desk) planned {
			return planned{fields: `url: "acme+https://localhost:` + stepCA(t, d, attesting(d)) + `/acme/cards/directory", ca: ca.pem`, names: withoutMail}
		}},
	} {
		t.Run(name, func(t *testing.T) {
			d := stack.NewDesk(t)
			readers := test.kind.cards(d)
			issuer := test.serve(t, d)
			test.kind.plan(t, d, issuer)
			key := ""
			if issuer.wrong != "" {
				d.Setenv("ISSUER", issuer.wrong)
				r := d.Try("cardctl", provisioning("--rows", "rows.csv", "--reader", readers[0])...)
				if r.Exit == 0 || strings.Contains(r.Stdout+r.Stderr, issuer.wrong) {
					t.Fatalf("with a wrong secret: %v", r)
				}
				key = publicKey(d, test.kind.key, readers[0])
				d.Setenv("ISSUER", issuer.secret)
			}
			d.Run("cardctl", provisioning("--rows", "rows.csv", "--readers", strings.Join(readers, ","))...)
			made := map[string]*x509.Certificate{}
			for i, reader := range readers {
				made[reader] = stored(t, d, test.kind.key, "--reader", reader)
				if subject := made[reader].Subject.String(); subject != "CN="+plannedCards[i].printed {
					t.Errorf("%s: the certificate is for %s", reader, subject)
				}
			}
			keys := []string{publicKey(d, test.kind.key, readers[0]), publicKey(d, test.kind.key, readers[1])}
			if key != "" && key != keys[0] {
				t.Error("the card that went on has another key")
			}

			d.Run("cardctl", provisioning("--renew", "--expiring", "4000d", "--readers", strings.Join(readers, ","))...)
			for i, reader := range readers {
				renewed := stored(t, d, test.kind.key, "--reader", reader)
				if renewed.Equal(made[reader]) || renewed.Subject.String() != made[reader].Subject.String() || publicKey(d, test.kind.key, reader) != keys[i] {
					t.Errorf("%s: renewed to %s, of %s", reader, renewed.SerialNumber, renewed.Subject)
				}
			}
			if log := d.Run("cardctl", "ledger", "export", "--ledger", "sqlite:"+d.Path("ledger.db"), "--format", "jsonl"); issuer.secret != "" && strings.Contains(log, issuer.secret) {
				t.Error("the ledger has the secret of the issuer")
			}
		})
	}
}

// plannedCards are the cards of a plan: their serials as sim create takes them, and as they
// are printed on a YubiKey.
var plannedCards = []struct{ hex, printed string }{{pivSerialHex, pivSerial}, {"01348924", "20220196"}}

// plannedKind is a kind of cards in a plan, and its key.
type plannedKind struct {
	profile, key, fields string
	states               bool // where its keys are from
}

var (
	plannedOpenPGP = plannedKind{profile: "openpgp-3.4", key: "OPENPGP.3", fields: `
card: {application: openpgp}
pins: {user: {generate: 8 digits, keep: letter}, admin: {generate: 10 digits, keep: ledger}}`}
	plannedPIV = plannedKind{profile: "piv-yubikey-5.7", key: "PIV.9A", states: true, fields: `
card: {application: piv}
pins: {user: {generate: 8 digits, keep: letter}, puk: {generate: 8 digits, keep: ledger}}
managementKey: {generate: management-key, keep: ledger}`}
)

// cards makes the cards of the kind, and returns their readers. The CAs of their makers are
// maker.pem.
func (k *plannedKind) cards(d *stack.Desk) (readers []string) {
	makers := ""
	for _, card := range plannedCards {
		create := []string{"sim", "create", card.printed, "--profile", k.profile, "--serial", card.hex}
		if k.states {
			create = append(create, "--attestation-ca", card.printed+".pem")
		}
		d.Run("cardctl", create...)
		readers = append(readers, "sim:"+card.printed)
		if k.states {
			makers += string(d.Read(card.printed + ".pem"))
		}
	}
	d.Write("maker.pem", makers, 0o600)
	return readers
}

// plan writes the plan and its table, and who can read what it seals.
func (k *plannedKind) plan(t *testing.T, d *stack.Desk, issuer planned) {
	t.Helper()
	identity, err := age.GenerateX25519Identity()
	if err != nil {
		t.Fatal(err)
	}
	d.Write("desk.key", identity.String()+"\n", 0o600)
	d.Write("plan.yaml", "schema: cardctl/v1\nkind: Plan"+k.fields+`
person: {id: "{{.id}}"}
keys: [{ref: `+k.key+`, algorithm: `+cmp.Or(issuer.algorithm, "p256")+`, certificate: {`+issuer.names+`, issuer: server}}]
issuers: {server: {`+issuer.fields+`}}
seal: [`+identity.Recipient().String()+`]
`, 0o600)
	table := "id\n"
	for _, card := range plannedCards {
		table += card.printed + "\n"
	}
	d.Write("rows.csv", table, 0o600)
}

// provisioning is the command line of the plan, with more words.
func provisioning(more ...string) []string {
	return append([]string{"provision", "plan.yaml", "--ledger", "sqlite:ledger.db", "--identity", "desk.key", "--yes"}, more...)
}

func publicKey(d *stack.Desk, key, reader string) string {
	return d.Run("cardctl", "export-key", "--key", key, "--reader", reader)
}
