//go:build stack

package docs

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/cardctl/cardctl/test/stack"
)

// The secrets that documents and examples speak of.
var secrets = map[string]string{
	"PIN":       "648219",
	"ADMIN_PIN": "73915824",
	"SO_PIN":    "73915824",
	"PUK":       "1357924680135792",
	"CODE":      "97531864",
	"OLD":       "73915824",
	"NEW":       "86421357",
	"PASSWORD":  "snake oil",

	"MANAGEMENT_KEY": "010203040506070801020304050607080102030405060708",
}

// newDesk is a desk with these secrets in the environment, SoftHSM2 without a
// token, and the files of applets that documents name.
func newDesk(t *testing.T) *stack.Desk {
	t.Helper()
	desk := stack.NewDesk(t)
	for name, value := range secrets {
		desk.Setenv(name, value)
	}
	desk.Setenv("PATH", desk.Path(".local/bin")+":"+os.Getenv("PATH"))
	if err := os.Mkdir(desk.Path("tokens.softhsm"), 0o700); err != nil {
		t.Fatal(err)
	}
	desk.Setenv("SOFTHSM2_CONF", desk.Write("softhsm.conf",
		"directories.tokendir = "+desk.Path("tokens.softhsm")+"\nlog.level = ERROR\n", 0o600))
	for file, original := range map[string]string{
		"IsoApplet.cap": "IsoApplet.cap", "SmartPGP.cap": "OpenPGP.cap", "Muscle.cap": "Muscle.cap", "Wallet.cap": "Muscle.cap",
	} {
		content, err := os.ReadFile(filepath.Join("../../internal/cardsim/testdata", original))
		if err != nil {
			t.Fatal(err)
		}
		desk.Write(file, string(content), 0o600)
	}
	return desk
}
