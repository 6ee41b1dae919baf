package enroll

import (
	"context"
	"math/big"
	"strings"

	"github.com/cardctl/cardctl/internal/advice"
	"github.com/cardctl/cardctl/internal/cert"
	"github.com/cardctl/cardctl/internal/desk"
	"github.com/cardctl/cardctl/internal/family"
	"github.com/cardctl/cardctl/internal/key"
	"github.com/cardctl/cardctl/internal/problem"
)

// Revocation is a certificate that is to be revoked.
type Revocation struct {
	// SerialNumber is in upper-case hex.
	SerialNumber string
	// Certificate is in DER; nil where it is not at hand. It is known to have the serial
	// number.
	Certificate []byte
	// Reason is a name of RFC 5280, 5.3.1: empty for unspecified, removeFromCRL for the end
	// of a hold.
	Reason string
}

// Revoker is an issuer that revokes what it issued.
type Revoker interface {
	// Revoke revokes a certificate. Of an order it reads who is asked for secrets, the cards,
	// the CAs and the time.
	Revoke(ctx context.Context, o *Order, r Revocation) error
}

// removeFromCRL ends a hold.
const removeFromCRL = "removeFromCRL"

// reason is a reason with its number (RFC 5280, 5.3.1), and its name in EJBCA.
type reason struct {
	name   string
	number int
	ejbca  string
}

func reasons() []reason {
	return []reason{
		{"unspecified", 0, "UNSPECIFIED"}, {"keyCompromise", 1, "KEY_COMPROMISE"}, {"cACompromise", 2, "CA_COMPROMISE"},
		{"affiliationChanged", 3, "AFFILIATION_CHANGED"}, {"superseded", 4, "SUPERSEDED"}, {"cessationOfOperation", 5, "CESSATION_OF_OPERATION"},
		{"certificateHold", 6, "CERTIFICATE_HOLD"}, {removeFromCRL, 8, "REMOVE_FROM_CRL"}, {"privilegeWithdrawn", 9, "PRIVILEGES_WITHDRAWN"},
		{"aACompromise", 10, "AA_COMPROMISE"},
	}
}

// check reads the reason, and refuses a certificate that has another serial number.
func (r *Revocation) check() (found reason, err error) {
	number, ok := new(big.Int).SetString(r.SerialNumber, 16)
	if !ok || number.Sign() <= 0 {
		return found, problem.New(problem.Usage, "not a serial number: %q", r.SerialNumber).Advise(advice.Do(advice.Help))
	}
	if r.Certificate != nil {
		c, err := cert.ParseStored(r.Certificate)
		if err != nil {
			return found, err
		}
		if own, ok := new(big.Int).SetString(c.Serial(), 16); !ok || own.Cmp(number) != 0 {
			return found, problem.New(problem.Mismatch, "the certificate that is to be revoked has another serial number").
				Because("It is %s, and not %s.", c.Serial(), r.SerialNumber).Advise(advice.Do(advice.Help))
		}
	}
	if r.Reason == "" {
		r.Reason = "unspecified"
	}
	for _, known := range reasons() {
		if strings.EqualFold(known.name, r.Reason) {
			r.Reason = known.name
			return known, nil
		}
	}
	return found, problem.New(problem.Usage, "not a reason: %q", r.Reason).Advise(advice.Do(advice.Help))
}

// final refuses a hold, and the end of one, where a revocation is for good.
func (r *Revocation) final(issuer string) error {
	if r.Reason != "certificateHold" && r.Reason != removeFromCRL {
		return nil
	}
	return problem.New(problem.NotSupported, "%s takes no revocation back", issuer).
		Because("It has no hold. Revoke the certificate for another reason, and have another one issued later.").Advise(advice.Do(advice.Help))
}

// Revoke has the issuer at an address revoke a certificate that it issued. An issuer that
// cannot do that is a problem.NotSupported. Options name the CAs, the officer's card, and by
// AuthKey the key of the certificate on the card that is meant, where that may authenticate.
func Revoke(ctx context.Context, d *desk.Desk, a desk.Access, issuer string, r Revocation, o Options) error {
	if _, err := r.check(); err != nil {
		return err
	}
	by, err := Open(issuer)
	if err != nil {
		return err
	}
	revoker, can := by.(Revoker)
	if !can {
		scheme, _, _ := strings.Cut(issuer, ":")
		return problem.New(problem.NotSupported, "cardctl cannot revoke certificates of issuers with %s:", scheme).
			Because("The serial number is %s, and the reason %s.", r.SerialNumber, r.Reason).
			Advise(byTheOperator())
	}
	if o.Now.IsZero() && a.Now != nil {
		o.Now = a.Now()
	}
	order := o.order(a, d.StateDir)
	if order.IssuerDesk == nil {
		order.IssuerDesk = d
	}
	if o.AuthKey == "" {
		return revoker.Revoke(ctx, order, r)
	}
	return family.WithKey(ctx, d, o.AuthKey, a, func(ctx context.Context, here family.At, k key.Key) error {
		certificate, err := authenticating(ctx, k)
		if err != nil {
			return err
		}
		order.Access, order.Ref = here.Access, k.Reference().String()
		order.Auth = Auth{Card: &onCard{Key: k, here: here, o: &o}, Certificate: certificate}
		return revoker.Revoke(ctx, order, r)
	})
}

// byTheOperator is the way that is left.
func byTheOperator() advice.Advice {
	return advice.Say("Have the operator of the CA revoke the certificate.")
}
