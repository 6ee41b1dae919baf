package applet

import (
	"context"
	"errors"
	"fmt"

	"github.com/cardctl/cardctl/internal/desk"
	"github.com/cardctl/cardctl/internal/gp"
)

// Item is one entry of the card's registry in words.
type Item struct {
	AID        gp.AID   `json:"aid"`
	State      string   `json:"state"`
	Privileges []string `json:"privileges"`

	// Package is what an application was installed from, Domain the
	// security domain that the entry belongs to, Version that of a
	// package; empty where the card does not tell.
	Package gp.AID   `json:"package,omitempty"`
	Domain  gp.AID   `json:"domain,omitempty"`
	Version string   `json:"version,omitempty"`
	Modules []gp.AID `json:"modules,omitempty"`

	// Name is the name of a package that is known.
	Name string `json:"name,omitempty"`
}

// Listing is what is on a card.
type Listing struct {
	Reader string `json:"reader"`

	// Protocol is the secure channel that was spoken, KeyVersion the
	// version of the keys, 255 for those that the card came with.
	Protocol   string `json:"protocol"`
	KeyVersion byte   `json:"keyVersion"`

	// State is the life cycle state of the card.
	State string `json:"state"`

	// Incomplete says that the card cut off a list: more may be on it.
	Incomplete   bool   `json:"incomplete,omitempty"`
	Domains      []Item `json:"domains"`
	Applications []Item `json:"applications"`
	Packages     []Item `json:"packages"`
}

// List says what is on the card that is meant.
func List(ctx context.Context, d *desk.Desk, a desk.Access, o Domain) (l *Listing, err error) {
	err = withCard(ctx, d, a, o, func(ctx context.Context, c *card) (err error) {
		l, err = c.list(ctx)
		return explain(err, "applet list", "")
	})
	return l, err
}

func (c *card) list(ctx context.Context) (*Listing, error) {
	if err := c.connect(ctx); err != nil {
		return nil, err
	}
	session := c.domain.Session()
	l := &Listing{
		Reader: c.at.Place, Protocol: session.Protocol.String(), KeyVersion: session.KeyVersion, State: "unknown",
		Domains: []Item{}, Applications: []Item{}, Packages: []Item{},
	}
	var r registry
	issuer, err := optional(r.read(ctx, c.domain, gp.IssuerDomain, nil))
	if err != nil {
		return nil, err
	}
	for _, e := range issuer {
		l.State = e.State()
		l.Domains = append(l.Domains, item(e))
	}
	if err := r.readApplications(ctx, c.domain); err != nil {
		return nil, err
	}
	for _, e := range r.applications {
		if e.SecurityDomain() {
			l.Domains = append(l.Domains, item(e))
		} else {
			l.Applications = append(l.Applications, item(e))
		}
	}
	files, err := c.domain.Files(ctx)
	if err != nil && !errors.Is(err, gp.ErrIncomplete) {
		return nil, err
	}
	for _, e := range files {
		l.Packages = append(l.Packages, item(e))
	}
	l.Incomplete = r.cut || err != nil
	return l, nil
}

// optional takes a list that a card does not give for an empty one: a security
// domain that is not the issuer's does not know all.
func optional(entries []gp.Entry, err error) ([]gp.Entry, error) {
	var refused *gp.CommandError
	if errors.As(err, &refused) {
		return nil, nil
	}
	return entries, err
}

func item(e gp.Entry) Item {
	i := Item{
		AID: e.AID, State: e.State(), Privileges: e.Privileges.Names(), Package: e.File, Domain: e.Domain, Modules: e.Modules,
		Name: packageName(e.AID),
	}
	if len(e.Version) == 2 {
		i.Version = fmt.Sprintf("%d.%d", e.Version[0], e.Version[1])
	}
	return i
}

// Belonging are the AIDs of what belongs to a security domain, as far as the card
// tells.
func (l *Listing) Belonging(domain gp.AID) (list []gp.AID) {
	for _, items := range [][]Item{l.Domains, l.Applications, l.Packages} {
		for _, i := range items {
			if i.Domain.Equal(domain) && !i.AID.Equal(domain) {
				list = append(list, i.AID)
			}
		}
	}
	return list
}
