//go:build stack

package provision

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"filippo.io/age"

	"github.com/cardctl/cardctl/test/stack"
)

// family is what a plan makes of a kind of card.
type family struct {
	create []string // options of sim create; nil for a token
	key    string
	plan   string // without people, issuers and recipients
	more   string // of the plan: what else is done
	// from is the first thing that is told after which the process is killed: before it a
	// blank card has no serial that it could be known by, and its row is held for a minute.
	from int
}

const certificate = `{subject: "CN={{.name}}", email: ["{{.mail}}"], issuer: desk}`

var families = map[string]family{
	"OpenPGP": {
		create: []string{"--applications", "openpgp"}, key: "OPENPGP.3",
		plan: `
card: {application: openpgp}
pins: {user: {generate: 8 digits, keep: letter}, admin: {generate: 10 digits, keep: ledger}}
keys: [{ref: OPENPGP.3, algorithm: p256, certificate: ` + certificate + `}]`,
		more: `
holder: {name: "{{.name}}"}
smokeTest: {module: opensc, as: [openssl]}`,
	},
	"PIV": {
		create: []string{"--profile", "piv-yubikey-5"}, key: "PIV.9A",
		plan: `
card: {application: piv}
pins: {user: {generate: 8 digits, keep: letter}, puk: {generate: 8 digits, keep: ledger}}
managementKey: {generate: management-key, keep: ledger}
keys: [{ref: PIV.9A, algorithm: p256, certificate: ` + certificate + `}]`,
		more: `
smokeTest: {module: opensc, as: [openssl]}`,
	},
	"IsoApplet": {
		create: []string{"--applications", "pkcs15"}, key: "PKCS15.45", from: 3,
		plan: `
card: {application: pkcs15, label: "{{.name}}", allowUnknownTries: true}
pins: {user: {generate: 8 digits, keep: letter}, puk: {generate: 16 digits, keep: ledger}}
keys: [{ref: PKCS15.45, algorithm: rsa2048, certificate: ` + certificate + `}]`,
		more: `
smokeTest: {module: opensc}`,
	},
	"MyEID": {
		create: []string{"--applications", "myeid"}, key: "PKCS15.45",
		plan: `
card: {application: pkcs15, label: "{{.name}}"}
pins: {user: {generate: 8 digits, keep: letter}, puk: {generate: 8 digits, keep: ledger}, so: {generate: 8 digits, keep: ledger}}
keys: [{ref: PKCS15.45, algorithm: p256, certificate: ` + certificate + `}]`,
		more: `
smokeTest: {module: opensc, as: [openssl]}`,
	},
	"Java card": {
		create: []string{"--applications", "gp"}, key: "OPENPGP.3",
		plan: `
card: {application: openpgp}
applet: {file: OpenPGP.cap, cardKeys: default, newCardKeys: {generate: card-keys, keep: ledger}}
pins: {user: {generate: 8 digits, keep: letter}, admin: {generate: 10 digits, keep: ledger}}
keys: [{ref: OPENPGP.3, algorithm: p256, certificate: ` + certificate + `}]`,
		more: `
smokeTest: {module: opensc, as: [openssl]}`,
	},
	"token": {
		key: "pkcs11:object=vpn",
		plan: `
card: {application: pkcs11, module: softhsm2, label: "{{.mail}}"}
pins: {user: {generate: 8 digits, keep: letter}, so: {generate: 8 digits, keep: ledger}}
keys: [{ref: "pkcs11:object=vpn", algorithm: p256, certificate: ` + certificate + `}]`,
		more: `
smokeTest: {as: [openssl]}`,
	},
}

// desk is a place with a CA, somebody who reads the ledger, and a plan for people.
type desk struct {
	*stack.Desk
	family
	recipient string
	identity  []string    // the flag, where a run asked for it
	cut       func() bool // says when the process is killed; nil for not
}

func newDesk(t *testing.T, people int) *desk {
	t.Helper()
	identity, err := age.GenerateX25519Identity()
	if err != nil {
		t.Fatal(err)
	}
	d := &desk{Desk: stack.NewDesk(t)}
	d.Setenv("CA_PASSWORD", "canary-736451")
	d.Write("desk.key", identity.String()+"\n", 0o600)
	if err := os.Mkdir(d.Path("tokens"), 0o700); err != nil {
		t.Fatal(err)
	}
	d.Setenv("SOFTHSM2_CONF", d.Write("softhsm2.conf", "directories.tokendir = "+d.Path("tokens")+"\n", 0o600))
	applet, err := os.ReadFile(filepath.Join("../../internal/cardsim/testdata/OpenPGP.cap"))
	if err != nil {
		t.Fatal(err)
	}
	d.Write("OpenPGP.cap", string(applet), 0o600)
	d.Run("cardctl", "ca", "init", "ca", "--subject", "CN=Desk CA", "--algorithm", "p256", "--password", "env:CA_PASSWORD")
	d.recipient = identity.Recipient().String()
	for name, f := range families {
		d.write(name, f.plan+f.more)
		d.people(name, people)
	}
	return d
}

