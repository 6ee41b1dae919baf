package piv

import (
	"context"
	"crypto/rand"
	"errors"
	"io/fs"
	"os"
	"slices"

	"github.com/cardctl/cardctl/internal/advice"
	"github.com/cardctl/cardctl/internal/card"
	"github.com/cardctl/cardctl/internal/iso7816"
	"github.com/cardctl/cardctl/internal/key"
	"github.com/cardctl/cardctl/internal/output"
	"github.com/cardctl/cardctl/internal/pin"
	app "github.com/cardctl/cardctl/internal/piv"
	"github.com/cardctl/cardctl/internal/problem"
	"github.com/cardctl/cardctl/internal/secret"
)

// What management key a card has when changing it ended with an error.
const (
	stateOldKey     = "The card still has its old management key."
	stateEitherKey  = "It is not known whether the card has its old management key or the new one."
	stateNewKey     = "The card has the new management key."
	stateKeyInFile  = " The new key is in the file."
	stateKeyStored  = " Open the card with the PIN: the new key is stored on it."
	stateNotAccepts = "The card confirmed the new management key but does not accept it."
)

// keyChange is one change of the management key.
type keyChange struct {
	*onCard
	wish      card.NewManagementKey
	value     *secret.Bytes
	algorithm app.Algorithm
	state     string // which key the card has now
	// What ykman and cardctl keep on the card, before the change.
	protection app.Protection
}

// SetManagementKey asks for both keys before the card is changed.
func (c *onCard) SetManagementKey(ctx context.Context, wish card.NewManagementKey) (card.ManagementKeyReport, error) {
	report := card.ManagementKeyReport{}
	if err := c.canSetManagementKey(ctx, wish); err != nil {
		return report, explain(err, "set-management-key", key.Untouched)
	}
	var text *secret.Bytes
	var err error
	if !wish.Random() {
		request := secret.Request{Name: secret.NewManagementKey, Label: c.managementLabel("new "), New: true}
		if text, err = c.access.Policy.Ask(ctx, request, pin.PIN{}); err != nil {
			return report, err
		}
		defer text.Wipe()
	}
	change, err := c.newKeyChange(wish, text, secret.NewManagementKey)
	if err != nil {
		return report, explain(err, "set-management-key", key.Untouched)
	}
	defer change.wipe()
	if err = c.manageToChange(ctx, wish); err == nil {
		err = change.settle(ctx)
	}
	if err == nil {
		err = change.run(ctx)
	}
	return change.report(), explain(err, "set-management-key", change.state)
}

// manageToChange is manage. Where the PIN is needed too, it is asked for before the card
// has the proof, because a card that is let go meanwhile forgets it.
func (c *onCard) manageToChange(ctx context.Context, wish card.NewManagementKey) error {
	if !wish.Protect {
		return c.manage(ctx)
	}
	text, err := c.askManagementKey(ctx)
	if err != nil {
		return err
	}
	defer text.Wipe()
	if err := c.unlock(ctx, false); err != nil {
		return err
	}
	return c.manageNamed(ctx, text, secret.ManagementKey)
}

// canSetManagementKey refuses what is known not to work, before anything is asked.
func (c *onCard) canSetManagementKey(ctx context.Context, wish card.NewManagementKey) error {
	if wish.File != "" {
		if _, err := os.Lstat(wish.File); !errors.Is(err, fs.ErrNotExist) {
			return fileExists(wish.File, err)
		}
	}
	yubico, err := c.yubico(ctx)
	if err != nil || yubico {
		return err
	}
	return problem.New(problem.NotSupported, "the management key of this card cannot be changed").
		Because("The standard has no command for that, and the card has none of Yubico's.").Advise(advice.Do(advice.SetPIN).On(string(pin.User)))
}

func fileExists(file string, err error) error {
	if err != nil {
		return problem.Wrap(problem.Failed, err, "cannot write the new management key")
	}
	return problem.New(problem.Refused, "%s exists and was not overwritten", file).
		Because("It may hold the only copy of a key.").Advise(advice.Repeat(advice.Fill(advice.GenerateManagementKey)))
}

