package piv

import (
	"bytes"
	"context"
	"errors"
	"fmt"

	"github.com/cardctl/cardctl/internal/advice"
	"github.com/cardctl/cardctl/internal/card"
	"github.com/cardctl/cardctl/internal/desk"
	"github.com/cardctl/cardctl/internal/iso7816"
	"github.com/cardctl/cardctl/internal/key"
	"github.com/cardctl/cardctl/internal/pin"
	app "github.com/cardctl/cardctl/internal/piv"
	"github.com/cardctl/cardctl/internal/problem"
)

// onCard is a PIV card that is open.
type onCard struct {
	line   *desk.Line
	access key.Access
	// app is the application on the line's channel; a new one each time that the card
	// is taken again.
	app *app.Card
	// seen is what the card is known by.
	seen identity
	// What was read since the card was taken last.
	metadata map[byte]told
	firmware *app.Firmware
	left     map[app.PINReference]pin.Tries
	// managed is the application on which the management key was proved, verified that
	// on which the PIN was verified.
	managed, verified *app.Card
	// opens is the PIN that the discovery object names; nil where it was not read.
	opens *app.PINReference
	// device is what a YubiKey tells of itself; zero where it was not read.
	device app.Device
	// looked is what was found in slots.
	looked map[app.Slot]state
}

// told is the answer to GET METADATA.
type told struct {
	app.Metadata
	err error
}

// identity is what tells two cards apart: the maker's serial where the card tells it,
// else the CHUID.
type identity struct {
	serial string // as users write it; empty where the card has none
	// numbered says that it is the maker's, and that the card knows Yubico's commands.
	numbered bool
	chuid    []byte
}

// readIdentity is one command on a card that has a serial, and one more on others.
func readIdentity(ctx context.Context, from *app.Card) (identity, error) {
	number, err := from.Serial(ctx)
	if app.Unanswered(err) && !iso7816.Refused(err) { // not what a card says that has no such command
		number, err = from.Serial(ctx)
	}
	if err == nil {
		return identity{serial: serialNumber(number), numbered: true}, nil
	}
	if !app.Unanswered(err) {
		return identity{}, err
	}
	chuid, err := from.GetData(ctx, app.CHUID)
	if err != nil && !app.Unanswered(err) {
		return identity{}, err
	}
	return identityOf(chuid), nil
}

// identityOf is the identity of a card without a serial.
func identityOf(chuid []byte) identity {
	known := identity{chuid: chuid}
	if guid, ok := app.GUID(chuid); ok {
		known.serial = fmt.Sprintf("%X", guid[:])
	}
	return known
}

// serialNumber is the maker's serial as it is printed on the card.
func serialNumber(number uint32) string { return fmt.Sprintf("%08d", number) }

func (i identity) equal(other identity) bool {
	return i.serial == other.serial && i.numbered == other.numbered && bytes.Equal(i.chuid, other.chuid)
}

func open(ctx context.Context, line *desk.Line, o card.Opening) (card.Card, error) {
	ch, err := line.Channel(ctx)
	if err != nil {
		return nil, err
	}
	c := &onCard{line: line, access: o.Access}
	if err := c.selectOn(ctx, ch); err != nil {
		switch {
		case errors.Is(err, app.ErrNotPIV):
			return nil, lacks(err, problem.NotSupported, "this card has no PIV application")
		case iso7816.StatusOf(err) != 0: // there are cards that answer so for what they do not have
			return nil, lacks(err, problem.Failed, "the card did not select a PIV application")
		}
		return nil, explain(err, "selecting the PIV application", "")
	}
	if c.seen, err = readIdentity(ctx, c.app); err != nil {
		return nil, explain(err, "reading the card", "")
	}
	line.Same(c.same)
	return c, nil
}

// lacks is the error of a card on which the application was not found.
func lacks(err error, code problem.Code, what string) error {
	p := problem.New(code, "%s", what).
		Because("%s", problem.Sentence(err.Error())).Advise(advice.Do(advice.ListReaders))
	p.Cause = errors.Join(card.ErrLacks, err)
	return p
}

// selectOn selects the application, and drops what was read before.
func (c *onCard) selectOn(ctx context.Context, ch *iso7816.Channel) error {
	selected, err := app.Select(ctx, ch)
	if err != nil {
		return err
	}
	c.app, c.firmware, c.opens = selected, nil, nil
	c.drop()
	return nil
}

// drop drops what was read of keys and PINs, and what was proved.
func (c *onCard) drop() {
	c.metadata, c.looked, c.left = map[byte]told{}, map[app.Slot]state{}, map[app.PINReference]pin.Tries{}
	c.managed, c.verified = nil, nil
}

