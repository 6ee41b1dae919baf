package javacard

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"time"

	"github.com/cardctl/cardctl/internal/desk"
	"github.com/cardctl/cardctl/internal/gp"
	"github.com/cardctl/cardctl/internal/problem"
)

// KnownKeys is what others may know of a card's keys.
type KnownKeys string

// What is known of the keys of a card.
const (
	// KeysNotKnown are keys of which nothing is known.
	KeysNotKnown KnownKeys = ""
	// KeysOfFactory are those that the card came with, by its own account.
	KeysOfFactory KnownKeys = "factory"
	// KeysOfTests are the well-known test keys: the card was opened with
	// them here.
	KeysOfTests KnownKeys = "test"
)

// CardKeys says what is known of the keys of the card's security domain. It asks
// for no keys, and tries none.
func CardKeys(ctx context.Context, line *desk.Line) (KnownKeys, error) {
	d, err := selected(ctx, line, nil)
	if err != nil {
		return KeysNotKnown, err
	}
	return d.cardKeys(ctx)
}

// cardKeys says what is known of the keys of a security domain.
func (c *domainCard) cardKeys(ctx context.Context) (KnownKeys, error) {
	keys, err := told(c.domain.KeyInformation(ctx))
	if err != nil {
		return KeysNotKnown, err
	}
	return c.guard.known(ctx, c.domain, keys)
}

// known says what is known of keys of which the card told the versions.
func (g *Guard) known(ctx context.Context, d *gp.SecurityDomain, keys []gp.KeyInformation) (KnownKeys, error) {
	if hasVersion(keys, gp.FactoryKeyVersion) {
		return KeysOfFactory, nil
	}
	marks, err := marksIn(g.state)
	if err != nil || len(marks) == 0 {
		return KeysNotKnown, err
	}
	if err := g.Identify(ctx, d); err != nil {
		return KeysNotKnown, err
	}
	for _, m := range marks {
		if m.Card == g.serial && hasVersion(keys, m.Version) {
			return KeysOfTests, nil
		}
	}
	return KeysNotKnown, nil
}

func hasVersion(keys []gp.KeyInformation, version byte) bool {
	return slices.ContainsFunc(keys, func(k gp.KeyInformation) bool { return k.Version == version })
}

// mark is a card with the test keys under a version that does not say so, which
// is written down when it was opened with them.
type mark struct {
	Card     string    `json:"card"`
	KDD      string    `json:"kdd"`
	Version  byte      `json:"version"`
	OpenedAt time.Time `json:"openedAt"`
}

func marksDir(stateDir string) string { return filepath.Join(stateDir, "test-keys") }

func (m mark) file(stateDir string) string {
	return filepath.Join(marksDir(stateDir), fmt.Sprintf("%s-%02X.json", m.Card, m.Version))
}

// marksIn are all marks; what is no mark is left out.
func marksIn(stateDir string) ([]mark, error) {
	if stateDir == "" {
		return nil, nil
	}
	entries, err := os.ReadDir(marksDir(stateDir))
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return nil, problem.Wrap(problem.Failed, err, "cannot read which cards have the test keys")
	}
	var marks []mark
	for _, e := range entries {
		var m mark
		raw, err := os.ReadFile(filepath.Join(marksDir(stateDir), e.Name()))
		if err == nil && json.Unmarshal(raw, &m) == nil && filepath.Base(m.file(stateDir)) == e.Name() {
			marks = append(marks, m)
		}
	}
	return marks, nil
}

// Notice keeps account of cards that have the test keys, once a channel is open.
// What cannot be read or written of that ends no work.
func (g *Guard) Notice(ctx context.Context, d *gp.SecurityDomain, credentials gp.Credentials) error {
	version := d.Session().KeyVersion
	if g.state == "" || version == gp.FactoryKeyVersion {
		return nil // the card says it itself
	}
	marks, err := marksIn(g.state)
	if err != nil {
		return nil
	}
	marked := slices.ContainsFunc(marks, func(m mark) bool { return m.KDD == g.kdd && m.Version == version })
	test := testKeys(credentials)
	if test == marked {
		return nil
	}
	if err := g.Identify(ctx, d); err != nil {
		return err
	}
	m := mark{Card: g.serial, KDD: g.kdd, Version: version, OpenedAt: g.now().UTC()}
	switch {
	case m.Card == "": // nobody could tell it from others
	case test:
		if raw, err := json.Marshal(m); err == nil {
			_ = writeFile(m.file(g.state), raw)
		}
	default:
		_ = os.Remove(m.file(g.state))
	}
	return nil
}

func testKeys(c gp.Credentials) bool {
	known := gp.DefaultKeySet()
	defer known.Wipe()
	return c.Diversification == gp.NoDiversification && c.Keys.Equal(known)
}
