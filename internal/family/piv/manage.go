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

// Words for management keys that a user need not type.
const (
	factoryKey = secret.FactoryValue // 0102…08 three times
	storedKey  = secret.StoredOnCard
)

// manage proves to the card that its management key is known, unless that was done since
// the card was taken last. The key is asked for once, and sent once.
func (c *onCard) manage(ctx context.Context) error {
	selected, err := c.application(ctx)
	if err != nil || c.managed == selected {
		return err
	}
	text, err := c.askManagementKey(ctx)
	if err != nil {
		return err
	}
	defer text.Wipe()
	return c.manageNamed(ctx, text, secret.ManagementKey)
}

func (c *onCard) askManagementKey(ctx context.Context) (*secret.Bytes, error) {
	return c.access.Policy.Ask(ctx, secret.Request{Name: secret.ManagementKey, Label: c.managementLabel("")}, pin.PIN{})
}

// managementLabel is how a person is asked for a management key.
func (c *onCard) managementLabel(which string) string {
	return which + "management key of " + c.holder() + " (in hexadecimal)"
}

// manageNamed is manage with what the user gave as a secret: a key, or the word for one.
func (c *onCard) manageNamed(ctx context.Context, text *secret.Bytes, name secret.Name) error {
	if string(text.Reveal()) == storedKey {
		return c.manageByPIN(ctx)
	}
	value, err := managementKey(text, name)
	if err != nil {
		return err
	}
	defer value.Wipe()
	return c.manageBy(ctx, value)
}

// manageBy is manage with a key.
func (c *onCard) manageBy(ctx context.Context, value *secret.Bytes) error {
	selected, err := c.application(ctx)
	if err != nil {
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

// manageByPIN is manage with the key that the card keeps: that of a change which was
// interrupted is the one that comes after it.
func (c *onCard) manageByPIN(ctx context.Context) error {
	if err := c.unlock(ctx, false); err != nil {
		return err
	}
	selected, err := c.application(ctx)
	if err != nil {
		return err
	}
	keys, err := selected.ReadStoredKeys(ctx)
	defer keys.Wipe()
	switch {
	case err != nil:
		return explain(err, "reading the management key that the card keeps", key.Untouched)
	case keys.Current == nil && keys.Upcoming == nil:
		return problem.New(problem.NotFound, "the card does not keep its management key").
			Because("There is none in its printed information, where ykman and cardctl keep it.").
			Advise(advice.Repeat(advice.Ask(secret.ManagementKey)))
	}
	err = app.ErrWrongKey
	if keys.Current != nil {
		err = c.manageBy(ctx, keys.Current)
	}
	if keys.Upcoming == nil || !errors.Is(err, app.ErrWrongKey) && !problem.Is(err, problem.KeysIncorrect) {
		return err
	}
	if err := c.manageBy(ctx, keys.Upcoming); err != nil {
		return err
	}
	return c.finishChange(ctx, selected, keys.Upcoming)
}

// finishChange makes the key that the card has the only one that it keeps.
func (c *onCard) finishChange(ctx context.Context, selected *app.Card, has *secret.Bytes) error {
	protection, err := selected.ReadProtection(ctx)
	if err == nil {
		err = keepOnly(ctx, selected, protection, has)
	}
	return explain(err, "completing a change of the management key that was interrupted", "")
}

// keepOnly has the card keep one key, nil for none, and say so.
func keepOnly(ctx context.Context, selected *app.Card, before app.Protection, key *secret.Bytes) error {
	if err := selected.WriteStoredKeys(ctx, app.StoredKeys{Current: key}); err != nil {
		return err
	}
	return selected.WriteProtection(ctx, before, key != nil)
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
		return nil, wrongManagementKey("The management key of the card has another length and algorithm. No key was sent.")
	}
	if m.Touch > app.TouchNever {
		c.access.Notify(touchToManage)
	}
	return []app.Algorithm{m.Algorithm}, nil
}

const touchToManage = "touch the card to allow the use of its management key"

// hexLine is a management key as files have it.
func hexLine(value *secret.Bytes) []byte {
	line := make([]byte, hex.EncodedLen(value.Len()), hex.EncodedLen(value.Len())+1)
	hex.Encode(line, value.Reveal())
	return append(line, '\n')
}

// managementKey reads a management key: 32, 48 or 64 hex digits of either case, or the
// word for that of the factory.
func managementKey(text *secret.Bytes, name secret.Name) (*secret.Bytes, error) {
	if string(text.Reveal()) == factoryKey {
		return factoryManagementKey(), nil
	}
	value := make([]byte, hex.DecodedLen(text.Len()))
	if _, err := hex.Decode(value, text.Reveal()); err != nil || len(app.ManagementAlgorithms(len(value))) == 0 {
		secret.Wipe(value)
		return nil, problem.New(problem.Usage, "the %s cannot be used", name.Words()).
			Because("A management key is written as 32, 48 or 64 hex digits. The given value was not sent.").
			Advise(advice.Repeat(advice.Ask(name)))
	}
	return secret.New(value), nil
}

func factoryManagementKey() *secret.Bytes {
	return secret.New(slices.Repeat([]byte{1, 2, 3, 4, 5, 6, 7, 8}, 3))
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
	return explain(err, "proving the management key", "")
}

func wrongManagementKey(why string) error {
	return problem.New(problem.KeysIncorrect, "wrong management key").Because("%s", why).
		Advise(advice.Repeat(advice.Ask(secret.ManagementKey)))
}
