package main

import (
	"bytes"
	"context"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"runtime/metrics"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/cardctl/cardctl/internal/iso7816"
)

// hostileCard is a card that is true to its kind up to some command, and means
// ill from there on.
type hostileCard struct {
	iso7816.Connection
	from   int
	answer func(n int, apdu []byte) []byte // nil for one that never answers
	asked  *int
}

func (c hostileCard) Transmit(ctx context.Context, apdu []byte) ([]byte, error) {
	*c.asked++
	if *c.asked < c.from {
		return c.Connection.Transmit(ctx, apdu)
	}
	if c.answer == nil {
		<-ctx.Done()
		return nil, ctx.Err()
	}
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	return c.answer(*c.asked, apdu), nil
}

// huge is 64 kB, the most that an answer can have.
var huge = bytes.Repeat([]byte{0x7F, 0x49, 0x82, 0xFF, 0xF0}, iso7816.MaxExtendedNe/5)

// hostilities are what a hostile card answers.
var hostilities = map[string]func(n int, apdu []byte) []byte{
	"nothing": func(int, []byte) []byte { return nil },
	"a byte":  func(int, []byte) []byte { return []byte{0x90} },
	"yes":     func(int, []byte) []byte { return []byte{0x90, 0x00} },
	"garbage": func(n int, _ []byte) []byte {
		random := rand.New(rand.NewPCG(uint64(n), 1))
		b := make([]byte, random.IntN(300))
		for i := range b {
			b[i] = byte(random.Uint32())
		}
		return append(b, 0x90, 0x00)
	},
	"what it is asked":     func(_ int, apdu []byte) []byte { return append(bytes.Clone(apdu), 0x90, 0x00) },
	"61FF for ever":        func(int, []byte) []byte { return []byte{0x61, 0xFF} },
	"61FF with data":       func(int, []byte) []byte { return append(bytes.Repeat([]byte{0x5A}, 255), 0x61, 0xFF) },
	"6110 with 64 kB":      func(int, []byte) []byte { return append(bytes.Clone(huge), 0x61, 0x10) },
	"6C10 for ever":        func(int, []byte) []byte { return []byte{0x6C, 0x10} },
	"6310 for ever":        func(int, []byte) []byte { return []byte{0x63, 0x10} },
	"an endless length":    func(int, []byte) []byte { return []byte{0x6E, 0x84, 0x7F, 0xFF, 0xFF, 0xFF, 0x4F, 0x00, 0x90, 0x00} },
	"an indefinite length": func(int, []byte) []byte { return []byte{0x6E, 0x80, 0x4F, 0x80, 0x90, 0x00} },
	"a length of lengths":  func(int, []byte) []byte { return []byte{0x7F, 0x21, 0xFE, 0x90, 0x00} },
	"a tag without end":    func(int, []byte) []byte { return append(bytes.Repeat([]byte{0xFF}, 200), 0x90, 0x00) },
	"64 kB":                func(int, []byte) []byte { return append(bytes.Clone(huge), 0x90, 0x00) },
	"64 kB of zeros":       func(int, []byte) []byte { return append(make([]byte, iso7816.MaxExtendedNe), 0x90, 0x00) },
	"a name that moves the cursor": func(int, []byte) []byte {
		return []byte("\x6F\x0C\x84\x0A\x1b[2J\x07\n\r\x00\xff\xfe\x90\x00")
	},
}

