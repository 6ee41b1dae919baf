package provision

import (
	"context"
	"errors"

	"github.com/cardctl/cardctl/internal/applet"
	"github.com/cardctl/cardctl/internal/card"
	"github.com/cardctl/cardctl/internal/desk"
	"github.com/cardctl/cardctl/internal/family"
	"github.com/cardctl/cardctl/internal/problem"
	"github.com/cardctl/cardctl/internal/secret"
)

const installing = "applet"

// withApplet works on the application of the plan. A Java card that lacks it gets the
// applet first.
func (w *work) withApplet(ctx context.Context, d *desk.Desk, a desk.Access, session func() error) error {
	err := session()
	if w.run.o.Plan.Applet == nil || w.run.o.Renew || !errors.Is(err, card.ErrLacks) {
		return err
	}
	java := *d
	java.Meant.App = ""
	if err := family.WithLine(ctx, &java, a, w.recogniseJava); err != nil {
		return err
	}
	w.add(step{name: installing, result: Would, detail: w.plan.Applet.File + w.plan.Applet.Package})
	if w.run.o.DryRun {
		w.list()
		return nil
	}
	if w.chip != "" {
		java.Meant.Serial = w.chip
	}
	if err := w.install(ctx, &java, a); err != nil {
		return err
	}
	return session()
}

// recogniseJava finds out which Java card it is, and which row it is for, before anything is
// installed on it: by its chip, and by all applications that it has.
func (w *work) recogniseJava(ctx context.Context, here family.At) error {
	w.here, w.kind, w.report.Reader = here, w.run.kinds[0], here.Place
	if err := leavesOut(w.run.protected.permitsWhole(ctx, w)); err != nil {
		return err
	}
	switch _, err := here.Open(ctx, w.kind.app); {
	case err == nil:
		return desk.Changed(here.Place, "It has the application that the card lacked which was there before.", nil)
	case !errors.Is(err, card.ErrLacks):
		return err
	}
	if err := w.knowJava(ctx); err != nil {
		return err
	}
	return w.forWhom(ctx)
}

// knowJava finds out what the ledger knows of a card that lacks the applet.
func (w *work) knowJava(ctx context.Context) (err error) {
	w.report.Serial = w.chip
	found, err := w.knowByChip(ctx)
	if err != nil {
		return err
	}
	if !found {
		w.becomes = w.newSerial()
		if w.known, err = w.interrupted(ctx); err != nil {
			return err
		}
		w.serial = w.becomes
		if w.known != nil {
			w.announced()
		}
		return nil
	}
	if w.known != nil && w.serial != w.chip && w.known.State.Held() {
		return w.refused("it lacks the applet", "The ledger has its chip, "+w.chip+", as "+w.serial+", which is "+string(w.known.State)+".")
	}
	return nil
}

// install loads the applet of the plan. The row stays with the card.
func (w *work) install(ctx context.Context, d *desk.Desk, a desk.Access) error {
	options, err := w.appletOptions(ctx)
	if err != nil {
		return err
	}
	if err := w.begin(ctx); err != nil {
		return err
	}
	a.Ask = w.cardKeys
	err = w.perform(w.later(installing), func() (string, error) {
		_, err := applet.Install(ctx, d, a, options)
		if errors.Is(err, applet.ErrOnlyLoaded) { // by an earlier run, which was interrupted
			options.Replace = true
			a.Confirm = func(context.Context, desk.Question) error { return nil }
			_, err = applet.Install(ctx, d, a, options)
		}
		return "", err
	})
	if err != nil {
		return err
	}
	done := w.entry
	w.entry, w.installed = nil, w.serial
	return done.End(context.WithoutCancel(ctx), nil)
}

// appletOptions are how the applet is installed, as the plan says.
func (w *work) appletOptions(ctx context.Context) (o applet.InstallOptions, err error) {
	p := w.plan.Applet
	wish := applet.InstallWish{
		Domain: w.domain(), Applets: p.Applets, Instances: p.Instances, Package: p.Package, Parameters: p.Parameters, Raw: p.RawParameters,
		Privileges: p.Privileges, Memory: p.Memory, LoadHash: p.LoadHash, BlockSize: uint16(p.BlockSize), LoadOnly: p.LoadOnly, Replace: p.Replace,
	}
	if o, err = wish.Parse(); err != nil {
		return o, err
	}
	if p.File != "" {
		if o.File, err = applet.ReadFile(ctx, p.File); err != nil {
			return o, problem.Wrap(problem.Failed, err, "cannot use "+p.File)
		}
	}
	return o, w.ownSerials(ctx, &o)
}

// domain is the security domain, with the keys that the card has by now.
func (w *work) domain() applet.DomainWish {
	p := w.plan.Applet
	if kept := w.kept(secret.CardKeys); kept != nil && len(kept.Blob) > 0 {
		return applet.DomainWish{ISD: p.ISD, RetryKeys: p.RetryKeys, AcceptRandomChallenge: p.AnyChallenge, Level: p.SecurityLevel}
	}
	return applet.DomainWish{
		ISD: p.ISD, DefaultKeys: p.CardKeys.Word == secret.FactoryValue, RetryKeys: p.RetryKeys, AcceptRandomChallenge: p.AnyChallenge,
		KeyVersion: byte(p.KeyVersion), KeyIndex: byte(p.KeyIndex), Diversification: p.Diversification, Level: p.SecurityLevel,
	}
}
