package provision

import (
	"context"
	"errors"

	"github.com/cardctl/cardctl/internal/applet"
	"github.com/cardctl/cardctl/internal/card"
	"github.com/cardctl/cardctl/internal/desk"
	"github.com/cardctl/cardctl/internal/family"
	"github.com/cardctl/cardctl/internal/ledger"
	"github.com/cardctl/cardctl/internal/plan"
	"github.com/cardctl/cardctl/internal/problem"
	"github.com/cardctl/cardctl/internal/secret"
)

const installing = "applet"

// withApplet works on the application of the plan. A Java card that lacks it gets the
// applet first.
func (w *work) withApplet(ctx context.Context, d *desk.Desk, a desk.Access, session func() error) error {
	err := session()
	if w.run.o.Plan.Applet == nil {
		return err
	}
	if !errors.Is(err, card.ErrLacks) {
		return err
	}
	if w.run.o.DryRun {
		w.add(step{name: installing, result: Would, detail: w.run.o.Plan.Applet.File + w.run.o.Plan.Applet.Package})
		w.list()
		return nil
	}
	if err := w.install(ctx, d, a); err != nil {
		return err
	}
	return session()
}

// install loads the applet of the plan.
func (w *work) install(ctx context.Context, d *desk.Desk, a desk.Access) error {
	options, err := w.run.appletOptions(ctx)
	if err != nil {
		return err
	}
	java := *d
	java.Meant.App = ""
	if err := family.WithLine(ctx, &java, a, func(ctx context.Context, here family.At) error {
		w.report.Reader = here.Place
		serials, err := family.Serials(ctx, here.Line)
		if err != nil || len(serials) == 0 {
			return err
		}
		w.serial, java.Meant.Serial = serials[0], serials[0]
		return w.run.protected.permitsSerials(w, serials)
	}); err != nil {
		return err
	}
	var entry *ledger.Entry
	if w.serial != "" {
		entry, err = w.run.o.Ledger.Begin(ctx, ledger.Change{
			Command: "applet install", Serial: w.serial, Reader: w.report.Reader,
		})
		if err != nil {
			return err
		}
	}
	a.Ask = w.cardKeys
	w.add(step{name: installing, result: Would})
	err = w.perform(w.later(installing), func() (string, error) {
		_, err := applet.Install(ctx, &java, a, options)
		if errors.Is(err, applet.ErrOnlyLoaded) { // by an earlier run, which was interrupted
			options.Replace = true
			a.Confirm = func(context.Context, desk.Question) error { return nil }
			_, err = applet.Install(ctx, &java, a, options)
		}
		return "", err
	})
	if entry != nil {
		err = errors.Join(err, entry.End(context.WithoutCancel(ctx), err))
	}
	return err
}

// appletOptions are how the applet is installed, as the plan says.
func (r *run) appletOptions(ctx context.Context) (o applet.InstallOptions, err error) {
	p := r.o.Plan.Applet
	wish := applet.InstallWish{
		Domain: domain(p), Applets: p.Applets, Instances: p.Instances, Package: p.Package, Parameters: p.Parameters, Raw: p.RawParameters,
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
	return o, nil
}

func domain(p *plan.Applet) applet.DomainWish {
	return applet.DomainWish{
		ISD: p.ISD, DefaultKeys: p.CardKeys.Word == secret.FactoryValue, RetryKeys: p.RetryKeys, AcceptRandomChallenge: p.AnyChallenge,
		KeyVersion: byte(p.KeyVersion), KeyIndex: byte(p.KeyIndex), Diversification: p.Diversification, Level: p.SecurityLevel,
	}
}
