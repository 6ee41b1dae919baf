package main

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"encoding/pem"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/cardctl/cardctl/internal/cardsim"
	"github.com/cardctl/cardctl/internal/certstore"
	"github.com/cardctl/cardctl/test/stack"
)

// pull is a command during which the card is pulled out, at every command that
// it is sent: before the card saw it, and before its answer was read.
type pull struct {
	// before are the commands that bring the card to where it is.
	before []string
	// command is what the card is pulled out of.
	command string
	// vars are variables of the environment for it.
	vars []string
	// replaces is what may be lost: keys and certificates by reference, or
	// all where the card is erased.
	replaces []string
	erases   bool
	// alreadyDone proves that a new PIN is in place, where the old one is
	// refused when the same command is run again.
	alreadyDone string
	// whole is what the same command says, with exit status 3, where nothing was left of
	// its work: what it was to move or delete is not there.
	whole string
	// inFile finds a certificate, by its SHA-256, that is kept in a file; nil where
	// there is none.
	inFile func(sha256 string) bool
	// done is what has to be true in the end.
	done func(*testing.T, *testDesk, cardInfo)
}

var initialised = []string{"init --yes"}

// onCACard is a CA with its key on the card, and a request.
var onCACard = slices.Concat(initialised, []string{
	"gen-key -k OPENPGP.1", "gen-key -k OPENPGP.3",
	"gen-csr -k OPENPGP.3 --subject CN=a --out $W/a.csr", "ca init $W/ca --subject CN=CA --key OPENPGP.1",
})

// fileCA is a CA with its key in a file.
var (
	fileCA = slices.Concat(initialised, []string{
		"gen-key -k OPENPGP.3", "ca init $W/ca --subject CN=CA --algorithm p256 --password env:CARDCTL_PIN",
	})
	issuerSecret = []string{"CARDCTL_ISSUER_SECRET=" + userPIN}
)

