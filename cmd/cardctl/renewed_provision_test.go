package main

import (
	"strings"
	"testing"
)

// shown is what can be read of a card.
func (d *rowsDesk) shown(card string) string {
	d.t.Helper()
	return d.must("info", "-r", "sim:"+card).stdout
}

// renews runs the plan's renewals without a table, and asks nobody.
func (d *rowsDesk) renews(exit int, more string) result {
	d.t.Helper()
	r := d.run(d.t.Context(), d.words("provision $W/plan.yaml --renew --expiring 400d --no-input --identity $W/desk.key "+more))
	if r.exit != exit {
		d.t.Fatalf("%s: exit status %d, want %d\n%s\n%s", more, r.exit, exit, r.stdout, r.stderr)
	}
	return r
}

// TestRenewedWithoutATable renews what the certificate on the card has the names of. A key that
// signs its own certificate needs the row: without it, the name would be that of the column.
func TestRenewedWithoutATable(t *testing.T) {
	selfSigned := strings.Replace(anyOpenPGP, "issuer: desk", "selfSigned: true, days: 30", 1)
	account := strings.Replace(anyOpenPGP, "issuer: desk", `upn: ["{{.name}}@example.com"], sid: "S-1-5-21-1-2-3-{{.mail}}", issuer: desk`, 1) +
		"\nissuers: {desk: {url: \"ca:$W/ca?profile=smartcard-logon\", secret: \"env:CA_PASSWORD\"}}"
	for name, test := range map[string]struct {
		plan string
		exit int
	}{
		"by itself":                {selfSigned, 2},
		"for an account":           {account, 0},
		"by an address of the row": {account, 2},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			d := newRowsDesk(t, test.plan)
			d.rows("1001,floppy")
			d.line("sim create a")
			d.provision(0, "-r sim:a")
			if name == "by an address of the row" {
				d.plan(strings.Replace(test.plan, "ca:$W/ca?profile=smartcard-logon", "ejbca+https://ra.example.com/x?entity={{.mail}}", 1))
			}
			before := d.shown("a")
			r := d.renews(test.exit, "-r sim:a")
			if test.exit != 0 && (!strings.Contains(r.stderr, "there are no rows") || d.shown("a") != before) {
				t.Error(r.stderr)
			}
			if strings.Contains(d.shown("a"), "{{") {
				t.Error(d.shown("a"))
			}
		})
	}
}

// TestRenewedByItself renews a certificate that its key signs, as it does one of an issuer:
// nobody is asked. For another name than it has it is refused.
func TestRenewedByItself(t *testing.T) {
	t.Parallel()
	d := newRowsDesk(t, strings.Replace(anyOpenPGP, "issuer: desk", "selfSigned: true, days: 30", 1))
	d.rows("floppy,Floppy Head")
	d.line("sim create a")
	d.provision(0, "-r sim:a")
	if r := d.renews(0, "-r sim:a --rows $W/rows.csv"); !strings.Contains(r.stdout, "certificate OPENPGP.3  done") {
		t.Error(r.stdout)
	}
	d.rows("floppy,Another Name")
	before := d.shown("a")
	if r := d.renews(9, "-r sim:a --rows $W/rows.csv"); !strings.Contains(r.stderr, "the certificate is for CN=Floppy Head") || d.shown("a") != before {
		t.Error(r.stderr)
	}
}
