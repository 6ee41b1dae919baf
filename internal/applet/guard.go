package applet

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"time"

	"github.com/cardctl/cardctl/internal/gp"
	"github.com/cardctl/cardctl/internal/problem"
)

// guard keeps a card from being bricked: cards lock themselves for good after
// a few failed authentications, so one that failed is remembered for the card
// on disk, and the next is not tried.
type guard struct {
	dir   string // "" for none
	retry bool
	now   func() time.Time

	// card names the card: the serial of its production life cycle data, or
	// where it has none its key diversification data; "" for not known yet.
	card string
	kdd  string
}

// failure is what is remembered of a card.
type failure struct {
	Card     string    `json:"card"`
	FailedAt time.Time `json:"failedAt"`
	Reason   string    `json:"reason"`
}

func newGuard(a Access) *guard {
	g := &guard{retry: a.RetryKeys, now: a.Now}
	if a.StateDir != "" {
		g.dir = filepath.Join(a.StateDir, "card-keys")
	}
	if g.now == nil {
		g.now = time.Now
	}
	return g
}

// permit ends the attempt for a card that is remembered. While no card is
// remembered nothing is read.
func (g *guard) permit(ctx context.Context, d *gp.SecurityDomain) error {
	if g.dir == "" {
		return nil
	}
	entries, err := os.ReadDir(g.dir)
	if errors.Is(err, os.ErrNotExist) || err == nil && len(entries) == 0 {
		return nil
	}
	if err != nil {
		return problem.Wrap(problem.Failed, err, "cannot see whether keys failed on this card before")
	}
	if err := g.identify(ctx, d); err != nil {
		return err
	}
	return g.refuse(g.card)
}

// identify reads the serial, where the card has one.
func (g *guard) identify(ctx context.Context, d *gp.SecurityDomain) error {
	if g.card != "" {
		return nil
	}
	cplc, err := d.CPLC(ctx)
	var refused *gp.CommandError
	switch {
	case err == nil:
		g.card = cplc.Serial()
	case errors.As(err, &refused), errors.Is(err, gp.ErrMalformed):
	default:
		return err
	}
	return nil
}

// confirm is the second look: the key diversification data is only known once
// INITIALIZE UPDATE was answered.
func (g *guard) confirm(u *gp.InitializeUpdate) error {
	g.kdd = fmt.Sprintf("kdd-%X", u.KeyDiversificationData)
	if g.dir == "" || g.card != "" {
		return nil
	}
	return g.refuse(g.kdd)
}

func (g *guard) refuse(card string) error {
	if card == "" || g.retry {
		return nil
	}
	raw, err := os.ReadFile(g.file(card))
	if errors.Is(err, os.ErrNotExist) {
		return nil
	}
	var f failure
	if err == nil {
		err = json.Unmarshal(raw, &f)
	}
	when := "before"
	if err == nil {
		when = "at " + f.FailedAt.UTC().Format(time.RFC3339)
	}
	return problem.New(problem.PINBlocked, "card keys failed on this card %s", when).
		Because("A card locks itself for good after a few failed authentications, so none is tried again by itself.").
		Hint("the same command with the right --card-keys and --retry-keys")
}

func (g *guard) file(card string) string { return filepath.Join(g.dir, card+".json") }

// remember writes down that keys failed. What it cannot write is its error.
func (g *guard) remember(ctx context.Context, d *gp.SecurityDomain, reason string) error {
	if g.dir == "" {
		return nil
	}
	card := g.card
	if card == "" && d != nil {
		// Reading it may fail on a card that is not there any more.
		if err := g.identify(ctx, d); err == nil {
			card = g.card
		}
	}
	if card == "" {
		card = g.kdd
	}
	raw, err := json.Marshal(failure{Card: card, FailedAt: g.now().UTC(), Reason: reason})
	if err != nil {
		return err
	}
	return writeFile(g.file(card), raw)
}

// forget drops what was remembered, once keys were right.
func (g *guard) forget() error {
	if g.dir == "" {
		return nil
	}
	for _, card := range []string{g.card, g.kdd} {
		if card == "" {
			continue
		}
		if err := os.Remove(g.file(card)); err != nil && !errors.Is(err, os.ErrNotExist) {
			return problem.Wrap(problem.Failed, err, "cannot forget that keys failed on this card")
		}
	}
	return nil
}

// writeFile replaces a file of mode 0600 in a directory of mode 0700.
func writeFile(path string, data []byte) (err error) {
	if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
		return err
	}
	f, err := os.CreateTemp(filepath.Dir(path), ".new-*") // 0600
	if err != nil {
		return err
	}
	defer func() {
		if err != nil {
			_ = os.Remove(f.Name())
		}
	}()
	_, err = f.Write(data)
	if err == nil {
		err = f.Sync()
	}
	if closeErr := f.Close(); err == nil {
		err = closeErr
	}
	if err != nil {
		return err
	}
	return os.Rename(f.Name(), path)
}