var pulls = map[string]pull{
	"init of a blank card": {
		command: "init --yes", erases: true, done: initialisedCard,
	},
	"init of a used card": {
		before:  slices.Concat(initialised, []string{"gen-key -k OPENPGP.3", "gen-csr -k OPENPGP.3 --subject CN=a --self-signed --days 2 --out $W/a.pem", "import-cert -k OPENPGP.3 $W/a.pem"}),
		command: "init --yes", erases: true, done: initialisedCard,
	},
	"ca issue": {
		before: onCACard, command: "ca issue $W/ca $W/a.csr --profile client --yes --out $W/a.pem", done: oneSerialEach,
	},
	"ca crl": {
		before: onCACard, command: "ca crl $W/ca --out $W/ca.crl",
	},
	"enroll": {
		before: fileCA, command: "enroll -k OPENPGP.3 --subject CN=a --issuer ca:$W/ca?profile=client --yes", vars: issuerSecret, done: certificateOf("CN=a"),
	},
	"enroll, from a card": {
		before: onCACard, command: "enroll -k OPENPGP.3 --subject CN=a --issuer ca:$W/ca?profile=client --issuer-reader sim:desk --issuer-pin env:CARDCTL_PIN --yes",
		done: certificateOf("CN=a"),
	},
	"renew": {
		before:  slices.Concat(fileCA, []string{"enroll -k OPENPGP.3 --subject CN=a --issuer ca:$W/ca?profile=client --issuer-secret env:CARDCTL_PIN"}),
		command: "renew -k OPENPGP.3", vars: issuerSecret, replaces: []string{"certificate OPENPGP.3"}, done: certificateOf("CN=a"),
	},
	"renew with a new key": {
		before:  slices.Concat(fileCA, []string{"enroll -k OPENPGP.3 --subject CN=a --issuer ca:$W/ca?profile=client --issuer-secret env:CARDCTL_PIN --yes"}),
		command: "renew -k OPENPGP.3 --new-key --yes --issuer ca:$W/ca", vars: issuerSecret, replaces: []string{"OPENPGP.3", "certificate OPENPGP.3"}, done: certificateOf("CN=a"),
	},
	"init with the current admin PIN": {
		before:  slices.Concat(initialised, []string{"gen-key -k OPENPGP.3"}),
		command: "init --yes", vars: []string{"CARDCTL_CURRENT_ADMIN_PIN=" + adminPIN}, erases: true, done: initialisedCard,
	},
	"set-pin user": {
		before: initialised, command: "set-pin user", vars: []string{"CARDCTL_NEW_PIN=904412"},
		alreadyDone: "set-pin user --pin env:CARDCTL_NEW_PIN",
	},
	"set-pin admin": {
		before: initialised, command: "set-pin admin", vars: []string{"CARDCTL_NEW_PIN=27182818"},
		alreadyDone: "set-pin admin --admin-pin env:CARDCTL_NEW_PIN",
	},
	"set-pin reset-code": {
		before: initialised, command: "set-pin reset-code", vars: []string{"CARDCTL_NEW_PIN=27182818"},
		done: func(t *testing.T, d *testDesk, _ cardInfo) {
			d.must("unblock-pin", "--reset-code", "env:CARDCTL_NEW_PIN")
		},
	},
	"init --kdf": {
		before:  slices.Concat(initialised, []string{"gen-key -k OPENPGP.3"}),
		command: "init --yes --kdf", erases: true, done: initialisedCard,
	},
	"set-holder": {
		before: initialised, command: "set-holder --name Floppy --url https://example.com/ --sex male",
		done: func(t *testing.T, d *testDesk, _ cardInfo) {
			want := `"cardholder":{"name":"Floppy","url":"https://example.com/","sex":"male"}`
			if r := d.run(context.Background(), []string{"info", "-o", "json"}); !strings.Contains(r.stdout, want) {
				t.Errorf("%s", r.stdout)
			}
		},
	},
	"set-touch": {
		before:  slices.Concat(initialised, []string{"gen-key -k OPENPGP.3"}),
		command: "set-touch -k OPENPGP.3 permanent --yes",
		done: func(t *testing.T, _ *testDesk, info cardInfo) {
			if k := info.Keys[0]; k.TouchPolicy != "permanent" || !k.Touch {
				t.Errorf("%+v", k)
			}
		},
	},
	"gen-key": {
		before: initialised, command: "gen-key -k OPENPGP.3", done: usableKey,
	},
	"gen-key with another algorithm": {
		before: initialised, command: "gen-key -k OPENPGP.3 -a ed25519", done: usableKey,
	},
	"gen-key beside others": {
		before:  slices.Concat(initialised, []string{"gen-key -k OPENPGP.1", "gen-key -k OPENPGP.2 -a x25519"}),
		command: "gen-key -k OPENPGP.3 -a p384", done: usableKey,
	},
	"gen-key, replacing": {
		before:  slices.Concat(initialised, []string{"gen-key -k OPENPGP.3", "gen-key -k OPENPGP.1"}),
		command: "gen-key -k OPENPGP.3 --replace $F", replaces: []string{"OPENPGP.3"}, done: usableKey,
	},
	"import-key": {
		before: initialised, command: "import-key -k OPENPGP.3 $W/key.pem", done: usableKey,
	},
	"import-key, replacing": {
		before:  slices.Concat(initialised, []string{"gen-key -k OPENPGP.3 -a ed25519"}),
		command: "import-key -k OPENPGP.3 --replace $F $W/key.pem", replaces: []string{"OPENPGP.3"}, done: usableKey,
	},
	"gen-csr": {
		before:  slices.Concat(initialised, []string{"gen-key -k OPENPGP.3"}),
		command: "gen-csr -k OPENPGP.3 --subject CN=a", done: usableKey,
	},
	"import-cert": {
		before:  slices.Concat(initialised, []string{"gen-key -k OPENPGP.3", "gen-csr -k OPENPGP.3 --subject CN=a --self-signed --days 2 --out $W/a.pem"}),
		command: "import-cert -k OPENPGP.3 $W/a.pem", done: certificateOf("CN=a"),
	},
	"import-cert, replacing": {
		before: slices.Concat(initialised, []string{
			"gen-key -k OPENPGP.3",
			"gen-csr -k OPENPGP.3 --subject CN=a --self-signed --days 2 --out $W/a.pem", "import-cert -k OPENPGP.3 $W/a.pem",
			"gen-csr -k OPENPGP.3 --subject CN=b --self-signed --days 2 --out $W/b.pem",
		}),
		command: "import-cert -k OPENPGP.3 --yes $W/b.pem", replaces: []string{"certificate OPENPGP.3"}, done: certificateOf("CN=b"),
	},
}

