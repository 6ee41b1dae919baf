//go:build stack

package agent_test

import (
	"path/filepath"
	"strings"
	"testing"

	"github.com/cardctl/cardctl/test/softhsm"
	"github.com/cardctl/cardctl/test/stack"
)

// cardPIN is that of every card and token here.
const cardPIN = "123456"

// keyOn is a key on a card.
type keyOn struct {
	ref, algorithm string
	id             string // that programs know it by
	does           string // what it does: sign, decrypt, derive
}

func (k keyOn) rsa() bool { return strings.HasPrefix(k.algorithm, "rsa") }

// can reports whether the key does something.
func (k keyOn) can(what string) bool { return strings.Contains(k.does, what) }

// usage is what a PKCS#15 key is made for.
func (k keyOn) usage() []string {
	if k.does == "" || !strings.HasPrefix(k.ref, "PKCS15") {
		return nil
	}
	return []string{"--usage", strings.ReplaceAll(k.does, " ", ",")}
}

// public is the file with the public key, in PEM.
func (k keyOn) public() string {
	return strings.NewReplacer(":", "-", ";", "-").Replace(k.ref) + ".pub.pem"
}

// keysOn is a kind of card or token, with the keys that it gets.
type keysOn struct {
	name  string
	label string // of its token
	// always is how many of its keys need the PIN of a person each time.
	always int
	keys   []keyOn
	// create are the options of a simulated card; none for a token of SoftHSM2.
	create []string
	// prepare brings a new card to where keys can be generated.
	prepare func(d *agentDesk)
}

// labelOf is the label of the token with a key, as OpenSC's module has it, which makes two of an
// OpenPGP card. Before 0.26, it names the PIN of a PKCS#15 card with a single one.
func (d *agentDesk) labelOf(c keysOn, k keyOn) string {
	switch {
	case k.ref == "OPENPGP.1":
		return "OpenPGP card (User PIN (sig))"
	case strings.HasPrefix(k.ref, "PKCS15.") && strings.HasPrefix(d.Run("dpkg-query", "--show", "--showformat", "${Version}", "opensc"), "0.23."):
		return c.label + " (User PIN)"
	}
	return c.label
}

const managementKey = "010203040506070801020304050607080102030405060708"

var (
	openPGPRSA = keysOn{name: "OpenPGP RSA", label: "OpenPGP card (User PIN)", keys: []keyOn{
		{"OPENPGP.1", "rsa2048", "01", "sign"}, {"OPENPGP.2", "rsa2048", "02", "decrypt"}, {"OPENPGP.3", "rsa2048", "03", "sign"},
	}, create: []string{"--applications", "openpgp"}}
	openPGPEC = keysOn{name: "OpenPGP EC", label: "OpenPGP card (User PIN)", keys: []keyOn{
		{"OPENPGP.1", "p256", "01", "sign"}, {"OPENPGP.2", "p256", "02", "derive"}, {"OPENPGP.3", "p384", "03", "sign"},
	}, create: []string{"--applications", "openpgp"}}
	pivCard = keysOn{name: "PIV", label: "PIV_II", always: 1, keys: []keyOn{
		{"PIV.9A", "p256", "01", "sign derive"}, {"PIV.9C", "rsa2048", "02", "sign"}, {"PIV.9D", "rsa2048", "03", "decrypt"}, {"PIV.9E", "p384", "04", "sign"},
	}, create: []string{"--applications", "piv"}}
	isoApplet = keysOn{name: "IsoApplet", label: "cardctl", keys: []keyOn{
		{"PKCS15.45", "rsa2048", "45", "sign decrypt"}, {"PKCS15.46", "p256", "46", ""}, // it signs no digest that it is given
	}, create: []string{"--applications", "pkcs15"}, prepare: func(d *agentDesk) {
		d.Setenv("OPENSC_DRIVER", "isoApplet") // an ATR of Java cards names no applet
		d.Setenv("CARDCTL_PUK", "1357246813572468")
		d.Run("cardctl", "init", "--app", "pkcs15", "--label", "cardctl", "--yes")
	}}
	myEID = keysOn{name: "MyEID", label: "cardctl", keys: []keyOn{
		{"PKCS15.45", "rsa2048", "45", "sign decrypt"}, {"PKCS15.46", "p256", "46", "sign derive"},
	}, create: []string{"--applications", "myeid"}, prepare: func(d *agentDesk) {
		d.Setenv("CARDCTL_PUK", "13572468")
		d.Setenv("CARDCTL_SO_PIN", "87654321")
		d.Run("cardctl", "init", "--app", "pkcs15", "--label", "cardctl", "--yes")
	}}
	softHSMToken = keysOn{name: "SoftHSM2", label: "floppy", keys: []keyOn{
		{"pkcs11:token=floppy;id=%01", "rsa:2048", "01", "sign decrypt"}, {"pkcs11:token=floppy;id=%02", "EC:prime256v1", "02", "sign derive"},
	}}
)

// bring puts a new card of this kind into a reader, or makes the token, and generates the
// keys. Their public keys are in files.
func (c keysOn) bring(t *testing.T, d *agentDesk, reader int) *stack.Card {
	t.Helper()
	if c.create == nil {
		c.token(t, d)
		return nil
	}
	card := d.Card(strings.NewReplacer(" ", "", "#", "").Replace(c.name), reader, c.create...)
	d.Setenv("CARDCTL_PIN", cardPIN)
	d.Setenv("CARDCTL_ADMIN_PIN", "12345678")
	d.Setenv("CARDCTL_MANAGEMENT_KEY", managementKey)
	if c.prepare != nil {
		c.prepare(d)
	}
	for _, k := range c.keys {
		d.Run("cardctl", append([]string{"gen-key", "--key", k.ref, "--algorithm", k.algorithm}, k.usage()...)...)
		d.Write(k.public(), d.Run("cardctl", "export-key", "--key", k.ref), 0o600)
	}
	d.Setenv("CARDCTL_READER", "") // the agent holds the cards in all readers
	return card
}

// token makes a token of SoftHSM2 and its keys.
func (c keysOn) token(t *testing.T, d *agentDesk) {
	t.Helper()
	configuration, err := softhsm.Configure(filepath.Dir(d.Write("hsm/.keep", "", 0o600)))
	if err != nil {
		t.Fatal(err)
	}
	d.Setenv(softhsm.Variable, configuration)
	d.Run("softhsm2-util", "--init-token", "--free", "--label", c.label, "--pin", cardPIN, "--so-pin", "12345678")
	for _, k := range c.keys {
		d.Run("pkcs11-tool", "--module", softHSM, "--login", "--pin", cardPIN, "--keypairgen", "--key-type", k.algorithm, "--id", k.id, "--usage-sign", "--usage-decrypt", "--usage-derive")
		d.Write(k.public(), d.Run("cardctl", "export-key", "--module", softHSM, "--key", k.ref), 0o600)
	}
}

// newCardDesk has a card of this kind in the first reader, or a token, and an agent.
func newCardDesk(t *testing.T, c keysOn, options ...string) (*agentDesk, *stack.Card) {
	t.Helper()
	d := newStillDesk(t)
	card := c.bring(t, d, 0)
	if card == nil {
		options = append(options, "--token-module", softHSM)
	}
	d.start(t, options...)
	return d, card
}
