//go:build stack

package programs

import (
	"path/filepath"
	"testing"

	"github.com/cardctl/cardctl/test/softhsm"
	"github.com/cardctl/cardctl/test/stack"
)

// subject is that of the certificates on the cards.
const subject = "CN=Floppy Head"

// card is a card or token with one key, with which programs log in.
type card struct {
	name      string
	key       string
	uri       string // of the key and its certificate
	algorithm string
	initial   func(*testing.T, *stack.Desk) // brings it with PINs and without keys
	pin       string
	module    string // that asks for one PIN
	tls12     bool   // TLS 1.3 needs RSA-PSS, which such a key cannot do
}

const (
	onePIN     = "onepin-opensc-pkcs11.so"
	softHSM    = "/usr/lib/softhsm/libsofthsm2.so"
	pivPIN     = "123456" // from the factory
	openPGPURI = "pkcs11:token=OpenPGP%20card%20%28User%20PIN%29;id=%03"
	onToken    = "pkcs11:token=desk;object=browser"
)

var (
	openPGP    = card{"OpenPGP P-256", "OPENPGP.3", openPGPURI, "p256", initialOpenPGP, stack.UserPIN, onePIN, false}
	openPGPRSA = card{"OpenPGP RSA", "OPENPGP.3", openPGPURI, "rsa2048", initialOpenPGP, stack.UserPIN, onePIN, true}
	piv        = card{"PIV P-256", "PIV.9A", "pkcs11:manufacturer=piv_II;id=%01", "p256", initialPIV, pivPIN, onePIN, false}
	isoApplet  = card{"IsoApplet RSA", "PKCS15.45", "pkcs11:model=PKCS%2315;id=%45", "rsa2048", initialIsoApplet, stack.UserPIN, onePIN, true}
	token      = card{"SoftHSM P-256", onToken, onToken, "p256", initialToken, stack.UserPIN, softHSM, false}
)

// with is what a program needs to use the key; empty for nothing.
func (c card) with() string {
	if c.tls12 {
		return "TLS 1.2"
	}
	return ""
}

// desk is a desk with this card, whose key has a certificate of the desk's authority.
func (c card) desk(t *testing.T) *stack.Desk {
	t.Helper()
	d := stack.NewDesk(t)
	c.initial(t, d)
	issue(t, d, c.key, c.algorithm)
	return d
}

// issue generates a key on the card and writes a certificate of the desk's authority
// to it, for TLS clients.
func issue(t *testing.T, d *stack.Desk, key, algorithm string) {
	t.Helper()
	d.Run("cardctl", "gen-key", "--key", key, "--algorithm", algorithm)
	request := d.Run("cardctl", "gen-csr", "--key", key, "--subject", subject, "--key-usage", "digitalSignature", "--ext-key-usage", "clientAuth")
	d.Run("cardctl", "import-cert", "--key", key, d.Authority().Sign(d.Write("client.csr", request, 0o600)))
}

func initialOpenPGP(_ *testing.T, d *stack.Desk) { d.Card("openpgp", 0).Initialise() }

func initialPIV(_ *testing.T, d *stack.Desk) {
	d.Card("piv", 0, "--applications", "piv")
	d.Setenv("CARDCTL_PIN", pivPIN)
	d.Setenv("CARDCTL_MANAGEMENT_KEY", "010203040506070801020304050607080102030405060708")
}

func initialIsoApplet(_ *testing.T, d *stack.Desk) {
	d.Card("isoapplet", 0, "--applications", "pkcs15")
	d.Setenv("OPENSC_DRIVER", "isoApplet") // an ATR of Java cards names no applet
	d.Setenv("CARDCTL_PUK", "1357246813572468")
	d.Run("cardctl", "init", "--app", "pkcs15", "--yes")
}

func initialToken(t *testing.T, d *stack.Desk) {
	t.Helper()
	configuration, err := softhsm.Configure(filepath.Dir(d.Write("hsm/.keep", "", 0o600)))
	if err != nil {
		t.Fatal(err)
	}
	d.Setenv(softhsm.Variable, configuration)
	d.Setenv("CARDCTL_MODULE", "softhsm2")
	d.Setenv("CARDCTL_PIN", stack.UserPIN)
	d.Setenv("CARDCTL_SO_PIN", stack.AdminPIN)
	d.Run("cardctl", "init", "--app", "pkcs11", "--label", "desk", "--yes")
}

// triesLeft are those of the user PIN, of three.
func triesLeft(t *testing.T, d *stack.Desk) int {
	t.Helper()
	for _, pin := range d.Info().PINs {
		if pin.Name == "user" {
			return pin.TriesLeft
		}
	}
	t.Fatal("info shows no user PIN")
	return 0
}
