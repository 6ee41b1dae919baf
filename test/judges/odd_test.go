//go:build stack

package judges

import (
	"strings"
	"testing"

	"github.com/cardctl/cardctl/test/stack"
)

// TestSmokeTestOfOddCards: what programs do without is a skip, what they stumble over a
// failure that says what it is.
func TestSmokeTestOfOddCards(t *testing.T) {
	for _, test := range []struct {
		profile, algorithm string
		exit               int
		said               string
	}{
		{"no-sha1", "rsa2048", 0, "programs can do without"},
		{"ecdsa-33", "p256", 8, "66 bytes where PKCS#11 has 64"},
		{"t0-6100", "p256", 0, ""},
	} {
		t.Run(test.profile, func(t *testing.T) {
			d := stack.NewDesk(t)
			d.Card(test.profile, 0, "--profile", test.profile).Initialise()
			d.Run("cardctl", "gen-key", "--key", "OPENPGP.3", "--algorithm", test.algorithm)
			result := d.Try("cardctl", "smoke-test", "--key", "OPENPGP.3", "--module", "opensc")
			if result.Exit != test.exit || !strings.Contains(strings.Join(strings.Fields(result.Stdout+result.Stderr), " "), test.said) {
				t.Error(result)
			}
		})
	}
}
