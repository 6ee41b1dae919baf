// Package cardinit erases and initialises cards and sets, changes and unblocks
// their PINs. (Go cannot import a package called init, so its folder is init
// and its clause is not.)
package cardinit

import (
	"context"
	"errors"

	"github.com/cardctl/cardctl/internal/iso7816"
	"github.com/cardctl/cardctl/internal/key"
	"github.com/cardctl/cardctl/internal/openpgp"
	"github.com/cardctl/cardctl/internal/pkcs15"
	"github.com/cardctl/cardctl/internal/problem"
	"github.com/cardctl/cardctl/internal/secret"
)

// Options is what Initialise shall do.
type Options struct {
	// Application is which of the card's applications; empty where it has
	// only one.
	Application string
	Label       string
	// FactoryPINs leaves the PINs that the card comes with.
	FactoryPINs bool
	Access      key.Access
	// Confirm asks before anything is lost; an error from it ends the work.
	Confirm func(ctx context.Context, question string) error
}

// Report is what Initialise did.
type Report struct {
	Serial      string   `json:"serial"`
	Application string   `json:"application"`
	Erased      bool     `json:"erased"`
	Lost        []string `json:"lost"` // keys and certificates that were on the card
	PINs        string   `json:"pins"` // "new" or "factory"
	// URI names a PKCS#11 token afterwards.
	URI string `json:"uri,omitempty"`
}

// Initialise makes a card blank and gives it its first PINs.
func Initialise(ctx context.Context, ch *iso7816.Channel, o Options) (Report, error) {
	switch o.Application {
	case "", "openpgp":
	case "muscle":
		return initialiseMuscle(ctx, ch, o)
	default:
		return Report{}, problem.New(problem.NotSupported, "init --app %s is not supported yet", o.Application).
			Because("This version of cardctl initialises OpenPGP cards, PKCS#15 cards, PKCS#11 tokens and MUSCLE applets.")
	}
	other := false
	if o.Application == "" {
		var err error
		if other, err = pkcs15.HasApplet(ctx, ch); err != nil {
			return Report{}, key.Explain(err, "init", "")
		}
	}
	card, err := openpgp.Select(ctx, ch)
	if err == nil && other {
		return Report{}, problem.New(problem.NotFound, "the card has several applications, and none is named").
			Because("It has openpgp and pkcs15, and what is on one of them would be lost.").
			Hint("cardctl init --app openpgp, or --app pkcs15")
	}
	if errors.Is(err, openpgp.ErrNotOpenPGP) && o.Application == "" && hasMuscle(ctx, ch) {
		return initialiseMuscle(ctx, ch, o)
	}
	if err != nil {
		return Report{}, key.Explain(err, "init", "")
	}
	if o.Label != "" {
		return Report{}, problem.New(problem.NotSupported, "an OpenPGP card has no label").Hint("leave --label away")
	}
	w := &work{ch: ch, card: card, options: o}
	defer w.wipe()
	report, err := w.run(ctx)
	return report, key.Explain(err, "init", w.state)
}

// work is one run of Initialise.
type work struct {
	ch      *iso7816.Channel
	card    *openpgp.Card
	options Options
	state   string // what is on the card now
	user    *secret.Bytes
	admin   *secret.Bytes
}

func (w *work) wipe() {
	w.user.Wipe()
	w.admin.Wipe()
}

// run tells a blank card, whose PINs only have to be changed, from one that
// must be erased first.
func (w *work) run(ctx context.Context) (Report, error) {
	w.state = "Nothing on the card was changed."
	contents, err := w.look(ctx)
	report := Report{Serial: contents.serial, Application: "openpgp", Lost: append([]string{}, contents.lost...), PINs: "new"}
	if w.options.FactoryPINs {
		report.PINs = "factory"
	}
	if err != nil {
		return report, err
	}
	if !contents.blank && !contents.erasable {
		return report, problem.New(problem.NotSupported, "this card cannot be erased").
			Because("It does not say that it knows TERMINATE DF and ACTIVATE FILE.").
			Hint("cardctl set-pin and cardctl gen-key --replace change what is on it")
	}
	if err := w.options.Confirm(ctx, contents.question()); err != nil {
		return report, err
	}
	if err := w.askPINs(ctx); err != nil {
		return report, err
	}
	// That a blank card has the factory's PINs is only known of one that was
	// just erased.
	if contents.blank && !(w.options.FactoryPINs && contents.erasable) {
		err := w.setPINs(ctx)
		if err == nil && !contents.erasable {
			err = w.removeResettingCode(ctx, contents.data)
		}
		switch {
		case !isWrongPIN(err):
			return report, err
		case !contents.erasable:
			return report, w.notTheFactorys(err)
		}
		// Blank, but not with the factory's PINs: the erasure that was
		// confirmed is needed after all.
	}
	report.Erased = true
	if err := w.erase(ctx, contents); err != nil {
		return report, err
	}
	return report, w.setPINs(ctx)
}

