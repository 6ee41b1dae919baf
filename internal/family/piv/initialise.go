package piv

import (
	"bytes"
	"cmp"
	"context"
	"crypto/rand"
	"encoding/hex"
	"errors"
	"io"
	"slices"

	"github.com/cardctl/cardctl/internal/advice"
	"github.com/cardctl/cardctl/internal/card"
	"github.com/cardctl/cardctl/internal/iso7816"
	"github.com/cardctl/cardctl/internal/key"
	"github.com/cardctl/cardctl/internal/pin"
	app "github.com/cardctl/cardctl/internal/piv"
	"github.com/cardctl/cardctl/internal/problem"
	"github.com/cardctl/cardctl/internal/secret"
)

// toFinish is what to do about a card on which something was begun.
const toFinish = " Run the same command again to finish."

// What is on the card when init ended with an error.
const (
	stateGuessing = "The keys are still on the card, but PIN and PUK may be blocked." + toFinish
	stateErasing  = "It is not known whether the card is erased." + toFinish
	stateFactory  = "The card is erased and has the factory PIN, PUK and management key." + toFinish
	stateTries    = "The card is erased and has the factory management key. Its PIN and PUK are factory values or unknown." + toFinish
	statePINs     = "The card is erased. Its PIN and PUK are the factory ones or the new ones, and its management key is the factory one." + toFinish
	stateObjects  = "The card is erased and has the new PIN and PUK. Its management key is still the factory one." + toFinish
)

// surveyed is what Survey found, and on which application: another one is there once the
// card was let go.
type surveyed struct {
	contents
	erases bool
	on     *app.Card
}

// InitChoices are what can be decided about a new PIV card.
func (c *onCard) InitChoices() []advice.Field {
	return []advice.Field{
		advice.PINTries, advice.PUKTries, advice.GenerateManagementKey, advice.ProtectManagementKey, advice.ManagementAlgorithm, advice.TouchPolicy,
	}
}

// Survey tells a blank card, on which only PINs, management key and objects are new, from
// one that has to be erased, and both from one that cannot be.
func (c *onCard) Survey(ctx context.Context, o card.InitOptions) (*card.Survey, error) {
	survey, err := c.survey(ctx, o)
	return survey, explain(err, "init", key.Untouched)
}

func (c *onCard) survey(ctx context.Context, o card.InitOptions) (*card.Survey, error) {
	erases, err := c.yubico(ctx)
	if err != nil {
		return nil, err
	}
	if erases && o.Management.File != "" {
		if err := c.canSetManagementKey(ctx, o.Management); err != nil {
			return nil, err
		}
	}
	if !erases {
		if err := refuseNewValues(o); err != nil {
			return nil, err
		}
	}
	found, err := c.holdings(ctx)
	if err == nil && erases && (!found.blank || o.PINTries+o.PUKTries > 0) {
		err = c.refuses(ctx, o, !found.blank)
	}
	if err != nil {
		return nil, err
	}
	report := card.InitReport{Serial: c.seen.serial, Application: name, Lost: append([]string{}, found.lost...), PINs: "new"}
	switch {
	case !erases:
		report.PINs, report.Stayed, report.Lost = "unchanged", found.keys, append([]string{}, found.certificates...)
	case o.FactoryPINs:
		report.PINs = "factory"
	}
	needs, err := c.needs(ctx, o, erases)
	if err != nil {
		return nil, err
	}
	return &card.Survey{
		Options: o, Blank: found.blank, Question: c.question(found, erases), Report: report, Needs: needs, Found: &surveyed{found, erases, c.app},
	}, nil
}

// refuseNewValues is for a card that cannot be reset.
func refuseNewValues(o card.InitOptions) error {
	fields := []advice.Field{}
	for _, name := range []secret.Name{secret.PIN, secret.PUK, secret.ManagementKey} {
		if slices.Contains(o.Named, name) {
			fields = append(fields, advice.Field(name))
		}
	}
	if len(fields) == 0 && o.PINTries+o.PUKTries == 0 && !o.Management.Random() {
		return nil
	}
	return problem.New(problem.NotSupported, "init cannot set PIN, PUK or management key of this card").
		Because("The card has no command to reset it, and none of Yubico's. Its PIN and PUK can be changed if you know them.").
		Advise(advice.Do(advice.SetPIN).On(string(pin.User)))
}