// cardCommands are all commands that speak to a card, on what they are run: a
// card with three keys and a certificate, a Java card, one with the MUSCLE
// applet, a PKCS#15 card, and a PIV card.
var cardCommands = map[string][]string{
	"openpgp": {
		"list-readers", "info", "info -o json", "init --yes",
		"set-pin user --new-pin env:NEW", "set-pin admin --new-pin env:NEW8", "set-pin reset-code --new-pin env:NEW8",
		"unblock-pin --new-pin env:NEW", "unblock-pin --reset-code env:NEW8 --new-pin env:NEW",
		"gen-key -k OPENPGP.3 --replace $F", "import-key -k OPENPGP.3 --replace $F $W/key.pem",
		"gen-csr -k OPENPGP.3 --subject CN=a", "gen-csr -k OPENPGP.3 --subject CN=a --self-signed --days 2",
		"gen-csr -k OPENPGP.1 --subject CN=a --challenge-password env:CHALLENGE",
		"import-cert -k OPENPGP.3 --yes $W/a.pem", "export-cert -k OPENPGP.3", "export-key -k OPENPGP.3", "export-key -k OPENPGP.1 --format ssh",
		"set-holder --name Floppy --login floppy", "set-touch -k OPENPGP.3 permanent --yes",
		"delete-cert -k OPENPGP.3 --yes", "delete-key -k OPENPGP.3 --fingerprint $F --yes",
		"ca init $W/new --subject CN=a -k OPENPGP.3", "ca issue $W/ca $W/a.csr --profile client --yes", "ca crl $W/ca", "ca import $W/ca $W/issued.pem",
		"ca ocsp $W/ca --sign-with-ca --out $W/ocsp", "ca renew $W/ca --days 5",
		"enroll -k OPENPGP.1 --subject CN=a --issuer ca:$W/ca?profile=client --issuer-reader sim:desk --issuer-pin env:CARDCTL_PIN --yes", "enroll -k OPENPGP.3 --subject CN=a --issuer command:cat<$W/a.pem --yes",
		"renew -k OPENPGP.3 --issuer command:cat<$W/a.pem",
		"ledger sign -k OPENPGP.3 --ledger sqlite:$W/ledger.db", "ledger mark A1 lost --revoke --ledger sqlite:$W/ledger.db",
		"gen-key -k OPENPGP.3 --replace $F --ledger sqlite:$W/ledger.db", "init --yes --ledger sqlite:$W/ledger.db",
	},
	"openpgp, 5.7": {"attest -k OPENPGP.3 --yes"},
	"gp": {
		"list-readers", "info", "applet list --card-keys default", "applet list --card-keys default --security-level c-decryption",
		"applet install $W/new.cap --card-keys default", "applet install $W/there.cap --replace --yes --card-keys default",
		"applet delete F000000001 --with-applets --yes --card-keys default",
		"applet set-keys --generate --keys-file $W/new.keys --yes --card-keys default",
		"applet script $W/job.gpsh --yes",
		"applet install --package F000000001 --applet F00000000101 --instance F0000000AA --card-keys default",
		"applet delete --key-version 5 --yes --card-keys default", "applet store-data 4502AABB --card-keys default",
		"applet state lock F00000000101 --card-keys default", "applet state unlock F00000000101 --card-keys default",
		"applet state initialized --yes --card-keys default",
		"applet domain list --card-keys default", "applet domain create F0000000DD --card-keys default",
		"applet domain extradite F00000000101 --to A000000151000000 --yes --card-keys default",
	},
	"gp, initialized": {"applet state secured --yes --card-keys default"},
	"gp, secured":     {"applet state lock-card --card-keys default"},
	"gp, locked":      {"applet state unlock-card --card-keys default"},
	"piv, 5.7": {
		"import-key -k PIV.9A --replace $PIV $W/key.pem", "move-key -k PIV.9A --retire", "move-key -k PIV.9A --to PIV.84",
		"delete-key -k PIV.9A --fingerprint $PIV --yes", "attest -k PIV.9A",
	},
	"piv": {
		"list-readers", "info", "init --app piv --yes --pin env:NEW --puk env:NEW8 --management-key env:OTHER_KEY",
		"init --app piv --yes --pin env:NEW --puk env:NEW8 --protect-management-key --pin-tries 4",
		"set-management-key --new-management-key env:OTHER_KEY", "set-management-key --generate-management-key $W/new.keys",
		"set-management-key --protect-management-key", "set-pin puk --new-pin env:NEW8", "unblock-pin --new-pin env:NEW",
		"gen-key -k PIV.9A --replace $PIV", "gen-csr -k PIV.9A --subject CN=a", "import-cert -k PIV.9A --yes $W/a.pem",
		"export-cert -k PIV.9A", "delete-cert -k PIV.9A --yes",
		"enroll -k PIV.9A --subject CN=a --issuer command:cat<$W/a.pem --yes", "renew -k PIV.9A --issuer command:cat<$W/a.pem",
	},
	"muscle": {"list-readers", "info", "init --app muscle --yes"},
	"pkcs15": {"list-readers", "info", "export-cert -k PKCS15.45", "export-key -k PKCS15.45", "gen-csr -k PKCS15.45 --subject CN=a", "init --app pkcs15 --yes"},
}

