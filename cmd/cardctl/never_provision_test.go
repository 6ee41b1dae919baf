package main

import (
	"cmp"
	"context"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"filippo.io/age"

	"github.com/cardctl/cardctl/internal/ledger"
)

// rowsDesk is a desk with a plan, a CA in a file, and simulated cards.
type rowsDesk struct {
	*testDesk
	identity *age.X25519Identity
}

// newRowsDesk makes a CA, and the plan of a card.
func newRowsDesk(t *testing.T, plan string) *rowsDesk {
	t.Helper()
	identity, err := age.GenerateX25519Identity()
	if err != nil {
		t.Fatal(err)
	}
	d := &rowsDesk{&testDesk{t: t, state: t.TempDir(), vars: []string{"CA_PASSWORD=" + caPassword, "CARDCTL_PIN=" + userPIN, "CARDCTL_ADMIN_PIN=" + adminPIN}}, identity}
	d.newFileCA()
	d.writeFile("desk.key", []byte(identity.String()+"\n"))
	d.plan(plan)
	d.rows("floppy,Floppy Head", "hard,Hard Disk", "tape,Tape Drive")
	return d
}

// plan writes the plan; what it does not say is filled in.
func (d *rowsDesk) plan(text string) {
	d.t.Helper()
	for part, otherwise := range map[string]string{
		"person:":  `{id: "{{.mail}}", name: "{{.name}}"}`,
		"issuers:": fmt.Sprintf(`{desk: {url: "ca:%s/ca?profile=client", secret: "env:CA_PASSWORD"}}`, d.state),
		"seal:":    "[" + d.identity.Recipient().String() + "]",
		"schema:":  "cardctl/v1", "kind:": "Plan",
	} {
		if !strings.Contains(text, part) {
			text += "\n" + part + " " + otherwise
		}
	}
	d.writeFile("plan.yaml", []byte(strings.ReplaceAll(text, "$W", d.state)))
}

// rows writes the table.
func (d *rowsDesk) rows(rows ...string) {
	d.t.Helper()
	d.writeFile("rows.csv", []byte("mail,name\n"+strings.Join(rows, "\n")+"\n"))
}

func (d *rowsDesk) line(line string) result { d.t.Helper(); return d.must(d.words(line)...) }

// provision runs the plan with more words, and wants an exit status.
func (d *rowsDesk) provision(exit int, more string) result {
	d.t.Helper()
	r := d.run(context.Background(), d.words("provision $W/plan.yaml --rows $W/rows.csv --yes -o json "+more))
	if r.exit != exit {
		d.t.Fatalf("provision %s: exit status %d, want %d\n%s\n%s", more, r.exit, exit, r.stdout, r.stderr)
	}
	return r
}

// serial is that of a simulated card.
func (d *rowsDesk) serial(name string) string {
	d.t.Helper()
	var info struct{ Card struct{ Serial string } }
	if err := json.Unmarshal([]byte(d.must("info", "-r", "sim:"+name, "-o", "json").stdout), &info); err != nil {
		d.t.Fatal(err)
	}
	return info.Card.Serial
}

// inLedger is what the ledger has of a card.
func (d *rowsDesk) inLedger(serial string) *ledger.Card {
	d.t.Helper()
	l, err := ledger.Open(context.Background(), "sqlite:"+filepath.Join(d.state, "ledger.db"), ledger.Options{})
	if err != nil {
		d.t.Fatal(err)
	}
	defer func() { _ = l.Close() }()
	c, err := l.Card(context.Background(), serial)
	if err != nil {
		d.t.Fatal(err)
	}
	return c
}

// simState is what is on a simulated card.
func (d *rowsDesk) simState(name string) string {
	d.t.Helper()
	other := *d.testDesk
	return string(other.fileOf(filepath.Join("sim", name+".json")))
}

const anyOpenPGP = `
card: {application: openpgp, init: always}
pins: {user: {generate: 8 digits, keep: letter}, admin: {generate: 10 digits, keep: ledger}}
keys: [{ref: OPENPGP.3, algorithm: p256, certificate: {subject: "CN={{.name}}", issuer: desk}}]`

const anyPIV = `
card: {application: piv, init: always}
pins: {user: {generate: 8 digits, keep: both}, puk: {generate: 8 digits, keep: ledger}}
managementKey: {generate: management-key, keep: ledger}
keys: [{ref: PIV.9A, algorithm: p256, certificate: {subject: "CN={{.name}}", issuer: desk}}]`

