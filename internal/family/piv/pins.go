package piv

import (
	"context"

	"github.com/cardctl/cardctl/internal/advice"
	"github.com/cardctl/cardctl/internal/key"
	"github.com/cardctl/cardctl/internal/pin"
	app "github.com/cardctl/cardctl/internal/piv"
	"github.com/cardctl/cardctl/internal/secret"
)

// Lengths of a PIN and of a PUK in bytes: the standard's PUK has eight, that of a
// YubiKey six to eight.
const (
	leastPIN    = 6
	mostPIN     = 8
	standardPUK = 8
)

// byPUK unblocks the user PIN.
func byPUK() advice.Advice {
	return advice.Do(advice.UnblockPIN, advice.Ask(secret.PUK), advice.Ask(secret.NewPIN)).On(string(pin.User))
}

// PINs are the PIN that opens the keys, and the PUK.
func (c *onCard) PINs(ctx context.Context) ([]pin.PIN, error) {
	user, err := c.userPIN(ctx)
	if err != nil {
		return nil, explain(err, "reading the card", "")
	}
	puk, err := c.puk(ctx)
	return []pin.PIN{user, puk}, explain(err, "reading the card", "")
}

// userPIN is the one that the discovery object names; a card that tells of the PIN of
// the application is not asked for that.
func (c *onCard) userPIN(ctx context.Context) (pin.PIN, error) {
	ref := app.ApplicationPIN
	if _, err := c.about(ctx, byte(ref)); err != nil {
		if !app.Unanswered(err) {
			return pin.PIN{}, err
		}
		if ref, err = c.pinOf(ctx); err != nil {
			return pin.PIN{}, err
		}
	}
	return pin.PIN{
		Role: pin.User, Secret: secret.PIN, Holder: c.holder(), Min: leastPIN, Max: mostPIN, Rescue: byPUK(),
		Tries: func(ctx context.Context, again bool) (pin.Tries, error) { return c.tries(ctx, ref, again) },
	}, nil
}

func (c *onCard) pinOf(ctx context.Context) (app.PINReference, error) {
	selected, err := c.application(ctx)
	if err != nil {
		return app.ApplicationPIN, err
	}
	discovery, err := selected.GetData(ctx, app.Discovery)
	if err != nil && !app.Unanswered(err) {
		return app.ApplicationPIN, err
	}
	return app.PINOf(discovery), nil
}

// puk is the PUK, of which only metadata tell the tries.
func (c *onCard) puk(ctx context.Context) (pin.PIN, error) {
	p := pin.PIN{
		Role: pin.PUK, Secret: secret.PUK, Holder: c.holder(), Min: standardPUK, Max: mostPIN,
		Rescue: advice.Do(advice.ShowCard), Final: pin.OnlyInitialising,
		Tries: func(ctx context.Context, again bool) (pin.Tries, error) { return c.tries(ctx, app.PUK, again) },
	}
	yubico, err := c.yubico(ctx)
	if yubico {
		p.Min = leastPIN
	}
	return p, err
}

// tries are those of the metadata; a PIN's are also told by VERIFY without data.
func (c *onCard) tries(ctx context.Context, ref app.PINReference, again bool) (pin.Tries, error) {
	if again {
		delete(c.metadata, byte(ref))
	}
	m, err := c.about(ctx, byte(ref))
	switch {
	case err == nil && m.Counted:
		return pin.Left(m.Left), nil
	case err != nil && key.Unreachable(ctx, err):
		return pin.Unknown(), err
	case ref == app.PUK:
		return pin.Unknown(), nil
	}
	selected, err := c.application(ctx)
	if err != nil {
		return pin.Unknown(), err
	}
	left, counted, err := selected.Tries(ctx, ref)
	if err != nil || !counted {
		return pin.Unknown(), explain(err, "reading the tries left", "")
	}
	return pin.Left(left), nil
}
