package javacard

import (
	"context"
	"errors"
	"fmt"

	"github.com/cardctl/cardctl/internal/advice"
	"github.com/cardctl/cardctl/internal/desk"
	"github.com/cardctl/cardctl/internal/gp"
	"github.com/cardctl/cardctl/internal/iso7816"
	"github.com/cardctl/cardctl/internal/problem"
	"github.com/cardctl/cardctl/internal/secret"
)

// Open opens a secure channel and keeps account of whether that worked. Keys are
// not tried on a card on which some failed before, nor on another card than the
// one that was let go.
func (g *Guard) Open(ctx context.Context, d *gp.SecurityDomain, credentials gp.Credentials) error {
	credentials.Confirm = g.confirm
	err := d.Open(ctx, credentials)
	if errors.Is(err, errSerialNeeded) {
		if err = g.Identify(ctx, d); err == nil {
			err = d.Open(ctx, credentials)
		}
	}
	switch {
	case err == nil:
		if err := g.forget(ctx, d); err != nil {
			return err
		}
		return g.Notice(ctx, d, credentials)
	case errors.Is(err, gp.ErrCardCryptogram):
		if err := g.otherLength(ctx, d, credentials); err != nil {
			return err
		}
		return g.wrongKeys(ctx, d, err)
	case errors.Is(err, gp.ErrHostRefused):
		return g.wrongKeys(ctx, d, err)
	case errors.Is(err, gp.ErrCardChallenge):
		p := problem.New(problem.Failed, "the card's challenge is not the one that its protocol defines").
			Because("The card proved that it has the card keys, but announces pseudo-random challenges (SCP03 i=10, 30 or 70) and sent another one.").
			Advise(advice.Do(advice.ShowCard)).AllowedBy(advice.Switch(advice.AnyChallenge))
		p.Cause = err
		return p
	case errors.Is(err, gp.ErrHostUnclear):
		return g.unclearKeys(ctx, d, err)
	case iso7816.StatusOf(err) == iso7816.StatusReferenceNotFound && credentials.KeyVersion != 0, errors.Is(err, gp.ErrKeyVersion):
		p := problem.New(problem.NotFound, "the card has no keys of version %d", credentials.KeyVersion).
			Because("%s", problem.Sentence(err.Error())).Advise(advice.Repeat().Without(advice.KeyVersion))
		p.Cause = err
		return p
	}
	return err
}

// otherLength is the problem of keys that are not as long as the card says that its
// own are. They were not tried, and nothing is remembered. Where the card does not
// say that, it is nil.
func (g *Guard) otherLength(ctx context.Context, d *gp.SecurityDomain, credentials gp.Credentials) error {
	keys, err := told(d.KeyInformation(ctx))
	if err != nil {
		return err
	}
	for _, k := range keys {
		if k.Version != g.answered || len(k.Components) == 0 || k.Components[0].Type != byte(gp.AES) {
			continue
		}
		length, given := k.Components[0].Length, credentials.Keys.Length()
		if length == given || length != 16 && length != 24 && length != 32 {
			return nil
		}
		which := "the card keys that were given"
		if testKeys(credentials) {
			which = "the test keys of blank cards (default)"
		}
		return problem.New(problem.Usage, "the card keys do not have the length of the card's").
			Because("The card reports AES keys of %d bytes, and %s have %d. No keys were tried.", length, which, given).
			Advise(advice.Repeat(advice.Ask(secret.CardKeys)))
	}
	return nil
}

// wrongKeys remembers the failure and words it.
func (g *Guard) wrongKeys(ctx context.Context, d *gp.SecurityDomain, err error) error {
	why := "The card could not prove that it has these keys, so it was not asked to check them, and counted no failure."
	if errors.Is(err, gp.ErrHostRefused) {
		why = fmt.Sprintf("The card answered EXTERNAL AUTHENTICATE with %04X and counts that. After a few failures it locks itself permanently.", uint16(iso7816.StatusOf(err)))
	}
	return g.remembered(ctx, d, problem.New(problem.KeysIncorrect, "the card keys are wrong"), why, err)
}

// unclearKeys is for a card that has these keys, and does not say whether it
// counts the attempt as a failed one. It is remembered as that.
func (g *Guard) unclearKeys(ctx context.Context, d *gp.SecurityDomain, err error) error {
	why := fmt.Sprintf("The card proved that it has these keys, and answered EXTERNAL AUTHENTICATE with %s. It may count that as a failed attempt.", iso7816.StatusOf(err))
	return g.remembered(ctx, d, problem.New(problem.Failed, "the card did not say whether it accepts the card keys"), why, err)
}

// remembered writes down that keys failed, and gives the problem of that its reason;
// where it cannot be written down, the reason says so.
func (g *Guard) remembered(ctx context.Context, d *gp.SecurityDomain, p *problem.Error, why string, cause error) error {
	p.Cause = cause
	_ = p.Because("%s", why).Advise(advice.Do(advice.ShowCard))
	failed := g.remember(context.WithoutCancel(ctx), d, cause.Error())
	switch {
	case errors.Is(failed, errNoSerial):
		return p.Because("%s The card reports no serial by which cardctl could recognise it, so this failure is not recorded.", why)
	case failed != nil:
		return p.Because("%s cardctl could not record this failure: %s", why, problem.Sentence(failed.Error()))
	case g.state == "":
		return p
	}
	return p.Because("%s cardctl tries no more keys on this card unless told to.", why).AllowedBy(advice.Switch(advice.RetryKeys))
}

// Pause ends the secure channel of a card that is let go, and notes which card it
// is, as it tells outside of a channel.
func (g *Guard) Pause(ctx context.Context, d *gp.SecurityDomain) error {
	if err := d.Reselect(ctx); err != nil {
		return err
	}
	g.identified = g.identified && g.serial != ""
	return g.Identify(ctx, d)
}

// Again selects the security domain on a card that was let go, and compares the
// card with the one before: by its domain and its serial now, by its key
// diversification data when a secure channel is opened.
func (g *Guard) Again(ctx context.Context, ch *iso7816.Channel, aid gp.AID) (*gp.SecurityDomain, error) {
	before, compare := g.serial, g.identified
	g.production, g.serial, g.identified, g.awaited = nil, "", false, g.kdd
	d, err := gp.Discover(ctx, ch, aid)
	switch {
	case iso7816.StatusOf(err) != 0, errors.Is(err, gp.ErrNoSecurityDomain):
		return nil, g.changed("This card does not have the previous security domain.", err)
	case err != nil || !compare:
		return d, err
	}
	if err := g.Identify(ctx, d); err != nil {
		return nil, err
	}
	if g.serial != before {
		return nil, g.changed("This card has another serial.", nil)
	}
	return d, nil
}

func (g *Guard) changed(why string, cause error) error { return desk.Changed(g.place, why, cause) }
