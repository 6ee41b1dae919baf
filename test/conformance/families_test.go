//go:build cgo

package conformance

import (
	"context"
	"maps"
	"slices"
	"strings"
	"testing"

	"github.com/cardctl/cardctl/internal/cardsim"
	"github.com/cardctl/cardctl/internal/desk"
	cardinit "github.com/cardctl/cardctl/internal/init"
	"github.com/cardctl/cardctl/internal/iso7816"
	"github.com/cardctl/cardctl/internal/pcsc"
	"github.com/cardctl/cardctl/internal/problem"
	"github.com/cardctl/cardctl/internal/runner"
	"github.com/cardctl/cardctl/internal/secret"
	"github.com/cardctl/cardctl/test/opensc"
	"github.com/cardctl/cardctl/test/softhsm"
)

// kind is a kind of card or token.
type kind struct {
	name string
	app  string // its name in --app
	make func(t *testing.T) *place
	// later are the tests of the suite that need what cannot be done on it, or not yet.
	later []string
}

// kinds are what the suite runs over, in process.
var kinds = []kind{
	{"OpenPGP 2.0", "openpgp", func(t *testing.T) *place { return openPGP(t, "openpgp-2.0") }, nil},
	{"OpenPGP 3.4", "openpgp", func(t *testing.T) *place { return openPGP(t, "openpgp-3.4") }, nil},
	{"PKCS#15 IsoApplet", "pkcs15", func(t *testing.T) *place { return pkcs15(t, "pkcs15", appletPINs()) }, nil},
	{"PKCS#15 MyEID", "pkcs15", func(t *testing.T) *place { return pkcs15(t, "myeid", myEIDPINs()) }, nil},
	{"PIV without Yubico", "piv", func(t *testing.T) *place { return silent(piv(t, "piv-nist")) }, notWithoutYubico()},
	{"PIV YubiKey", "piv", func(t *testing.T) *place { return piv(t, "piv-yubikey-5") }, nil},
	{"PIV YubiKey 5.7", "piv", func(t *testing.T) *place { return piv(t, "piv-yubikey-5.7") }, nil},
	{"SoftHSM2", "pkcs11", softHSM, nil},
}

// quirks are cards that behave as cards were seen to: they go through the whole suite.
func quirks() []kind {
	var list []kind
	for _, profile := range []string{
		"t0", "t0-6100", "select-any", "objects-refused", "odd-objects", "ecdsa-33", "no-sha1", "kdf", "wrong-pin-6982", "short-apdus",
	} {
		list = append(list, kind{"OpenPGP " + profile, "openpgp", func(t *testing.T) *place { return openPGP(t, profile) }, nil})
	}
	for _, profile := range []string{"t0-6100", "select-any", "isoapplet-short-ids", "isoapplet-rsa4096", "isoapplet-1.0"} {
		list = append(list, kind{"IsoApplet " + profile, "pkcs15", func(t *testing.T) *place {
			return pkcs15(t, "pkcs15", appletPINs(), profile)
		}, nil})
	}
	for _, profile := range []string{
		"piv-short-apdus", "piv-metadata-type-only", "piv-empty-slot-6a86", "piv-attestation-odd", "piv-aid-5", "piv-aid-9",
		"piv-no-le-in-chain", "piv-pin-complexity", "piv-bio-new",
	} {
		list = append(list, kind{"PIV " + profile, "piv", func(t *testing.T) *place { return piv(t, profile) }, nil})
	}
	// They do not report an imported key, so the same key again is another.
	for _, profile := range []string{"piv-yubikey-4", "piv-yubikey-5.2", "piv-tries-630x", "piv-pin-stays", "piv-global-pin"} {
		list = append(list, kind{"PIV " + profile, "piv", func(t *testing.T) *place { return piv(t, profile) }, []string{"a key is brought"}})
	}
	return append(list,
		kind{"OpenPGP beside IsoApplet", "openpgp", func(t *testing.T) *place { return beside(t, openPGPIn) }, nil},
		kind{"OpenPGP on a Java card", "openpgp", onJavaCard, nil},
	)
}