// stateOf are the states that a Java card goes through before the commands.
var stateOf = map[string][]string{
	"gp, initialized": {"initialized"},
	"gp, secured":     {"initialized", "secured"},
	"gp, locked":      {"initialized", "secured", "lock-card"},
}

// Bounds on what a hostile card may make a command do.
const (
	mostAllocated = 64 << 20 // bytes, all that was ever allocated
	mostAsked     = 20_000
	longest       = 10 * time.Second
)

// TestHostileCard lets cards of every kind turn hostile at one of the first
// commands that any command sends it. The command must end by itself,
// tell what is wrong in three lines, and not grow.
func TestHostileCard(t *testing.T) {
	for kind, commands := range cardCommands {
		t.Run(kind, func(t *testing.T) {
			d := hostileDesk(t, kind)
			start := d.save()
			for _, line := range commands {
				d.restore(start)
				command := d.words(line)
				for name, answer := range hostilities {
					for _, from := range []int{1, 3, 6} {
						d.restore(start)
						d.survive(fmt.Sprintf("%s: %s from command %d", line, name, from), command, from, answer)
					}
				}
			}
		})
	}
}

// TestSilentCard is a card that takes a command and never answers: --timeout
// ends the wait.
func TestSilentCard(t *testing.T) {
	for kind, commands := range cardCommands {
		t.Run(kind, func(t *testing.T) {
			d := hostileDesk(t, kind)
			start := d.save()
			for _, line := range commands {
				d.restore(start)
				command := append(d.words(line), "--timeout", "20ms")
				for _, from := range []int{1, 4} {
					d.restore(start)
					before := time.Now()
					r, asked := d.hostile(command, from, nil)
					if took := time.Since(before); took > longest/2 {
						t.Errorf("%s, silent from command %d: took %v", line, from, took)
					}
					told := strings.Contains(r.stdout+r.stderr, "gave up after 20ms")
					if asked >= from && r.exit != 1 && line != "list-readers" || asked >= from && !told {
						t.Errorf("%s, silent from command %d: exit status %d\n%s%s", line, from, r.exit, r.stdout, r.stderr)
					}
				}
			}
		})
	}
}

// hostileDesk has a card of the kind with something on it.
func hostileDesk(t *testing.T, kind string) javaDesk {
	t.Helper()
	if strings.HasPrefix(kind, "gp") || kind == "muscle" {
		d := newJavaDesk(t)
		for _, state := range stateOf[kind] {
			d.must(d.words("applet state " + state + " --yes --card-keys default")...)
		}
		if kind == "muscle" {
			muscle, err := capFile{pkg: "A000000001", applets: []string{"A00000000101"}}.bytes()
			if err != nil {
				t.Fatal(err)
			}
			d.writeFile("muscle.cap", muscle)
			d.must(d.words("applet install $W/muscle.cap --card-keys default")...)
			d.vars = append(d.vars, "CARDCTL_SO_PIN=314159", "CARDCTL_PUK=27182818")
		}
		d.writeFile("job.gpsh", []byte("open_sc -security 1 -key "+testKey+"\nget_status -element 40\n"))
		return d
	}
	d := javaDesk{newDesk(t, "NEW=904412", "NEW8=27182818", "CHALLENGE="+challenge)}
	if profile := pivProfiles[kind]; profile != "" {
		d.must("sim", "delete", "desk", "--yes")
		d.must("sim", "create", "desk", "--profile", profile)
		d.setPIV()
		return d
	}
	if kind == "pkcs15" {
		d.must("sim", "delete", "desk", "--yes")
		d.must("sim", "create", "desk", "--applications", "pkcs15")
		d.vars = append(d.vars, "CARDCTL_PUK=2718281828459045")
		return d
	}
	if kind == "openpgp, 5.7" {
		d.must("sim", "delete", "desk", "--yes")
		d.must("sim", "create", "desk", "--profile", "openpgp-yubikey-5.7")
	}
	d.writeKey("key.pem")
	d.writeFile("cards.csv", []byte("serial,person\nA1,floppy\n"))
	for _, line := range []string{
		"ledger import $W/cards.csv --ledger sqlite:$W/ledger.db",
		"init --yes", "gen-key -k OPENPGP.1 -a ed25519", "gen-key -k OPENPGP.2 -a x25519", "gen-key -k OPENPGP.3",
		"gen-csr -k OPENPGP.3 --subject CN=a --self-signed --days 2 --out $W/a.pem", "import-cert -k OPENPGP.3 $W/a.pem",
		"set-pin reset-code --new-pin env:NEW8", "gen-csr -k OPENPGP.1 --subject CN=a --out $W/a.csr", "ca init $W/ca --subject CN=CA -k OPENPGP.3",
		"ca issue $W/ca $W/a.csr --profile client --out $W/issued.pem",
	} {
		d.must(d.words(line)...)
	}
	return d
}

