//go:build stack

package programs

import (
	"fmt"
	"strings"
	"testing"

	"github.com/cardctl/cardctl/test/stack"
)

// TestServersRefuseRevokedCards has web servers read each CRL that a CA signs: they refuse
// the card while its certificate is on hold, let it in when that is released, and refuse
// it when it is revoked.
func TestServersRefuseRevokedCards(t *testing.T) {
	for _, c := range []card{openPGP, piv, token} {
		t.Run(c.name, func(t *testing.T) {
			d := stack.NewDesk(t)
			c.initial(t, d)
			d.Setenv("PASSWORD", "snake oil")
			d.Run("cardctl", "ca", "init", "desk-ca", "--subject", "CN=Desk CA", "--password", "env:PASSWORD")
			d.Run("cardctl", "gen-key", "--key", c.key, "--algorithm", c.algorithm)
			d.Run("cardctl", "enroll", "--key", c.key, "--subject", subject, "--issuer", "ca:desk-ca?profile=client", "--issuer-secret", "env:PASSWORD")
			for i, step := range []struct {
				command []string // of the CA
				enters  bool
			}{
				{nil, true},
				{[]string{"revoke", "--reason", "certificateHold", "--yes"}, false},
				{[]string{"release"}, true},
				{[]string{"revoke", "--reason", "keyCompromise", "--yes"}, false},
			} {
				if step.command != nil {
					d.Run("cardctl", append([]string{"ca", step.command[0], "desk-ca", "client.pem"}, step.command[1:]...)...)
				}
				crl := fmt.Sprintf("desk-ca.%d.crl", i)
				d.Run("cardctl", "ca", "crl", "desk-ca", "--password", "env:PASSWORD", "--out", crl)
				for name, start := range map[string]func(*testing.T, *stack.Desk, admission) string{"nginx": startNginx, "Apache": startApache} {
					line := c.curl(d, start(t, d, admission{"desk-ca/ca.pem", crl}))
					if out := d.Try(line[0], line[1:]...); strings.Contains(out.Stdout, welcome) != step.enters {
						t.Errorf("%s after %v: lets the card in: %v\n%v", name, step.command, !step.enters, out)
					}
				}
			}
		})
	}
}