// same compares the card that is taken again with the one that was opened.
func (c *onCard) same(ctx context.Context, ch *iso7816.Channel) error {
	before, known, opens := c.seen, c.app, c.opens
	err := c.selectOn(ctx, ch)
	if errors.Is(err, app.ErrNotPIV) {
		return desk.Changed(c.line.Place(), "The card there now has no PIV application.", err)
	}
	if err != nil {
		return explain(err, "comparing the card", "")
	}
	now, err := readAgain(ctx, c.app, before)
	switch {
	case err != nil:
		return explain(err, "comparing the card", "")
	case !now.equal(before):
		return desk.Changed(c.line.Place(), "The card there now is a "+kind+" with "+now.inWords()+".", nil)
	}
	if before.serial != "" { // which tells it from others
		c.app.Knows(known)
		c.opens = opens
	}
	return nil
}

// readAgain is readIdentity to compare it: a card without a serial has to have the CHUID
// with the GUID that was read before, and is not asked for a serial then.
func readAgain(ctx context.Context, from *app.Card, before identity) (identity, error) {
	if _, ok := app.GUID(before.chuid); !ok || before.numbered {
		return readIdentity(ctx, from)
	}
	chuid, err := from.GetData(ctx, app.CHUID)
	if err == nil && bytes.Equal(chuid, before.chuid) {
		return before, nil
	}
	if err != nil && !app.Unanswered(err) {
		return identity{}, err
	}
	return readIdentity(ctx, from)
}

func (i identity) inWords() string {
	if i.serial == "" {
		return "no serial"
	}
	return "serial " + i.serial
}

// application is the application on the card, taken again and compared if the card was
// released.
func (c *onCard) application(ctx context.Context) (*app.Card, error) {
	if _, err := c.line.Channel(ctx); err != nil {
		return nil, err
	}
	return c.app, nil
}

// about is the metadata of a slot, a PIN or the management key, read once.
func (c *onCard) about(ctx context.Context, reference byte) (app.Metadata, error) {
	selected, err := c.application(ctx)
	if err != nil {
		return app.Metadata{}, err
	}
	if known, ok := c.metadata[reference]; ok {
		return known.Metadata, known.err
	}
	m, err := selected.Metadata(ctx, reference)
	if err == nil || app.Unanswered(err) {
		c.metadata[reference] = told{m, err}
	}
	return m, err
}

// version is the firmware of a YubiKey; zero on other cards.
func (c *onCard) version(ctx context.Context) (app.Firmware, error) {
	selected, err := c.application(ctx)
	if err != nil {
		return app.Firmware{}, err
	}
	if c.firmware != nil {
		return *c.firmware, nil
	}
	v, err := selected.Version(ctx)
	if err != nil && !app.Unanswered(err) {
		return v, err
	}
	c.firmware = &v
	return v, nil
}

// yubico reports whether the card knows Yubico's commands.
func (c *onCard) yubico(ctx context.Context) (bool, error) {
	if c.seen.numbered {
		return true, nil
	}
	v, err := c.version(ctx)
	return v != app.Firmware{}, err
}

func (c *onCard) holder() string {
	if c.seen.serial == "" {
		return kind
	}
	return kind + " " + c.seen.serial
}

// Identity is what opening the card told.
func (c *onCard) Identity() card.Identity {
	return card.Identity{
		Type: kind, Serial: c.seen.serial, Permanent: c.seen.numbered,
		Applications: []card.Application{{Name: name, AID: fmt.Sprintf("%X", app.AID())}},
	}
}

func (c *onCard) Key(_ context.Context, ref key.Reference) (key.Key, error) {
	if ref.Family != word {
		return nil, problem.New(problem.NotSupported, "%s is not a key of a PIV card", ref)
	}
	return c.key(slotOf(ref)), nil
}

func (c *onCard) key(slot app.Slot) *slotKey {
	return &slotKey{onCard: c, ref: referenceOf(slot), slot: slot}
}

// Keys are the four slots of every card, and those of retired keys and of attestation
// that hold something.
func (c *onCard) Keys(ctx context.Context) ([]key.Key, error) {
	var keys []key.Key
	for _, slot := range app.Slots() {
		k := c.key(slot)
		used := !slot.Retired() && slot != app.Attestation
		var err error
		if !used {
			used, err = k.used(ctx)
		}
		if err != nil {
			return nil, k.explain(err, "")
		}
		if used {
			keys = append(keys, k)
		}
	}
	return keys, nil
}