// newKeyChange reads what the user gave. What cannot be used is refused without asking the
// card.
func (c *onCard) newKeyChange(wish card.NewManagementKey, text *secret.Bytes, name secret.Name) (*keyChange, error) {
	change := &keyChange{onCard: c, wish: wish, state: key.Untouched}
	if wish.Algorithm != "" {
		var ok bool
		if change.algorithm, ok = app.ManagementAlgorithmNamed(wish.Algorithm); !ok {
			return nil, problem.New(problem.Usage, "unknown algorithm of a management key").
				Because("Valid algorithms: aes256, aes192, aes128, 3des.").Advise(advice.Repeat(advice.Fill(advice.ManagementAlgorithm)))
		}
	}
	if wish.Random() {
		return change, nil
	}
	if string(text.Reveal()) == storedKey {
		return nil, problem.New(problem.Usage, "the card cannot keep a key that it makes up itself").
			Because("The word %s stands for the key that a card has.", storedKey).
			Advise(advice.Repeat(advice.Switch(advice.ProtectManagementKey)).Without(advice.Field(name)))
	}
	var err error
	if change.value, err = managementKey(text, name); err != nil {
		return nil, err
	}
	if length := change.algorithm.ManagementLength(); length != 0 && change.value.Len() != length {
		change.value.Wipe()
		return nil, problem.New(problem.Usage, "the %s has the wrong length for %s", name.Words(), wish.Algorithm).
			Because("A key for %s has %d hex digits. Nothing was sent.", wish.Algorithm, 2*length).
			Advise(advice.Repeat().Without(advice.ManagementAlgorithm))
	}
	return change, nil
}

// settle gives the new key an algorithm, where none was named: that of the key that the
// card has, if it fits. A random key is made.
func (k *keyChange) settle(ctx context.Context) error {
	m, err := k.about(ctx, app.ManagementKey)
	if err != nil && !app.Unanswered(err) {
		return err
	}
	usual := app.TripleDES
	if m.Algorithm.ManagementLength() != 0 {
		usual = m.Algorithm
	}
	if k.wish.Random() {
		if k.algorithm == 0 {
			k.algorithm = usual
		}
		value := make([]byte, k.algorithm.ManagementLength())
		if _, err := rand.Read(value); err != nil {
			return err
		}
		k.value = secret.New(value)
		return nil
	}
	possible := app.ManagementAlgorithms(k.value.Len())
	switch {
	case k.algorithm != 0:
	case slices.Contains(possible, usual):
		k.algorithm = usual
	default:
		k.algorithm = possible[0]
	}
	return nil
}

func (k *keyChange) wipe() { k.value.Wipe() }

func (k *keyChange) report() card.ManagementKeyReport {
	algorithm, _ := k.algorithm.Name()
	return card.ManagementKeyReport{Algorithm: algorithm, Touch: k.wish.Touch, Protected: k.wish.Protect, File: k.wish.File}
}

// run changes the key of a card that is managed. A key that the card will keep is stored
// before the card has it, beside the one that it has.
func (k *keyChange) run(ctx context.Context) error {
	selected, err := k.application(ctx)
	if err != nil {
		return err
	}
	if err := k.readProtection(ctx, selected); err != nil {
		return err
	}
	if k.wish.Protect {
		if err := k.store(ctx, selected); err != nil {
			return err
		}
	}
	if k.wish.File != "" {
		if err := k.writeFile(); err != nil {
			return err
		}
	}
	if err := k.set(ctx, selected); err != nil {
		return err
	}
	if err := k.prove(ctx, selected); err != nil {
		return err
	}
	return k.finish(ctx, selected)
}

// readProtection is not needed of a card that says that its key is the factory's.
func (k *keyChange) readProtection(ctx context.Context, selected *app.Card) (err error) {
	m, failed := k.about(ctx, app.ManagementKey)
	if failed == nil && m.IsDefault != nil && *m.IsDefault && !k.wish.Protect {
		return nil
	}
	k.protection, err = selected.ReadProtection(ctx)
	return err
}

