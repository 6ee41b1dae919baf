package agent

import (
	"context"
	"crypto"
	"crypto/sha256"
	"fmt"
	"slices"
	"testing"

	"github.com/cardctl/cardctl/internal/cardsim"
	"github.com/cardctl/cardctl/internal/iso7816"
	"github.com/cardctl/cardctl/internal/problem"
)

// inPlace is a simulated card that stays where it is.
type inPlace struct{ card *cardsim.Card }

func (i inPlace) Connect(ctx context.Context, _ string) (iso7816.Connection, error) {
	return i.card.Connect(ctx)
}

func (i inPlace) List() ([]cardsim.Info, error) { return nil, nil }

// with has something go wrong with the card.
func (b *bench) with(faults ...cardsim.Fault) *cardsim.Card {
	b.t.Helper()
	dir, err := b.o.Desk.StateDir()
	if err != nil {
		b.t.Fatal(err)
	}
	c, err := cardsim.NewStore(dir).Open("desk", faults...)
	if err != nil {
		b.t.Fatal(err)
	}
	b.t.Cleanup(func() { _ = c.Close() })
	b.o.Desk.Simulated = inPlace{c}
	return c
}

// found is a key, once the card can be read.
func (b *bench) found(ref string) (found Key) {
	b.t.Helper()
	b.until(func() bool {
		all, err := b.All(b.t.Context())
		if err != nil {
			b.t.Fatal(err)
		}
		for _, token := range all {
			keys, _ := token.Keys(b.t.Context())
			if i := slices.IndexFunc(keys, func(k Key) bool { return k.About().Ref == ref }); i >= 0 {
				found = keys[i]
			}
		}
		return found != nil
	})
	return found
}

// matrix has one fault in every run, at the first command, the second and so on, until all
// are past.
func matrix(t *testing.T, ref, app string, fault func(n int) cardsim.Fault, run func(t *testing.T, b *bench)) {
	t.Helper()
	b := newBench(t, app, ref)
	for n := 1; ; n++ {
		done := false
		t.Run(fmt.Sprint(n), func(t *testing.T) {
			b := b.again(t)
			card := b.with(fault(n))
			b.start()
			run(t, b)
			if err := b.Release(t.Context(), ""); err != nil && !problem.Gone(err) {
				t.Error(err)
			}
			done = card.Traffic().APDUs < n
		})
		if done || t.Failed() {
			t.Log(n, "commands")
			return
		}
	}
}

// again is a bench with the same card.
func (b *bench) again(t *testing.T) *bench {
	again := &bench{t: t, pin: b.pin, trace: b.trace}
	o := b.o
	d := *b.o.Desk
	o.Desk, o.Access.Ask, o.Log = &d, again.ask, func(err error) { t.Log(err) }
	again.Keeper = New(o)
	return again
}

// A card that is pulled at any command is a card that was removed, and the next try works.
func TestPulled(t *testing.T) {
	for ref, app := range map[string]string{"OPENPGP.3": "openpgp", "PIV.9A": "piv"} {
		t.Run(app, func(t *testing.T) {
			matrix(t, ref, app, cardsim.RemoveBefore, func(t *testing.T, b *bench) {
				for try := range 3 {
					k := b.found(ref)
					_, err := k.Sign(t.Context(), Client{}, make([]byte, 32), crypto.SHA256)
					if err == nil {
						return
					}
					if !problem.Is(err, problem.CardRemoved) {
						t.Errorf("try %d: %v", try, err)
					}
				}
				t.Error("no signature")
			})
		})
	}
}

// A card that lies at any command is not believed for ever: a later try works, and the
// PIN loses no tries.
func TestLiedTo(t *testing.T) {
	for _, status := range []iso7816.Status{0x6282, iso7816.StatusUnknown, iso7816.StatusConditionsNotSatisfied} {
		for _, done := range []bool{false, true} {
			t.Run(fmt.Sprintf("%04X %v", uint16(status), done), func(t *testing.T) {
				fault := func(n int) cardsim.Fault { return cardsim.Lie(n, status, done) }
				matrix(t, "OPENPGP.3", "openpgp", fault, func(t *testing.T, b *bench) {
					digest := sha256.Sum256([]byte("a message"))
					var err error
					for range 3 {
						if _, err = b.found("OPENPGP.3").Sign(t.Context(), Client{}, digest[:], crypto.SHA256); err == nil {
							return
						}
						t.Log(err)
					}
					t.Error("no signature")
				})
			})
		}
	}
}