// refuses looks, before anything is destroyed, for what makes a YubiKey refuse a reset, if
// it has to be reset, or other numbers of tries.
func (c *onCard) refuses(ctx context.Context, o card.InitOptions, resets bool) error {
	firmware, err := c.version(ctx)
	if err != nil || !firmware.Since(5, 5) {
		return err
	}
	selected, err := c.application(ctx)
	if err != nil {
		return err
	}
	bio, fingerprints, err := selected.Bio(ctx)
	if err != nil {
		return err
	}
	if err := c.readDevice(ctx); err != nil {
		return err
	}
	switch {
	case resets && (fingerprints || c.device.ResetBlocked):
		return problem.New(problem.NotSupported, "init: this card does not reset its PIV application").
			Because("It has fingerprints or a FIDO PIN, so only the whole key can be reset.").Advise(advice.Run("ykman", "config", "reset"))
	case o.PINTries+o.PUKTries > 0 && bio:
		return fixedTries("This is a YubiKey Bio.")
	case o.PINTries+o.PUKTries > 0 && (c.device.FIPS || c.device.Complex):
		return fixedTries("That restores the factory PIN and PUK, which the rules of this card for PINs do not allow.")
	}
	return nil
}

// readDevice reads what the card tells of itself outside of PIV, and selects PIV again.
func (c *onCard) readDevice(ctx context.Context) error {
	ch, err := c.line.Channel(ctx)
	if err != nil {
		return err
	}
	if c.device, err = app.ReadDevice(ctx, ch); err != nil {
		return err
	}
	return c.selectOn(ctx, ch)
}

func fixedTries(why string) error {
	return problem.New(problem.NotSupported, "init: the numbers of tries of this card cannot be changed").Because("%s", why).
		Advise(advice.Repeat().Without(advice.PINTries, advice.PUKTries))
}

// needs are the new PIN, PUK and management key; of a card that is not erased, the
// management key that it has.
func (c *onCard) needs(ctx context.Context, o card.InitOptions, erases bool) ([]card.Need, error) {
	current := card.Need{Request: secret.Request{Name: secret.CurrentManagementKey, Label: c.managementLabel("current "), Optional: erases}}
	if !erases {
		return []card.Need{current}, nil
	}
	var needs []card.Need
	if !o.FactoryPINs {
		user := c.userPINAt(app.ApplicationPIN)
		puk, err := c.puk(ctx)
		if err != nil {
			return nil, err
		}
		for _, p := range []pin.PIN{user, puk} {
			if c.device.FIPS {
				p.Min = leastOfFIPS
			}
			request := pin.NewValue(p)
			request.Name = p.Secret
			needs = append(needs, card.Need{Request: request, PIN: p})
		}
	}
	if !o.Management.Random() {
		needs = append(needs, card.Need{
			Request: secret.Request{Name: secret.ManagementKey, Label: c.managementLabel("new "), New: true, Optional: o.FactoryPINs},
			Unless: func(context.Context) error {
				return problem.New(problem.Usage, "the new management key is missing").
					Because("cardctl can also make a random one and write it to a new file.").
					Advise(advice.Repeat(advice.Fill(advice.GenerateManagementKey)))
			},
		})
	}
	return append(needs, current), nil
}

// work is one run of Initialise.
type work struct {
	*onCard
	*surveyed
	options card.InitOptions
	given   map[secret.Name]*secret.Bytes
	state   string // what is on the card now
	pinRef  app.PINReference
	change  *keyChange
	report  *card.InitReport
}

// Initialise compares the card, if it was let go, before it changes anything. The
// management key is the last, because an interrupted run can be repeated without it.
func (c *onCard) Initialise(ctx context.Context, s *card.Survey, given map[secret.Name]*secret.Bytes) (card.InitReport, error) {
	report := s.Report
	w := &work{onCard: c, surveyed: s.Found.(*surveyed), options: s.Options, given: given, state: key.Untouched, report: &report}
	err := w.compare(ctx)
	if err == nil {
		err = w.run(ctx)
	}
	if w.change != nil {
		w.change.wipe()
	}
	return report, explain(err, "init", w.state)
}