// askPINs gets the new PINs before anything is changed.
func (w *work) askPINs(ctx context.Context) (err error) {
	if w.options.FactoryPINs {
		return nil
	}
	if w.user, err = askNew(ctx, w.card, w.options.Access, secret.PIN, openpgp.PW1, "new user PIN"); err != nil {
		return err
	}
	w.admin, err = askNew(ctx, w.card, w.options.Access, secret.AdminPIN, openpgp.PW3, "new admin PIN")
	return err
}

// setPINs changes the factory's PINs to the new ones, the admin PIN last.
func (w *work) setPINs(ctx context.Context) error {
	if w.options.FactoryPINs {
		return nil
	}
	if err := w.changeFrom(ctx, openpgp.PW1, factoryUserPIN, w.user); err != nil {
		if unanswered(err) {
			w.state = "The user PIN is the factory's or the new one, the admin PIN the factory's."
		}
		return err
	}
	w.state = "The user PIN is the new one, the admin PIN still the factory's."
	if err := w.changeFrom(ctx, openpgp.PW3, factoryAdminPIN, w.admin); err != nil {
		if unanswered(err) {
			w.state = "The user PIN is the new one, the admin PIN the factory's or the new one."
		}
		return err
	}
	w.state = ""
	return nil
}

// notTheFactorys explains a card that cannot be erased and whose PINs somebody
// has changed: what the user gave is not what the card refused.
func (w *work) notTheFactorys(err error) error {
	var wrong *openpgp.PasswordError
	errors.As(err, &wrong)
	which := User
	if wrong.Ref == openpgp.PW3 {
		which, w.state = Admin, "The user PIN is the new one."
	}
	p := problem.New(problem.PINIncorrect, "the %s PIN of this card is not the factory's any more", which).WithTries(wrong.TriesLeft).
		Because("The factory's was tried, as it has no keys and certificates and cannot be erased; %d tries are left.", wrong.TriesLeft).
		Hint("cardctl set-pin %s changes it", which)
	p.Cause = err
	return p
}

// removeResettingCode is for a card that cannot be erased: a code that somebody
// has set would outlive the new PINs. There are cards that count tries for one
// that was never set.
func (w *work) removeResettingCode(ctx context.Context, data *openpgp.ApplicationRelatedData) error {
	if data.Passwords.RC.TriesLeft == 0 || w.options.FactoryPINs {
		return nil
	}
	w.state = "The PINs are the new ones; a resetting code may still be set."
	if err := w.card.Verify(ctx, openpgp.PW3, w.admin); err != nil {
		return err
	}
	if err := w.card.PutResettingCode(ctx, nil); err != nil {
		return err
	}
	w.state = ""
	return nil
}

// The PINs that an OpenPGP card comes with (specification, 4.3).
const (
	factoryUserPIN  = "123456"
	factoryAdminPIN = "12345678"
)

// unanswered reports a command that the card may have carried out.
func unanswered(err error) bool {
	return errors.Is(err, iso7816.ErrCardRemoved) || errors.Is(err, iso7816.ErrCardReset) ||
		errors.Is(err, context.Canceled) || errors.Is(err, context.DeadlineExceeded)
}

func (w *work) changeFrom(ctx context.Context, ref openpgp.PasswordRef, factory string, pin *secret.Bytes) error {
	old := secret.New([]byte(factory))
	defer old.Wipe()
	if err := key.CheckLength(ctx, w.card, ref, pin); err != nil {
		return err
	}
	return w.card.ChangeReferenceData(ctx, ref, old, pin)
}
