//go:build stack

package pkcs15

import (
	"context"
	"errors"
	"fmt"
	"testing"
	"time"

	"github.com/cardctl/cardctl/internal/cardsim"
	cardinit "github.com/cardctl/cardctl/internal/init"
	"github.com/cardctl/cardctl/internal/inventory"
	"github.com/cardctl/cardctl/internal/iso7816"
	"github.com/cardctl/cardctl/internal/key"
	"github.com/cardctl/cardctl/internal/keygen"
	"github.com/cardctl/cardctl/internal/pkcs15"
	"github.com/cardctl/cardctl/internal/problem"
)

// insert puts a card of the store into the reader until the test ends, or pull
// is called, or the fault comes.
func (b *bench) insert(store *cardsim.Store, faults ...cardsim.Fault) (pull func()) {
	b.t.Helper()
	card, err := store.Open("pulled", faults...)
	if err != nil {
		b.t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	attached, ended := make(chan struct{}), make(chan error, 1)
	go func() {
		ended <- card.Attach(ctx, fmt.Sprintf("localhost:%d", 35963+reader), func() { close(attached) })
	}()
	select {
	case <-attached:
	case err := <-ended:
		b.t.Fatal(err)
	}
	b.await(true)
	return func() {
		b.t.Helper()
		if err := b.line.Release(); err != nil && !errors.Is(err, iso7816.ErrCardRemoved) && !problem.Is(err, problem.CardRemoved) {
			b.t.Error(err)
		}
		cancel()
		if err := <-ended; err != nil && !errors.Is(err, iso7816.ErrCardRemoved) {
			b.t.Error(err)
		}
		if err := card.Close(); err != nil {
			b.t.Error(err)
		}
		b.await(false)
	}
}

// await waits until the PC/SC daemon has noticed a card, or that it is gone.
func (b *bench) await(present bool) {
	b.t.Helper()
	for deadline := time.Now().Add(10 * time.Second); time.Now().Before(deadline); time.Sleep(20 * time.Millisecond) {
		list, err := b.line.readers.Readers(b.t.Context())
		if err != nil {
			b.t.Fatal(err)
		}
		for _, r := range list {
			if r.Name == b.line.Reader() && r.CardPresent == present {
				return
			}
		}
	}
	b.t.Fatalf("the daemon does not notice that a card is there: %v", present)
}

// initOnce is init that may fail.
func (b *bench) initOnce() error {
	card, err := pkcs15.Open(b.t.Context(), b.line, b.tools)
	if err == nil {
		_, err = cardinit.InitialisePKCS15(b.t.Context(), card, cardinit.Options{
			Label: "desk", Access: b.access(), Confirm: func(context.Context, string) error { return nil },
		})
	}
	return errors.Join(err, b.line.Release())
}

func (b *bench) generateOnce() error {
	card, err := pkcs15.Open(b.t.Context(), b.line, b.tools)
	if err == nil {
		var k key.Key
		if k, _, err = key.OpenPKCS15(b.t.Context(), card, key.Reference{Application: key.PKCS15, ID: "45"}, b.access()); err == nil {
			_, err = keygen.Generate(b.t.Context(), k, keygen.Options{})
		}
	}
	return errors.Join(err, b.line.Release())
}

// Each pull takes the PC/SC daemon seconds to notice, so that not all are tried;
// odd strides try both before and after a command.
func TestTheCardPulledOnTheWay(t *testing.T) {
	used := func(b *bench) {
		b.mustInit()
		b.generate("PKCS15.45", key.Spec{})
	}
	for name, tt := range map[string]struct {
		before func(*bench)
		work   func(*bench) error
		stride int // odd
	}{
		"init of a blank card": {func(*bench) {}, (*bench).initOnce, 5},
		"init of a used card":  {used, (*bench).initOnce, 7},
		"gen-key":              {(*bench).mustInit, (*bench).generateOnce, 9},
	} {
		t.Run(name, func(t *testing.T) {
			for n, whole := 1, false; !whole; n += tt.stride {
				whole = pullAt(t, n, tt.before, tt.work)
			}
		})
	}
}

// pullAt pulls the card at its n-th command and reports whether the work was
// done before that.
func pullAt(t *testing.T, n int, before func(*bench), work func(*bench) error) (whole bool) {
	t.Helper()
	b := benchWithoutCard(t)
	store := cardsim.NewStore(b.desk.Path("cards"))
	if err := store.Create("pulled", cardsim.Options{Applications: []string{"pkcs15"}}); err != nil {
		t.Fatal(err)
	}
	pull := b.insert(store)
	before(b)
	pull()

	fault := cardsim.RemoveBefore(n)
	if n%2 == 0 {
		fault = cardsim.RemoveAfter(n)
	}
	pull = b.insert(store, fault)
	err := work(b)
	pull()
	switch {
	case err == nil:
		return true
	case !problem.Is(err, problem.CardRemoved) && !errors.Is(err, iso7816.ErrCardRemoved):
		t.Errorf("pulled at %d: %v", n, err)
	}

	defer b.insert(store)()
	info := inventory.Info{}
	if err := inventory.InspectPKCS15(t.Context(), b.open(), &info); err != nil {
		t.Errorf("pulled at %d: info: %v", n, err)
	}
	b.done()
	if err := b.initOnce(); err != nil {
		t.Errorf("pulled at %d: init does not get the card back: %v", n, err)
		return false
	}
	if err := b.generateOnce(); err != nil {
		t.Errorf("pulled at %d: gen-key after init: %v", n, err)
	}
	return false
}
