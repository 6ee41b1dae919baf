package openpgp

import (
	"context"
	"errors"
	"fmt"
	"slices"

	"github.com/cardctl/cardctl/internal/advice"
	"github.com/cardctl/cardctl/internal/card"
	"github.com/cardctl/cardctl/internal/iso7816"
	app "github.com/cardctl/cardctl/internal/openpgp"
)

// contents is what init finds on a card.
type contents struct {
	serial string
	lost   []string // keys and certificates
	// blank is a card without keys and certificates, on which no PIN was
	// entered wrongly; one that can be erased has no resetting code either.
	blank      bool
	empty      bool // the same, but for the tries of the PINs
	erasable   bool
	terminated bool
}

// factoryTries is how many tries a PIN has at least from the factory.
const factoryTries = 3

func (c *onCard) contents(ctx context.Context) (contents, error) {
	if c.seen.terminated {
		return contents{serial: "in termination state", terminated: true, erasable: true}, nil
	}
	selected, data, err := c.data(ctx)
	if err != nil {
		return contents{}, err
	}
	found := contents{serial: data.AID.Serial(), erasable: data.LifeCycle()}
	slots := app.Slots()
	for _, slot := range slices.Backward(slots[:]) { // the last one's certificate needs no SELECT DATA
		lost, err := contentsOf(ctx, selected, data, slot)
		if err != nil {
			return found, err
		}
		found.lost = append(found.lost, lost...)
	}
	slices.Sort(found.lost)
	p := &data.Passwords
	found.empty = len(found.lost) == 0 && (p.RC.TriesLeft == 0 || !found.erasable)
	found.blank = found.empty && p.PW1.TriesLeft >= factoryTries && p.PW3.TriesLeft >= factoryTries
	return found, nil
}

// contentsOf are key and certificate of a slot.
func contentsOf(ctx context.Context, selected *app.Card, data *app.ApplicationRelatedData, slot app.Slot) (lost []string, err error) {
	told, ref := data.Key(slot), referenceOf(slot)
	there := holdsKey(told)
	if told.State == app.KeyStateUnknown && !there {
		_, err := selected.PublicKey(ctx, slot) // the card does not say whether it has a key
		if err != nil && !errors.Is(err, app.ErrNoKey) && unlessUnreadable(err) != nil {
			return nil, err
		}
		there = err == nil
	}
	if there {
		lost = append(lost, fmt.Sprintf("key %s (%s, %X)", ref, told.Attributes.Name(), told.Fingerprint[:]))
	}
	if !data.HasCertificate(slot) {
		return lost, nil
	}
	value, err := selected.Certificate(ctx, slot)
	switch status := iso7816.StatusOf(err); {
	case slices.Contains(noPlace, status):
	case status != 0:
		lost = append(lost, fmt.Sprintf("unreadable certificate %s", ref))
	case err != nil:
		return lost, err
	case len(value) > 0:
		lost = append(lost, fmt.Sprintf("certificate %s (%d bytes)", ref, len(value)))
	}
	return lost, nil
}

// noPlace are status words of cards that have no place for a certificate, or do not
// know how to select it.
var noPlace = []iso7816.Status{
	iso7816.StatusINSNotSupported, iso7816.StatusFunctionNotSupported, iso7816.StatusWrongP1P2, iso7816.StatusWrongOffset,
	iso7816.StatusReferenceNotFound, iso7816.StatusFileNotFound, iso7816.StatusRecordNotFound,
}

func holdsKey(k *app.KeyData) bool {
	return k.State == app.KeyGenerated || k.State == app.KeyImported || k.Fingerprint != [20]byte{}
}

// question is what a person confirms.
func (c *contents) question() advice.Question {
	if c.terminated {
		return advice.Question{Deed: "Initialise", Subject: "the OpenPGP card, which was erased but not yet activated"}
	}
	deed := "Erase"
	if c.blank {
		deed = "Initialise"
	}
	return advice.Question{Deed: deed, Subject: "OpenPGP card " + c.serial, Lost: card.Losses(c.lost)}
}
