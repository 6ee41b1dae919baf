package attest_test

import (
	"bytes"
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"encoding/pem"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/cardctl/cardctl/internal/attest"
	"github.com/cardctl/cardctl/internal/cardsim"
	"github.com/cardctl/cardctl/internal/cert"
	"github.com/cardctl/cardctl/internal/desk"
	"github.com/cardctl/cardctl/internal/iso7816"
	"github.com/cardctl/cardctl/internal/key"
	"github.com/cardctl/cardctl/internal/keygen"
	"github.com/cardctl/cardctl/internal/problem"
	"github.com/cardctl/cardctl/internal/secret"
)

// table is a simulated card in a reader, which may lie.
type table struct {
	t    *testing.T
	card *cardsim.Card
	// answer changes the whole answer to a command, without its status; nil for nothing.
	answer func(ins byte, tag string, answer []byte) []byte
}

func newTable(t *testing.T, o cardsim.Options) *table {
	t.Helper()
	if o.Applications == nil {
		o.Applications = []string{"piv"}
	}
	card, err := cardsim.NewCard(o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = card.Close() })
	return &table{t: t, card: card}
}

func (d *table) Connect(ctx context.Context, _ string) (iso7816.Connection, error) {
	c, err := d.card.Connect(ctx)
	return through{c, d}, err
}

func (d *table) List() ([]cardsim.Info, error) { return nil, nil }

type through struct {
	iso7816.Connection
	d *table
}

func (c through) Transmit(ctx context.Context, apdu []byte) ([]byte, error) {
	answer, err := c.Connection.Transmit(ctx, apdu)
	if err != nil || c.d.answer == nil || len(answer) < 2 {
		return answer, err
	}
	cmd, _, _ := iso7816.ParseCommand(apdu)
	tag := ""
	if cmd.INS == 0xCB && len(cmd.Data) == 5 {
		tag = string(cmd.Data[2:])
	}
	data := c.d.answer(cmd.INS, tag, answer[:len(answer)-2])
	return append(bytes.Clone(data), answer[len(answer)-2:]...), nil
}

func (d *table) desk() *desk.Desk {
	return &desk.Desk{Simulated: d, Meant: desk.Selection{Reader: desk.SimulatedPrefix + "card"}}
}

func (d *table) access() desk.Access {
	return desk.Access{
		Now: time.Now, Notify: func(string) {},
		Ask: func(context.Context, secret.Request) (*secret.Bytes, error) {
			return secret.New([]byte("default")), nil
		},
	}
}

func (d *table) generate(ref string) {
	d.t.Helper()
	if _, err := keygen.Generate(d.t.Context(), d.desk(), d.access(), keygen.Wish{Key: ref, Algorithm: "p256"}); err != nil {
		d.t.Fatal(err)
	}
}

func (d *table) attest(ca ...*cert.Certificate) (attest.Report, error) {
	d.t.Helper()
	return attest.Attest(d.t.Context(), d.desk(), d.access(), "PIV.9A", attest.Options{CA: ca, Now: time.Now()})
}

func (d *table) ca() []*cert.Certificate {
	d.t.Helper()
	var list []*cert.Certificate
	for _, der := range d.card.AttestationCA() {
		c, err := cert.Parse(der)
		if err != nil {
			d.t.Fatal(err)
		}
		list = append(list, c)
	}
	return list
}

