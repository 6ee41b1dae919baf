package main

import (
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"filippo.io/age"

	"github.com/cardctl/cardctl/internal/cardsim"
	"github.com/cardctl/cardctl/internal/secret"
	"github.com/cardctl/cardctl/test/opensc"
)

// provisioned is a kind of card, and what a plan makes of it.
type provisioned struct {
	options cardsim.Options
	// opensc says that OpenSC's programs work on the card, which therefore is in a reader
	// of PC/SC.
	opensc bool
	plan   string
	key    string
	// proofs are the secrets that are generated, each with a command that needs it, and
	// leaves it as it is.
	proofs map[secret.Name]string
	// sessions says that the card is let go between steps, and found again by its serial: one
	// that comes is not there, or refused. A card that comes before cardctl looks which one
	// it is, is the card that is meant, if it is blank; a twin has the same serial.
	sessions bool
	// stride says that the quick run has only each so many points; 1 is all of them.
	stride int
}

const certified = `certificate: {subject: "CN={{.name}}", issuer: desk}}]`

// provisionings are the kinds of cards that are disturbed while a plan is carried out.
// Tokens of PKCS#11 modules are in tokens_provision_test.go.
var provisionings = map[string]provisioned{
	"OpenPGP": {
		plan: `
card: {application: openpgp}
pins: {user: {generate: 8 digits, keep: letter}, admin: {generate: 10 digits, keep: ledger}, resetCode: {generate: 9 letters, keep: ledger}}
holder: {name: "{{.name}}"}
keys: [{ref: OPENPGP.3, algorithm: p256, certificate: {subject: "CN={{.name}}", email: ["{{.mail}}"], issuer: desk}}]`,
		key: "OPENPGP.3", stride: 1,
		proofs: map[secret.Name]string{
			secret.PIN: "set-pin user --new-pin env:$V", secret.AdminPIN: "set-pin admin --new-pin env:$V",
			secret.ResetCode: "unblock-pin --reset-code env:$V --new-pin env:CARDCTL_PIN",
		},
	},
	"PIV": {
		options: cardsim.Options{Applications: []string{"piv"}, Profile: "piv-yubikey-5.7"},
		plan: `
card: {application: piv}
pins: {user: {generate: 8 digits, keep: both}, puk: {generate: 8 digits, keep: ledger}}
managementKey: {generate: management-key, keep: ledger}
keys: [{ref: PIV.9A, algorithm: p256, ` + certified,
		key: "PIV.9A", stride: 4,
		proofs: map[secret.Name]string{
			secret.PIN: "set-pin user --new-pin env:$V", secret.PUK: "set-pin puk --new-pin env:$V",
			secret.ManagementKey: "set-management-key --new-management-key env:$V",
		},
	},
	"IsoApplet": {
		options: cardsim.Options{Applications: []string{"pkcs15"}}, opensc: true,
		plan: `
card: {application: pkcs15, label: "{{.name}}", allowUnknownTries: true}
pins: {user: {generate: 8 digits, keep: letter}, puk: {generate: 16 digits, keep: ledger}}
keys: [{ref: PKCS15.45, algorithm: rsa2048, ` + certified,
		key: "PKCS15.45", stride: 20,
		proofs: map[secret.Name]string{
			secret.PIN: "set-pin user --new-pin env:$V --allow-unknown-tries", secret.PUK: "unblock-pin --new-pin env:CARDCTL_PIN --allow-unknown-tries",
		},
	},
	"MyEID": {
		options: cardsim.Options{Applications: []string{"myeid"}}, opensc: true,
		plan: `
card: {application: pkcs15, label: "{{.name}}"}
pins: {user: {generate: 8 digits, keep: letter}, puk: {generate: 8 digits, keep: ledger}, so: {generate: 8 digits, keep: ledger}}
keys: [{ref: PKCS15.45, algorithm: p256, ` + certified,
		key: "PKCS15.45", stride: 25,
		proofs: map[secret.Name]string{
			secret.PIN: "set-pin user --new-pin env:$V", secret.PUK: "unblock-pin --new-pin env:CARDCTL_PIN", secret.SOPIN: "set-pin so --new-pin env:$V",
		},
	},
	"Java card": {
		options: cardsim.Options{Applications: []string{"gp"}},
		plan: `
card: {application: openpgp}
applet: {file: "$W/OpenPGP.cap", cardKeys: default, newCardKeys: {generate: card-keys, keep: ledger}}
pins: {user: {generate: 8 digits, keep: letter}, admin: {generate: 10 digits, keep: ledger}}
keys: [{ref: OPENPGP.3, algorithm: p256, ` + certified,
		key: "OPENPGP.3", sessions: true, stride: 14,
		proofs: map[secret.Name]string{
			secret.PIN: "set-pin user --new-pin env:$V", secret.AdminPIN: "set-pin admin --new-pin env:$V",
			secret.CardKeys: "applet list --card-keys env:$V",
		},
	},
}

