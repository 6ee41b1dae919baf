package openpgp

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"slices"

	"github.com/cardctl/cardctl/internal/advice"
	"github.com/cardctl/cardctl/internal/card"
	"github.com/cardctl/cardctl/internal/desk"
	"github.com/cardctl/cardctl/internal/iso7816"
	"github.com/cardctl/cardctl/internal/key"
	app "github.com/cardctl/cardctl/internal/openpgp"
	"github.com/cardctl/cardctl/internal/problem"
)

// onCard is an OpenPGP card that is open.
type onCard struct {
	line   *desk.Line
	access key.Access
	// app is the application on the line's channel; a new one each time that the
	// card is taken again.
	app *app.Card
	// seen is what the card is known by.
	seen seen
	// stored are the certificates that were read since the card was taken last.
	stored stored
	// paused says that the card was let go for somebody who takes time.
	paused bool
}

// stored are certificates on a card, as long as it is not let go.
type stored struct {
	on *app.Card
	of map[app.Slot][]byte
}

func (s *stored) keep(on *app.Card, slot app.Slot, der []byte) {
	if s.on != on {
		s.on, s.of = on, map[app.Slot][]byte{}
	}
	s.of[slot] = bytes.Clone(der)
}

// seen is what was read of a card, for the comparison with the one that is in the
// reader later.
type seen struct {
	terminated bool
	id         app.ApplicationID // zero where it was not told
	// data is DO 6E with what this process changed and the card confirmed; nil where
	// it was not told. changed are the slots that may be other ones by now.
	data    *app.ApplicationRelatedData
	changed [3]bool
}

func open(ctx context.Context, line *desk.Line, o card.Opening) (card.Card, error) {
	ch, err := line.Channel(ctx)
	if err != nil {
		return nil, err
	}
	selected, err := app.Select(ctx, ch)
	switch {
	case errors.Is(err, app.ErrNotOpenPGP):
		return nil, lacks(without(err), problem.NotSupported, "this card has no OpenPGP application")
	case iso7816.StatusOf(err) != 0: // there are cards that answer so for what they do not have
		return nil, lacks(err, problem.Failed, "the card did not select an OpenPGP application")
	case err != nil:
		return nil, explain(err, "selecting the OpenPGP application", "")
	}
	c := &onCard{line: line, access: o.Access, app: selected}
	if err := c.look(ctx); err != nil {
		return nil, err
	}
	line.Same(c.same)
	line.Stale(func() { c.paused = true })
	return c, nil
}

// without is what the card answered to SELECT of an application that it does not
// have: that it does not have it stands before it.
func without(err error) error {
	var status *iso7816.StatusError
	if errors.As(err, &status) {
		return status
	}
	return err
}

// lacks is the error of a card on which the application was not found.
func lacks(err error, code problem.Code, what string) error {
	p := problem.New(code, "%s", what).
		Because("%s", problem.Sentence(err.Error())).Advise(advice.Do(advice.ListReaders))
	p.Cause = errors.Join(card.ErrLacks, err)
	return p
}

// look reads what the card is known by. One that does not give its data is an
// OpenPGP card all the same, if it tells its name.
func (c *onCard) look(ctx context.Context) error {
	if c.app.Terminated() {
		c.seen = seen{terminated: true}
		return nil
	}
	_, err := c.related(ctx, c.app)
	switch {
	case err == nil:
		return nil
	case iso7816.StatusOf(err) == 0 && !errors.Is(err, app.ErrMalformed):
		if key.Unreachable(ctx, err) {
			return explain(err, "reading the card", "")
		}
		return nil // whoever needs the data is told
	}
	id, failed := c.app.ReadApplicationID(ctx)
	switch {
	case failed == nil:
		c.seen.id = id
		return nil
	case unlessUnreadable(failed) == nil:
		return lacks(err, problem.NotSupported, "this card has no OpenPGP application")
	}
	return explain(failed, "reading the card", "")
}

// related reads DO 6E, once, and remembers what the card is known by.
func (c *onCard) related(ctx context.Context, from *app.Card) (*app.ApplicationRelatedData, error) {
	data, err := from.ApplicationRelatedData(ctx)
	if err != nil {
		return nil, err
	}
	if data != c.seen.data { // else it was not read now
		c.seen = seen{id: data.AID, data: data}
	}
	return data, nil
}

// application is the application on the card, taken again and compared if the
// card was let go.
func (c *onCard) application(ctx context.Context) (*app.Card, error) {
	if _, err := c.line.Channel(ctx); err != nil {
		return nil, err
	}
	if c.app.Terminated() {
		return nil, problem.New(problem.NotSupported, "the card's OpenPGP application is terminated").
			Because("The card was erased but is not yet activated.").Advise(advice.Do(advice.Initialise))
	}
	return c.app, nil
}

