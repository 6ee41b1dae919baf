// Package openpgp is the family of OpenPGP cards: their three keys, two PINs
// and resetting code, how they are erased, and what they report about
// themselves. The commands are left to internal/openpgp.
package openpgp

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"github.com/cardctl/cardctl/internal/advice"
	"github.com/cardctl/cardctl/internal/card"
	"github.com/cardctl/cardctl/internal/desk"
	"github.com/cardctl/cardctl/internal/iso7816"
	"github.com/cardctl/cardctl/internal/key"
	app "github.com/cardctl/cardctl/internal/openpgp"
	"github.com/cardctl/cardctl/internal/pin"
	"github.com/cardctl/cardctl/internal/problem"
)

const (
	name = "openpgp"
	kind = "OpenPGP card"
	word = "OPENPGP" // that references begin with

	terminated = "terminated"
)

// Family is what an OpenPGP card is.
func Family() card.Family {
	return card.Family{
		Apps: []string{name}, Kind: kind,
		Example:     "OPENPGP.3",
		Syntax:      "OPENPGP.1 (signature), OPENPGP.2 (decryption), OPENPGP.3 (authentication)",
		Roles:       []pin.Role{pin.User, pin.Admin, pin.ResetCode},
		PINForm:     pinForm,
		Initialises: []string{name},
		NamesHolder: true,
		Parse:       parse,
		Probes:      []card.Probe{{App: name, Type: kind, AID: app.AID(), Answer: recognise, Alone: alone}},
		Describe:    describe,
		Open:        open,

		InstanceSerial: instanceSerial,
		WithNumber:     withNumber,
	}
}

// parse reads OPENPGP.1 to OPENPGP.3, in any case.
func parse(reference string) (key.Reference, bool, error) {
	family, id, _ := strings.Cut(strings.ToUpper(reference), ".")
	if family != word {
		return key.Reference{}, false, nil
	}
	for _, slot := range app.Slots() {
		if ref := referenceOf(slot); ref.ID == id {
			return ref, true, nil
		}
	}
	return key.Reference{}, true, problem.New(problem.Usage, "unknown key of an OpenPGP card").
		Because("Valid names: %s.", Family().Syntax).Advise(withSlot(app.Authentication))
}

func referenceOf(slot app.Slot) key.Reference {
	id := fmt.Sprint(int(slot))
	return key.Reference{Family: word, ID: id, Text: word + "." + id}
}

func slotOf(ref key.Reference) app.Slot { return app.Slot(ref.ID[0] - '0') }

// recognise looks at the answer to SELECT. There are cards that answer 9000 to
// every name: one that does not tell its own in the answer is asked for it.
func recognise(ctx context.Context, ch *iso7816.Channel, answer []byte, err error) (*card.Application, error) {
	found := &card.Application{Name: name, AID: fmt.Sprintf("%X", app.AID())}
	var refused *iso7816.StatusError
	switch {
	case iso7816.StatusOf(err) == iso7816.StatusTerminated:
		found.State = terminated
		return found, nil
	case errors.As(err, &refused):
		return nil, nil
	case err != nil:
		return nil, err
	case app.NamesOpenPGP(answer):
		return found, nil
	}
	selected, err := app.Select(ctx, ch)
	if err != nil {
		return nil, err
	}
	if _, err := selected.ReadApplicationID(ctx); err != nil {
		return nil, unlessUnreadable(err)
	}
	return found, nil
}

// alone knows the historical bytes of an OpenPGP card (6.1): card service data, card
// capabilities and a status indicator. A card that has others has those of its
// platform.
func alone(historical []byte) bool {
	const length, serviceData, capabilities = 10, 0x31, 0x73
	h := historical
	return len(h) == length && h[0] == 0x00 && h[1] == serviceData && h[3] == capabilities && h[8] == 0x90 && h[9] == 0x00
}

// describe reads the full application identifier.
func describe(ctx context.Context, line *desk.Line, found *card.Identity) error {
	if found.State == terminated {
		return nil
	}
	ch, err := line.Channel(ctx)
	if err != nil {
		return err
	}
	selected, err := app.Select(ctx, ch)
	if err != nil {
		return explain(err, "reading the card", "")
	}
	id, err := selected.ReadApplicationID(ctx)
	if err != nil {
		return unlessUnreadable(err)
	}
	found.Add(identityOf(id))
	return nil
}

func identityOf(id app.ApplicationID) card.Identity {
	return card.Identity{
		Type: kind, Serial: id.Serial(),
		Applications: []card.Application{{Name: name, Version: id.VersionString(), AID: id.String()}},
	}
}

// unlessUnreadable is nil for a card that answered, and did not give what it was
// asked for: what it lacks hides nothing else.
func unlessUnreadable(err error) error {
	if iso7816.StatusOf(err) != 0 || errors.Is(err, app.ErrMalformed) {
		return nil
	}
	return err
}

// explain puts an error into the user's terms.
func explain(err error, what, state string) error {
	if explained, ok := problem.Explained(err, what, state); ok {
		return explained
	}
	switch {
	case errors.Is(err, app.ErrNotOpenPGP):
		return key.Wrap(problem.NotSupported, err, what+": this card has no OpenPGP application", state).
			Advise(advice.Do(advice.ListReaders))
	case errors.Is(err, app.ErrNoKey):
		return key.Wrap(problem.NotFound, err, what+": there is no key in this slot",
			problem.Sentences("A key has to be generated or imported first.", state)).
			Advise(advice.Do(advice.GenerateKey, advice.Set(advice.Key, what[strings.LastIndexByte(what, ' ')+1:])))
	case errors.Is(err, app.ErrExponent):
		return key.Wrap(problem.NotSupported, err, what, problem.Sentences(problem.Sentence(err.Error()), state))
	}
	return key.Explain(err, what, state)
}
