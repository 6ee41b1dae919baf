package piv

import (
	"context"
	"encoding/hex"
	"errors"
	"slices"

	"github.com/cardctl/cardctl/internal/advice"
	"github.com/cardctl/cardctl/internal/key"
	"github.com/cardctl/cardctl/internal/pin"
	app "github.com/cardctl/cardctl/internal/piv"
	"github.com/cardctl/cardctl/internal/problem"
	"github.com/cardctl/cardctl/internal/secret"
)

// factoryKey is how a user names the management key of the factory, 0102…08 three times.
const factoryKey = "default"

// manage proves to the card that its management key is known, unless that was done since
// the card was taken last. The key is asked for once, and sent once.
func (c *onCard) manage(ctx context.Context) error {
	selected, err := c.application(ctx)
	if err != nil || c.managed == selected {
		return err
	}
	label := "management key of " + c.holder() + " (in hexadecimal)"
	text, err := c.access.Policy.Ask(ctx, secret.Request{Name: secret.ManagementKey, Label: label}, pin.PIN{})
	if err != nil {
		return err
	}
	defer text.Wipe()
	value, err := managementKey(text)
	if err != nil {
		return err
	}
	defer value.Wipe()
	if selected, err = c.application(ctx); err != nil {
		return err
	}
	algorithms, err := c.managementAlgorithms(ctx, value.Len())
	if err != nil {
		return err
	}
	for _, algorithm := range algorithms {
		if err = selected.Manage(ctx, algorithm, value); !errors.Is(err, app.ErrOtherAlgorithm) {
			break
		}
	}
	if err != nil {
		return explainManagement(err)
	}
	c.managed = selected
	return nil
}

// managementAlgorithms are those that the card's key may have: the one that it reports,
// or those that a key of this length can have. A card that waits for a touch says so.
func (c *onCard) managementAlgorithms(ctx context.Context, length int) ([]app.Algorithm, error) {
	possible := app.ManagementAlgorithms(length)
	m, err := c.about(ctx, app.ManagementKey)
	switch {
	case err != nil && !app.Unanswered(err):
		return nil, err
	case err != nil || m.Algorithm == 0:
		return possible, nil
	case !slices.Contains(possible, m.Algorithm):
		return nil, wrongManagementKey("The management key of the card has another length and algorithm. Nothing was sent.")
	}
	if m.Touch > app.TouchNever {
		c.access.Notify("touch the card to allow the use of its management key")
	}
	return []app.Algorithm{m.Algorithm}, nil
}

// managementKey reads a management key: 32, 48 or 64 hex digits of either case, or the
// word for that of the factory.
func managementKey(text *secret.Bytes) (*secret.Bytes, error) {
	if string(text.Reveal()) == factoryKey {
		return secret.New(slices.Repeat([]byte{1, 2, 3, 4, 5, 6, 7, 8}, 3)), nil
	}
	value := make([]byte, hex.DecodedLen(text.Len()))
	if _, err := hex.Decode(value, text.Reveal()); err != nil || app.ManagementAlgorithms(len(value)) == nil {
		secret.Wipe(value)
		return nil, problem.New(problem.Usage, "the management key cannot be used").
			Because("A management key is written as 32, 48 or 64 hex digits. The given value was not sent.").
			Advise(advice.Repeat(advice.Ask(secret.ManagementKey)))
	}
	return secret.New(value), nil
}

// explainManagement puts what went wrong with the management key into the user's terms.
func explainManagement(err error) error {
	switch {
	case errors.Is(err, app.ErrOtherAlgorithm):
		return wrongManagementKey("The management key of the card has another algorithm. No key was sent.")
	case errors.Is(err, app.ErrWrongKey):
		return wrongManagementKey(problem.Sentence(err.Error()))
	case errors.Is(err, app.ErrNotProved):
		p := problem.New(problem.Mismatch, "the card did not prove that it has the management key").
			Because("The card accepted the key, but its own answer is wrong. Do not trust this card.")
		p.Cause = err
		return p
	}
	return explain(err, "proving the management key", key.Untouched)
}

func wrongManagementKey(why string) error {
	return problem.New(problem.KeysIncorrect, "wrong management key").Because("%s", why).
		Advise(advice.Repeat(advice.Ask(secret.ManagementKey)))
}