// data is DO 6E as it was read since the card was taken last.
func (c *onCard) data(ctx context.Context) (*app.Card, *app.ApplicationRelatedData, error) {
	selected, err := c.application(ctx)
	if err != nil {
		return nil, nil, err
	}
	data, err := c.related(ctx, selected)
	return selected, data, err
}

// again is DO 6E read anew.
func (c *onCard) again(ctx context.Context) (*app.Card, *app.ApplicationRelatedData, error) {
	c.app.Forget()
	return c.data(ctx)
}

// changing notes that what is sent next changes a slot: that it is another one
// afterwards does not make the card another one.
func (c *onCard) changing(slot app.Slot) { c.seen.changed[slot-1] = true }

// same compares the card that is taken again with the one that was opened.
func (c *onCard) same(ctx context.Context, ch *iso7816.Channel) error {
	selected, err := app.Select(ctx, ch)
	if errors.Is(err, app.ErrNotOpenPGP) {
		return c.another("The card there now has no OpenPGP application.", err)
	}
	if err != nil {
		return explain(err, "comparing the card", "")
	}
	before := c.seen
	if selected.Terminated() != before.terminated {
		return c.another("Only one of the two cards is erased but not yet activated.", nil)
	}
	if before.terminated {
		c.app = selected // it tells nothing by which to know it
		return nil
	}
	data, err := c.related(ctx, selected)
	if err != nil && (before.data != nil || key.Unreachable(ctx, err)) {
		return explain(err, "comparing the card", "")
	}
	if err != nil { // nor did it tell more when it was opened
		id, err := selected.ReadApplicationID(ctx)
		if err != nil {
			return explain(err, "comparing the card", "")
		}
		data = &app.ApplicationRelatedData{AID: id}
	}
	if why := before.differs(data); why != "" {
		c.seen = before
		return c.another(why, nil)
	}
	if !c.paused { // nobody was waited for, for whom other programs had time
		selected.KeepKDF(c.app)
	}
	c.paused, c.app = false, selected
	return nil
}

func (c *onCard) another(why string, cause error) error {
	return desk.Changed(c.line.Place(), why, cause)
}

// differs says in what a card is not the one that was seen; nothing if it is.
func (s *seen) differs(now *app.ApplicationRelatedData) string {
	if s.id == (app.ApplicationID{}) {
		return ""
	}
	switch {
	case now.AID.Serial() != s.id.Serial():
		return fmt.Sprintf("The card there now is %s, and %s was named.", holderOf(now.AID), holderOf(s.id))
	case now.AID != s.id:
		return fmt.Sprintf("The card there now has the application %s, the card that was named %s.", now.AID, s.id)
	case s.data == nil:
		return ""
	}
	for _, slot := range app.Slots() {
		was, is := s.data.Key(slot), now.Key(slot)
		if !s.changed[slot-1] && !sameKey(was, is) {
			return fmt.Sprintf("Its %s key is not the one that was read before.", slot)
		}
	}
	return ""
}

func sameKey(a, b *app.KeyData) bool {
	return slices.Equal(a.Attributes, b.Attributes) && a.Fingerprint == b.Fingerprint && a.Created.Equal(b.Created) && a.State == b.State
}

func holderOf(id app.ApplicationID) string { return kind + " " + id.Serial() }

// holder is what a person calls the card.
func (c *onCard) holder() string {
	if c.seen.id == (app.ApplicationID{}) {
		return kind
	}
	return holderOf(c.seen.id)
}

func (c *onCard) Identity() card.Identity {
	if c.seen.id != (app.ApplicationID{}) {
		return identityOf(c.seen.id)
	}
	found := card.Identity{Type: kind, Applications: []card.Application{{Name: name, AID: fmt.Sprintf("%X", app.AID())}}}
	if c.seen.terminated {
		found.State = terminated
	}
	return found
}

func (c *onCard) Key(ctx context.Context, ref key.Reference) (key.Key, error) {
	if _, _, err := c.data(ctx); err != nil {
		return nil, explain(err, ref.String(), "")
	}
	return &slotKey{onCard: c, ref: ref, slot: slotOf(ref)}, nil
}

// Keys are the three places; none on a card that is erased and not started again.
func (c *onCard) Keys(ctx context.Context) ([]key.Key, error) {
	if c.seen.terminated {
		return nil, nil
	}
	var keys []key.Key
	for _, slot := range app.Slots() {
		k, err := c.Key(ctx, referenceOf(slot))
		if err != nil {
			return nil, err
		}
		keys = append(keys, k)
	}
	return keys, nil
}
