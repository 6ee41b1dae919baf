//go:build unix

package main

import (
	"bytes"
	"context"
	"fmt"
	"path/filepath"
	"strings"
	"testing"

	"github.com/cardctl/cardctl/internal/cardsim"
	"github.com/cardctl/cardctl/internal/iso7816"
	"github.com/cardctl/cardctl/test/opensc"
	"github.com/cardctl/cardctl/test/stack"
)

// swapPlan is a desk with a plan for one card, in whose reader cards change places.
type swapPlan struct {
	*provisioning
	at *swapDesk
}

func newSwapPlan(t *testing.T, name string) *swapPlan {
	t.Helper()
	p := newProvisioning(t, provisionings[name])
	p.inReader = false
	s := &swapDesk{testDesk: p.testDesk}
	s.programs = &opensc.Programs{Connect: func(ctx context.Context) (iso7816.Connection, error) { return s.reader.Connect(ctx) }}
	s.vars[0] = "CARDCTL_READER=" + opensc.Reader
	s.readers, s.testDesk.programs = s, s.programs.Tools().Run
	return &swapPlan{p, s}
}

func (s *swapPlan) card(t *testing.T, serial string) *cardsim.Card {
	t.Helper()
	o := s.options
	o.Serial = serial
	card, err := cardsim.NewCard(o)
	if err != nil {
		t.Fatal(err)
	}
	return card
}

// TestProvisionSwapped has another card in the reader at every moment of a plan: a blank
// one, and one that another person has. It is sent no secret, and is not changed. The first
// one goes on.
func TestProvisionSwapped(t *testing.T) {
	for name := range provisionings {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			d := newSwapPlan(t, name)
			start, blank := d.card(t, "0BADCAFE"), d.card(t, "0DEFACED")
			restore := d.keep(t)
			d.at.put(blank)
			others := d.card(t, "0D15EA5E")
			d.at.put(others)
			d.must(d.words("provision $W/plan.yaml --rows $W/rows.csv --yes --ledger sqlite:$W/other.db")...)
			restore()
			d.at.put(twin(t, start))
			d.must(d.command()...)
			tries := d.tries()
			points, held := 0, 0
			for what, next := range map[string]*cardsim.Card{"a blank card": blank, "another person's card": others, "a twin": start} {
				for moment, at := range map[string]func(int) cardsim.Moment{whenFree: cardsim.WhenFree, atCommand: cardsim.BeforeAPDU} {
					step := 2 * d.stride
					if everyPoint() {
						step = 1
					}
					for n := 1; ; n += step {
						restore()
						first, second := twin(t, start), twin(t, next)
						d.at.put(first)
						before := second.State()
						reader := d.at.reader
						reader.SwapAt(at(n), second)
						d.at.watch(nil)
						r := d.run(t.Context(), d.command("--trace", filepath.Join(d.state, "trace")))
						stays := reader.Stays()
						if len(stays) == 1 {
							if r.exit != 0 {
								t.Fatalf("exit status %d\n%s", r.exit, r.stderr)
							}
							break
						}
						points++
						if t.Run(fmt.Sprintf("%s, %s %d", what, moment, n), func(t *testing.T) {
							if d.sessions && moment == whenFree && (n == 1 && next != others || n == 2 && next == start) {
								if r.exit != 0 {
									t.Fatalf("exit status %d\n%s", r.exit, r.stderr)
								}
								d.complete(t, d.in(t))
								return
							}
							d.came(t, r, stays[1], before)
							d.at.put(first)
							d.afterLie(t, r, tries)
						}) {
							held++
						}
					}
				}
			}
			stack.Held(t, "swapped", name, "provision", "in-process", points, held)
		})
	}
}

// came looks at what the card got that came.
func (s *swapPlan) came(t *testing.T, r result, came *cardsim.Stay, before []byte) {
	t.Helper()
	if s.at.during != "" { // the program had the PIN by then, and could not tell
		if r.exit != 10 || !strings.Contains(r.stderr, s.at.during) {
			t.Errorf("it is not said that %s ran meanwhile: exit status %d\n%s", s.at.during, r.exit, r.stderr)
		}
		return
	}
	for _, apdu := range came.Sent() {
		if !readsOnly(apdu) {
			t.Errorf("the card that came was sent %X", apdu)
		}
	}
	if !bytes.Equal(before, came.Card.State()) {
		t.Error("the card that came was changed")
	}
	if s.sessions && (r.exit == 3 || r.exit == 7 || r.exit == 9) {
		return
	}
	if r.exit != 10 && (r.exit != 0 || len(came.Sent()) > 0) {
		t.Errorf("exit status %d\n%s", r.exit, r.stderr)
	}
}
