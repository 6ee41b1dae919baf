package pkcs15

import (
	"cmp"
	"context"
	"crypto/rand"
	"fmt"
	"slices"

	"github.com/cardctl/cardctl/internal/advice"
	"github.com/cardctl/cardctl/internal/card"
	"github.com/cardctl/cardctl/internal/key"
	"github.com/cardctl/cardctl/internal/pin"
	app "github.com/cardctl/cardctl/internal/pkcs15"
	"github.com/cardctl/cardctl/internal/problem"
	"github.com/cardctl/cardctl/internal/secret"
)

// found is what Survey saw, when somebody was asked for the asked-th time.
type found struct {
	status app.Status
	asked  int
}

// Survey looks what is on the card, and whether it can be erased. A card with a
// single PIN gets that and a PUK; on one that is in use the PUK is the card's own,
// which sets the new PIN, or else the PIN is the card's own. A card that asks for a
// PIN to be erased gets the current SO PIN, or else the one that it shall have.
func (c *Card) Survey(ctx context.Context, o card.InitOptions) (*card.Survey, error) {
	if o.FactoryPINs {
		return nil, problem.New(problem.NotSupported, "a PKCS#15 card has no factory PINs").
			Because("A PKCS#15 card cannot be used before its PIN is set.").
			Advise(advice.Repeat(advice.Ask(secret.PIN), advice.Ask(secret.PUK)).Without(advice.Factory))
	}
	if err := c.app.Ready(ctx); err != nil {
		return nil, key.Explain(err, "init", key.Untouched)
	}
	status, err := c.app.Status(ctx)
	if err != nil {
		return nil, key.Explain(err, "init", key.Untouched)
	}
	report := card.InitReport{Application: name, PINs: "new", Lost: contents(status.Directory), Erased: status.Structure}
	if status.Directory != nil {
		if _, err := c.read(ctx); err != nil {
			return nil, key.Explain(err, "init", key.Untouched)
		}
		report.Serial = c.identity.Serial
	}
	if err := c.app.Prepare(ctx, status); err != nil {
		return nil, key.Explain(err, "init", key.Untouched)
	}
	if status.Erasing != nil {
		if err := c.access.Policy.Check(c.pin(*status.Erasing), pin.OfNumber(status.Erasing.TriesLeft)); err != nil {
			return nil, key.Explain(err, "init", key.Untouched)
		}
	}
	return &card.Survey{
		Options: o, Blank: !status.Structure && !status.PINSet, MayHave: c.app.OnePIN() && !status.PINSet, Question: c.question(status, report), Report: report,
		Needs: c.needs(status), Found: found{status, c.asked},
	}, nil
}

// Initialise erases the card where there is something on it, makes a structure,
// and sets the first PINs.
func (c *Card) Initialise(ctx context.Context, s *card.Survey, given map[secret.Name]*secret.Bytes) (card.InitReport, error) {
	report, state := s.Report, key.Untouched
	status, err := c.confirmed(ctx, s.Found.(found))
	if err != nil {
		return report, key.Explain(err, "init", key.Untouched)
	}
	first := app.First{
		Label: s.Options.Label, Serial: cmp.Or(s.Options.Serial, newSerial()), PIN: given[secret.PIN], PUK: given[secret.PUK], SOPIN: given[secret.SOPIN],
	}
	if first.Label == "" {
		first.Label = "cardctl"
	}
	create := func(current *secret.Bytes) error {
		first.Current = current
		return c.app.Create(ctx, status, first, func(now string) { state = now })
	}
	err = c.permit(ctx, status, given, create)
	c.blank = false
	if err == nil {
		err = c.app.Check(ctx, first)
	}
	if err == nil {
		_, err = c.read(ctx)
	}
	if err != nil {
		return report, key.Explain(err, "init", state)
	}
	report.Serial = c.identity.Serial
	return report, nil
}

// confirmed is the status of the card, looked at again if somebody was asked
// meanwhile: only what the question named is lost.
func (c *Card) confirmed(ctx context.Context, was found) (app.Status, error) {
	if was.asked == c.asked {
		return was.status, nil
	}
	now, err := c.app.Status(ctx)
	if err == nil && !slices.Equal(contents(now.Directory), contents(was.status.Directory)) {
		err = key.ChangedMeanwhile("the contents of the card have changed since the question", "the card", key.Untouched)
	}
	return now, err
}

