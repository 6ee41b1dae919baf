package applet

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/cardctl/cardctl/internal/gp"
	"github.com/cardctl/cardctl/internal/iso7816"
	"github.com/cardctl/cardctl/internal/problem"
	"github.com/cardctl/cardctl/internal/secret"
)

// Access is how a card is reached and with which keys.
type Access struct {
	Channel *iso7816.Channel

	// Reader is where the card is, as questions name it.
	Reader string

	// ISD is the AID of the security domain; nil to look for the issuer's.
	ISD gp.AID

	// Ask gives secret.CardKeys, as gp.ParseKeySet reads them. DefaultKeys
	// takes the well-known test keys instead.
	Ask         secret.Asker
	DefaultKeys bool

	Diversification gp.Diversification

	// KeyVersion and KeyIndex choose the card's keys; 0 leaves it to the
	// card.
	KeyVersion, KeyIndex byte

	// Level is the security level; 0 is C-MAC.
	Level gp.Level

	// Protocol overrides what the card says of itself; zero for not.
	Protocol gp.Protocol

	// StateDir is where it is remembered on which cards keys failed; "" for
	// nowhere.
	StateDir string

	// RetryKeys tries keys although some failed on this card before.
	RetryKeys bool

	// Now is the clock; nil is time.Now.
	Now func() time.Time
}

// card is a card with a secure channel open to its security domain.
type card struct {
	access Access
	domain *gp.SecurityDomain
	keys   *gp.KeySet // nil for a script, which brings its own
	guard  *guard
}

// connect gets the keys, selects the security domain and opens a secure channel.
// The keys come first: while they are looked for, another card may come.
func connect(ctx context.Context, a Access) (*card, error) {
	keys, err := a.keys(ctx)
	if err != nil {
		return nil, err
	}
	return connectWith(ctx, a, keys)
}

// connectWith connects with keys that are at hand, and wipes them in the end.
func connectWith(ctx context.Context, a Access, keys *gp.KeySet) (*card, error) {
	d, err := gp.Discover(ctx, a.Channel, a.ISD)
	if err != nil {
		keys.Wipe()
		return nil, err
	}
	c := &card{access: a, domain: d, keys: keys, guard: newGuard(a)}
	err = c.guard.permit(ctx, d)
	if err == nil {
		err = c.open(ctx, keys, a.KeyVersion)
	}
	if err != nil {
		c.close()
		return nil, err
	}
	return c, nil
}

// keys are the keys of the card, or the master keys they are made of.
func (a Access) keys(ctx context.Context) (*gp.KeySet, error) {
	if a.DefaultKeys {
		return gp.DefaultKeySet(), nil
	}
	text, err := a.Ask(ctx, secret.Request{Name: secret.CardKeys, Label: "card keys (one, or ENC:MAC:DEK, in hexadecimal)"})
	if err != nil {
		return nil, err
	}
	defer text.Wipe()
	return gp.ParseKeySet(text)
}

// open opens the secure channel and keeps account of whether that worked.
func (c *card) open(ctx context.Context, keys *gp.KeySet, version byte) error {
	return c.openAs(ctx, gp.Credentials{
		Keys: keys, Diversification: c.access.Diversification, KeyVersion: version, KeyIndex: c.access.KeyIndex,
		Level: c.access.level(), Protocol: c.access.Protocol,
	})
}

// level is the security level of sessions.
func (a Access) level() gp.Level {
	if a.Level == gp.LevelNone {
		return gp.LevelMAC
	}
	return a.Level
}

func (c *card) openAs(ctx context.Context, credentials gp.Credentials) error {
	credentials.Confirm = c.guard.confirm
	err := c.domain.Open(ctx, credentials)
	if errors.Is(err, errSerialNeeded) {
		if err = c.guard.identify(ctx, c.domain); err == nil {
			err = c.domain.Open(ctx, credentials)
		}
	}
	switch {
	case err == nil:
		if err := c.guard.forget(ctx, c.domain); err != nil {
			return err
		}
		return c.notice(ctx, credentials)
	case errors.Is(err, gp.ErrCardCryptogram), errors.Is(err, gp.ErrHostRefused):
		return c.wrongKeys(ctx, err)
	case errors.Is(err, gp.ErrHostUnclear):
		return c.unclearKeys(ctx, err)
	case iso7816.StatusOf(err) == iso7816.StatusReferenceNotFound && credentials.KeyVersion != 0, errors.Is(err, gp.ErrKeyVersion):
		p := problem.New(problem.NotFound, "the card has no keys of version %d", credentials.KeyVersion).
			Because("%s", problem.Sentence(err.Error())).Hint("the same command without --key-version, or with another")
		p.Cause = err
		return p
	}
	return err
}

// wrongKeys remembers the failure and words it.
func (c *card) wrongKeys(ctx context.Context, err error) error {
	why := "The card cannot prove that it has these keys, so it was not asked to check them, and counted nothing."
	if errors.Is(err, gp.ErrHostRefused) {
		why = fmt.Sprintf("It answered EXTERNAL AUTHENTICATE with %04X, and counts that; after a few it locks itself for good.", uint16(iso7816.StatusOf(err)))
	}
	p := problem.New(problem.KeysIncorrect, "the card keys are wrong").Because("%s", c.remembered(ctx, why, err)).
		Hint("the same command with the right --card-keys, the right --diversification if the card needs one, and --retry-keys")
	p.Cause = err
	return p
}

// unclearKeys is for a card that has these keys, and does not say whether it
// counts the attempt as a failed one. It is remembered as that.
func (c *card) unclearKeys(ctx context.Context, err error) error {
	why := fmt.Sprintf("It has proved that it has these keys, and answered EXTERNAL AUTHENTICATE with %s. It may count that as a failed attempt.", iso7816.StatusOf(err))
	p := problem.New(problem.Failed, "the card did not say whether it accepts the card keys").Because("%s", c.remembered(ctx, why, err)).
		Hint("take the card out, put it back, and run the same command with --retry-keys")
	p.Cause = err
	return p
}

// remembered writes down that keys failed; where that does not work, it adds so
// to the reason.
func (c *card) remembered(ctx context.Context, why string, err error) string {
	if failed := c.guard.remember(context.WithoutCancel(ctx), c.domain, err.Error()); failed != nil {
		return problem.Sentences(why, "This could not be written down:", problem.Sentence(failed.Error()))
	}
	return why
}

// reopen begins anew: what the card held open is dropped.
func (c *card) reopen(ctx context.Context) error {
	version := c.access.KeyVersion
	if err := c.domain.Reselect(ctx); err != nil {
		return err
	}
	return c.open(ctx, c.keys, version)
}

// close wipes the keys.
func (c *card) close() {
	c.domain.Close()
	c.keys.Wipe()
}
