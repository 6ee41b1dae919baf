package javacard

import (
	"context"
	"errors"

	"github.com/cardctl/cardctl/internal/card"
	"github.com/cardctl/cardctl/internal/desk"
	"github.com/cardctl/cardctl/internal/gp"
	"github.com/cardctl/cardctl/internal/iso7816"
)

// describeChip gives a Java card the serial of its chip, where it tells it and
// has no application with a serial of its own.
func describeChip(ctx context.Context, line *desk.Line, found *card.Identity) error {
	domain := false
	for _, a := range found.Applications {
		if a.Name != domainApp && a.Name != muscleApp {
			return nil
		}
		domain = domain || a.Name == domainApp
	}
	if !domain {
		return nil
	}
	ch, err := line.Channel(ctx)
	if err != nil {
		return err
	}
	found.Serial, err = chipSerial(ctx, ch)
	return err
}

// chipSerial is the serial of the chip; empty where the card does not tell it.
func chipSerial(ctx context.Context, ch *iso7816.Channel) (string, error) {
	issuer, err := gp.Discover(ctx, ch, nil)
	if err != nil {
		return "", ignoreRefusal(err)
	}
	production, err := issuer.CPLC(ctx)
	if err != nil {
		return "", ignoreRefusal(err)
	}
	return production.Serial(), nil
}

// ignoreRefusal takes a card that does not tell for one that has nothing to tell.
func ignoreRefusal(err error) error {
	var refused *iso7816.StatusError
	if errors.As(err, &refused) || errors.Is(err, gp.ErrMalformed) || errors.Is(err, gp.ErrNoSecurityDomain) {
		return nil
	}
	return err
}
