package inventory

import (
	"context"
	"errors"
	"strings"

	"github.com/cardctl/cardctl/internal/card"
	"github.com/cardctl/cardctl/internal/desk"
	"github.com/cardctl/cardctl/internal/lend"
	"github.com/cardctl/cardctl/internal/p11"
	"github.com/cardctl/cardctl/internal/problem"
)

// named is a key of a token, whose module is at hand.
type named interface {
	// KnownAs is what programs call it.
	KnownAs(ctx context.Context) (p11.KnownAs, error)
	// SerializedID names its certificate to OpenVPN.
	SerializedID(ctx context.Context) (string, error)
}

// InspectNamed is Inspect with what programs call keys and certificates, and with what a
// card tells those who want details.
func InspectNamed(ctx context.Context, d *desk.Desk, a desk.Access, details bool) (Info, error) {
	info, err := inspect(ctx, d, a, details)
	if err == nil {
		err = info.nameForPrograms(ctx, d)
	}
	return info, err
}

// nameForPrograms asks the module that programs load what they call the keys of a card:
// that depends on its version, and on what else the card has. A module that cannot be
// asked hides nothing else: only the end of ctx is an error.
func (i *Info) nameForPrograms(ctx context.Context, d *desk.Desk) error {
	if i.ofToken || strings.HasPrefix(i.Place, desk.SimulatedPrefix) || len(i.Keys)+len(i.Certificates) == 0 {
		return nil
	}
	views, err := i.shown(ctx, d)
	if ctx.Err() != nil {
		return ctx.Err()
	}
	if err != nil {
		i.Unread = append(i.Unread, card.Unread{What: "names for programs", Why: problem.Sentence(err.Error())})
		return nil
	}
	i.Module = views.Module
	for n := range i.Keys {
		k := &i.Keys[n]
		k.KnownAs = views.KnownAs(lend.Wanted(i.Place, k.holder, k.public))
	}
	for n := range i.Certificates {
		c := &i.Certificates[n]
		if c.SerializedID = views.SerializedID(c.Value); c.SerializedID != "" {
			c.Module = views.Module
		}
	}
	return nil
}

// shown is what programs see of the card, without a login: through the module that was
// typed, or else OpenSC's.
func (i *Info) shown(ctx context.Context, d *desk.Desk) (p11.Views, error) {
	name := desk.DefaultModule
	if d.Meant.ModuleTyped {
		name = d.Meant.Module
	}
	ctx, stop := withShare(ctx, d, 1)
	defer stop()
	m, err := d.Modules.Load(ctx, name, i.driver())
	if err != nil {
		return p11.Views{}, err
	}
	views, err := m.Views(ctx, i.Place)
	return views, errors.Join(err, m.Close())
}

// driver is what programs take the card for, empty where OpenSC has a choice: of a card
// with several applications it shows one, and says which if it is asked as programs ask.
func (i *Info) driver() string {
	if len(i.Card.Applications) != 1 || len(i.Keys) == 0 {
		return ""
	}
	return i.Keys[0].holder.Driver
}