// permit has the card erased with the PIN that it asks for, by the policy. Where
// nobody gives it, the card shall have afterwards what it has now.
func (c *Card) permit(ctx context.Context, status app.Status, given map[secret.Name]*secret.Bytes, create func(current *secret.Bytes) error) error {
	by, value := c.eraser(status, given)
	if by == nil {
		return create(nil)
	}
	return c.access.Policy.Given(value).Send(ctx, *by, func(_ context.Context, current *secret.Bytes) error { return create(current) })
}

// eraser is the PIN that Create sends to the card, if any, and its value.
func (c *Card) eraser(status app.Status, given map[secret.Name]*secret.Bytes) (*pin.PIN, *secret.Bytes) {
	switch {
	case status.Erasing != nil:
		p, value := c.pin(*status.Erasing), given[secret.CurrentSOPIN]
		p.Secret = secret.CurrentSOPIN
		if value == nil && status.Erasing.SO {
			value = given[secret.SOPIN]
		} else if value == nil {
			value = given[secret.PIN]
		}
		return &p, value
	case c.app.OnePIN() && status.PINSet && given[secret.PUK] != nil:
		p := c.pin(c.app.FirstPUK())
		return &p, given[secret.PUK]
	case c.app.OnePIN() && status.PINSet:
		p := c.pin(c.app.FirstPIN())
		return &p, given[secret.PIN]
	}
	return nil, nil
}

// newSerial is a random serial in upper-case hex: without one every card has
// the same.
func newSerial() string {
	serial := make([]byte, 8)
	_, _ = rand.Read(serial) // never fails
	return fmt.Sprintf("%X", serial)
}

func contents(d *app.Directory) []string {
	lost := []string{}
	if d == nil {
		return lost
	}
	for _, k := range d.Keys {
		lost = append(lost, fmt.Sprintf("key %s (%s, %q)", referenceTo(k.ID), k.Algorithm(), k.Label))
	}
	for _, c := range d.Certificates {
		lost = append(lost, fmt.Sprintf("certificate %s (%q)", referenceTo(c.ID), c.Label))
	}
	return lost
}

func (c *Card) question(s app.Status, r card.InitReport) advice.Question {
	deed, what := "Erase", kind
	if maker := c.app.Name(); maker != "" {
		what += " (" + maker + ")"
	}
	switch {
	case r.Serial != "":
		what += " " + r.Serial
	case !s.Structure:
		deed = "Initialise"
	}
	lost := card.Losses(r.Lost)
	if len(r.Lost) == 0 && !c.app.Known() {
		lost = "OpenSC shows no keys or certificates on it, but it does not show everything that may be there."
	}
	return advice.Question{Deed: deed, Subject: "the " + what, Lost: lost}
}

// needs are the secrets that the card shall have, and those that it has now.
func (c *Card) needs(s app.Status) []card.Need {
	var needs []card.Need
	so := c.need(secret.SOPIN, c.app.FirstSOPIN(), true)
	if c.app.OnePIN() {
		so.Refused = problem.New(problem.NotSupported, "this card has no SO PIN").
			Because("The card has a single PIN, and a PUK that unblocks it.").
			Advise(advice.Repeat().Without(advice.Field(secret.SOPIN)))
	}
	puk := c.need(secret.PUK, c.app.FirstPUK(), !c.app.OnePIN() && !c.app.NeedsPUK())
	if c.app.OnePIN() && s.PINSet {
		// Where nobody gives the PUK the PIN has to be the card's own.
		puk.Unless = func(ctx context.Context) error {
			own := c.app.FirstPIN()
			own.TriesLeft = s.TriesLeft
			return c.access.Policy.Check(c.pin(own), pin.OfNumber(own.TriesLeft))
		}
		puk.Refused = c.access.Policy.Check(c.pin(c.app.FirstPUK()), pin.OfNumber(c.app.FirstPUK().TriesLeft))
	}
	needs = append(needs, so, c.need(secret.PIN, c.app.FirstPIN(), false), puk)
	if s.Erasing != nil {
		current := c.pin(*s.Erasing)
		needs = append(needs, card.Need{
			PIN: current,
			Request: secret.Request{
				Name: secret.CurrentSOPIN, Label: "current " + current.Name(), Note: pin.OfNumber(s.Erasing.TriesLeft).Note(),
			},
			OptionalIf: func(given map[secret.Name]*secret.Bytes) bool { return !s.Erasing.SO || given[secret.SOPIN] != nil },
		})
	}
	return needs
}

func (c *Card) need(name secret.Name, p app.PIN, optional bool) card.Need {
	own := c.fresh(p)
	request := pin.NewValue(own)
	request.Name, request.Optional = name, optional
	if p.Min <= 1 {
		request.Note = "" // any length
	}
	return card.Need{PIN: own, Request: request}
}