// TestNeverProvisioned has every card in a reader that is never provisioned, with a plan
// that erases: it is refused, not changed, and left out where there are others.
func TestNeverProvisioned(t *testing.T) {
	both := "--applications openpgp,piv --profile piv-yubikey-5.7"
	java := "--applications gp,piv --profile piv-yubikey-5.7"
	for name, test := range map[string]struct {
		create string
		plan   string
		before []string
		says   string
		// address is that of the CA, if that is special.
		address string
	}{
		"the card of the CA": {
			plan: anyOpenPGP, says: "the key of the issuer",
			before: []string{"init -r sim:held --yes", "gen-key -r sim:held -k OPENPGP.1", "ca init $W/ca2 -r sim:held --subject CN=CA --key OPENPGP.1"},
		},
		"the card of a CA whose address has capitals": {
			plan: anyOpenPGP, says: "the key of the issuer", address: "CA:%s/ca2",
			before: []string{"init -r sim:held --yes", "gen-key -r sim:held -k OPENPGP.1", "ca init $W/ca2 -r sim:held --subject CN=CA --key OPENPGP.1"},
		},
		"the card of a former key of the CA": {
			plan: anyOpenPGP, says: "the key of the issuer",
			before: []string{
				"init -r sim:held --yes", "gen-key -r sim:held -k OPENPGP.1", "ca init $W/ca2 -r sim:held --subject CN=CA --key OPENPGP.1",
				"sim create new", "init -r sim:new --yes", "gen-key -r sim:new -k OPENPGP.1", "ca renew $W/ca2 --new-key --key OPENPGP.1 -r sim:new --yes --issuer-reader sim:held --issuer-pin env:CARDCTL_PIN",
			},
		},
		"the card of the CA, another application": {
			create: both, plan: anyPIV, says: "the key of the issuer",
			before: []string{"init -r sim:held --app openpgp --yes", "gen-key -r sim:held -k OPENPGP.1", "ca init $W/ca2 -r sim:held --subject CN=CA --key OPENPGP.1"},
		},
		"the card of the CA, PIV": {
			create: "--applications piv --profile piv-yubikey-5.7", plan: anyPIV, says: "the key of the issuer",
			before: []string{"gen-key -r sim:held -k PIV.9C --management-key default", "ca init $W/ca2 -r sim:held --subject CN=CA --key PIV.9C --pin env:FACTORY"},
		},
		"the card of the CA, PIV, for OpenPGP": {
			create: both, plan: anyOpenPGP, says: "the key of the issuer",
			before: []string{"gen-key -r sim:held -k PIV.9C --management-key default", "ca init $W/ca2 -r sim:held --subject CN=CA --key PIV.9C --pin env:FACTORY"},
		},
		"the card that signed the log": {
			plan: anyOpenPGP, says: "signs the log",
			before: []string{"init -r sim:held --yes", "gen-key -r sim:held -k OPENPGP.1", "ledger sign --key OPENPGP.1 -r sim:held"},
		},
		"the card that signed the log, another application": {
			create: both, plan: anyPIV, says: "signs the log",
			before: []string{"init -r sim:held --app openpgp --yes", "gen-key -r sim:held -k OPENPGP.1", "ledger sign --key OPENPGP.1 -r sim:held"},
		},
		"the card of an officer": {
			plan: anyOpenPGP + "\nissuers: {desk: {url: \"ca:$W/ca?profile=client\", secret: \"env:CA_PASSWORD\"}, ra: {url: \"cmp+https://localhost:1/\", key: OPENPGP.3, reader: \"sim:held\"}}",
			says: "the key of the issuer", before: []string{"init -r sim:held --yes", "gen-key -r sim:held -k OPENPGP.3"},
		},
		"another person's card, another application": {
			create: both, plan: anyPIV, says: "another person's",
			before: []string{"provision $W/else.yaml -r sim:held"},
		},
		"another person's card, a Java card": {
			create: java, plan: anyJava, says: "another person's",
			before: []string{"provision $W/elsepiv.yaml -r sim:held"},
		},
		"the card of the CA, a Java card": {
			create: java, plan: anyJava, says: "the key of the issuer",
			before: []string{"gen-key -r sim:held -k PIV.9C --management-key default", "ca init $W/ca2 -r sim:held --subject CN=CA --key PIV.9C --pin env:FACTORY"},
		},
		"the card that signed the log, a Java card": {
			create: java, plan: anyJava, says: "signs the log",
			before: []string{"gen-key -r sim:held -k PIV.9C --management-key default", "ledger sign --key PIV.9C -r sim:held --pin env:FACTORY"},
		},
		"the card of an officer, a Java card": {
			create: java,
			plan:   anyJava + "\nissuers: {desk: {url: \"ca:$W/ca?profile=client\", secret: \"env:CA_PASSWORD\"}, ra: {url: \"cmp+https://localhost:1/\", key: PIV.9A, reader: \"sim:held\"}}",
			says:   "the key of the issuer", before: []string{"gen-key -r sim:held -k PIV.9A --management-key default"},
		},
		"a Java card that somebody lost": {
			create: "--applications gp", plan: anyJava, says: "which is lost",
			before: []string{
				"provision $W/elsejava.yaml -r sim:held", "ledger mark else lost",
				"applet delete D27600012401 --with-applets --yes -r sim:held --card-keys default",
			},
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			d := newRowsDesk(t, test.plan)
			d.vars = append(d.vars, "FACTORY=123456")
			d.plan(strings.ReplaceAll(anyOpenPGP, "{{.name}}", "Else") + "\nperson: {id: else, name: Else}")
			d.writeFile("else.yaml", d.fileOf("plan.yaml"))
			d.plan(strings.ReplaceAll(anyPIV, "{{.name}}", "Else") + "\nperson: {id: else, name: Else}")
			d.writeFile("elsepiv.yaml", d.fileOf("plan.yaml"))
			d.openPGPApplet()
			d.plan(strings.ReplaceAll(strings.Replace(anyJava, ", newCardKeys: {generate: card-keys, keep: ledger}", "", 1), "{{.name}}", "Else") + "\nperson: {id: else, name: Else}")
			d.writeFile("elsejava.yaml", d.fileOf("plan.yaml"))
			d.plan(test.plan)
			d.line("sim create held " + test.create)
			d.line("sim create blank " + test.create)
			for _, line := range test.before {
				if strings.HasPrefix(line, "ledger sign") { // something has to be signed
					d.line("sim create first " + test.create)
					d.provision(3, "--readers sim:first")
				}
				d.line(line)
			}
			if strings.Contains(strings.Join(test.before, ";"), "ca2") {
				d.plan(test.plan + fmt.Sprintf("\nissuers: {desk: {url: %q, reader: \"sim:held\"}}", fmt.Sprintf(cmp.Or(test.address, "ca:%s/ca2?profile=client"), d.state)))
			}
			before := d.simState("held")
			if r := d.provision(9, "-r sim:held"); !strings.Contains(r.stderr, test.says) {
				t.Errorf("%s", r.stderr)
			}
			r := d.run(context.Background(), d.words("provision $W/plan.yaml --rows $W/rows.csv --yes -o json --readers sim:held,sim:blank"))
			if !strings.Contains(r.stdout, `"leftOut":[{"reader":"sim:held"`) || !strings.Contains(r.stdout, test.says) {
				t.Errorf("%d\n%s\n%s", r.exit, r.stdout, r.stderr)
			}
			if d.simState("held") != before {
				t.Error("the card was changed")
			}
		})
	}
}