// Statements of cards of every generation are read and checked, up to their maker.
func TestStatements(t *testing.T) {
	for profile, want := range map[string]struct {
		firmware  string
		compared  bool
		authority int // certificates above the statement, without the root
	}{
		"piv-yubikey-4":       {"4.3.1", false, 1},
		"piv-yubikey-5.2":     {"5.2.4", false, 1},
		"piv-yubikey-5":       {"5.4.3", true, 1},
		"piv-yubikey-5.7":     {"5.7.4", true, 2},
		"piv-attestation-odd": {"5.4.3", true, 1},
	} {
		t.Run(profile, func(t *testing.T) {
			d := newTable(t, cardsim.Options{Profile: profile, Serial: "00BC614E"})
			d.generate("PIV.9A")
			alone, err := d.attest()
			if err != nil {
				t.Fatal(err)
			}
			if alone.Trusted || alone.Root != "" || alone.KeyCompared != want.compared || alone.Firmware != want.firmware ||
				alone.Serial != "12345678" || alone.Origin != "generated" || alone.PINPolicy != "once" || alone.TouchPolicy != "never" {
				t.Errorf("%+v", alone)
			}
			for _, x := range alone.Extensions {
				if x.Name == "" || x.Value == "" || x.Hex == "" {
					t.Errorf("extension %+v", x)
				}
			}
			ca := d.ca()
			slices.Reverse(ca) // in any order
			checked, err := d.attest(ca...)
			if err != nil {
				t.Fatal(err)
			}
			if !checked.Trusted || !strings.Contains(checked.Root, "Root CA") || checked.Fingerprint != alone.Fingerprint {
				t.Errorf("%+v", checked)
			}
			certificates := 0
			for block, rest := pem.Decode([]byte(checked.PEM)); block != nil; block, rest = pem.Decode(rest) {
				if c, err := x509.ParseCertificate(block.Bytes); certificates == 0 && (err != nil || c.Subject.CommonName != "YubiKey PIV Attestation 9a") {
					t.Errorf("the first is %v, %v", c, err)
				}
				certificates++
			}
			if certificates != 1+want.authority {
				t.Errorf("%d certificates", certificates)
			}
			// The CA below the root alone is one that is trusted too.
			if below := d.ca()[1:]; len(below) > 0 {
				if _, err := d.attest(below...); err != nil {
					t.Error(err)
				}
			}
			if _, err := d.attest(newTable(t, cardsim.Options{Profile: profile}).ca()...); !problem.Is(err, problem.Mismatch) {
				t.Errorf("another maker's CA: %v", err)
			}
		})
	}
}

// An intermediate CA whose root is missing is not one that the others vouch for.
func TestRootThatIsMissing(t *testing.T) {
	d, other := newTable(t, cardsim.Options{Profile: "piv-yubikey-5.7"}), newTable(t, cardsim.Options{Profile: "piv-yubikey-5.7"})
	d.generate("PIV.9A")
	if _, err := d.attest(d.ca()[1], other.ca()[0]); !problem.Is(err, problem.Mismatch) {
		t.Errorf("got %v", err)
	}
}

const (
	attestIns = 0xF9
	dataIns   = 0xCB
	metadata  = 0xF7
	ownObject = "\x5F\xFF\x01"
)

// statementOf is what a card states of its key, and the object with its certificate.
func (d *table) statementOf() (statement, object []byte) {
	d.t.Helper()
	report, err := d.attest()
	if err != nil {
		d.t.Fatal(err)
	}
	block, rest := pem.Decode([]byte(report.PEM))
	own, _ := pem.Decode(rest)
	return block.Bytes, iso7816.AppendTLV(nil, 0x53, iso7816.AppendTLV(nil, 0x70, own.Bytes))
}

