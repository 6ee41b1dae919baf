package opensc_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/cardctl/cardctl/internal/cardsim"
	"github.com/cardctl/cardctl/internal/iso7816"
	"github.com/cardctl/cardctl/internal/pkcs15"
	"github.com/cardctl/cardctl/internal/problem"
	"github.com/cardctl/cardctl/internal/runner"
	"github.com/cardctl/cardctl/test/opensc"
	"github.com/cardctl/cardctl/test/stack"
)

// names are the kinds of cards, and on what a job is done, as tables have them.
var (
	names = map[string]string{"pkcs15": "IsoApplet", "myeid": "MyEID"}
	on    = map[string]string{"": "on a blank card", "ours": ""}
)

// kept is a card whose state can be read.
type kept struct {
	*cardsim.Card
	file string
}

func keep(t *testing.T, application, serial string) kept {
	t.Helper()
	dir := t.TempDir()
	cards := cardsim.NewStore(dir)
	if err := cards.Create("card", cardsim.Options{Applications: []string{application}, Serial: serial}); err != nil {
		t.Fatal(err)
	}
	card, err := cards.Open("card")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = card.Close() })
	return kept{card, filepath.Join(dir, "card.json")}
}

func (k kept) raw(t *testing.T) []byte {
	t.Helper()
	raw, err := os.ReadFile(k.file)
	if err != nil {
		t.Fatal(err)
	}
	return raw
}

var change = job{name: "change the PIN", do: func(ctx context.Context, c *pkcs15.Card, application string) error {
	d, err := c.PINs(ctx)
	if err != nil {
		return err
	}
	p := *d.UserPIN()
	if p.TriesLeft, err = c.Tries(ctx, p); err != nil {
		return err
	}
	if err := asked(ctx, c); err != nil {
		return err
	}
	return c.ChangePIN(ctx, p, first(application).PIN, first("").PIN)
}}

var certificate = job{name: "write a certificate", do: func(ctx context.Context, c *pkcs15.Card, application string) error {
	p, err := c.PINFor(ctx, []byte{0x46}, true)
	if err != nil {
		return err
	}
	if err := asked(ctx, c); err != nil {
		return err
	}
	der := append([]byte{0x30, 0x82, 0x01, 0x00}, make([]byte, 256)...)
	return c.StoreCertificate(ctx, pkcs15.NewCertificate{ID: []byte{0x46}, DER: der, PIN: p, Now: time.Now()}, first(application).PIN)
}}

// asked lets the card go as while a person is asked.
func asked(ctx context.Context, c *pkcs15.Card) error {
	return errors.Join(c.Remember(ctx), c.Close())
}

// states are those of cards with a structure and a key, by application and label.
type states map[string][]byte

// card is a card of the kind: blank, or with a structure of this label and a key.
func (s states) card(t *testing.T, application, serial, label string) kept {
	t.Helper()
	k := keep(t, application, serial)
	if label == "" {
		return k
	}
	name := application + label
	if s[name] == nil {
		s[name] = prepared(t, k, application, label)
	}
	if err := errors.Join(k.Close(), os.WriteFile(k.file, s[name], 0o600)); err != nil {
		t.Fatal(err)
	}
	var err error
	if k.Card, err = cardsim.NewStore(filepath.Dir(k.file)).Open("card"); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = k.Close() })
	return k
}

func prepared(t *testing.T, k kept, application, label string) []byte {
	t.Helper()
	desk := opensc.NewDesk(k.Card)
	open := func() (*pkcs15.Card, error) { return desk.Open(t.Context()) }
	begin := job{do: func(ctx context.Context, c *pkcs15.Card, application string) error {
		f := first(application)
		f.Label, f.Serial = label, "FEED00000000000"+string(label[0]%2+'0')
		s, err := c.Status(ctx)
		if err != nil {
			return err
		}
		return c.Create(ctx, s, f, func(string) {})
	}}
	for _, j := range []job{begin, store(0x46, anECKey, "sign")} {
		if err := do(t.Context(), j, application, open); err != nil {
			t.Fatal(err)
		}
	}
	return k.raw(t)
}

// TestSwapped puts another card into the reader each time that the card is let go,
// and while each program runs.
func TestSwapped(t *testing.T) {
	blank := []job{create}
	used := []job{create, generate(0x45, "p256", "sign"), store(0x45, anECKey, "sign"), remove(0x46), change, certificate}
	for _, application := range applications {
		for label, work := range map[string][]job{"": blank, "ours": used} {
			for _, j := range work {
				t.Run(application+" "+label+" "+j.name, func(t *testing.T) {
					t.Parallel()
					points, held, prepared := 0, 0, states{}
					for _, handle := range []bool{true, false} {
						if label == "" && application == "pkcs15" && !handle {
							continue // nothing tells two blank applets apart
						}
						for n, more := 1, true; more; n++ {
							more = false // also where -failfast leaves the rest out
							ok := t.Run(fmt.Sprintf("moment %d, handle: %v", n, handle), func(t *testing.T) {
								more = prepared.swapAt(t, application, label, j, handle, n)
							})
							if more {
								points++
							}
							if more && ok {
								held++
							}
						}
					}
					stack.Held(t, "swapped", names[application], strings.TrimSpace(j.name+" "+on[label]), "in-process", points, held)
				})
			}
		}
	}
}

// swapAt swaps at the n-th moment, and reports whether there was one before the job
// ended.
func (s states) swapAt(t *testing.T, application, label string, j job, handle bool, n int) bool {
	t.Helper()
	otherLabel := label
	if label != "" {
		otherLabel = "theirs"
	}
	named, other := s.card(t, application, "0BADCAFE", label), s.card(t, application, "0DEFACED", otherLabel)
	desk := opensc.NewDesk(named.Card)
	desk.Handle = handle
	moment, during, before := 0, "", other.raw(t)
	swap := func() {
		if moment++; moment == n {
			desk.Card = other.Card
		}
	}
	desk.Released = swap
	desk.Before = func(p runner.Program) {
		if swap(); desk.Card == other.Card {
			during = p.Name
		}
	}
	desk.Taken = func() {
		if desk.Card == other.Card && during == "" {
			desk.Before = func(p runner.Program) {
				t.Errorf("%s, %s, swapped at moment %d: %s ran", application, j.name, n, p.Name)
			}
		}
	}
	c, err := desk.Open(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	err = j.do(t.Context(), c, application)
	if desk.Card != other.Card {
		if err != nil {
			t.Errorf("%s: %s: %v", application, j.name, err)
		}
		return false
	}
	if errors.Is(err, nil) || !problem.Is(err, problem.CardRemoved) && !problem.Is(err, "card-changed") || errors.Is(err, iso7816.ErrCardRemoved) {
		t.Errorf("%s, %s, swapped at moment %d, handle: %v: %v", application, j.name, n, handle, err)
	}
	switch after := other.raw(t); {
	case during == "" && !bytes.Equal(before, after):
		t.Errorf("%s, %s, swapped at moment %d, handle: %v: the other card was changed", application, j.name, n, handle)
	case during != "" && (!strings.Contains(err.Error(), during) || !pkcs15.Unsettled(err)):
		t.Errorf("%s, %s, swapped during %s: %v", application, j.name, during, err)
	}
	return true
}
