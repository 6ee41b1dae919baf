// Package javacard is the family of Java cards: the security domain of a
// GlobalPlatform card with what it reports and what is known about its keys,
// and the MUSCLE applet with its set-up. Installing and deleting applets is
// left to the workflow applet.
package javacard

import (
	"context"
	"fmt"

	"github.com/cardctl/cardctl/internal/card"
	"github.com/cardctl/cardctl/internal/desk"
	"github.com/cardctl/cardctl/internal/gp"
	"github.com/cardctl/cardctl/internal/iso7816"
	"github.com/cardctl/cardctl/internal/key"
	"github.com/cardctl/cardctl/internal/pin"
	"github.com/cardctl/cardctl/internal/problem"
)

// The applications of the family.
const (
	muscleApp = "muscle"
	domainApp = "gp"
)

// Family is the family of Java cards.
func Family() card.Family {
	return card.Family{
		Apps:        []string{muscleApp, domainApp},
		Kind:        "Java card",
		Roles:       []pin.Role{pin.User, pin.SO, pin.PUK},
		Initialises: []string{muscleApp},
		Probes: []card.Probe{
			{App: muscleApp, Type: "MUSCLE card", AID: muscleAID(), Confirm: isMuscle},
			{App: domainApp, Type: "GlobalPlatform card", AID: issuerAID(), Answer: lookForDomain},
		},
		Describe: describeChip,
		Chip: func(ctx context.Context, line *desk.Line) (string, error) {
			ch, err := line.Channel(ctx)
			if err != nil {
				return "", err
			}
			return chipSerial(ctx, ch)
		},
		KnownKeys: func(ctx context.Context, line *desk.Line) (known, told bool, err error) {
			keys, err := CardKeys(ctx, line)
			return keys != KeysNotKnown, err == nil, err
		},
		Open: open,
	}
}

// lookForDomain knows a security domain by the answer to SELECT, also on a card that
// is locked: then it is selected with a warning (GlobalPlatform, 11.9.3.2).
func lookForDomain(_ context.Context, _ *iso7816.Channel, _ []byte, err error) (*card.Application, error) {
	found := &card.Application{Name: domainApp, AID: fmt.Sprintf("%X", issuerAID())}
	switch status := iso7816.StatusOf(err); {
	case status == gp.StatusCardLocked:
		found.State = "locked"
	case status != 0:
		return nil, nil
	case err != nil:
		return nil, err
	}
	return found, nil
}

// issuerAID is that of the issuer's security domain on most cards.
func issuerAID() []byte { return []byte{0xA0, 0x00, 0x00, 0x01, 0x51, 0x00, 0x00, 0x00} }

func open(ctx context.Context, line *desk.Line, o card.Opening) (card.Card, error) {
	if o.App == domainApp {
		return openDomain(ctx, line, o)
	}
	return openMuscle(ctx, line, o)
}

// keyless is a card without keys and PINs that could be used here.
type keyless struct{ identity card.Identity }

func (k *keyless) Identity() card.Identity { return k.identity }

func (k *keyless) Key(_ context.Context, ref key.Reference) (key.Key, error) {
	return nil, problem.New(problem.NotSupported, "%s: cardctl cannot use keys on a %s", ref, k.identity.Type)
}

func (k *keyless) Keys(context.Context) ([]key.Key, error)    { return nil, nil }
func (k *keyless) PINs(context.Context) ([]pin.PIN, error)    { return nil, nil }
func (k *keyless) Facts(context.Context) ([]card.Fact, error) { return nil, nil }