// write writes the plan of a family.
func (d *desk) write(name, plan string) {
	d.Write(name+".yaml", fmt.Sprintf(`schema: cardctl/v1
kind: Plan
person: {id: "{{.mail}}", name: "{{.name}}"}%s
issuers: {desk: {url: "ca:ca?profile=client", secret: "env:CA_PASSWORD"}}
seal: [%s]
`, plan, d.recipient), 0o600)
}

// people writes the table of a family: nobody has cards of two.
func (d *desk) people(name string, number int) {
	table := "mail,name\n"
	for i := range number {
		id := fmt.Sprintf("%s%d@example.com", strings.ToLower(strings.ReplaceAll(name, " ", "")), i+1)
		table += fmt.Sprintf("%s,\"Head, %s %d\"\n", id, name, i+1)
	}
	d.Write(name+".csv", table, 0o600)
}

// event is what a run tells meanwhile.
type event struct {
	Reader, Person, Serial, Step, Result, Detail string
	Row, Left                                    int
}

// report is what a run tells at the end.
type report struct {
	Rows []struct {
		Row            int
		Person, Serial string
		Steps          []struct{ Name, Result, Detail string }
		Passed         bool
		Error          string
	}
	LeftOut []struct{ Reader, Serial, Reason string }
}

// outcome is how a run ended.
type outcome struct {
	report
	exit   int // -1 if it was killed
	stderr string
	events []event
}

// passed is how many rows did.
func (o *outcome) passed() int {
	n := 0
	for _, row := range o.Rows {
		if row.Passed {
			n++
		}
	}
	return n
}

// listener calls each with what it is told.
type listener struct {
	t      *testing.T
	rest   []byte
	said   bytes.Buffer
	events []event
	each   func(event)
}

func (l *listener) Write(text []byte) (int, error) {
	l.said.Write(text)
	l.rest = append(l.rest, text...)
	for {
		line, after, found := bytes.Cut(l.rest, []byte("\n"))
		if !found {
			return len(text), nil
		}
		l.rest = after
		var told struct {
			Kind string
			event
		}
		if json.Unmarshal(line, &told) == nil && told.Kind == "ProvisionProgress" {
			l.events = append(l.events, told.event)
			l.each(told.event)
		}
	}
}

// provision runs the plan of a family. What it tells meanwhile is given to each, which may
// kill the process.
func (d *desk) provision(t *testing.T, name string, each func(e event, kill func()), more ...string) outcome {
	t.Helper()
	ctx, kill := context.WithCancel(t.Context())
	defer kill()
	heard := &listener{t: t, each: func(e event) {
		if each != nil {
			each(e, kill)
		}
	}}
	if d.cut != nil {
		go func() {
			for ctx.Err() == nil && !d.cut() {
				time.Sleep(100 * time.Microsecond)
			}
			kill()
		}()
	}
	var out bytes.Buffer
	args := []string{"provision", name + ".yaml", "--rows", name + ".csv", "--yes", "--no-input", "--output", "json", "--progress", "json", "--timeout", "100s"}
	args = append(append(args, d.identity...), more...)
	exit := d.Process(ctx, &out, heard, "cardctl", args...).Wait()
	done := outcome{exit: exit, stderr: heard.said.String(), events: heard.events}
	if exit != -1 && out.Len() > 0 {
		if err := json.Unmarshal(out.Bytes(), &done.report); err != nil {
			t.Fatalf("%v\n%s\n%s", err, out.String(), done.stderr)
		}
	}
	return done
}

// issued is how many certificates the CA made.
func (d *desk) issued(t *testing.T) int {
	t.Helper()
	var list struct{ Certificates []struct{ Subject string } }
	if err := json.Unmarshal([]byte(d.Run("cardctl", "ca", "list", "ca", "--output", "json")), &list); err != nil {
		t.Fatal(err)
	}
	return len(list.Certificates)
}

// active is how many cards the ledger has as active.
func (d *desk) active(t *testing.T) int {
	t.Helper()
	var list struct{ Cards []struct{ Serial string } }
	if err := json.Unmarshal([]byte(d.Run("cardctl", "ledger", "list", "--state", "active", "--output", "json")), &list); err != nil {
		t.Fatal(err)
	}
	return len(list.Cards)
}