// beside is the first of two applications with a user PIN and a serial each, which is
// named.
func beside(t *testing.T, of func(*reader) *place) *place {
	t.Helper()
	_, r := newCard(t, cardsim.Options{Applications: []string{"openpgp", "pkcs15", "muscle"}})
	p := of(r)
	p.desk.Meant.App = p.app
	return p
}

// onJavaCard has nothing else with a user PIN beside it.
func onJavaCard(t *testing.T) *place {
	t.Helper()
	_, r := newCard(t, cardsim.Options{Applications: []string{"gp", "openpgp", "muscle"}})
	return openPGPIn(r)
}

// twoPINs are cards on which a key has a user PIN that is not the first.
var twoPINs = []kind{
	{"PKCS#15 MyEID", "pkcs15", func(t *testing.T) *place { return secondPIN(t) }, nil},
}

// strangers are cards that cardctl does not know by itself.
var strangers = []kind{
	{"PKCS#15 through OpenSC", "pkcs15", strange, []string{madeAnew}},
	{"GIDS through OpenSC", "pkcs15", gids, []string{madeAnew}},
}

// keyless are cards on which no key can be used.
var keyless = []kind{
	{"GlobalPlatform", "gp", func(t *testing.T) *place { return without(t, "gp") }, nil},
	{"MUSCLE", "muscle", func(t *testing.T) *place { return without(t, "muscle") }, nil},
}

// The secrets of the cards.
func openPGPPINs() map[secret.Name]string {
	return map[secret.Name]string{secret.PIN: "123456", secret.AdminPIN: "12345678", secret.NewPIN: newPIN}
}

func appletPINs() map[secret.Name]string {
	return map[secret.Name]string{secret.PIN: "246813", secret.PUK: "1234567890123456", secret.NewPIN: newPIN}
}

func myEIDPINs() map[secret.Name]string {
	return map[secret.Name]string{secret.PIN: "246813", secret.PUK: "12345678", secret.SOPIN: "87654321", secret.NewPIN: newPIN}
}

// reader is one reader, in this process, with a simulated card in it.
type reader struct {
	name    string
	connect func(context.Context) (iso7816.Connection, error)
	// between stands between desk and card; nil for nothing.
	between func(command, answer []byte) []byte
}

func (r *reader) Readers(context.Context) ([]pcsc.Reader, error) {
	return []pcsc.Reader{{Name: r.name, CardPresent: true}}, nil
}

func (r *reader) Connect(ctx context.Context, _ string) (iso7816.Connection, error) {
	c, err := r.connect(ctx)
	if err != nil {
		return nil, err
	}
	return &through{c, r}, nil
}

func (r *reader) WaitForCard(context.Context, func(pcsc.Reader) bool) (pcsc.Reader, error) {
	return pcsc.Reader{Name: r.name, CardPresent: true}, nil
}

func (r *reader) Close() error { return nil }

// through is a connection whose answers the reader may change.
type through struct {
	iso7816.Connection
	reader *reader
}

func (c *through) Transmit(ctx context.Context, command []byte) ([]byte, error) {
	answer, err := c.Connection.Transmit(ctx, command)
	if err == nil && c.reader.between != nil {
		answer = c.reader.between(command, answer)
	}
	return answer, err
}

func newDesk(r desk.Readers) *desk.Desk {
	return &desk.Desk{
		OpenReaders: func(context.Context, pcsc.Options) (desk.Readers, error) { return r, nil },
		Modules:     desk.NewModules(),
	}
}

func newCard(t *testing.T, o cardsim.Options) (*cardsim.Card, *reader) {
	t.Helper()
	card, err := cardsim.NewCard(o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = card.Close() })
	return card, &reader{name: opensc.Reader, connect: card.Connect}
}

func openPGP(t *testing.T, profile string) *place {
	t.Helper()
	_, r := newCard(t, cardsim.Options{Profile: profile})
	return openPGPIn(r)
}

