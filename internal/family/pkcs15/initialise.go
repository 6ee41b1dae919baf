package cardinit

import (
	"bytes"
	"context"
	"crypto/rand"
	"fmt"
	"strings"

	"github.com/cardctl/cardctl/internal/key"
	"github.com/cardctl/cardctl/internal/pkcs15"
	"github.com/cardctl/cardctl/internal/problem"
	"github.com/cardctl/cardctl/internal/secret"
)

// InitialisePKCS15 erases a PKCS#15 card where there is something on it, makes
// a structure, and sets the first PINs. A card with a single PIN gets that and a
// PUK; on one that is in use the PUK is the card's own, which sets the new PIN,
// or else the PIN is the card's own. A card that asks for a PIN to be erased gets
// the current SO PIN, or else the one that it shall have.
func InitialisePKCS15(ctx context.Context, card *pkcs15.Card, o Options) (Report, error) {
	switch {
	case o.Application != "" && o.Application != "pkcs15":
		return Report{}, problem.New(problem.Usage, "init --app %s is not for a PKCS#15 card", o.Application).Hint("--app pkcs15")
	case o.FactoryPINs:
		return Report{}, problem.New(problem.NotSupported, "a PKCS#15 card has no factory PINs").
			Because("It cannot be used before its PIN is set.").Hint("--pin prompt --puk prompt")
	}
	w := &pkcs15Work{card: card, options: o, state: "Nothing on the card was changed."}
	defer w.wipe()
	report, err := w.run(ctx)
	return report, key.Explain(err, "init", w.state)
}

// pkcs15Work is one run of InitialisePKCS15.
type pkcs15Work struct {
	card    *pkcs15.Card
	options Options
	state   string // what is on the card now
	first   pkcs15.First
}

func (w *pkcs15Work) wipe() {
	w.first.PIN.Wipe()
	w.first.PUK.Wipe()
	w.first.SOPIN.Wipe()
	w.first.Current.Wipe()
}

func (w *pkcs15Work) run(ctx context.Context) (Report, error) {
	report := Report{Application: "pkcs15", PINs: "new", Lost: []string{}}
	status, err := w.card.Status(ctx)
	if err != nil {
		return report, err
	}
	if status.Directory != nil {
		if _, err := w.card.Token(ctx); err != nil {
			return report, err
		}
		report.Serial = status.Directory.Serial
		report.Lost = pkcs15Contents(status.Directory)
	}
	report.Erased = status.Structure
	if err := w.card.Prepare(ctx, status, w.options.Access.AllowLastTry); err != nil {
		return report, err
	}
	if err := w.options.Confirm(ctx, w.question(status, report)); err != nil {
		return report, err
	}
	if err := w.askPINs(ctx, status); err != nil {
		return report, err
	}
	if err := w.askCurrent(ctx, status); err != nil {
		return report, err
	}
	w.first.Label, w.first.Serial = w.options.Label, newSerial()
	if w.first.Label == "" {
		w.first.Label = "cardctl"
	}
	if err := w.card.Create(ctx, status, w.first, func(state string) { w.state = state }); err != nil {
		return report, err
	}
	if err := w.card.Check(ctx, w.first); err != nil {
		return report, err
	}
	d, err := w.card.Token(ctx)
	if err != nil {
		return report, err
	}
	report.Serial, w.state = d.Serial, ""
	return report, nil
}

// newSerial is a random serial in upper-case hex: without one every card has
// the same.
func newSerial() string {
	serial := make([]byte, 8)
	_, _ = rand.Read(serial) // never fails
	return fmt.Sprintf("%X", serial)
}

func pkcs15Contents(d *pkcs15.Directory) []string {
	lost := []string{}
	for _, k := range d.Keys {
		lost = append(lost, fmt.Sprintf("key PKCS15.%X (%s, %q)", k.ID, k.Algorithm(), k.Label))
	}
	for _, c := range d.Certificates {
		lost = append(lost, fmt.Sprintf("certificate PKCS15.%X (%q)", c.ID, c.Label))
	}
	return lost
}

func (w *pkcs15Work) question(s pkcs15.Status, r Report) string {
	name := "PKCS#15 card"
	if kind := w.card.Name(); kind != "" {
		name += " (" + kind + ")"
	}
	switch {
	case r.Serial != "":
		name += " " + r.Serial
	case !s.Structure:
		return fmt.Sprintf("Initialise the %s? There are no keys and certificates on it.", name)
	}
	lost := "There are no keys and certificates on it."
	if len(r.Lost) > 0 {
		lost = "These will be lost: " + strings.Join(r.Lost, ", ") + "."
	}
	return fmt.Sprintf("Erase the %s? %s", name, lost)
}

// askPINs gets the PINs before anything is changed.
func (w *pkcs15Work) askPINs(ctx context.Context, s pkcs15.Status) (err error) {
	if w.first.SOPIN, err = w.ask(ctx, secret.SOPIN, w.card.FirstSOPIN(), true); err != nil {
		return err
	}
	if w.card.OnePIN() && w.first.SOPIN != nil {
		return problem.New(problem.NotSupported, "this card has no SO PIN").
			Because("It has a single PIN, and a PUK that unblocks it.").Hint("leave --so-pin away")
	}
	if w.first.PIN, err = w.ask(ctx, secret.PIN, w.card.FirstPIN(), false); err != nil {
		return err
	}
	w.first.PUK, err = w.ask(ctx, secret.PUK, w.card.FirstPUK(), !w.card.OnePIN() && !w.card.NeedsPUK())
	switch {
	case !w.card.OnePIN() || !s.PINSet:
		return err
	case problem.Is(err, problem.Usage) && w.first.PUK == nil && ctx.Err() == nil && !isLength(err):
		// Nobody gives the PUK: the PIN has to be the card's own.
		p := w.card.FirstPIN()
		p.TriesLeft = s.TriesLeft
		return p.CheckTries(w.options.Access.AllowLastTry)
	}
	return err
}

// askCurrent gets the PIN without which the card cannot be erased. Where nobody
// gives it, the card shall have afterwards what it has now.
func (w *pkcs15Work) askCurrent(ctx context.Context, s pkcs15.Status) (err error) {
	if s.Erasing == nil {
		return nil
	}
	same := w.first.PIN
	if s.Erasing.SO {
		same = w.first.SOPIN
	}
	w.first.Current, err = w.options.Access.Ask(ctx, secret.Request{
		Name: secret.CurrentSOPIN, Label: s.Erasing.Name() + " that the card has now", Note: s.Erasing.Note(), Optional: same != nil,
	})
	switch {
	case err != nil:
		return err
	case w.first.Current == nil:
		w.first.Current = secret.New(bytes.Clone(same.Reveal()))
	}
	return s.Erasing.CheckLength(w.first.Current)
}

// isLength tells a secret of a wrong length from one that nobody gives.
func isLength(err error) bool { return strings.Contains(err.Error(), "must have") }

func (w *pkcs15Work) ask(ctx context.Context, name secret.Name, p pkcs15.PIN, optional bool) (*secret.Bytes, error) {
	note := ""
	if p.Min > 1 {
		note = fmt.Sprintf("%d to %d characters", p.Min, p.Max)
	}
	pin, err := w.options.Access.Ask(ctx, secret.Request{
		Name: name, Label: p.Name() + " that the card shall have", Note: note, New: true, Optional: optional,
	})
	if err != nil || pin == nil {
		return nil, err
	}
	if err := p.CheckLength(pin); err != nil {
		pin.Wipe()
		return nil, err
	}
	return pin, nil
}
