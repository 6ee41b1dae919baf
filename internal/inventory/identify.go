// Package inventory tells what is on a card without any PIN: which card it is,
// which applications it has, and every key, certificate and PIN they show.
package inventory

import (
	"context"
	"errors"
	"fmt"
	"slices"

	"github.com/cardctl/cardctl/internal/iso7816"
	"github.com/cardctl/cardctl/internal/key"
	"github.com/cardctl/cardctl/internal/openpgp"
)

// Card is what a card is.
type Card struct {
	Type         string        `json:"type"`
	Serial       string        `json:"serial,omitempty"`
	Label        string        `json:"label,omitempty"`
	State        string        `json:"state,omitempty"` // "terminated" after an interrupted erasure
	Applications []Application `json:"applications"`
}

// Application is one application on a card. AID is upper-case hex.
type Application struct {
	Name    string `json:"name"`
	Version string `json:"version,omitempty"`
	AID     string `json:"aid"`
}

// Has reports whether the card has an application.
func (c *Card) Has(application string) bool {
	return slices.ContainsFunc(c.Applications, func(a Application) bool { return a.Name == application })
}

// probe is an application that is looked for by SELECT. What the card is
// called follows from the first that is there.
type probe struct {
	name, cardType string
	aid            []byte
}

// probes are the applications beside OpenPGP, which is looked for last so that
// it stays selected.
func probes() []probe {
	return []probe{
		{"piv", "PIV card", []byte{0xA0, 0x00, 0x00, 0x03, 0x08, 0x00, 0x00, 0x10, 0x00}},
		{"pkcs15", "PKCS#15 card", []byte{0xA0, 0x00, 0x00, 0x00, 0x63, 0x50, 0x4B, 0x43, 0x53, 0x2D, 0x31, 0x35}},
		{"pkcs15", "PKCS#15 card (IsoApplet)", []byte{0xF2, 0x76, 0xA2, 0x88, 0xBC, 0xFB, 0xA6, 0x9D, 0x34, 0xF3, 0x10, 0x01}},
		{"muscle", "MUSCLE card", []byte{0xA0, 0x00, 0x00, 0x00, 0x01, 0x01}},
		{"gp", "GlobalPlatform card", []byte{0xA0, 0x00, 0x00, 0x01, 0x51, 0x00, 0x00, 0x00}},
	}
}

// Identify tells what the card at the other end of the channel is, in at most
// seven commands, and a Java card without an OpenPGP application in two more.
func Identify(ctx context.Context, ch *iso7816.Channel) (Card, error) {
	card, pgp, err := identify(ctx, ch)
	if err != nil || pgp == nil || pgp.Terminated() {
		return card, err
	}
	raw, err := pgp.GetData(ctx, 0x4F)
	if err != nil {
		return card, explain(err)
	}
	id, err := openpgp.ParseApplicationID(raw)
	if err != nil {
		return card, explain(err)
	}
	card.describe(id)
	return card, nil
}

// identify looks for every known application. The card is left with OpenPGP
// selected, where it has that.
func identify(ctx context.Context, ch *iso7816.Channel) (Card, *openpgp.Card, error) {
	card := Card{Type: "unknown card", Applications: []Application{}}
	for _, p := range probes() {
		_, err := ch.Select(ctx, p.aid)
		var refused *iso7816.StatusError
		if errors.As(err, &refused) {
			continue
		}
		if err != nil {
			return card, nil, explain(err)
		}
		if len(card.Applications) == 0 {
			card.Type = p.cardType
		}
		card.Applications = append(card.Applications, Application{Name: p.name, AID: fmt.Sprintf("%X", p.aid)})
	}
	pgp, err := openpgp.Select(ctx, ch)
	switch {
	case errors.Is(err, openpgp.ErrNotOpenPGP):
		return card, nil, explain(card.describeChip(ctx, ch))
	case err != nil:
		return card, nil, explain(err)
	}
	card.Type = "OpenPGP card"
	first := Application{Name: "openpgp", AID: fmt.Sprintf("%X", openpgp.AID())}
	card.Applications = append([]Application{first}, card.Applications...)
	if pgp.Terminated() {
		card.State = "terminated"
	}
	return card, pgp, nil
}

// describe adds what the full application identifier tells of an OpenPGP card.
func (c *Card) describe(id openpgp.ApplicationID) {
	c.Serial = id.Serial()
	c.Applications[0].Version = id.VersionString()
	c.Applications[0].AID = id.String()
}

func explain(err error) error { return key.Explain(err, "reading the card", "") }