// Management keys of PIV cards: that of the desk, and another.
const (
	managementKey      = "5A17C0DE904C1B7782D3E6F0A1B2C3D4E5F60718293A4B5C"
	otherManagementKey = "C3D4E5F60718293A4B5C5A17C0DE904C1B7782D3E6F0A1B2"
)

// pivProfiles are the PIV cards among the kinds; only the second moves keys.
var pivProfiles = map[string]string{"piv": "piv-yubikey-5", "piv, 5.7": "piv-yubikey-5.7"}

// setPIV is a YubiKey with a key and its certificate, and a key in a file.
func (d *javaDesk) setPIV() {
	d.t.Helper()
	d.writeKey("key.pem")
	d.vars = append(d.vars, "CARDCTL_PUK=27182818", "CARDCTL_MANAGEMENT_KEY="+managementKey, "OTHER_KEY="+otherManagementKey)
	for _, line := range []string{
		"init --app piv --yes", "gen-key -k PIV.9A",
		"gen-csr -k PIV.9A --subject CN=a --self-signed --days 2 --out $W/a.pem", "import-cert -k PIV.9A $W/a.pem",
	} {
		d.must(d.words(line)...)
	}
}

func (d *testDesk) writeFile(name string, content []byte) {
	d.t.Helper()
	if err := os.WriteFile(filepath.Join(d.state, name), content, 0o600); err != nil {
		d.t.Fatal(err)
	}
}

// hostile runs a command on a card that is hostile from some command on, and
// says how many it was sent.
func (d *testDesk) hostile(command []string, from int, answer func(int, []byte) []byte) (result, int) {
	asked := 0
	d.connect = func(ctx context.Context, name string) (iso7816.Connection, error) {
		_, connection, err := d.hold(ctx, name)
		if err != nil {
			return nil, err
		}
		return hostileCard{connection, from, answer, &asked}, nil
	}
	defer func() { d.connect = nil }()
	return d.run(context.Background(), command), asked
}

// survive runs a command on a hostile card and looks at how it ended.
func (d javaDesk) survive(what string, command []string, from int, answer func(int, []byte) []byte) {
	d.t.Helper()
	d.forgetKeys()
	trace := filepath.Join(d.state, "trace")
	before, start := allocated(), time.Now()
	r, asked := d.hostile(append(slices.Clone(command), "-v", "--trace", trace), from, answer)
	grown, took := allocated()-before, time.Since(start)
	switch {
	case grown > mostAllocated:
		d.t.Errorf("%s: %d MB were allocated", what, grown>>20)
	case asked > mostAsked:
		d.t.Errorf("%s: %d commands were sent", what, asked)
	case took > longest:
		d.t.Errorf("%s: took %v", what, took)
	}
	if r.exit != 0 && !strings.Contains(r.stderr, "\nTry: ") && !strings.Contains(r.stderr, `"hint":`) {
		d.t.Errorf("%s: exit status %d\n%s", what, r.exit, r.stderr)
	}
	if strings.ContainsAny(r.stdout+r.stderr, "\x1b\x07") {
		d.t.Errorf("%s: the card moves the cursor: %q", what, r.stdout+r.stderr)
	}
	d.checkSecrets(what, r)
}

// allocated is how many bytes the process ever allocated.
func allocated() uint64 {
	sample := []metrics.Sample{{Name: "/gc/heap/allocs:bytes"}}
	metrics.Read(sample)
	return sample[0].Value.Uint64()
}
