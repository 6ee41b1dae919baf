package ledger

import (
	"context"

	"github.com/cardctl/cardctl/internal/secret"
)

// Where the value of a secret is that the ledger does not have.
const (
	KeepElsewhere = "elsewhere" // with whom gave it to the card, or on the card
	KeepFactory   = "factory"   // everybody knows it
)

// Given stores, before the card has it, that it gets a secret which the ledger does not
// keep. The number that it returns is for Has.
func (e *Entry) Given(ctx context.Context, kind secret.Name) (int64, error) {
	return e.keep(ctx, kind, KeepElsewhere, nil, 0)
}

// Factory stores, before the card is changed, which of its secrets are those of the
// factory.
func (e *Entry) Factory(ctx context.Context, kinds ...secret.Name) error {
	token := random()
	_, err := e.write(ctx, token, func(ctx context.Context, c *change, card row) error {
		for i, kind := range kinds {
			of := token
			if i > 0 {
				of = random()
			}
			id, err := c.append(ctx, record{of, e.serial, card.person, map[string]any{"what": "factory", "entry": e.number, "secret": kind}})
			if err != nil {
				return err
			}
			if err := c.store(ctx, id, e.serial, kind, KeepFactory, nil, true); err != nil {
				return err
			}
		}
		return nil
	})
	return err
}

// Lacks records that the card does not have these secrets, which were sealed for it.
func (e *Entry) Lacks(ctx context.Context, ids ...int64) error {
	return e.after(ctx, fact{What: factLacks, Secrets: ids})
}

func (c *change) lacks(ctx context.Context, serial string, ids []int64) error {
	for _, id := range ids {
		if _, err := c.ExecContext(ctx, "UPDATE secret SET ended = 1 WHERE serial = $1 AND number = $2", serial, id); err != nil {
			return err
		}
	}
	return nil
}
