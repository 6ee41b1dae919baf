//go:build unix

package main

import (
	"context"
	"fmt"
	"strings"
	"testing"

	"github.com/cardctl/cardctl/internal/iso7816"
)

// resetCard is reset by another program before its nth command, and says nothing
// else until it is resumed.
type resetCard struct {
	iso7816.Connection
	nth   int
	asked *int
	reset bool
}

func (c *resetCard) Transmit(ctx context.Context, apdu []byte) ([]byte, error) {
	*c.asked++
	if c.reset = c.reset || *c.asked == c.nth; c.reset {
		return nil, fmt.Errorf("%w [SCARD_W_RESET_CARD]", iso7816.ErrCardReset)
	}
	return c.Connection.Transmit(ctx, apdu)
}

func (c *resetCard) Resume(ctx context.Context) error {
	c.reset = false
	return c.Connection.Resume(ctx)
}

// resetBefore runs a command on a card that another program resets before its nth
// command, and says whether it came to that.
func (d *testDesk) resetBefore(nth int, command []string) (r result, reset bool) {
	asked := 0
	d.connect = func(ctx context.Context, name string) (iso7816.Connection, error) {
		_, connection, err := d.hold(ctx, name)
		return &resetCard{Connection: connection, nth: nth, asked: &asked}, err
	}
	defer func() { d.connect = nil }()
	r = d.run(context.Background(), command)
	return r, asked >= nth
}

// TestCardResetByAnotherProgram has another program reset the card before each
// command that it gets. cardctl says so, and what it offers is a command.
func TestCardResetByAnotherProgram(t *testing.T) {
	for kind, lines := range map[string][]string{
		"openpgp": {"info", "gen-csr -k OPENPGP.3 --subject CN=a", "gen-key -k OPENPGP.1 --replace $1", "export-cert -k OPENPGP.3", "delete-cert -k OPENPGP.3 --yes", "set-pin user --new-pin env:NEW"},
		"pkcs15":  {"info", "export-key -k PKCS15.45"},
		"gp":      {"info", "applet list --card-keys default", "applet install $W/new.cap --card-keys default", "applet delete F000000001 --with-applets --yes --card-keys default"},
		"muscle":  {"info", "set-pin user --new-pin env:NEW"},
	} {
		t.Run(kind, func(t *testing.T) {
			t.Parallel()
			d := hostileDesk(t, kind)
			start, told := d.save(), d.info()
			for _, line := range lines {
				command := d.words(strings.ReplaceAll(line, "$1", fingerprintOf(told, "OPENPGP.1")))
				noticed := 0
				for nth := 1; ; nth++ {
					d.restore(start)
					d.forgetKeys()
					r, reset := d.resetBefore(nth, command)
					if !reset {
						break
					}
					if strings.Contains(r.stdout+r.stderr, "reset") {
						noticed++
					}
					d.checkReset(fmt.Sprintf("%s, reset before command %d", line, nth), command, r)
				}
				if noticed == 0 {
					t.Errorf("%s never says that the card was reset", line)
				}
			}
		})
	}
}

// checkReset looks at what is said of a reset, and what is offered.
func (d javaDesk) checkReset(what string, typed []string, r result) {
	d.t.Helper()
	if r.exit == 0 {
		return
	}
	said, ok := complained(r.stderr)
	if r.exit != 6 || !ok || !strings.Contains(r.stderr, "reset") {
		d.t.Errorf("%s: exit status %d\n%s", what, r.exit, r.stderr)
		return
	}
	if _, err := offered(typed, said.try); err != nil {
		d.t.Errorf("%s: Try: %s: %v", what, said.try, err)
	}
}