func openPGPIn(r *reader) *place {
	return &place{
		app: "openpgp", ref: "OPENPGP.3", pins: openPGPPINs(), desk: newDesk(r),
		mute: func() { r.between = withoutStatus },
	}
}

func piv(t *testing.T, profile string) *place {
	t.Helper()
	_, r := newCard(t, cardsim.Options{Profile: profile, Applications: []string{"piv"}})
	return pivIn(r)
}

// notWithoutYubico is what no card can do that has the standard's commands alone.
func notWithoutYubico() []string {
	return []string{
		"an empty slot", "a key is replaced by its fingerprint", "a key is brought", madeAnew,
		"a key that came is not overwritten", "what came is not erased", "a key that came is not deleted", "a certificate is for the key that is there",
	}
}

// silent is a place on a card that reports no keys.
func silent(p *place) *place {
	p.silent = true
	return p
}

func pivIn(r *reader) *place {
	return &place{
		app: "piv", ref: "PIV.9A", desk: newDesk(r), mute: func() { r.between = withoutPIVTries },
		pins: map[secret.Name]string{secret.PIN: "123456", secret.PUK: "12345678", secret.ManagementKey: strings.Repeat("0102030405060708", 3), secret.NewPIN: newPIN},
	}
}

// withoutPIVTries is a PIV card that tells the tries neither in metadata nor at VERIFY
// without data.
func withoutPIVTries(command, answer []byte) []byte {
	const metadata, least = 0xF7, 5
	switch ins := command[1]; {
	case ins == metadata && (command[3] == 0x80 || command[3] == 0x81):
		return []byte{0x6D, 0x00}
	case ins == iso7816.InsVerify && len(command) <= least:
		return []byte{0x69, 0x82}
	}
	return answer
}

// withoutStatus gives the password status of an OpenPGP card, DO C4, another tag.
func withoutStatus(_, answer []byte) []byte {
	const length, most = 0x07, 0x7F
	for i := range len(answer) - 5 {
		if answer[i] == 0xC4 && answer[i+1] == length && answer[i+3] == most && answer[i+4] == most {
			answer[i] = 0xCB
		}
	}
	return answer
}

// pkcs15 is a card on which a stand-in does what OpenSC's programs do.
func pkcs15(t *testing.T, application string, pins map[secret.Name]string, profile ...string) *place {
	t.Helper()
	card, r := newCard(t, cardsim.Options{Applications: []string{application}, Profile: strings.Join(profile, "")})
	p := pkcs15In(r, pins)
	p.desk.RunProgram = programs(card).Tools().Run
	initialise(t, p)
	return p
}

func strange(t *testing.T) *place {
	p := secondPIN(t)
	p.desk.Meant.App = p.app // nothing but the name says that it is one
	p.ref, p.algorithm, p.pins[secret.PIN] = "PKCS15.45", "p256", myEIDPINs()[secret.PIN]
	readers, err := p.desk.OpenReaders(t.Context(), pcsc.Options{})
	if err != nil {
		t.Fatal(err)
	}
	readers.(*reader).between = func(command, answer []byte) []byte {
		if command[1] == iso7816.InsSelect && command[2] == 0x04 {
			return []byte{0x6A, 0x82}
		}
		return answer
	}
	return p
}

// gids is a card whose driver in OpenSC wants the PIN before it writes, as that of GIDS.
func gids(t *testing.T) *place {
	p := strange(t)
	start := p.desk.RunProgram
	p.desk.RunProgram = func(ctx context.Context, job runner.Program) (runner.Result, error) {
		writes := func(option string) bool {
			return option == "--generate-key" || option == "--store-private-key" || option == "--store-certificate"
		}
		if job.Name == "pkcs15-init" && slices.ContainsFunc(job.Args, writes) && !slices.Contains(job.Args, "--verify-pin") {
			return runner.Result{Exit: 1, Stderr: []byte("Failed to generate key: Security status not satisfied\n")}, nil
		}
		return start(ctx, job)
	}
	return p
}

func programs(card *cardsim.Card) *opensc.Programs { return &opensc.Programs{Connect: card.Connect} }