// What is not true of this card and key is a mismatch.
func TestStatementsThatAreNotTrue(t *testing.T) {
	options := cardsim.Options{Profile: "piv-yubikey-5", Serial: "00BC614E"}
	other := newTable(t, cardsim.Options{Profile: "piv-yubikey-5", Serial: "00000007"})
	other.generate("PIV.9A")
	foreign, foreignOwn := other.statementOf()
	private, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	for name, test := range map[string]struct {
		answer func(ins byte, tag string, answer []byte) []byte
		code   problem.Code
		says   string
	}{
		"the signature of another": {func(ins byte, _ string, a []byte) []byte {
			if ins == attestIns {
				return foreign
			}
			return a
		}, problem.Mismatch, "signature"},
		"the statement and certificate of another card": {func(ins byte, tag string, a []byte) []byte {
			switch {
			case ins == attestIns:
				return foreign
			case tag == ownObject:
				return foreignOwn
			}
			return a
		}, problem.Mismatch, "another key"},
		"the serial of another card": {func(ins byte, _ string, a []byte) []byte {
			if ins == 0xF8 {
				return []byte{0, 0, 0, 9}
			}
			return a
		}, problem.Mismatch, "another card serial"},
		"another key": {func(ins byte, _ string, a []byte) []byte {
			if point := bytes.LastIndex(a, []byte{0x86, 0x41, 0x04}); ins == metadata && point >= 0 {
				encoded, err := private.PublicKey.Bytes()
				if err != nil {
					t.Error(err)
				}
				return append(bytes.Clone(a[:point+2]), encoded...)
			}
			return a
		}, problem.Mismatch, "another key"},
		"another PIN policy": {func(ins byte, _ string, a []byte) []byte {
			return bytes.Replace(a, []byte{0x02, 0x02, 0x02, 0x01, 0x03}, []byte{0x02, 0x02, 0x03, 0x01, 0x03}, map[bool]int{ins == metadata: 1}[true])
		}, problem.Mismatch, "another PIN policy"},
		"a statement that is none": {func(ins byte, _ string, a []byte) []byte {
			if ins == attestIns {
				return []byte{0x30, 0x03, 0x02, 0x01, 0x00}
			}
			return a
		}, problem.Mismatch, "cannot be read"},
		"no certificate of the card": {func(_ byte, tag string, a []byte) []byte {
			if tag == ownObject {
				return []byte{0x53, 0x00}
			}
			return a
		}, problem.Mismatch, "no certificate"},
		"a certificate of the card that is none": {func(_ byte, tag string, a []byte) []byte {
			if tag == ownObject {
				return []byte{0x53, 0x04, 0x70, 0x02, 0x30, 0x00}
			}
			return a
		}, problem.Mismatch, "cannot be read"},
		"another name of the issuer": {func(ins byte, _ string, a []byte) []byte {
			if ins == attestIns {
				return bytes.Replace(a, []byte("PIV Attestation of a"), []byte("PIV Attestation oF b"), 1)
			}
			return a
		}, problem.Mismatch, "own key"},
	} {
		d := newTable(t, options)
		d.generate("PIV.9A")
		d.answer = test.answer
		_, err := d.attest()
		if !problem.Is(err, test.code) || !strings.Contains(err.Error(), test.says) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// Keys for which a card does not vouch, and cards that make no statements.
func TestNoStatement(t *testing.T) {
	for name, test := range map[string]struct {
		o    cardsim.Options
		ref  string
		code problem.Code
	}{
		"an empty slot":               {cardsim.Options{Profile: "piv-yubikey-5"}, "PIV.9C", problem.NotFound},
		"an empty slot, not reported": {cardsim.Options{Profile: "piv-yubikey-4"}, "PIV.9C", problem.NotSupported},
		"the attestation key":         {cardsim.Options{Profile: "piv-yubikey-5"}, "PIV.F9", problem.NotSupported},
		"the standard's card":         {cardsim.Options{Profile: "piv-nist"}, "PIV.9A", problem.NotSupported},
	} {
		d := newTable(t, test.o)
		_, err := attest.Attest(t.Context(), d.desk(), d.access(), test.ref, attest.Options{Now: time.Now()})
		if !problem.Is(err, test.code) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// silent is a key of a card that has no command for it.
type silent struct{ key.Key }

func (silent) Reference() key.Reference { return key.Reference{Text: "PKCS15.45"} }

func TestACardWithoutStatements(t *testing.T) {
	if _, err := attest.On(t.Context(), silent{}, attest.Options{}); !problem.Is(err, problem.NotSupported) {
		t.Errorf("got %v", err)
	}
}

// The number of commands that a statement takes: without extended length every GET
// RESPONSE counts.
func TestRounds(t *testing.T) {
	for profile, most := range map[string]int{"piv-short-apdus": 9, "piv-yubikey-5": 5} {
		d := newTable(t, cardsim.Options{Profile: profile})
		d.generate("PIV.9A")
		before := d.card.Traffic().APDUs
		if _, err := d.attest(d.ca()...); err != nil {
			t.Fatal(err)
		}
		if n := d.card.Traffic().APDUs - before; n > most {
			t.Errorf("%s: %d commands, %d are enough", profile, n, most)
		}
	}
}
