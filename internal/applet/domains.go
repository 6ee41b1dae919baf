package applet

import (
	"context"
	"errors"
	"fmt"

	"github.com/cardctl/cardctl/internal/advice"
	"github.com/cardctl/cardctl/internal/desk"
	"github.com/cardctl/cardctl/internal/gp"
	"github.com/cardctl/cardctl/internal/iso7816"
	"github.com/cardctl/cardctl/internal/problem"
)

// domainPackage is a package from which cards make security domains, and its applet.
type domainPackage struct{ file, module gp.AID }

// domainPackages are those that cards have: GlobalPlatform's, and that of Open
// Platform.
func domainPackages() []domainPackage {
	return []domainPackage{
		{gp.AID{0xA0, 0x00, 0x00, 0x01, 0x51, 0x53, 0x50}, gp.AID{0xA0, 0x00, 0x00, 0x01, 0x51, 0x53, 0x50, 0x41}},
		{gp.AID{0xA0, 0x00, 0x00, 0x00, 0x03, 0x53, 0x50}, gp.AID{0xA0, 0x00, 0x00, 0x00, 0x03, 0x53, 0x50, 0x41}},
	}
}

// CreateDomainOptions is what CreateDomain shall do.
type CreateDomainOptions struct {
	Domain     Domain
	AID        gp.AID
	Privileges gp.Privileges // in addition to that of a security domain

	// Parameters is the value of C9; nil for the secure channel that is spoken.
	// RawParameters is the whole field, in its place.
	Parameters, RawParameters []byte
}

// DomainReport is a security domain, and what belongs to it where that was changed.
type DomainReport struct {
	Reader     string   `json:"reader"`
	AID        gp.AID   `json:"aid"`
	Domain     gp.AID   `json:"domain,omitempty"` // that it belongs to
	Privileges []string `json:"privileges,omitempty"`
	State      string   `json:"state,omitempty"`
}

// CreateDomain makes a supplementary security domain (7.3) on the card that is meant.
// It has no keys of its own yet: the domain that made it is asked until it gets some.
func CreateDomain(ctx context.Context, d *desk.Desk, a desk.Access, o CreateDomainOptions) (report *DomainReport, err error) {
	const what = "applet domain create"
	if err := o.AID.Check(); err != nil {
		return nil, problem.Wrap(problem.Usage, err, what)
	}
	report = &DomainReport{AID: o.AID}
	return report, withCard(ctx, d, a, o.Domain, func(ctx context.Context, c *card) error {
		report.Reader = c.at.Place
		w := &domainWork{card: c, state: unchanged}
		err := w.create(ctx, o, report)
		return explain(err, what, w.state)
	})
}

// domainWork is one run of CreateDomain or Extradite.
type domainWork struct {
	*card
	registry
	state string
}

func (w *domainWork) create(ctx context.Context, o CreateDomainOptions, report *DomainReport) error {
	if err := w.connect(ctx); err != nil {
		return err
	}
	if err := w.readApplications(ctx, w.domain); err != nil {
		return err
	}
	if find(w.applications, o.AID) != nil || o.AID.Equal(w.domain.AID()) {
		return problem.New(problem.Refused, "an application or security domain %s is already on the card", o.AID).Advise(advice.Do(advice.ListApplets))
	}
	source, err := w.source(ctx)
	if err != nil {
		return err
	}
	i := gp.Instance{File: source.file, Module: source.module, AID: o.AID, Privileges: o.Privileges | gp.SecurityDomainPrivilege, Parameters: o.RawParameters}
	if i.Parameters == nil {
		own := o.Parameters
		if own == nil {
			const tagSecureChannel = 0x81 // its protocol, and the parameter "i" (UICC configuration, 11.1)
			p := w.domain.Session().Protocol
			own = iso7816.AppendTLV(nil, tagSecureChannel, []byte{p.SCP, p.I})
		}
		i.Parameters = gp.InstallParameters(own, gp.Memory{}, nil)
	}
	if err := w.domain.InstallAndMakeSelectable(ctx, i); err != nil {
		if !unclear(err) {
			return err
		}
		if w.state = fmt.Sprintf("It is not known whether the card has the security domain %s.", o.AID); w.reopen(ctx) != nil {
			return err
		}
		if there, looked := w.shown(ctx, o.AID, report); looked != nil || !there {
			if looked == nil {
				w.state = unchanged
			}
			return err
		}
		return nil
	}
	w.state = fmt.Sprintf("The card has the security domain %s.", o.AID)
	there, err := w.shown(ctx, o.AID, report)
	if err == nil && !there {
		err = problem.New(problem.Failed, "the card confirmed the security domain and does not have %s", o.AID).Advise(advice.Do(advice.ListApplets))
	}
	return err
}

