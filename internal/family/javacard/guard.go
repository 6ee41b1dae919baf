package javacard

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/cardctl/cardctl/internal/advice"
	"github.com/cardctl/cardctl/internal/desk"
	"github.com/cardctl/cardctl/internal/gp"
	"github.com/cardctl/cardctl/internal/input"
	"github.com/cardctl/cardctl/internal/problem"
)

// Guard knows a card by its serial and its key diversification data. It keeps it
// from being bricked: cards lock themselves for good after a few failed
// authentications, so one that failed is remembered for the card on disk, and the
// next is not tried. And it notices another card in the place of this one.
type Guard struct {
	place string // where the card is
	state string // where things are remembered; "" for nowhere
	retry bool
	now   func() time.Time

	// production are the card's production life cycle data, nil for none or not
	// known yet. serial is the one in them, or the card image number; kdd stands
	// for its key diversification data.
	production *gp.CPLC
	serial     string
	kdd        string

	// answered is the version of the keys that the card answered with.
	answered byte

	// identified says that the production data were asked for.
	identified bool

	// awaited is the kdd that the card has to have, "" for any.
	awaited string
}

// NewGuard returns a guard for the card on a line; with retry, keys are tried
// although some failed on it before.
func NewGuard(line *desk.Line, retry bool, now func() time.Time) (*Guard, error) {
	state, err := line.StateDir()
	return &Guard{place: line.Place(), state: state, retry: retry, now: now}, err
}

// Serial is the serial of the card, "" for none or not known yet.
func (g *Guard) Serial() string { return g.serial }

// failure is what is remembered of a card with a serial. KDD is its key
// diversification data as it is in Guard.kdd: other cards have other data, so that
// only a card with these has to be asked for its serial. Of a card without a serial
// nothing is remembered, because other cards look like it.
type failure struct {
	Card     string    `json:"card"`
	KDD      string    `json:"kdd,omitempty"`
	FailedAt time.Time `json:"failedAt"`
	Reason   string    `json:"reason"`
}

// errSerialNeeded is a card that looks like one that is remembered: its serial
// says whether it is.
var errSerialNeeded = errors.New("the serial of the card is needed")

// Permit ends the attempt for a card that is remembered, where what is
// remembered does not say how the card looks before its serial is read.
func (g *Guard) Permit(ctx context.Context, d *gp.SecurityDomain) error {
	failures, err := g.failures()
	if err != nil || !slices.ContainsFunc(failures, func(f failure) bool { return f.KDD == "" }) {
		return err
	}
	if err := g.Identify(ctx, d); err != nil {
		return err
	}
	return g.refuse(g.serial)
}

const longestRecord = 1 << 16 // bytes

// failures are all that is remembered.
func (g *Guard) failures() ([]failure, error) {
	if g.state == "" {
		return nil, nil
	}
	entries, err := os.ReadDir(g.dir())
	if err != nil && !errors.Is(err, os.ErrNotExist) {
		return nil, problem.Wrap(problem.Failed, err, "cannot read whether keys failed on this card before")
	}
	var list []failure
	for _, e := range entries {
		name, ok := strings.CutSuffix(e.Name(), ".json")
		if !ok {
			continue
		}
		var f failure
		if raw, err := input.Regular(filepath.Join(g.dir(), e.Name()), longestRecord); err != nil || json.Unmarshal(raw, &f) != nil {
			f = failure{}
		}
		f.Card = name // the file is found again by its name
		list = append(list, f)
	}
	return list, nil
}

// Identify reads the serial, where the card has one.
func (g *Guard) Identify(ctx context.Context, d *gp.SecurityDomain) error {
	if g.identified {
		return nil
	}
	cplc, err := d.CPLC(ctx)
	var refused *gp.CommandError
	switch {
	case err == nil:
		g.production, g.serial = cplc, cplc.Serial()
	case errors.As(err, &refused), errors.Is(err, gp.ErrMalformed):
	default:
		return err
	}
	if g.serial == "" {
		number, err := d.ImageNumber(ctx)
		if err != nil && !errors.Is(err, gp.ErrMalformed) {
			return err
		}
		if !gp.Blank(number) {
			g.serial = fmt.Sprintf("%X", number)
		}
	}
	g.identified = true
	return nil
}

// confirm is the second look, at the key diversification data, which the card
// answers to INITIALIZE UPDATE.
func (g *Guard) confirm(u *gp.InitializeUpdate) error {
	g.kdd, g.answered = fmt.Sprintf("kdd-%X", u.KeyDiversificationData), u.KeyVersion
	if g.awaited != "" && g.kdd != g.awaited {
		return g.changed("This card has other key diversification data.", nil)
	}
	failures, err := g.failures()
	if err != nil || g.retry {
		return err
	}
	for _, f := range failures {
		switch {
		case f.KDD != g.kdd:
		case !g.identified:
			return errSerialNeeded
		case f.Card == g.serial:
			return g.refuse(f.Card)
		}
	}
	return nil
}

func (g *Guard) refuse(card string) error {
	if card == "" || g.retry {
		return nil
	}
	raw, err := input.Regular(g.file(card), longestRecord)
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
		Because("A card locks itself permanently after a few failed authentications, so cardctl tries no keys again unless told to.").
		Advise(advice.Do(advice.ShowCard)).AllowedBy(advice.Switch(advice.RetryKeys))
}

func (g *Guard) dir() string { return filepath.Join(g.state, "card-keys") }

func (g *Guard) file(card string) string { return filepath.Join(g.dir(), card+".json") }

// errNoSerial is a card that cannot be told from others.
var errNoSerial = errors.New("the card reports no serial")

// remember writes down that keys failed. What it cannot write is its error.
func (g *Guard) remember(ctx context.Context, d *gp.SecurityDomain, reason string) error {
	if g.state == "" {
		return nil
	}
	_ = g.Identify(ctx, d) // the card may not be there any more
	if g.serial == "" {
		return errNoSerial
	}
	raw, err := json.Marshal(failure{Card: g.serial, KDD: g.kdd, FailedAt: g.now().UTC(), Reason: reason})
	if err != nil {
		return err
	}
	return writeFile(g.file(g.serial), raw)
}

// forget drops what was remembered, once keys were right.
func (g *Guard) forget(ctx context.Context, d *gp.SecurityDomain) error {
	failures, err := g.failures()
	if err != nil {
		return err
	}
	for _, f := range failures {
		if f.KDD == g.kdd {
			if err := g.Identify(ctx, d); err != nil {
				return err
			}
		}
		if f.Card != g.serial {
			continue
		}
		if err := os.Remove(g.file(f.Card)); err != nil && !errors.Is(err, os.ErrNotExist) {
			return problem.Wrap(problem.Failed, err, "cannot delete the record that keys failed on this card")
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
