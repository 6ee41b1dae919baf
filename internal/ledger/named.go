package ledger

import (
	"context"

	"github.com/cardctl/cardctl/internal/problem"
)

// Named records that the card has another serial than the one it was announced with: a
// token gets its own when it is initialised.
func (e *Entry) Named(ctx context.Context, serial string) error {
	serial = exact(serial)
	token := random()
	_, err := e.write(ctx, token, func(ctx context.Context, c *change, card row) error {
		if _, known, err := c.card(ctx, serial); err != nil || known {
			if err == nil {
				err = taken(serial)
			}
			return err
		}
		if _, err := c.append(ctx, record{token, serial, card.person, map[string]any{"what": "named", "entry": e.number, "before": e.serial}}); err != nil {
			return err
		}
		for _, statement := range []string{
			"UPDATE card SET serial = $1 WHERE serial = $2", "UPDATE job SET card = $1 WHERE card = $2",
		} {
			if _, err := c.ExecContext(ctx, statement, serial, e.serial); err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil {
		return err
	}
	if e.serial = serial; e.lease != nil {
		e.lease.serial = serial
	}
	return nil
}

func taken(serial string) error {
	return problem.New(problem.Refused, "card %s is in the ledger already", serial).
		Because("Two cards with one serial cannot be told apart.")
}