// oneSerialEach wants the certificate that was written last among those that were issued.
func oneSerialEach(t *testing.T, d *testDesk, _ cardInfo) {
	d.must(d.words("ca show $W/ca $W/a.pem")...)
	d.must(d.words("ca list $W/ca")...)
}

func initialisedCard(t *testing.T, d *testDesk, info cardInfo) {
	if len(info.Keys)+len(info.Certificates) > 0 {
		t.Errorf("left over: %+v", info)
	}
	for _, p := range info.PINs {
		if p.Set && p.TriesLeft != 3 {
			t.Errorf("PIN %s: %d tries left", p.Name, p.TriesLeft)
		}
	}
	d.must("set-pin", "user", "--new-pin", "env:CARDCTL_PIN")
	d.must("set-pin", "admin", "--new-pin", "env:CARDCTL_ADMIN_PIN")
}

func usableKey(t *testing.T, d *testDesk, info cardInfo) {
	for _, k := range info.Keys {
		if strings.Trim(k.Fingerprint, "0") == "" || k.Created == nil {
			t.Errorf("unfinished: %+v", k)
		}
	}
	d.must("gen-csr", "-k", "OPENPGP.3", "--subject", "CN=usable")
}

func certificateOf(subject string) func(*testing.T, *testDesk, cardInfo) {
	return func(t *testing.T, _ *testDesk, info cardInfo) {
		if len(info.Certificates) != 1 || info.Certificates[0].Subject != subject || !info.Certificates[0].MatchesKey {
			t.Errorf("certificates: %+v", info.Certificates)
		}
	}
}

// moments are when the card loses its power, counted in what.
var moments = map[string]struct {
	fault func(n int) cardsim.Fault
	what  func(cardsim.Traffic) int
	// inside says that a command is cut in the middle, so that the try of a
	// PIN that was sent may be gone.
	inside bool
}{
	"before command":    {cardsim.RemoveBefore, commandsSent, false},
	"after command":     {cardsim.RemoveAfter, commandsSent, false},
	"before the write":  {cardsim.PowerLossBeforeWrite, writesBegun, true},
	"just when written": {cardsim.PowerLossAfterWrite, writesBegun, true},
}

func commandsSent(t cardsim.Traffic) int { return t.APDUs }
func writesBegun(t cardsim.Traffic) int  { return t.Writes }

// TestPulledCard pulls the card out at every single command of every workflow,
// and at every single write.
func TestPulledCard(t *testing.T) { pullAll(t, "OpenPGP", pulls, newDesk) }

// pullAll is one kind of card, on desks that are made for each workflow.
func pullAll(t *testing.T, card string, pulls map[string]pull, desk func(t *testing.T, vars ...string) *testDesk) {
	t.Helper()
	for name, p := range pulls {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			d := desk(t, p.vars...)
			d.writeKey("key.pem")
			for _, line := range p.before {
				d.must(d.words(line)...)
				if strings.Contains(line, "--password env:CARDCTL_PIN") {
					d.openFast(userPIN)
				}
			}
			start, told, command := d.save(), d.info(), d.words(p.command)
			points, recovered := 0, 0
			for moment, m := range moments {
				removed := 0
				for n := 1; ; n++ {
					d.restore(start)
					r := d.run(context.Background(), command, m.fault(n))
					if m.what(r.traffic) < n && r.exit == 0 {
						break
					}
					points++
					at := fmt.Sprintf("pulled %s %d", moment, n)
					if r.exit == 10 {
						removed++
					} else if r.exit != 0 {
						t.Fatalf("%s: exit status %d\n%s", at, r.exit, r.stderr)
					}
					if t.Run(at, func(t *testing.T) { p.recover(t, at, d.in(t), command, r, told, m.inside) }) {
						recovered++
					}
				}
				if removed == 0 {
					t.Errorf("the card was never missed when pulled %s", moment)
				}
			}
			stack.Held(t, "pulled out", card, name, "in-process", points, recovered)
		})
	}
}

// recover looks at what the card and the user have after a pull, and does the
// same again.
func (p pull) recover(t *testing.T, at string, d *testDesk, command []string, r result, told cardInfo, inside bool) {
	t.Helper()
	if r.exit == 10 {
		p.checkError(t, at, r)
	}
	p.checkKept(t, at, told, d.info(), inside)
	p.again(t, at, d, command)
}