// everyPoint says that cards are disturbed at every point, and not at a part of them.
func everyPoint() bool { return os.Getenv("PULL_EVERY") != "" }

// next is the point after another one in this run. The first commands, which tell who the
// card is, are all in it.
func (p provisioned) next(n int) int {
	const first = 4
	if everyPoint() || n < first {
		return n + 1
	}
	return (n+p.stride-1)/p.stride*p.stride + 1
}

// flags are those of sim create.
func (p provisioned) flags() (flags []string) {
	if p.options.Applications != nil {
		flags = append(flags, "--applications", strings.Join(p.options.Applications, ","))
	}
	if p.options.Profile != "" {
		flags = append(flags, "--profile", p.options.Profile)
	}
	return flags
}

// provisioning is a desk with a plan for one card.
type provisioning struct {
	*testDesk
	provisioned
	identity *age.X25519Identity
}

func newProvisioning(t *testing.T, p provisioned) *provisioning {
	t.Helper()
	d := newRowsDesk(t, "")
	d.vars = []string{"CARDCTL_READER=sim:desk", "CA_PASSWORD=" + caPassword}
	d.openPGPApplet()
	d.plan(p.plan)
	d.writeFile("rows.csv", []byte("name,mail\nFloppy Head,floppy@example.com\n"))
	d.must(append([]string{"sim", "create", "desk"}, p.flags()...)...)
	if d.inReader = p.opensc; p.opensc {
		d.vars[0] = "CARDCTL_READER=" + opensc.Reader
	}
	return &provisioning{d.testDesk, p, d.identity}
}

// tries are how many each PIN has left that is set.
func (d *testDesk) tries() map[string]int {
	d.t.Helper()
	left := map[string]int{}
	for _, pin := range d.info().PINs {
		if pin.Set {
			left[pin.Name] = pin.TriesLeft
		}
	}
	return left
}

// has wants the card to have the secrets of the ledger: each opens what it is for.
func (d *provisioning) has(t *testing.T, here *testDesk) {
	t.Helper()
	for _, name := range slices.Sorted(maps.Keys(d.proofs)) {
		here.must(here.words(strings.ReplaceAll(d.proofs[name], "$V", name.Variable()))...)
	}
}

// leftByRuns are the files of a desk that runs change.
var leftByRuns = []string{"ledger.db", "ledger.db-wal", "ledger.db-shm", "enrolment", "sim", "ca", "ledger-spool", "card-keys", "tokens"}

// keep copies everything that a run changes.
func (d *provisioning) keep(t *testing.T) (restore func()) {
	t.Helper()
	kept := t.TempDir()
	if err := os.CopyFS(kept, os.DirFS(d.state)); err != nil {
		t.Fatal(err)
	}
	return func() {
		for _, name := range leftByRuns {
			if err := os.RemoveAll(filepath.Join(d.state, name)); err != nil {
				t.Fatal(err)
			}
		}
		for _, name := range leftByRuns {
			info, err := os.Stat(filepath.Join(kept, name))
			if err != nil {
				continue
			}
			if info.IsDir() {
				err = os.CopyFS(filepath.Join(d.state, name), os.DirFS(filepath.Join(kept, name)))
			} else {
				err = os.WriteFile(filepath.Join(d.state, name), []byte(readFile(t, filepath.Join(kept, name))), 0o600)
			}
			if err != nil {
				t.Fatal(err)
			}
		}
	}
}