// TestCardsOfOthers are refused, and not changed.
func TestCardsOfOthers(t *testing.T) {
	for name, test := range map[string]struct {
		mark string
		rows []string
	}{
		"active":    {"", []string{"hard,Hard Disk"}},
		"suspended": {"suspended", nil}, "lost": {"lost", nil}, "revoked": {"revoked", nil},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			d := newRowsDesk(t, anyOpenPGP)
			d.line("sim create held")
			d.line("sim create blank")
			d.rows("floppy,Floppy Head")
			d.provision(0, "-r sim:held")
			if test.mark != "" {
				d.must("ledger", "mark", d.serial("held"), test.mark)
			}
			if test.rows != nil {
				d.rows(test.rows...)
			} else {
				d.rows("floppy,Floppy Head", "hard,Hard Disk")
			}
			before := d.simState("held")
			d.provision(9, "-r sim:held")
			r := d.run(context.Background(), d.words("provision $W/plan.yaml --rows $W/rows.csv --yes -o json --readers sim:held,sim:blank"))
			if !strings.Contains(r.stdout, `"leftOut":[{"reader":"sim:held"`) {
				t.Errorf("%d\n%s\n%s", r.exit, r.stdout, r.stderr)
			}
			if d.simState("held") != before {
				t.Error("the card was changed")
			}
		})
	}
}

// fileOf reads a file of the state directory.
func (d *testDesk) fileOf(name string) []byte {
	d.t.Helper()
	data, err := os.ReadFile(filepath.Join(d.state, name))
	if err != nil {
		d.t.Fatal(err)
	}
	return data
}