func pkcs15In(r *reader, pins map[secret.Name]string) *place {
	return &place{
		app: "pkcs15", label: "conformance", ref: "PKCS15.45", pins: pins, desk: newDesk(r),
		mute: func() { r.between = withoutTries },
	}
}

// withoutTries is a PKCS#15 card that says at VERIFY without data that the PIN is
// not needed, and has no data of its PINs.
func withoutTries(command, answer []byte) []byte {
	const least = 4
	switch ins := command[1]; {
	case ins == iso7816.InsVerify && len(command) <= least+1:
		return []byte{0x90, 0x00}
	case ins == iso7816.InsGetData && command[2] == 0x01 && command[3] > 0xA0:
		return []byte{0x6A, 0x88}
	}
	return answer
}

// initialise makes a card ready as a user does. Where the tries of what permits it
// are not known, that is refused, and then allowed.
func initialise(t *testing.T, p *place) {
	t.Helper()
	on := *p.desk
	on.Meant.App = p.app
	do := func() error {
		_, err := cardinit.Initialise(t.Context(), &on, p.access(), cardinit.Options{Label: p.label})
		return err
	}
	err := do()
	if problem.Is(err, problem.TriesUnknown) {
		p.allow.UnknownTries = true
		err = do()
		p.allow.UnknownTries = false
	}
	if err != nil {
		t.Fatal(err)
	}
	p.asked = nil
}

// secondPIN is a MyEID card with two user PINs, and a key that has the second.
func secondPIN(t *testing.T) *place {
	t.Helper()
	card, r := newCard(t, cardsim.Options{Applications: []string{"myeid"}})
	p := pkcs15In(r, myEIDPINs())
	p.ref = "PKCS15.46"
	for _, args := range makeTwoPINs() {
		if err := programs(card).Run(t.Context(), twoPINsEnvironment(), "pkcs15-init", args...); err != nil {
			t.Fatalf("%v: %v", args, err)
		}
	}
	p.pins[secret.PIN] = second
	p.desk.RunProgram = programs(card).Tools().Run
	return p
}

// makeTwoPINs are what pkcs15-init is told for such a card.
func makeTwoPINs() [][]string {
	return [][]string{
		{"--create-pkcs15", "--store-pin", "--auth-id", "01", "--label", "desk", "--pin", "env:PIN", "--puk", "env:PUK", "--so-pin", "env:SO_PIN", "--so-puk", "env:PUK"},
		{"--store-pin", "--auth-id", "02", "--label", "two", "--pin", "env:SECOND", "--puk", "env:PUK", "--so-pin", "env:SO_PIN"},
		{"--generate-key", "ec:prime256v1", "--id", "46", "--auth-id", "02", "--key-usage", "sign", "--label", "Key 46", "--pin", "env:SECOND"},
		{"--finalize", "--so-pin", "env:SO_PIN"},
	}
}

const second = "555555"

func twoPINsEnvironment() []string {
	return []string{"PIN=" + myEIDPINs()[secret.PIN], "SECOND=" + second, "PUK=" + myEIDPINs()[secret.PUK], "SO_PIN=" + myEIDPINs()[secret.SOPIN]}
}

func softHSM(t *testing.T) *place {
	t.Helper()
	token := softhsm.New(t, "conformance")
	p := &place{
		app: "pkcs11", label: "conformance", ref: "pkcs11:token=conformance;object=vpn", desk: newDesk(&reader{}), endless: true,
		pins: map[secret.Name]string{secret.PIN: token.PIN, secret.SOPIN: "12345678", secret.NewPIN: newPIN},
	}
	p.desk.Meant = desk.Selection{Module: token.Module, ModuleTyped: true, Token: token.Label}
	return p
}

func without(t *testing.T, application string) *place {
	t.Helper()
	_, r := newCard(t, cardsim.Options{Applications: []string{application}})
	p := &place{app: application, ref: "PKCS15.45", desk: newDesk(r), pins: maps.Clone(myEIDPINs())}
	state := t.TempDir()
	p.desk.StateDir = func() (string, error) { return state, nil }
	return p
}
