package pkcs15

import (
	"context"
	"fmt"
	"strings"

	"github.com/cardctl/cardctl/internal/iso7816"
	"github.com/cardctl/cardctl/internal/problem"
)

// Identity is what tells a card from others, as far as it tells.
type Identity struct {
	Kind string // IsoApplet, MyEID; empty for others
	Chip string // the serial that its maker gave it; empty where there is none

	// Of the structure; empty where there is none, or no need to look.
	Serial, Label string
}

// String is how the card is named to the user.
func (i Identity) String() string {
	kind := i.Kind
	if kind == "" {
		kind = "PKCS#15 card"
	}
	switch {
	case i.Chip != "":
		return fmt.Sprintf("the %s with the serial %s", kind, i.Chip)
	case i.Serial != "":
		return fmt.Sprintf("the %s %q with the serial %s", kind, i.Label, i.Serial)
	}
	return fmt.Sprintf("the %s that is not initialised", kind)
}

// Identity asks the card on a channel. It costs an IsoApplet one command where
// its structure is selected, as OpenSC leaves it, and a MyEID card one beside the
// SELECT that the next command needs.
func (c *Card) Identity(ctx context.Context, ch *iso7816.Channel) (Identity, error) {
	i, err := c.driver.identity(ctx, ch)
	return i, c.explain(err, "identifying the card")
}

// Standard is what the structure tells of itself where ISO/IEC 7816-15 has it, on a
// card of any kind; it takes four commands.
func (c *Card) Standard(ctx context.Context) (Identity, error) { return c.Identity(ctx, c.channel) }

// Chip is the serial that the maker gave the card, and that its structure will have;
// empty where there is none.
func (c *Card) Chip() string {
	if card, ok := c.driver.(myEIDCard); ok {
		return card.native.identity().Chip
	}
	return ""
}

// Remember notes which card it is. Whoever lets the line go while a person is
// asked does so first: a card that was not noted cannot be compared.
func (c *Card) Remember(ctx context.Context) error {
	return c.explain(c.remember(ctx), "identifying the card")
}

func (c *Card) remember(ctx context.Context) error {
	ch, err := c.reach(ctx)
	if err != nil || c.identity != nil {
		return err
	}
	i, err := c.driver.identity(ctx, ch)
	if err != nil {
		return err
	}
	c.identity = &i
	return nil
}

// reach is the channel to the card, which was there when it was opened. A card
// that was let go is compared before anything else is sent; after another one was
// found, nothing is.
func (c *Card) reach(ctx context.Context) (*iso7816.Channel, error) {
	if c.changed != nil {
		return nil, c.changed
	}
	ch, err := c.line.Channel(ctx)
	switch {
	case problem.Is(err, problem.CardChanged):
		c.changed = err // the line found it
	case problem.Is(err, problem.NotFound):
		err = fmt.Errorf("%w (%v)", iso7816.ErrCardRemoved, err)
	case err == nil:
		err = c.Same(ctx, ch)
	}
	if err != nil {
		return nil, err
	}
	return ch, nil
}

// Same compares the card on a channel with the one that was remembered; on the
// same channel, and where none was, there is nothing to compare. A line may have it
// called when it takes the card again, and before it gives the channel away.
func (c *Card) Same(ctx context.Context, ch *iso7816.Channel) error {
	if ch == c.channel {
		return nil
	}
	c.verified = ""
	if c.identity != nil {
		now, err := c.driver.identity(ctx, ch)
		if err != nil {
			return err
		}
		if !c.expected(now) {
			c.changed = otherCard(*c.identity, now)
			return c.changed
		}
		c.identity = &now
	}
	c.channel = ch
	return nil
}

// expected reports whether this is the card that it was; a program that makes a
// structure gives it another serial, and may have been stopped before that.
func (c *Card) expected(now Identity) bool {
	if now == *c.identity {
		return true
	}
	structure := now.Serial == "" || strings.EqualFold(now.Serial, c.serial)
	return c.serial != "" && structure && now.Kind == c.identity.Kind && now.Chip == c.identity.Chip
}

// otherCard is the error of a card in the place of the one that was named.
func otherCard(named, there Identity) *problem.Error {
	return problem.New(problem.CardChanged, "another card is in the reader").
		Because("The card was %s; now it is %s.", named, there)
}
