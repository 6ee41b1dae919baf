package provision

import (
	"cmp"
	"context"
	"errors"
	"slices"
	"strings"

	"github.com/cardctl/cardctl/internal/card"
	"github.com/cardctl/cardctl/internal/desk"
	"github.com/cardctl/cardctl/internal/family"
	cardinit "github.com/cardctl/cardctl/internal/init"
	"github.com/cardctl/cardctl/internal/key"
	"github.com/cardctl/cardctl/internal/ledger"
	"github.com/cardctl/cardctl/internal/plan"
	"github.com/cardctl/cardctl/internal/secret"
)

// stepInit is the step that initialises a card.
const stepInit = "init"

// begun says that this run, or one before it, gave the card to this person already: it is
// not erased again.
func (w *work) begun() bool {
	return w.known != nil && w.owner() != "" && w.owner() == w.plan.Person.ID
}

// surveyInit finds out whether the card is initialised, and what PINs it has by now.
func (w *work) surveyInit(ctx context.Context) (erases bool, err error) {
	how := w.plan.Card.Init
	able, can := w.card.(card.Initialiser)
	preset, presets := w.card.(card.Preset)
	if !can && how == plan.InitAlways {
		return false, w.wrong(stepInit, "it cannot be initialised", "The plan says init: always.")
	}
	if !can {
		return false, nil
	}
	if presets {
		return w.surveyPreset(ctx, able, preset)
	}
	return w.surveyFirst(ctx, able)
}

// surveyPreset is for a card that has the PINs of the factory until the last steps.
func (w *work) surveyPreset(ctx context.Context, able card.Initialiser, preset card.Preset) (erases bool, err error) {
	unused, err := preset.Unused(ctx)
	if err != nil {
		return false, err
	}
	how := w.plan.Card.Init
	w.purse.preset = unused
	switch {
	case w.initialisedBefore() && (!unused || w.known.State == ledger.Active):
		w.already(stepInit, "by an earlier run")
		return false, nil
	case how == plan.InitNever, !unused && how != plan.InitAlways:
		w.already(stepInit, "not asked for")
		return false, nil
	case unused && !preset.Incomplete() && !w.setsUp():
		w.already(stepInit, "the card was never used")
		return false, nil
	}
	options := w.initOptions()
	options.FactoryPINs = true
	survey, err := cardinit.SurveyOn(ctx, able, options)
	if err != nil {
		return false, err
	}
	if !survey.Blank && how != plan.InitAlways { // it is not what it seemed
		w.already(stepInit, "the card is in use")
		return false, nil
	}
	detail := w.erasing(survey, "set up")
	w.add(step{name: stepInit, result: Would, detail: detail, takes: initTime, do: func(ctx context.Context) (string, error) {
		report, err := cardinit.InitialiseOn(ctx, w.confirmed(), able, survey)
		if err != nil {
			return "", err
		}
		w.purse.erased()
		w.purse.preset, w.initialised = true, true
		if err := w.rename(ctx, report.Serial); err != nil {
			return "", err
		}
		w.report.Serial = w.serial
		if w.question == nil { // it had them before
			return lost(report), nil
		}
		return lost(report), errors.Join(w.forget(ctx), w.factory(ctx))
	}})
	return true, nil
}

// initialisedBefore says that an earlier run initialised the card for this person, or found
// it as it comes from the factory, or gave it to them. That it was begun is not enough: it
// may have been taken out before it was erased.
func (w *work) initialisedBefore() bool {
	return w.begun() && (w.known.State == ledger.Active || w.marked())
}

// forget ends what may have been set on the card before it was erased.
func (w *work) forget(ctx context.Context) error {
	if w.known == nil {
		return nil
	}
	w.blank()
	var open []int64
	for _, s := range w.former {
		if !s.Set && !s.Ended {
			open = append(open, s.ID)
		}
	}
	if len(open) == 0 {
		return nil
	}
	return w.entry.Lacks(ctx, open...)
}

// blank has nothing known of what was on the card; its former secrets may be needed to
// erase it. Its card keys stay.
func (w *work) blank() {
	known := *w.known
	known.Secrets, known.Credentials = nil, nil
	for _, s := range w.known.Secrets {
		if s.Kind == secret.CardKeys {
			known.Secrets = append(known.Secrets, s)
		} else {
			w.former = append(w.former, s)
		}
	}
	w.known = &known
}

// erasing notes what a person has to confirm before anything is written down, and says what
// initialising does.
func (w *work) erasing(survey *card.Survey, otherwise string) string {
	if survey.Blank {
		return otherwise
	}
	w.question = &survey.Question
	return "erase: " + strings.Join(survey.Report.Lost, ", ")
}

// confirmed is where a card is initialised: nobody is asked once more.
func (w *work) confirmed() family.At {
	here := w.here
	here.Access.Confirm = func(context.Context, desk.Question) error { return nil }
	return here
}