// source finds the package that security domains are made from: one that the card
// lists, else GlobalPlatform's, which cards have without listing it.
func (w *domainWork) source(ctx context.Context) (domainPackage, error) {
	if err := w.readFiles(ctx, w.domain); err != nil {
		return domainPackage{}, err
	}
	for _, p := range domainPackages() {
		if find(w.files, p.file) != nil {
			return p, nil
		}
	}
	return domainPackages()[0], nil
}

// shown reads back what is on the card under an AID.
func (w *domainWork) shown(ctx context.Context, aid gp.AID, report *DomainReport) (bool, error) {
	for _, kind := range []gp.Kind{gp.Application, gp.LoadFile} {
		entries, err := w.read(ctx, w.domain, kind, aid)
		if err != nil {
			return false, err
		}
		if e := find(entries, aid); e != nil {
			report.Domain, report.State, report.Privileges = e.Domain, e.State(), e.Privileges.Names()
			return true, nil
		}
	}
	return false, nil
}

// ExtraditeOptions is what Extradite shall do: AID is an application, package or
// security domain, To the security domain that it shall belong to.
type ExtraditeOptions struct {
	Domain  Domain
	AID, To gp.AID
}

// Extradite gives an application, package or security domain to another security
// domain (11.5.2.3.4) on the card that is meant.
func Extradite(ctx context.Context, d *desk.Desk, a desk.Access, o ExtraditeOptions) (report *DomainReport, err error) {
	const what = "applet domain extradite"
	if err := errors.Join(o.AID.Check(), o.To.Check()); err != nil {
		return nil, problem.Wrap(problem.Usage, err, what)
	}
	report = &DomainReport{AID: o.AID}
	return report, withCard(ctx, d, a, o.Domain, func(ctx context.Context, c *card) error {
		report.Reader = c.at.Place
		w := &domainWork{card: c, state: unchanged}
		err := w.extradite(ctx, o, report)
		return explain(err, what, w.state)
	})
}

func (w *domainWork) extradite(ctx context.Context, o ExtraditeOptions, report *DomainReport) error {
	if err := w.connect(ctx); err != nil {
		return err
	}
	if err := w.confirm(ctx, func(ctx context.Context) (wording, error) { return w.look(ctx, o, report) }); err != nil {
		return err
	}
	err := w.domain.Extradite(ctx, o.AID, o.To)
	if err != nil && !unclear(err) {
		return err
	}
	w.state = fmt.Sprintf("It is not known which security domain %s belongs to.", o.AID)
	if err != nil && w.reopen(ctx) != nil {
		return err
	}
	there, looked := w.shown(ctx, o.AID, report)
	switch {
	case looked != nil && err == nil:
		return looked
	case err == nil && (!there || report.Domain == nil):
		report.Domain = o.To // the card does not tell, and confirmed it
		return nil
	case there && report.Domain.Equal(o.To):
		return nil
	case err == nil:
		err = problem.New(problem.Failed, "the card confirmed the extradition, and %s belongs to %s", o.AID, report.Domain).Advise(advice.Do(advice.ListApplets))
	case there && report.Domain != nil:
		w.state = fmt.Sprintf("%s belongs to %s.", o.AID, report.Domain)
	}
	return err
}

// look sees whether both are on the card, and words the question: only who has the
// keys of the other security domain can take this back.
func (w *domainWork) look(ctx context.Context, o ExtraditeOptions, report *DomainReport) (wording, error) {
	there, err := w.shown(ctx, o.AID, report)
	if err != nil {
		return nil, err
	}
	if !there {
		return nil, problem.New(problem.NotFound, "the card has no application, package or security domain %s", o.AID).Advise(advice.Do(advice.ListApplets))
	}
	w.registry = registry{}
	if err := w.readApplications(ctx, w.domain); err != nil {
		return nil, err
	}
	if to := find(w.applications, o.To); !o.To.Equal(w.domain.AID()) && (to == nil && !w.cut || to != nil && !to.SecurityDomain()) {
		return nil, problem.New(problem.NotFound, "the card has no security domain %s", o.To).Advise(advice.Do(advice.ListApplets))
	}
	return func(card string) advice.Question {
		return advice.Question{
			Deed: fmt.Sprintf("Give %s to the security domain %s on", o.AID, o.To), Subject: card,
			Lost: "Afterwards only the card keys of that security domain manage it.",
		}
	}, nil
}
