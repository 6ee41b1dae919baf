package main

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"filippo.io/age"

	"github.com/cardctl/cardctl/internal/certstore"
	"github.com/cardctl/cardctl/internal/ledger"
	"github.com/cardctl/cardctl/internal/secret"
	"github.com/cardctl/cardctl/test/stack"
)

// provisioned is a kind of card, and what a plan makes of it.
type provisioned struct {
	create []string
	plan   string
	key    string
	// secrets are those that are generated.
	secrets []secret.Name
}

var provisionings = map[string]provisioned{
	"OpenPGP": {
		plan: `
card: {application: openpgp}
pins: {user: {generate: 8 digits, keep: letter}, admin: {generate: 10 digits, keep: ledger}, resetCode: {generate: 9 letters, keep: ledger}}
holder: {name: "{{.name}}"}
keys: [{ref: OPENPGP.3, algorithm: p256, certificate: {subject: "CN={{.name}}", email: ["{{.mail}}"], issuer: desk}}]`,
		key: "OPENPGP.3", secrets: []secret.Name{secret.PIN, secret.AdminPIN, secret.ResetCode},
	},
	"PIV": {
		create: []string{"--applications", "piv", "--profile", "piv-yubikey-5.7"},
		plan: `
card: {application: piv}
pins: {user: {generate: 8 digits, keep: both}, puk: {generate: 8 digits, keep: ledger}}
managementKey: {generate: management-key, keep: ledger}
keys: [{ref: PIV.9A, algorithm: p256, certificate: {subject: "CN={{.name}}", issuer: desk}}]`,
		key: "PIV.9A", secrets: []secret.Name{secret.PIN, secret.PUK, secret.ManagementKey},
	},
}

// provisioning is a desk with a plan for one card.
type provisioning struct {
	*testDesk
	provisioned
	identity *age.X25519Identity
}

func newProvisioning(t *testing.T, p provisioned) *provisioning {
	t.Helper()
	identity, err := age.GenerateX25519Identity()
	if err != nil {
		t.Fatal(err)
	}
	d := &testDesk{t: t, state: t.TempDir(), vars: []string{"CARDCTL_READER=sim:desk", "CA_PASSWORD=" + caPassword}}
	d.must(append([]string{"sim", "create", "desk"}, p.create...)...)
	d.newFileCA()
	d.writeFile("plan.yaml", fmt.Appendf(nil, `schema: cardctl/v1
kind: Plan
person: {id: "{{.mail}}", name: "{{.name}}"}
issuers: {desk: {url: "ca:%s/ca?profile=client", secret: "env:CA_PASSWORD"}}
seal: [%s]%s
`, d.state, identity.Recipient(), p.plan))
	d.writeFile("rows.csv", []byte("name,mail\nFloppy Head,floppy@example.com\n"))
	d.writeFile("desk.key", []byte(identity.String()+"\n"))
	return &provisioning{d, p, identity}
}

// command is the same command each time.
func (d *provisioning) command(more ...string) []string {
	return append(d.words("provision $W/plan.yaml --rows $W/rows.csv --yes"), more...)
}

// keep copies everything that a run changes.
func (d *provisioning) keep(t *testing.T) (restore func()) {
	t.Helper()
	kept := t.TempDir()
	if err := os.CopyFS(kept, os.DirFS(d.state)); err != nil {
		t.Fatal(err)
	}
	return func() {
		for _, name := range []string{"ledger.db", "ledger.db-wal", "ledger.db-shm", "enrolment", "sim", "ca", "ledger-spool"} {
			if err := os.RemoveAll(filepath.Join(d.state, name)); err != nil {
				t.Fatal(err)
			}
		}
		for _, name := range []string{"sim", "ca"} {
			if err := os.CopyFS(filepath.Join(d.state, name), os.DirFS(filepath.Join(kept, name))); err != nil {
				t.Fatal(err)
			}
		}
	}
}

// TestProvisionPulled pulls the card out at every command of a plan, and at every write.
// The same command goes on, with the key and the certificate that the card has.
func TestProvisionPulled(t *testing.T) {
	for name, p := range provisionings {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			d := newProvisioning(t, p)
			restore := d.keep(t)
			points, recovered := 0, 0
			for moment, m := range moments {
				for n := 1; ; n++ {
					restore()
					r := d.run(context.Background(), d.command(), m.fault(n))
					if m.what(r.traffic) < n && r.exit == 0 {
						break
					}
					points++
					at := fmt.Sprintf("pulled %s %d", moment, n)
					if r.exit != 10 && r.exit != 0 {
						t.Fatalf("%s: exit status %d\n%s", at, r.exit, r.stderr)
					}
					if t.Run(at, func(t *testing.T) { d.goesOn(t, m.inside) }) {
						recovered++
					}
				}
			}
			stack.Held(t, "pulled out", name, "provision", "in-process", points, recovered)
		})
	}
}