// compare looks whether a card that was let go still holds what was confirmed to be lost.
func (w *work) compare(ctx context.Context) error {
	if _, err := w.line.Channel(ctx); err != nil || w.app == w.on {
		return err
	}
	now, err := w.holdings(ctx)
	if err != nil {
		return err
	}
	if !slices.Equal(now.lost, w.lost) {
		return key.ChangedMeanwhile("the contents of the card have changed since the question", "it", "")
	}
	w.contents = now
	return nil
}

func (w *work) run(ctx context.Context) error {
	if !w.erases {
		return w.clear(ctx)
	}
	if err := w.prepare(); err != nil {
		return err
	}
	if err := w.named(ctx); err != nil {
		return err
	}
	var err error
	if _, w.pinRef, err = w.userPINOf(ctx); err != nil {
		return err
	}
	if !w.blank {
		if err := w.erase(ctx); err != nil {
			return err
		}
		w.report.Erased = true
	}
	if err := w.setUp(ctx); err != nil {
		return err
	}
	w.state = ""
	w.report.Serial = w.seen.serial
	w.noteFactoryValues()
	return nil
}

// prepare reads the new management key, so that one that cannot be used costs nothing.
func (w *work) prepare() (err error) {
	text := w.given[secret.ManagementKey]
	if text == nil && !w.options.Management.Random() {
		return nil
	}
	w.change, err = w.newKeyChange(w.options.Management, text, secret.ManagementKey)
	return err
}

// named proves the current management key that the user names for this command: a wrong
// one ends the work.
func (w *work) named(ctx context.Context) error {
	value := w.given[secret.CurrentManagementKey]
	if value == nil || !slices.Contains(w.options.Named, secret.CurrentManagementKey) {
		return nil
	}
	return w.manageNamed(ctx, value, secret.CurrentManagementKey)
}

// setUp gives an erased card its values. The numbers of tries go first, for they restore
// the factory PIN and PUK.
func (w *work) setUp(ctx context.Context) error {
	factory := factoryManagementKey()
	defer factory.Wipe()
	if w.managed != w.app {
		if err := w.manageBy(ctx, factory); err != nil {
			return err
		}
	}
	if err := w.setTries(ctx); err != nil {
		return err
	}
	if err := w.setPINs(ctx); err != nil {
		return err
	}
	w.state = stateObjects
	if err := w.writeIdentity(ctx); err != nil {
		return err
	}
	return w.setKey(ctx)
}

// setTries is SET PIN RETRIES; what is not given stays at the factory's number.
func (w *work) setTries(ctx context.Context) error {
	if w.options.PINTries+w.options.PUKTries == 0 {
		return nil
	}
	if err := w.verifyKnown(ctx, secret.New([]byte(app.FactoryPIN)), app.FactoryTries); err != nil {
		return err
	}
	selected, err := w.application(ctx)
	if err != nil {
		return err
	}
	w.state = stateTries
	err = selected.SetRetries(ctx, byte(cmp.Or(w.options.PINTries, app.FactoryTries)), byte(cmp.Or(w.options.PUKTries, app.FactoryTries)))
	w.verified = nil
	delete(w.metadata, byte(w.pinRef))
	delete(w.metadata, byte(app.PUK))
	return err
}

// setPINs changes the factory's PIN and PUK to the new ones.
func (w *work) setPINs(ctx context.Context) error {
	if w.options.FactoryPINs {
		return nil
	}
	puk, err := w.puk(ctx)
	if err != nil {
		return err
	}
	for _, p := range []struct {
		pin     pin.PIN
		ref     app.PINReference
		factory string
		value   *secret.Bytes
		tries   int
	}{
		{w.userPINAt(w.pinRef), w.pinRef, app.FactoryPIN, w.given[secret.PIN], w.pinTries()},
		{puk, app.PUK, app.FactoryPUK, w.given[secret.PUK], cmp.Or(w.options.PUKTries, app.FactoryTries)},
	} {
		w.state = statePINs
		change, err := w.changing(ctx, p.pin, p.ref)
		if err != nil {
			return err
		}
		change.By = known(change.By, p.tries)
		w.access.Policy.Renewed(change.By)
		policy := w.access.Policy.With(func(_ context.Context, r secret.Request) (*secret.Bytes, error) {
			if r.New {
				return p.value.Clone(), nil
			}
			return secret.New([]byte(p.factory)), nil
		})
		err = policy.Change(ctx, change)
		var told *pin.StateError
		if errors.As(err, &told) {
			err = told.Unwrap()
		}
		if err != nil {
			return w.byItsRules(ctx, p.pin, err)
		}
		delete(w.metadata, byte(p.ref))
		delete(w.left, p.ref)
	}
	return nil
}

