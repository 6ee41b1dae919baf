package provision

import (
	"context"
	"crypto"
	"slices"

	"github.com/cardctl/cardctl/internal/ca"
	"github.com/cardctl/cardctl/internal/card"
	"github.com/cardctl/cardctl/internal/desk"
	"github.com/cardctl/cardctl/internal/enroll"
	"github.com/cardctl/cardctl/internal/family"
	"github.com/cardctl/cardctl/internal/ledger"
	"github.com/cardctl/cardctl/internal/plan"
	"github.com/cardctl/cardctl/internal/problem"
	"github.com/cardctl/cardctl/internal/pubkey"
)

// protected are the cards that are never provisioned, whatever a plan and a person say:
// those with the key of an issuer, of the signature of the log, or of a recipient.
type protected struct {
	serials []held
	keys    []heldKey
	// apps are the applications of people's cards in the ledger: one card may have several.
	apps []string
}

// held is a card, and what it holds.
type held struct{ serial, what string }

// heldKey is a key, and whose it is.
type heldKey struct {
	public crypto.PublicKey
	what   string
}

// protect finds out which cards hold what must not be lost.
func (r *run) protect(ctx context.Context) error {
	p := &r.protected
	for name, issuer := range r.rows[0].plan.Issuers {
		what := "the key of the issuer " + name
		if issuer.Serial != "" {
			p.serials = append(p.serials, held{issuer.Serial, what})
		}
		if err := p.desk(ctx, issuer, what); err != nil {
			return err
		}
		if issuer.Key != "" {
			if err := r.officer(ctx, issuer, what); err != nil {
				return err
			}
		}
	}
	for _, recipient := range r.o.Plan.Seal {
		if public := ledger.RecipientKey(recipient); public != nil {
			p.keys = append(p.keys, heldKey{public, "the key of a recipient"})
		}
	}
	if r.o.Ledger == nil {
		return nil
	}
	signers, err := r.o.Ledger.Signers(ctx)
	for _, signer := range signers {
		p.keys = append(p.keys, heldKey{signer, "the key that signs the log of the ledger"})
	}
	if err != nil {
		return err
	}
	p.apps, err = r.o.Ledger.Families(ctx)
	return err
}

// desk protects the card of a CA of this machine.
func (p *protected) desk(ctx context.Context, issuer plan.Issuer, what string) error {
	directory, err := enroll.DeskCA(issuer.URL)
	if directory == "" || err != nil {
		return err
	}
	about, err := ca.About(ctx, directory)
	if err != nil {
		return err
	}
	for _, key := range about.Cards {
		if key.Serial != "" {
			p.serials = append(p.serials, held{key.Serial, what})
		}
		p.keys = append(p.keys, heldKey{key.Certificate.PublicKey, what})
	}
	return nil
}

// officer protects the card that an issuer is reached with: its serial is read from it, and
// where that is not known, its key.
func (r *run) officer(ctx context.Context, issuer plan.Issuer, what string) error {
	d := *r.o.Issuers
	d.Meant = r.issuersCard(&issuer)
	if d.Meant.Reader == "" && d.Meant.Serial == "" {
		return problem.New(problem.Usage, "the card of an issuer is not named").
			Because("A plan that works on several cards has to tell it from them: issuers.….serial or reader.")
	}
	return family.WithLine(ctx, &d, desk.Access{Now: r.access.Now}, func(ctx context.Context, here family.At) error {
		serials, err := family.Serials(ctx, here.Line)
		for _, serial := range serials {
			r.protected.serials = append(r.protected.serials, held{serial, what})
		}
		return err
	})
}

// issuersCard is the selection of the card of an issuer.
func (r *run) issuersCard(issuer *plan.Issuer) desk.Selection {
	s := r.o.Issuers.Meant
	if issuer.Reader != "" || issuer.Serial != "" {
		s = desk.Selection{}
	}
	s.Reader, s.ReaderTyped, s.Serial = issuer.Reader, issuer.Reader != "", issuer.Serial
	return s
}

// permits refuses a card that is never provisioned. A card may have several applications,
// each with a serial and keys, and the plan works with one of them.
func (p *protected) permits(ctx context.Context, w *work) error {
	if m, _ := w.here.Line.Token(); m != nil {
		if err := p.permitsSerials(w, []string{w.serial}); err != nil {
			return err
		}
		return p.permitsKeys(ctx, w, w.card)
	}
	others := slices.ContainsFunc(p.apps, func(app string) bool { return app != w.kind.app })
	if len(p.serials)+len(p.keys) == 0 && !others && w.run.o.Plan.Applet == nil {
		return nil
	}
	if err := p.permitsWhole(ctx, w); err != nil {
		return err
	}
	return w.reopen(ctx) // another application may be selected
}

func (p *protected) permitsWhole(ctx context.Context, w *work) error {
	serials, err := family.Serials(ctx, w.here.Line)
	if err != nil {
		return err
	}
	if err := p.permitsSerials(w, append(serials, w.serial)); err != nil {
		return err
	}
	w.serials = serials
	if w.run.o.Plan.Applet != nil {
		if w.chip, err = family.Chip(ctx, w.here.Line); err != nil {
			return err
		}
	}
	if len(p.keys) == 0 {
		return nil
	}
	return family.VisitOn(ctx, w.here, func(ctx context.Context, c card.Card) error { return p.permitsKeys(ctx, w, c) })
}

func (p *protected) permitsSerials(w *work, serials []string) error {
	for _, one := range p.serials {
		if desk.HasSerial(serials, one.serial) {
			return w.holds9(one.what)
		}
	}
	return nil
}

// permitsKeys looks at the keys of an application.
func (p *protected) permitsKeys(ctx context.Context, w *work, c card.Card) error {
	if len(p.keys) == 0 || c.Identity().Serial == "" { // a blank one has none
		return nil
	}
	keys, err := c.Keys(ctx)
	if err != nil {
		return err
	}
	for _, k := range keys {
		occupant, err := k.Occupant(ctx)
		if err != nil {
			return err
		}
		if occupant == nil {
			continue
		}
		public, err := k.Public(ctx)
		if problem.Is(err, problem.NotFound) || problem.Is(err, problem.NotSupported) {
			continue
		}
		if err != nil {
			return err
		}
		for _, one := range p.keys {
			if pubkey.Same(one.public, public) {
				return w.holds9(one.what)
			}
		}
	}
	return nil
}

// holds9 is the error of a card that is never provisioned.
func (w *work) holds9(what string) error {
	return w.refused("it holds "+what, "Such a card is never provisioned.")
}
