package pkcs15

import (
	"context"
	"errors"

	"github.com/cardctl/cardctl/internal/problem"
	"github.com/cardctl/cardctl/internal/secret"
)

// Status is how far a card is on its way into use.
type Status struct {
	// Directory is what is on the card; nil where there is no structure, or
	// one that cannot be read.
	Directory *Directory
	// Structure says that there is one, or the beginning of one.
	Structure bool
	// PINSet says that an IsoApplet has its PIN, TriesLeft what that has left.
	PINSet    bool
	TriesLeft int
	// Erasing is the PIN without which the card cannot be erased: of a card that
	// is reached through OpenSC, the SO PIN. It is nil where the card can.
	Erasing *PIN
}

// Status looks at a card that is to be initialised.
func (c *Card) Status(ctx context.Context) (Status, error) { return c.driver.status(ctx) }

// structure is the status as far as the directory tells it.
func (c *Card) structure(ctx context.Context) (Status, error) {
	s := Status{TriesLeft: -1}
	d, err := c.Directory(ctx)
	switch {
	case err == nil:
		s.Directory, s.Structure, s.PINSet = d, true, d.UserPIN() != nil
	case problem.Is(err, problem.NotFound) && errors.Is(err, errNoStructure):
	case errors.Is(err, errMalformed):
		s.Structure = true
	default:
		return s, err
	}
	return s, nil
}

// First is what a card shall have after Create. Secrets are nil where it shall
// have none.
type First struct {
	Label    string
	Serial   string // hex
	PIN, PUK *secret.Bytes
	SOPIN    *secret.Bytes // of cards that have one beside the user PIN
	Current  *secret.Bytes // the value of Status.Erasing now
}

// Ready refuses a card or a machine on which OpenSC cannot initialise it.
func (c *Card) Ready(ctx context.Context) error {
	if err := c.seen(); err != nil {
		return err
	}
	_, err := c.openSC(ctx)
	return err
}

// Prepare refuses what is known not to work on this card, before anything is
// changed.
func (c *Card) Prepare(ctx context.Context, s Status) error {
	if err := c.seen(); err != nil {
		return err
	}
	if err := c.driver.usable(ctx); err != nil {
		return err
	}
	if s.Erasing != nil {
		if err := c.driver.erasable(ctx, s); err != nil {
			return c.explain(err, "checking who may erase the card")
		}
	}
	return nil
}

// Create erases the card where there is something on it, and makes a PKCS#15
// structure with a user PIN. progress is told what is on the card meanwhile.
func (c *Card) Create(ctx context.Context, s Status, f First, progress func(state string)) error {
	defer c.Forget()
	return c.driver.create(ctx, s, f, progress)
}

// Check looks whether Create did what it said.
func (c *Card) Check(ctx context.Context, f First) error {
	c.Forget()
	d, err := c.Directory(ctx)
	if err != nil {
		return err
	}
	return c.driver.check(ctx, d, f)
}