// byItsRules is the error of a new PIN that a card with rules for PINs does not take.
func (w *work) byItsRules(ctx context.Context, p pin.PIN, err error) error {
	if iso7816.StatusOf(err) != iso7816.StatusConditionsNotSatisfied || w.readDevice(ctx) != nil || !w.device.FIPS && !w.device.Complex {
		return err
	}
	return key.Wrap(problem.Usage, err, "the card refused the new "+p.Name(), "Its rules for PINs do not allow it.").
		Advise(advice.Repeat(advice.Ask(p.Secret)))
}

// setKey changes the management key, which the PIN opens where the card keeps it.
func (w *work) setKey(ctx context.Context) error {
	if w.change == nil {
		return nil
	}
	change := w.change
	if change.wish.Protect {
		value := w.given[secret.PIN].Clone()
		if w.options.FactoryPINs {
			value = secret.New([]byte(app.FactoryPIN))
		}
		if err := w.verifyKnown(ctx, value, w.pinTries()); err != nil {
			return err
		}
	}
	err := change.settle(ctx)
	if err == nil {
		err = change.run(ctx)
	}
	if change.state != key.Untouched && change.state != stateOldKey {
		w.state = problem.Sentences("The card is erased and has the new PIN and PUK.", change.state)
	}
	if err != nil {
		return err
	}
	report := change.report()
	w.report.ManagementKey = &report
	return nil
}

// pinTries is how often the PIN can be wrong.
func (w *work) pinTries() int { return cmp.Or(w.options.PINTries, app.FactoryTries) }

// known is a PIN whose value the card has just got: it has all its tries, and is asked for
// them only after an answer that is no success. One with a single try is not asked at all,
// for nobody else would be asked whether it may be used up.
func known(p pin.PIN, tries int) pin.PIN {
	ask := p.Tries
	p.Tries = func(ctx context.Context, again bool) (pin.Tries, error) {
		if !again {
			return pin.Left(tries), nil
		}
		return ask(ctx, true)
	}
	if tries == 1 {
		p.Tries = nil
	}
	return p
}

// verifyKnown verifies a PIN that the card has just got, and wipes it.
func (w *work) verifyKnown(ctx context.Context, value *secret.Bytes, tries int) error {
	defer value.Wipe()
	p := known(w.userPINAt(w.pinRef), tries)
	w.access.Policy.Renewed(p)
	return w.access.Policy.Given(value).Send(ctx, p, w.verify(w.pinRef))
}

// noteFactoryValues notes those that are left.
func (w *work) noteFactoryValues() {
	if w.options.FactoryPINs {
		w.report.FactoryValues = []string{"PIN", "PUK"}
	}
	if w.change == nil {
		w.report.FactoryValues = append(w.report.FactoryValues, "management key")
	}
}

// guid gives the GUID of the card: the one that was announced, where the card is known by
// it, else a random one.
func (w *work) guid() io.Reader {
	announced, err := hex.DecodeString(w.options.Serial)
	if w.seen.numbered || err != nil || len(announced) != len([16]byte{}) {
		return rand.Reader
	}
	return bytes.NewReader(announced)
}

// writeIdentity gives the card a new CHUID and CCC, by which programs know it as another
// card, and reads them back.
func (w *work) writeIdentity(ctx context.Context) error {
	selected, err := w.application(ctx)
	if err != nil {
		return err
	}
	chuid, err := app.NewCHUID(w.guid(), w.access.Now().AddDate(yearsValid, 0, 0))
	if err != nil {
		return err
	}
	container, err := app.NewCCC(rand.Reader)
	if err != nil {
		return err
	}
	if err := w.writeCHUID(ctx, chuid); err != nil {
		return err
	}
	if err := selected.PutData(ctx, app.CCC, container); err != nil {
		return err
	}
	return readBack(ctx, selected, app.CCC, container)
}
