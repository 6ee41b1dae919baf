//go:build stack && cgo

package hardening

import (
	"encoding/hex"
	"os"
	"strings"
	"testing"

	"github.com/cardctl/cardctl/internal/p11"
	"github.com/cardctl/cardctl/internal/problem"
	"github.com/cardctl/cardctl/internal/secret"
	"github.com/cardctl/cardctl/test/stack"
)

// TestTokenSwapped puts another card into the reader while OpenSC's module has a
// session on the first: the PIN of the one does not reach the other.
func TestTokenSwapped(t *testing.T) {
	for _, moment := range []string{"before the session", "before the look", "right before the PIN"} {
		t.Run(moment, func(t *testing.T) {
			d := stack.NewDesk(t)
			first := d.Card("first", 0)
			first.Initialise()
			first.Pull()
			second := d.Card("second", 0)
			second.Initialise()
			second.Pull()
			if err := os.Remove(second.Trace()); err != nil {
				t.Fatal(err)
			}
			first.Insert()
			swap := func(now string) {
				if now == moment {
					first.Pull()
					second.Insert()
				}
			}
			m, err := p11.NewModules().Load(t.Context(), "opensc", "openpgp")
			if err != nil {
				t.Fatal(err)
			}
			defer m.Close()
			tokens, err := m.Tokens(t.Context(), false)
			if err != nil || len(tokens) == 0 || !tokens[0].InReader(stack.ReaderName(0)) {
				t.Fatalf("%+v, %v", tokens, err)
			}
			swap("before the session")
			s, err := m.Open(t.Context(), p11.URI{Path: []p11.Attribute{{Name: p11.AttrSlotID, Value: "0"}}})
			if err != nil {
				t.Fatal(err)
			}
			defer s.Close()
			// What a workflow does that named the first card.
			if _, err = m.Look(t.Context(), tokens[0]); moment != "before the session" {
				if err != nil {
					t.Fatal(err)
				}
				swap("before the look")
				_, err = s.PINState(t.Context(), p11.User)
			}
			if moment != "before the session" && err == nil {
				swap("right before the PIN")
				err = s.LoginWith(t.Context(), p11.User, secret.New([]byte(stack.UserPIN)))
			}
			if !problem.Is(err, problem.CardChanged) || !strings.Contains(err.Error(), "The slot now holds the token") {
				t.Errorf("got %v", err)
			}
			trace, err := os.ReadFile(second.Trace())
			if pin := hex.EncodeToString([]byte(stack.UserPIN)); err != nil || len(trace) == 0 || strings.Contains(string(trace), pin) {
				t.Errorf("%v; the second card got:\n%s", err, trace)
			}
		})
	}
}