// in is the same desk in a test of its own.
func (d *testDesk) in(t *testing.T) *testDesk {
	other := *d
	other.t = t
	return &other
}

// writeKey makes a file with a private key.
func (d *testDesk) writeKey(name string) {
	d.t.Helper()
	private, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		d.t.Fatal(err)
	}
	der, err := x509.MarshalPKCS8PrivateKey(private)
	if err == nil {
		err = os.WriteFile(filepath.Join(d.state, name), pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: der}), 0o600)
	}
	if err != nil {
		d.t.Fatal(err)
	}
}

// words are the arguments of a command line: $W is a directory for files, $F
// the fingerprint of OPENPGP.3, $F15 that of PKCS15.45.
func (d *testDesk) words(line string) []string {
	line = strings.ReplaceAll(line, "$W", d.state)
	if strings.Contains(line, "$PIV") {
		line = strings.ReplaceAll(line, "$PIV", fingerprintOf(d.info(), "PIV.9A"))
	}
	if strings.Contains(line, "$F15") {
		line = strings.ReplaceAll(line, "$F15", fingerprintOf(d.info(), "PKCS15.45"))
	}
	if strings.Contains(line, "$F") {
		line = strings.ReplaceAll(line, "$F", fingerprintOf(d.info(), "OPENPGP.3"))
	}
	if strings.Contains(line, "$PIV") {
		line = strings.ReplaceAll(line, "$PIV", fingerprintOf(d.info(), "PIV.9A"))
	}
	return strings.Fields(line)
}

// checkError wants three lines that a person can act on, and no secret.
func (p pull) checkError(t *testing.T, at string, r result) {
	t.Helper()
	if !strings.Contains(r.stderr, "removed") || !strings.Contains(r.stderr, "\nTry: ") {
		t.Errorf("%s: %s", at, r.stderr)
	}
	for _, canary := range []string{userPIN, adminPIN, "904412", "27182818"} {
		if strings.Contains(r.stdout+r.stderr, canary) {
			t.Errorf("%s: %s is in the output", at, canary)
		}
	}
}

// checkKept wants everything on the card that was not about to be replaced.
func (p pull) checkKept(t *testing.T, at string, before, now cardInfo, inside bool) {
	t.Helper()
	if p.erases {
		return
	}
	for _, k := range before.Keys {
		if !slices.Contains(p.replaces, k.Ref) && fingerprintOf(now, k.Ref) != k.Fingerprint {
			t.Errorf("%s: the key %s is lost", at, k.Ref)
		}
	}
	for _, c := range before.Certificates {
		kept := slices.ContainsFunc(now.Certificates, func(other certstore.Stored) bool { return other.SHA256 == c.SHA256 })
		if p.inFile != nil && !kept {
			kept = p.inFile(c.SHA256)
		}
		if !kept && !slices.Contains(p.replaces, "certificate "+c.Ref) {
			t.Errorf("%s: the certificate %s is lost", at, c.Ref)
		}
	}
	for i, pin := range before.PINs {
		got := now.PINs[i]
		if pin.Set && got.TriesLeft != pin.TriesLeft && !(inside && got.TriesLeft == pin.TriesLeft-1) {
			t.Errorf("%s: PIN %s has %d tries left, it had %d", at, pin.Name, got.TriesLeft, pin.TriesLeft)
		}
	}
}

// again runs the same command, which has to complete. Where the card took a
// new PIN just before it was pulled, the old one is refused, once.
func (p pull) again(t *testing.T, at string, d *testDesk, command []string) {
	t.Helper()
	r := d.run(context.Background(), command)
	switch {
	case r.exit == 9 && command[0] == "gen-key":
		// The key was complete when the card was pulled, and is not
		// overwritten by another one.
	case r.exit == 3 && p.whole != "" && strings.Contains(r.stderr, strings.Join(d.words(p.whole), " ")):
	case r.exit == 4 && p.alreadyDone != "":
		d.must(strings.Fields(p.alreadyDone)...)
		return
	case r.exit != 0:
		t.Errorf("%s: the same command again: exit status %d\n%s", at, r.exit, r.stderr)
		return
	}
	if p.done != nil {
		p.done(t, d, d.info())
	}
}

func fingerprintOf(info cardInfo, ref string) string {
	for _, k := range info.Keys {
		if k.Ref == ref {
			return k.Fingerprint
		}
	}
	return ""
}
