// Package piv is the family of PIV cards (NIST SP 800-73-4 and -5), YubiKeys among
// them: their keys in four slots and twenty for retired ones, their PIN and PUK, and
// what they report about themselves. The commands are left to internal/piv.
package piv

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"

	"github.com/cardctl/cardctl/internal/advice"
	"github.com/cardctl/cardctl/internal/card"
	"github.com/cardctl/cardctl/internal/desk"
	"github.com/cardctl/cardctl/internal/iso7816"
	"github.com/cardctl/cardctl/internal/key"
	"github.com/cardctl/cardctl/internal/pin"
	app "github.com/cardctl/cardctl/internal/piv"
	"github.com/cardctl/cardctl/internal/problem"
)

const (
	name = "piv"
	kind = "PIV card"
	word = "PIV" // that references begin with
)

// Family is what a PIV card is.
func Family() card.Family {
	return card.Family{
		Apps: []string{name}, Kind: kind,
		Example: "PIV.9A",
		Syntax:  "PIV.9A (authentication), PIV.9C (signature), PIV.9D (key management), PIV.9E (card authentication), PIV.82 to PIV.95 (retired), PIV.F9 (attestation)",
		Roles:   []pin.Role{pin.User, pin.PUK}, Initialises: []string{name}, Managed: true, PINForm: pinForm,
		Parse:    parse,
		Probes:   []card.Probe{{App: name, Type: kind, AID: app.AID(), Answer: recognise}},
		Describe: describe,
		Exposure: exposure,
		Open:     open,
	}
}

// parse reads PIV.9A, in any case.
func parse(reference string) (key.Reference, bool, error) {
	family, id, found := strings.Cut(strings.ToUpper(reference), ".")
	if !found || family != word {
		return key.Reference{}, false, nil
	}
	n, err := strconv.ParseUint(id, 16, 8)
	if err != nil || len(id) != 2 || !slices.Contains(app.Slots(), app.Slot(n)) {
		return key.Reference{}, true, problem.New(problem.Usage, "unknown key of a PIV card").
			Because("Valid names: %s.", Family().Syntax).Advise(advice.Do(advice.ShowCard))
	}
	return referenceOf(app.Slot(n)), true, nil
}

func referenceOf(slot app.Slot) key.Reference {
	id := fmt.Sprintf("%02X", byte(slot))
	return key.Reference{Family: word, ID: id, Text: word + "." + id}
}

// slotOf is the slot that a reference names, which parse made.
func slotOf(ref key.Reference) app.Slot {
	n, _ := strconv.ParseUint(ref.ID, 16, 8)
	return app.Slot(n)
}

// recognise looks at the answer to SELECT. There are cards that answer 9000 to every
// name: one that does not tell its own in the answer is asked for PIV's data.
func recognise(ctx context.Context, ch *iso7816.Channel, answer []byte, err error) (*card.Application, error) {
	found := &card.Application{Name: name, AID: fmt.Sprintf("%X", app.AID())}
	var refused *iso7816.StatusError
	switch {
	case errors.As(err, &refused):
		return nil, nil
	case err != nil:
		return nil, err
	case app.Names(answer):
		return found, nil
	}
	if err := app.Prove(ctx, ch); errors.Is(err, app.ErrNotPIV) {
		return nil, nil
	} else if err != nil {
		return nil, err
	}
	return found, nil
}

// describe adds the serial.
func describe(ctx context.Context, line *desk.Line, found *card.Identity) error {
	ch, err := line.Channel(ctx)
	if err != nil {
		return err
	}
	selected, err := app.Select(ctx, ch)
	if errors.Is(err, app.ErrNotPIV) {
		return nil
	}
	if err != nil {
		return explain(err, "reading the card", "")
	}
	known, err := readIdentity(ctx, selected)
	if err == nil {
		found.Add(card.Identity{Serial: known.serial})
	}
	return explain(err, "reading the card", "")
}

const reportedEmpty = "The card reports this slot as empty."

// explain puts an error into the user's terms.
func explain(err error, what, state string) error {
	if explained, ok := problem.Explained(err, what, state); ok {
		return explained
	}
	if errors.Is(err, app.ErrEmpty) {
		return key.Wrap(problem.NotFound, err, what+": there is no key in this slot", problem.Sentences(reportedEmpty, state)).Advise(advice.Do(advice.ShowCard))
	}
	return key.Explain(err, what, state)
}