// marked says that the ledger knows of a secret of the card: it was initialised, or found
// unused, for this person.
func (w *work) marked() bool {
	return w.known != nil && slices.ContainsFunc(w.known.Secrets, func(s ledger.Sealed) bool { return !s.Ended })
}

// hasOwnPINs says that the ledger knows of a PIN that was set.
func (w *work) hasOwnPINs() bool {
	for name := range w.purse.wanted {
		if kept := w.kept(name); kept != nil && kept.Keep != ledger.KeepFactory {
			return true
		}
	}
	return false
}

// setsUp says that there is more to initialise than PINs.
func (w *work) setsUp() bool {
	c := &w.plan.Card
	return c.KDF != nil || c.PINTries+c.PUKTries > 0 || c.Label != ""
}

// surveyFirst is for a card that gets its PINs when it is initialised.
func (w *work) surveyFirst(ctx context.Context, able card.Initialiser) (erases bool, err error) {
	if w.begun() && (w.hasOwnPINs() || w.known.State == ledger.Active) {
		w.already(stepInit, "by an earlier run")
		return false, nil
	}
	if w.plan.Card.Init == plan.InitNever {
		w.already(stepInit, "not asked for")
		return false, nil
	}
	survey, err := cardinit.SurveyOn(ctx, able, w.initOptions())
	if err != nil {
		return false, err
	}
	unfinished, err := w.initBegun(ctx, survey)
	if err != nil {
		return false, err
	}
	if !survey.Blank && w.plan.Card.Init != plan.InitAlways && !unfinished {
		w.already(stepInit, "the card is in use")
		return false, nil
	}
	detail := w.erasing(survey, "create")
	if unfinished && w.sealedAway() {
		return false, w.needsIdentity(stepInit, "it was interrupted while the card got its PINs")
	}
	w.add(step{name: stepInit, result: Would, detail: detail, takes: initTime, do: func(ctx context.Context) (string, error) {
		if unfinished {
			if err := w.sameAsBefore(ctx); err != nil {
				return "", err
			}
		}
		var sealed []int64
		for _, one := range w.purse.wanted {
			if !one.sets() {
				continue
			}
			if err := w.seal(ctx, one); err != nil {
				return "", err
			}
			sealed = append(sealed, one.sealed)
		}
		report, err := cardinit.InitialiseOn(ctx, w.confirmed(), able, survey)
		if err != nil {
			return "", err
		}
		w.initialised = true
		if err := w.rename(ctx, report.Serial); err != nil {
			return "", err
		}
		w.report.Serial = w.serial
		for name, one := range w.purse.wanted {
			if one.sets() {
				w.purse.has[name] = one.value.Clone()
			}
		}
		if err := w.entry.Has(ctx, sealed...); err != nil {
			return "", err
		}
		return lost(report), nil
	}})
	return true, nil
}

// initBegun reports whether an earlier run began to initialise the card for this person,
// which therefore is not blank any more, or has secrets already: it said so before.
func (w *work) initBegun(ctx context.Context, survey *card.Survey) (bool, error) {
	if survey.Blank && !survey.MayHave || !w.begun() {
		return false, nil
	}
	return w.run.o.Ledger.Announced(ctx, w.serial, stepInit)
}

// initOptions are those of the plan.
func (w *work) initOptions() cardinit.Options {
	c := &w.plan.Card
	o := cardinit.Options{
		Label: c.Label, PINTries: c.PINTries, PUKTries: c.PUKTries, Derived: c.KDF,
		Named: []secret.Name{},
	}
	if w.meant == nil { // a token gets a serial of its own
		o.Serial = cmp.Or(w.becomes, w.serial)
	}
	return o
}

// reopen opens the card as it is now.
func (w *work) reopen(ctx context.Context) (err error) {
	if m, _ := w.here.Line.Token(); m != nil {
		return nil
	}
	w.card, err = w.here.Open(ctx, w.kind.app)
	if err != nil {
		return key.Explain(err, "the card cannot be opened again", "")
	}
	w.here.Card = w.card
	return nil
}

// lost is what an initialisation did, in words.
func lost(report card.InitReport) string {
	if len(report.Lost) == 0 {
		return "no keys or certificates were lost"
	}
	return "lost: " + strings.Join(report.Lost, ", ")
}

// seal stores a secret in the ledger before the card has it.
func (w *work) seal(ctx context.Context, one *wanted) error {
	if one.sealed != 0 {
		return nil
	}
	value, err := w.purse.target(ctx, one)
	switch {
	case err != nil:
		return err
	case one.generate == nil: // who provisions knows it
		one.sealed, err = w.entry.Given(ctx, one.name)
	default:
		one.sealed, err = w.entry.SealTo(ctx, one.name, one.keep, value, w.run.sealers)
		w.run.remember(one.sealed, value)
	}
	return err
}
