package gp

import (
	"context"

	"github.com/cardctl/cardctl/internal/iso7816"
)

// SetCardState is SET STATUS (11.10) of the issuer security domain, whose life
// cycle is that of the card (5.1). Only the states forward, CARD_LOCKED and back
// to SECURED exist. TERMINATED is not among them: nothing revives such a card.
func (d *SecurityDomain) SetCardState(ctx context.Context, state LifeCycle) error {
	switch state {
	case CardInitialized, CardSecured, CardLocked:
		return d.setStatus(ctx, IssuerDomain, state, nil)
	}
	return malformed("the card state %02X cannot be set", byte(state))
}

// Lock is SET STATUS (11.10) that locks an application or a supplementary security
// domain, and Unlock takes it back to the state that it was locked in (5.3.1).
func (d *SecurityDomain) Lock(ctx context.Context, aid AID) error {
	return d.setStatus(ctx, Application, applicationLocked, aid)
}

// Unlock is the opposite of Lock.
func (d *SecurityDomain) Unlock(ctx context.Context, aid AID) error {
	return d.setStatus(ctx, Application, 0, aid)
}

func (d *SecurityDomain) setStatus(ctx context.Context, kind Kind, state LifeCycle, aid AID) error {
	_, err := d.send(ctx, "SET STATUS", iso7816.Command{CLA: classGP, INS: insSetStatus, P1: byte(kind), P2: byte(state), Data: aid})
	return err
}

// Locked reports whether an application, or a security domain that is not the
// issuer's, is locked (5.3.1.3).
func (e *Entry) Locked() bool { return e.Kind == Application && e.LifeCycle&applicationLocked != 0 }
