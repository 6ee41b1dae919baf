//go:build stack

package bench

import (
	"database/sql"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	_ "github.com/cardctl/cardctl/internal/database" // the driver
	"github.com/cardctl/cardctl/test/stack"
)

// A CA of this many certificates, of which every other one is revoked, works this fast and
// in this much memory.
const (
	issuedByCA   = 10_000
	slowestOfCA  = time.Second
	mostMemoryCA = 60 << 20
)

// TestBigCA measures the commands of a CA with its key in a file.
func TestBigCA(t *testing.T) {
	d := stack.NewDesk(t)
	d.Setenv("PASSWORD", "correct horse")
	d.Run("openssl", "req", "-newkey", "rsa:2048", "-nodes", "-keyout", "key.pem", "-subj", "/CN=me", "-out", "me.csr")
	d.Run("cardctl", "ca", "init", "ca", "--subject", "CN=Big", "--algorithm", "p256", "--password", "env:PASSWORD")
	d.Run("cardctl", "ca", "issue", "ca", "me.csr", "--profile", "client", "--password", "env:PASSWORD")
	fill(t, d.Path("ca/ca.db"))
	var table table
	table.row("command", "time, s", "at most", "peak memory, MiB", "at most")
	for _, line := range []string{
		"ca list ca", "ca show ca", "ca crl ca --password env:PASSWORD --out ca.crl",
		"ca issue ca me.csr --profile client --password env:PASSWORD --yes --out me.pem",
	} {
		usage := d.Measure("cardctl", strings.Fields(line)...)
		if usage.Time > slowestOfCA || usage.PeakMemory > mostMemoryCA {
			t.Errorf("%s: %s, %.0f MiB", line, usage.Time, mebibytes(usage.PeakMemory))
		}
		words := strings.Fields(line)
		table.row("`cardctl "+strings.Join(words[:2], " ")+"`", fmt.Sprintf("%.2f", usage.Time.Seconds()), fmt.Sprintf("%.0f", slowestOfCA.Seconds()),
			fmt.Sprintf("%.0f", mebibytes(usage.PeakMemory)), fmt.Sprintf("%.0f", mebibytes(mostMemoryCA)))
	}
	table.publish(t)
}

// What certificates from a CA with its key on a card may cost, in APDUs.
const (
	oneCertificate     = 5
	furtherCertificate = 2
)

// TestCertificatesOfACard counts what one certificate costs, and each further one.
func TestCertificatesOfACard(t *testing.T) {
	var table table
	table.row("CA on a card, P-256", "one certificate", "at most", "each further one", "at most")
	for _, card := range []struct {
		name, key, admin string
		create           []string
	}{
		{"OpenPGP", "OPENPGP.1", "--admin-pin=env:CARDCTL_ADMIN_PIN", nil},
		{"PIV, YubiKey 5", "PIV.9C", "--management-key=default", []string{"--applications", "piv", "--profile", "piv-yubikey-5"}},
	} {
		t.Run(card.name, func(t *testing.T) {
			d := stack.NewDesk(t)
			_, wire := d.WiredCard("ca", 0, card.create...)
			if card.create == nil {
				d.Run("cardctl", "init", "--yes")
			} else {
				d.Setenv("CARDCTL_PIN", pivPIN)
			}
			d.Run("cardctl", "gen-key", "--key", card.key, "--algorithm", "p256", card.admin)
			d.Run("cardctl", "ca", "init", "ca", "--subject", "CN=CA", "--key", card.key)
			requests := []string{"a.csr", "b.csr", "c.csr"}
			for _, request := range requests {
				d.Run("openssl", "req", "-newkey", "rsa:2048", "-nodes", "-keyout", "key.pem", "-subj", "/CN="+request, "-out", request)
			}
			issue := func(some ...string) int {
				before := wire.Count()
				d.Run("cardctl", slices.Concat([]string{"ca", "issue", "ca", "--profile", "client", "--yes", "--out", fmt.Sprintf("issued%d", len(some))}, some)...)
				return wire.Count().Sub(before).APDUs
			}
			one := issue(requests[0])
			further := float64(issue(requests...)-one) / float64(len(requests)-1)
			if one > oneCertificate || further > furtherCertificate {
				t.Errorf("%s: %d APDUs, %.1f for each further certificate", card.name, one, further)
			}
			table.row(card.name, fmt.Sprint(one), fmt.Sprint(oneCertificate), fmt.Sprint(further), fmt.Sprint(furtherCertificate))
		})
	}
	table.publish(t)
}

// fill copies the one certificate that a CA has issued.
func fill(t *testing.T, path string) {
	t.Helper()
	db, err := sql.Open("sqlite", path)
	if err != nil {
		t.Fatal(err)
	}
	_, err = db.ExecContext(t.Context(), `
		WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < ?)
		INSERT INTO certificates
		SELECT printf('4A%038X', i), authority, der, 'CN=' || i, 'cn=' || i, printf('%064X', i), not_after, issued, profile,
			CASE i % 2 WHEN 1 THEN issued END, CASE i % 2 WHEN 1 THEN 4 END
		FROM certificates, n`, issuedByCA)
	if err != nil {
		t.Fatal(err)
	}
	if err := db.Close(); err != nil {
		t.Error(err)
	}
}
