package applet

import (
	"context"

	"github.com/cardctl/cardctl/internal/advice"
	"github.com/cardctl/cardctl/internal/desk"
	"github.com/cardctl/cardctl/internal/family"
	"github.com/cardctl/cardctl/internal/family/javacard"
	"github.com/cardctl/cardctl/internal/gp"
	"github.com/cardctl/cardctl/internal/iso7816"
	"github.com/cardctl/cardctl/internal/problem"
	"github.com/cardctl/cardctl/internal/secret"
)

// Domain says which security domain of a card is meant, with which keys it is
// opened, and how.
type Domain struct {
	// ISD is its AID; nil to look for the issuer's.
	ISD gp.AID

	// DefaultKeys takes the well-known test keys. Without it somebody is asked for
	// secret.CardKeys, as gp.ParseKeySet reads them.
	DefaultKeys bool

	Diversification gp.Diversification

	// KeyVersion and KeyIndex choose the card's keys; 0 leaves it to the
	// card.
	KeyVersion, KeyIndex byte

	// Level is the security level; 0 is C-MAC.
	Level gp.Level

	// Protocol overrides what the card says of itself; zero for not.
	Protocol gp.Protocol

	// RetryKeys tries keys although some failed on this card before.
	RetryKeys bool

	// AcceptRandomChallenge opens SCP03 although the card's challenge is not the
	// one that the protocol defines.
	AcceptRandomChallenge bool
}

// level is the security level of sessions.
func (o Domain) level() gp.Level {
	if o.Level == gp.LevelNone {
		return gp.LevelMAC
	}
	return o.Level
}

// card is a card with a secure channel open to its security domain.
type card struct {
	at     family.At
	wanted Domain
	ch     *iso7816.Channel // nil while the card is let go
	domain *gp.SecurityDomain
	keys   *gp.KeySet // nil for a script, which brings its own
	guard  *javacard.Guard
}

// withCard opens the line to the card that is meant, and works on it.
func withCard(ctx context.Context, d *desk.Desk, a desk.Access, o Domain, work func(context.Context, *card) error) error {
	return family.WithLine(ctx, d, a, func(ctx context.Context, at family.At) error {
		c := &card{at: at, wanted: o}
		var err error
		if c.guard, err = javacard.NewGuard(at.Line, o.RetryKeys, at.Access.Now); err != nil {
			return err
		}
		if c.ch, err = at.Line.Channel(ctx); err != nil {
			return err
		}
		at.Line.Note(c.pause)
		at.Line.Same(c.same)
		defer c.close()
		return work(ctx, c)
	})
}

// connect selects the security domain, gets the keys and opens a secure channel.
func (c *card) connect(ctx context.Context) error {
	if err := c.prepare(ctx); err != nil {
		return err
	}
	return c.open(ctx)
}

// prepare is connect without the secure channel.
func (c *card) prepare(ctx context.Context) error {
	if err := c.discover(ctx); err != nil {
		return err
	}
	if err := c.guard.Permit(ctx, c.domain); err != nil {
		return err
	}
	if err := c.begin(ctx); err != nil {
		return err
	}
	if err := c.getKeys(ctx); err != nil {
		return err
	}
	return c.take(ctx)
}

// begin begins the record of what is done to the card, if one is kept: it needs the
// serial.
func (c *card) begin(ctx context.Context) error {
	if !c.at.Recording.Kept() {
		return nil
	}
	if err := c.discover(ctx); err != nil {
		return err
	}
	if err := c.guard.Identify(ctx, c.domain); err != nil {
		return err
	}
	c.at.Recording.Opened("gp")
	return c.at.Begin(ctx, "", c.guard.Serial)
}

// discover selects the security domain, unless that was done before.
func (c *card) discover(ctx context.Context) (err error) {
	if err := c.take(ctx); err != nil || c.domain != nil {
		return err
	}
	c.domain, err = gp.Discover(ctx, c.ch, c.wanted.ISD)
	return err
}

// getKeys gets the keys of the card, or the master keys they are made of.
func (c *card) getKeys(ctx context.Context) (err error) {
	if c.wanted.DefaultKeys {
		c.keys = gp.DefaultKeySet()
		return nil
	}
	c.keys, err = c.ask(ctx, secret.Request{Name: secret.CardKeys, Label: "card keys (one, or ENC:MAC:DEK, in hexadecimal)"})
	return err
}

// ask asks for keys; if that takes time, the card is let go.
func (c *card) ask(ctx context.Context, r secret.Request) (*gp.KeySet, error) {
	text, err := c.at.Access.Ask(ctx, r)
	if err != nil {
		return nil, err
	}
	defer text.Wipe()
	keys, err := gp.ParseKeySet(text)
	if err != nil {
		return nil, unusable(err, r.Name)
	}
	return keys, nil
}

// unusable is the problem of keys that a card cannot have.
func unusable(err error, name secret.Name) *problem.Error {
	return problem.Wrap(problem.Usage, err, "the card keys cannot be used").Advise(advice.Repeat(advice.Ask(name)))
}

// open opens the secure channel.
func (c *card) open(ctx context.Context) error {
	return c.guard.Open(ctx, c.domain, gp.Credentials{
		Keys: c.keys, Diversification: c.wanted.Diversification, KeyVersion: c.wanted.KeyVersion, KeyIndex: c.wanted.KeyIndex,
		Level: c.wanted.level(), Protocol: c.wanted.Protocol, AcceptRandomChallenge: c.wanted.AcceptRandomChallenge,
	})
}

// reopen begins anew: what the card held open is dropped.
func (c *card) reopen(ctx context.Context) error {
	if err := c.domain.Reselect(ctx); err != nil {
		return err
	}
	return c.open(ctx)
}

// close wipes the keys.
func (c *card) close() {
	if c.domain != nil {
		c.domain.Close()
	}
	c.keys.Wipe()
}

// pause notes which card this is, and ends the secure channel, before the card is
// let go.
func (c *card) pause(ctx context.Context) error {
	if err := c.discover(ctx); err != nil {
		return err
	}
	if err := c.guard.Pause(ctx, c.domain); err != nil {
		return err
	}
	c.ch = nil
	return nil
}

// take holds the card again if it was let go: the same one, with the security
// domain selected.
func (c *card) take(ctx context.Context) (err error) {
	c.ch, err = c.at.Line.Channel(ctx)
	return err
}

// same compares the card with the one that was let go, and selects the security
// domain on it.
func (c *card) same(ctx context.Context, ch *iso7816.Channel) error {
	if c.domain == nil {
		return nil // it was never looked at
	}
	domain, err := c.guard.Again(ctx, ch, c.domain.AID())
	if err == nil {
		c.domain = domain
	}
	return err
}
