package main

import (
	"context"
	"errors"
	"strings"

	"github.com/cardctl/cardctl/internal/inventory"
	"github.com/cardctl/cardctl/internal/iso7816"
	"github.com/cardctl/cardctl/internal/pkcs15"
	"github.com/cardctl/cardctl/internal/secret"
)

// withPKCS15 works on the PKCS#15 application of the card that is meant.
func (env *Env) withPKCS15(ctx context.Context, work func(ctx context.Context, c *pkcs15.Card, reader string) error) error {
	c, err := env.findCard(ctx)
	if err != nil {
		return err
	}
	line := &cardLine{env: env, card: c}
	p, err := pkcs15.Open(ctx, line, env.openSC())
	if err != nil {
		return errors.Join(err, line.Release())
	}
	return errors.Join(work(ctx, p, line.reader()), p.Close())
}

// openSC are OpenSC's programs, which get no secret of this run.
func (env *Env) openSC() pkcs15.Tools {
	if env.childEnv == nil {
		return pkcs15.Tools{Env: secret.FilterEnv(env.Environ)}
	}
	return pkcs15.Tools{Env: env.childEnv}
}

// cardLine is a card that is let go while another program works on it.
type cardLine struct {
	env      *Env
	card     *card
	released bool
}

func (l *cardLine) Channel(ctx context.Context) (*iso7816.Channel, error) {
	if l.released {
		c, err := l.env.connect(ctx, l.card.Reader)
		if err != nil {
			return nil, err
		}
		l.card, l.released = c, false
	}
	return l.card.Channel, nil
}

func (l *cardLine) Release() error {
	if l.released {
		return nil
	}
	l.released = true
	return l.card.close()
}

func (l *cardLine) Reader() string {
	if strings.HasPrefix(l.card.Reader, simulatedPrefix) {
		return ""
	}
	return l.card.Reader
}

func (l *cardLine) reader() string { return l.card.Reader }

// identifyCard tells what a card is. The serial of a PKCS#15 card is read where
// that takes no other program.
func (env *Env) identifyCard(ctx context.Context, c *card) (inventory.Card, error) {
	found, err := inventory.Identify(ctx, c.Channel)
	if err != nil || found.Serial != "" || !found.Has(appPKCS15) {
		return found, err
	}
	p, err := pkcs15.Open(ctx, heldLine{c}, env.openSC())
	if err != nil || !p.Known() {
		return found, err
	}
	found.Label, found.Serial, err = inventory.PKCS15Identity(ctx, p)
	return found, err
}

// heldLine is a card that is not let go.
type heldLine struct{ card *card }

func (l heldLine) Channel(context.Context) (*iso7816.Channel, error) { return l.card.Channel, nil }
func (l heldLine) Release() error                                    { return nil }
func (l heldLine) Reader() string                                    { return "" }
