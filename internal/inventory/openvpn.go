package inventory

import (
	"context"
	"slices"
	"strings"

	"github.com/cardctl/cardctl/internal/desk"
	"github.com/cardctl/cardctl/internal/p11"
)

// moduleOfCards is the module that makes tokens of cards.
const moduleOfCards = "opensc"

// InspectNamed is Inspect with the names of certificates for OpenVPN.
func InspectNamed(ctx context.Context, d *desk.Desk, a desk.Access) (Info, error) {
	info, err := Inspect(ctx, d, a)
	if err == nil {
		err = info.nameForOpenVPN(ctx, d)
	}
	return info, err
}

// nameForOpenVPN asks OpenSC's module what it calls the tokens with the certificates of a
// card: how it makes names depends on its version. Where it cannot be asked, or the token
// of a certificate is not certain, that has no name.
func (i *Info) nameForOpenVPN(ctx context.Context, d *desk.Desk) error {
	known := func(c Certificate) bool { return c.holder.CertificateID != nil }
	if strings.HasPrefix(i.Place, desk.SimulatedPrefix) || !slices.ContainsFunc(i.Certificates, known) {
		return nil
	}
	listing, err := listModule(ctx, d, moduleOfCards, 1)
	if err != nil {
		return ctx.Err()
	}
	for n := range i.Certificates {
		c := &i.Certificates[n]
		if token := i.tokenOf(c, listing.Tokens); token != nil {
			c.SerializedID, c.Module = token.SerializedID(c.holder.CertificateID), listing.Path
		}
	}
	return nil
}

// tokenOf is the token that has a certificate: the only one of the card, or that of the
// PIN of its key; nil where that is not certain.
func (i *Info) tokenOf(c *Certificate, tokens []p11.Token) *p11.Token {
	var found []p11.Token
	for _, t := range tokens {
		if t.InReader(i.Place) && t.IsCard(c.holder.Serial) && (!c.holder.SeveralPINs || t.IsCalled(c.holder.Token)) {
			found = append(found, t)
		}
	}
	if c.holder.CertificateID == nil || len(found) != 1 {
		return nil
	}
	return &found[0]
}