// goesOn runs the same command, without and then with what opens the ledger.
func (d *provisioning) goesOn(t *testing.T, inside bool) {
	here := d.in(t)
	before := here.info()
	key := keygripOf(before, d.provisioned.key)
	again := here.run(context.Background(), d.command())
	if again.exit != 0 {
		if again.exit != 9 || !strings.Contains(again.stderr, "--identity") {
			t.Fatalf("exit status %d\n%s", again.exit, again.stderr)
		}
		again = here.run(context.Background(), d.command("--identity", filepath.Join(d.state, "desk.key")))
		if again.exit == 5 && inside { // the cut cost a try, and finding out another one
			again = here.run(context.Background(), d.command("--allow-last-try"))
		}
		if again.exit != 0 {
			t.Fatalf("exit status %d\n%s", again.exit, again.stderr)
		}
	}
	d.complete(t, here)
	now := here.info()
	if key != "" && keygripOf(now, d.provisioned.key) != key {
		t.Error("the key is another one")
	}
	for _, pin := range now.PINs {
		if pin.Set && pin.TriesLeft != 3 {
			t.Errorf("PIN %s: %d tries left", pin.Name, pin.TriesLeft)
		}
	}
	if issued := strings.Count(here.must(here.words("ca list $W/ca -o json")...).stdout, `"serialNumber"`); issued != 1 {
		t.Errorf("%d certificates were issued", issued)
	}
}

// complete wants a card as the plan says, by the ledger and by itself.
func (d *provisioning) complete(t *testing.T, here *testDesk) {
	t.Helper()
	info := here.info()
	certificateOf("CN=Floppy Head")(t, here, cardInfo{Keys: info.Keys, Certificates: ownCertificates(info)})
	l, err := ledger.Open(t.Context(), "sqlite:"+filepath.Join(d.state, "ledger.db"), ledger.Options{})
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = l.Close() }()
	cards, err := l.Cards(t.Context(), ledger.Filter{})
	if err != nil || len(cards) != 1 {
		t.Fatalf("%+v, %v", cards, err)
	}
	c := cards[0]
	if c.State != ledger.Active || c.Person == nil || c.Person.ID != "floppy@example.com" || len(c.Credentials) != 1 || len(c.Secrets) != len(d.secrets) {
		t.Fatalf("%+v", c)
	}
	for _, s := range c.Secrets {
		value, err := ledger.Unseal(t.Context(), s.Blob, d.identity)
		if err != nil || !s.Set {
			t.Fatalf("%s: %+v, %v", s.Kind, s, err)
		}
		here.vars = append(here.vars, s.Kind.Variable()+"="+string(value.Reveal()))
	}
	here.has(t, d.secrets)
	if r := here.run(context.Background(), d.command("-o", "json")); r.exit != 0 || strings.Contains(r.stdout, `"done"`) || !strings.Contains(r.stdout, `"already"`) {
		t.Errorf("done again: %+v", r)
	}
}

// keygripOf names a key whatever its creation time is.
func keygripOf(info cardInfo, ref string) string {
	for _, k := range info.Keys {
		if k.Ref == ref {
			return k.Keygrip
		}
	}
	return ""
}

// ownCertificates are those that are not the maker's.
func ownCertificates(info cardInfo) (own []certstore.Stored) {
	for _, c := range info.Certificates {
		if c.Ref != "PIV.F9" {
			own = append(own, c)
		}
	}
	return own
}

// has wants the card to have the secrets that its variables name: each is changed to itself.
func (d *testDesk) has(t *testing.T, names []secret.Name) {
	t.Helper()
	for _, name := range names {
		variable := "env:" + name.Variable()
		switch name {
		case secret.PIN:
			d.must("set-pin", "user", "--new-pin", variable)
		case secret.AdminPIN:
			d.must("set-pin", "admin", "--new-pin", variable)
		case secret.PUK:
			d.must("set-pin", "puk", "--new-pin", variable)
		case secret.ManagementKey:
			d.must("set-management-key", "--new-management-key", variable)
		case secret.ResetCode:
			d.must("unblock-pin", "--reset-code", variable, "--new-pin", "env:"+secret.PIN.Variable())
		}
	}
}