// store keeps the new key on the card as the one that is to come, where another is
// stored; else as the one that is.
func (k *keyChange) store(ctx context.Context, selected *app.Card) error {
	if err := k.unlock(ctx, false); err != nil {
		return err
	}
	content, err := selected.GetData(ctx, app.Printed)
	if err != nil {
		return err
	}
	foreign := content != nil && !app.HoldsStoredKeys(content)
	secret.Wipe(content)
	if foreign {
		return problem.New(problem.Refused, "the card holds printed information").
			Because("The management key would be stored in its place.").Advise(advice.Repeat().Without(advice.ProtectManagementKey))
	}
	keys, err := selected.ReadStoredKeys(ctx)
	defer keys.Wipe()
	if err != nil {
		return err
	}
	keys.Upcoming.Wipe() // of a change that was interrupted before the card had it
	keys.Upcoming = k.value.Clone()
	if keys.Current == nil {
		keys.Current, keys.Upcoming = keys.Upcoming, nil
	}
	k.state = stateOldKey
	return selected.WriteStoredKeys(ctx, keys)
}

// writeFile writes the new key before the card has it.
func (k *keyChange) writeFile() error {
	line := secret.New(hexLine(k.value))
	defer line.Wipe()
	err := output.NewPrivateFile(k.wish.File, line.Reveal())
	if errors.Is(err, fs.ErrExist) {
		return fileExists(k.wish.File, nil)
	}
	if err != nil {
		return problem.Wrap(problem.Failed, err, "cannot write the new management key")
	}
	return nil
}

// set gives the card the key. Where the answer leaves open which one it has, the card is
// asked for a proof of the new one. The file goes if the card does not have it.
func (k *keyChange) set(ctx context.Context, selected *app.Card) error {
	before := k.state
	k.state = k.where(stateEitherKey)
	err := selected.SetManagementKey(ctx, k.algorithm, k.value, k.wish.Touch)
	if err == nil {
		return nil
	}
	refused := iso7816.Refused(err) || errors.Is(err, errors.ErrUnsupported)
	if !refused && iso7816.StatusOf(err) != 0 {
		proof := selected.Manage(ctx, k.algorithm, k.value)
		if proof == nil {
			return nil
		}
		refused = errors.Is(proof, app.ErrWrongKey) || errors.Is(proof, app.ErrOtherAlgorithm)
	}
	if !refused {
		return err
	}
	k.state = before
	if k.wish.File != "" && os.Remove(k.wish.File) != nil {
		k.state = problem.Sentences(before, "The key in "+k.wish.File+" is not on it.")
	}
	if refusesAlgorithm := iso7816.StatusOf(err) == iso7816.StatusWrongData; refusesAlgorithm {
		name, _ := k.algorithm.Name()
		return problem.New(problem.NotSupported, "the card refused the new management key [%s]", iso7816.StatusOf(err)).
			Because("It has no management keys of the type %s, or finds this one weak.", name).Advise(advice.Repeat(advice.Fill(advice.ManagementAlgorithm)))
	}
	return err
}

// where says in addition where the new key is.
func (k *keyChange) where(state string) string {
	switch {
	case k.wish.File != "":
		return state + stateKeyInFile
	case k.wish.Protect:
		return state + stateKeyStored
	}
	return state
}

// prove has the card show that it has the key.
func (k *keyChange) prove(ctx context.Context, selected *app.Card) error {
	k.managed = nil
	delete(k.metadata, app.ManagementKey)
	if k.wish.Touch {
		k.access.Notify(touchToManage)
	}
	if err := selected.Manage(ctx, k.algorithm, k.value); err != nil {
		if errors.Is(err, app.ErrWrongKey) || errors.Is(err, app.ErrOtherAlgorithm) {
			k.state = k.where(stateNotAccepts)
		}
		return explainNewKey(err)
	}
	k.managed, k.state = selected, k.where(stateNewKey)
	return nil
}

// explainNewKey does not call a key wrong that the user did not choose.
func explainNewKey(err error) error {
	if errors.Is(err, app.ErrNotProved) {
		return explainManagement(err)
	}
	return explain(err, "proving the new management key", "")
}

// finish makes what is kept on the card agree with the key that it has.
func (k *keyChange) finish(ctx context.Context, selected *app.Card) error {
	keeps := k.wish.Protect
	if !keeps && !k.protection.Stored && !k.protection.Derived {
		return nil
	}
	if !keeps {
		return keepOnly(ctx, selected, k.protection, nil)
	}
	if err := keepOnly(ctx, selected, k.protection, k.value); err != nil {
		return err
	}
	stored, err := selected.ReadStoredKeys(ctx)
	defer stored.Wipe()
	if err == nil && (stored.Current == nil || !slices.Equal(stored.Current.Reveal(), k.value.Reveal())) {
		err = errors.New("the card did not store the management key")
	}
	return err
}
