//go:build stack

package bench

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"filippo.io/age"

	"github.com/cardctl/cardctl/test/stack"
)

// A kind of card, and what the whole way of a new one costs at most, in APDUs.
var provisioned = []struct {
	name, application, key, algorithm, secrets string
	limit                                      int
	create                                     []string
}{
	{"OpenPGP, P-256", "openpgp", "OPENPGP.3", "p256", "admin: {generate: 10 digits, keep: ledger}", 24, nil},
	{"PIV, YubiKey 5.7, P-256", "piv", "PIV.9A", "p256", "puk: {generate: 8 digits, keep: ledger}", 40, []string{"--applications", "piv", "--profile", "piv-yubikey-5.7"}},
	{"PKCS#15, IsoApplet, RSA 2048", "pkcs15", "PKCS15.45", "rsa2048", "puk: {generate: 16 digits, keep: ledger}", 140, []string{"--applications", "pkcs15"}},
}

// withPlan makes a CA with its key in a file, and a plan.
func withPlan(t *testing.T, d *stack.Desk, application, key, algorithm, secrets string) {
	t.Helper()
	identity, err := age.GenerateX25519Identity()
	if err != nil {
		t.Fatal(err)
	}
	d.Setenv("CA_PASSWORD", "correct horse")
	d.Run("cardctl", "ca", "init", "ca", "--subject", "CN=CA", "--algorithm", "p256", "--password", "env:CA_PASSWORD")
	d.Write("plan.yaml", fmt.Sprintf(`schema: cardctl/v1
kind: Plan
person: {id: "{{.mail}}", name: "{{.name}}"}
card: {application: %s, init: if-blank}
pins: {user: {generate: 8 digits, keep: letter}, %s}
keys: [{ref: %s, algorithm: %s, certificate: {subject: "CN={{.name}}", issuer: desk}}]
issuers: {desk: {url: "ca:./ca?profile=client", secret: "env:CA_PASSWORD"}}
seal: [%s]
`, application, secrets, key, algorithm, identity.Recipient()), 0o600)
}

// table of rows, for the people from one number to another.
func people(d *stack.Desk, name string, from, to int) {
	rows := "name,mail\n"
	for i := from; i <= to; i++ {
		rows += fmt.Sprintf("Person %d,person%d@example.com\n", i, i)
	}
	d.Write(name, rows, 0o600)
}

// TestProvisionCounts counts the whole way of a new card: PINs, key, request, certificate,
// read back.
func TestProvisionCounts(t *testing.T) {
	var table table
	table.row("`cardctl provision`", "APDUs", "at most")
	for _, card := range provisioned {
		t.Run(card.name, func(t *testing.T) {
			d := stack.NewDesk(t)
			_, wire := d.WiredCard("new", 0, card.create...)
			withPlan(t, d, card.application, card.key, card.algorithm, card.secrets)
			people(d, "rows.csv", 1, 1)
			before := wire.Count()
			d.Run("cardctl", "provision", "plan.yaml", "--rows", "rows.csv")
			sent := wire.Count().Sub(before).APDUs
			if sent > card.limit {
				t.Errorf("%s: %d APDUs, %d are allowed", card.name, sent, card.limit)
			}
			table.row(card.name, fmt.Sprint(sent), fmt.Sprint(card.limit))
		})
	}
	table.publish(t)
}

// Eight readers take at most this many times as long as one; the lowest ratio of a few runs
// counts, because others work on the machine too.
const (
	sideBySide = 1.2
	readersNow = 8
	attempts   = 5
)

// TestReadersSideBySide compares eight cards in eight readers with one card in one, whose
// commands take 20 ms each.
func TestReadersSideBySide(t *testing.T) {
	var lowest float64
	var one, eight time.Duration
	for range attempts {
		d := stack.NewDesk(t)
		withPlan(t, d, "openpgp", "OPENPGP.3", "p256", "admin: {generate: 10 digits, keep: ledger}")
		people(d, "one.csv", 1, 1)
		people(d, "eight.csv", 2, readersNow+1)
		var names []string
		for i := range readersNow + 1 {
			name := fmt.Sprintf("card%d", i)
			d.Run("cardctl", "sim", "create", name, "--latency", "20ms")
			names = append(names, "sim:"+name)
		}
		measure := func(rows string, readers []string) time.Duration {
			start := time.Now()
			d.Run("cardctl", "provision", "plan.yaml", "--rows", rows, "--readers", strings.Join(readers, ","))
			return time.Since(start)
		}
		first, all := measure("one.csv", names[:1]), measure("eight.csv", names[1:])
		if ratio := all.Seconds() / first.Seconds(); lowest == 0 || ratio < lowest {
			lowest, one, eight = ratio, first, all
		}
		if lowest <= sideBySide {
			break
		}
	}
	if lowest > sideBySide {
		t.Errorf("eight readers took %.2f times as long as one", lowest)
	}
	var table table
	table.row("`cardctl provision`, cards that take 20 ms for a command", "time, s", "ratio", "at most")
	table.row("one reader", fmt.Sprintf("%.2f", one.Seconds()), "", "")
	table.row("eight readers", fmt.Sprintf("%.2f", eight.Seconds()), fmt.Sprintf("%.2f", lowest), fmt.Sprintf("%.2f", sideBySide))
	table.publish(t)
}
