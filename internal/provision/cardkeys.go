package provision

import (
	"context"

	"github.com/cardctl/cardctl/internal/applet"
	"github.com/cardctl/cardctl/internal/desk"
	"github.com/cardctl/cardctl/internal/plan"
	"github.com/cardctl/cardctl/internal/secret"
)

const settingCardKeys = "set card keys"

// surveyCardKeys finds out whether the card keys of a Java card are to be changed. They are
// the last that is: an applet is installed with those that the card came with.
func (w *work) surveyCardKeys() error {
	wish := w.newCardKeys()
	if wish == nil {
		return nil
	}
	switch kept, pending := w.kept(secret.CardKeys), w.pending(secret.CardKeys); {
	case kept != nil && (!kept.Revealed || wish.Generate == nil):
		w.already(settingCardKeys, "")
		return nil
	case pending != nil && wish.Generate != nil && !w.run.readable(pending):
		return w.needsIdentity(settingCardKeys, "it is not known whether the card has its new card keys")
	case kept != nil && !w.run.readable(kept):
		return w.needsReader(settingCardKeys, "the card keys were revealed, and are to be changed")
	}
	w.add(step{name: settingCardKeys, result: Would})
	return nil
}

// newCardKeys are those of the plan; nil for none.
func (w *work) newCardKeys() *plan.NewCardKeys {
	if w.plan.Applet == nil {
		return nil
	}
	return w.plan.Applet.NewCardKeys
}

// setCardKeys changes them, while the application is let go.
func (w *work) setCardKeys(ctx context.Context, d desk.Desk, a desk.Access) error {
	s := w.later(settingCardKeys)
	if s == nil {
		return nil
	}
	d.Meant.App, d.Meant.Serial = "", w.serial
	return w.perform(s, func() (string, error) { return "", w.changeCardKeys(ctx, &d, a) })
}

func (w *work) changeCardKeys(ctx context.Context, d *desk.Desk, a desk.Access) error {
	wish := w.newCardKeys()
	again := w.kept(secret.CardKeys) != nil // they replace those of an earlier run
	keys := applet.NewKeysWish{Domain: w.domain(), Type: wish.Type, Generate: wish.Generate != nil, NewDefault: wish.Source.Word != ""}
	if !again {
		keys.Version, keys.Add = byte(wish.Version), wish.Add
	}
	options, err := keys.Parse()
	if err != nil {
		return err
	}
	has, err := w.hasNewCardKeys(ctx, d, a, options.Domain)
	if has || err != nil {
		return err
	}
	var stored int64
	options.Store = func(ctx context.Context, keys *secret.Bytes) (err error) {
		if wish.Generate == nil {
			stored, err = w.entry.Given(ctx, secret.CardKeys)
			return err
		}
		stored, err = w.entry.SealTo(ctx, secret.CardKeys, wish.Keep, keys, w.run.sealers)
		return err
	}
	a.Ask = w.cardKeys
	a.Confirm = func(context.Context, desk.Question) error { return nil } // it is what the plan says, and nothing is lost
	if _, err := applet.SetKeys(ctx, d, a, options); err != nil {
		return err
	}
	return w.entry.Has(ctx, stored)
}

// hasNewCardKeys finds out whether the card got them before a cut.
func (w *work) hasNewCardKeys(ctx context.Context, d *desk.Desk, a desk.Access, domain applet.Domain) (bool, error) {
	pending := w.pending(secret.CardKeys)
	if pending == nil {
		return false, nil
	}
	a.Ask = func(ctx context.Context, q secret.Request) (*secret.Bytes, error) {
		if len(pending.Blob) == 0 {
			return w.source(ctx, q, w.newCardKeys().Source)
		}
		return w.unseal(ctx, pending, q)
	}
	domain.DefaultKeys = w.newCardKeys().Source.Word != ""
	has, err := applet.HasKeys(ctx, d, a, domain)
	if err != nil || !has {
		return false, err
	}
	return true, w.entry.Has(ctx, pending.ID)
}

// cardKeys hands out the keys that the card has, and those that it gets.
func (w *work) cardKeys(ctx context.Context, q secret.Request) (*secret.Bytes, error) {
	p := w.plan.Applet
	kept := w.kept(secret.CardKeys)
	switch {
	case q.Name == secret.CardKeys && kept != nil && len(kept.Blob) > 0:
		return w.unseal(ctx, kept, q)
	case q.Name == secret.CardKeys && !p.CardKeys.IsZero():
		return w.run.shared(ctx, q, p.CardKeys)
	case q.Name == secret.NewCardKeys && p.NewCardKeys != nil && !p.NewCardKeys.Source.IsZero():
		return w.source(ctx, q, p.NewCardKeys.Source)
	}
	return w.run.person.ask(ctx, q)
}

// later is a step that is due after the card was let go; nil if it is not.
func (w *work) later(name string) *step {
	for _, s := range w.steps {
		if s.name == name && s.result == Would {
			return s
		}
	}
	return nil
}

// afterwards is what is done once the card is let go.
func (w *work) afterwards(ctx context.Context, d desk.Desk, a desk.Access) error {
	if err := w.setCardKeys(ctx, d, a); err != nil {
		return err
	}
	return w.prove(ctx, a)
}
