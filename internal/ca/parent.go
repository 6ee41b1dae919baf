package ca

import (
	"context"
	"crypto"
	"errors"
	"slices"
	"time"

	"github.com/cardctl/cardctl/internal/advice"
	"github.com/cardctl/cardctl/internal/cert"
	"github.com/cardctl/cardctl/internal/csr"
	"github.com/cardctl/cardctl/internal/desk"
	"github.com/cardctl/cardctl/internal/problem"
	"github.com/cardctl/cardctl/internal/secret"
)

// Parent is a CA, and how its key is reached.
type Parent struct {
	Directory string
	Desk      *desk.Desk
	Access    desk.Access
}

// certify has the parent issue the certificate of a CA with a key.
func (p *Parent) certify(ctx context.Context, public crypto.PublicKey, o *InitOptions, now time.Time) (*cert.Certificate, error) {
	profile, err := ReadProfile(ctx, "sub")
	if err != nil {
		return nil, err
	}
	order := Order{PublicKey: public, Names: csr.Options{Subject: o.Subject}, Profile: profile, Days: o.Days}
	issued, err := p.Issue(ctx, order, now)
	if err != nil {
		return nil, err
	}
	return cert.Parse(issued.DER)
}

// Issue has the CA issue a certificate, as the issuer of somebody who has other secrets.
func (p *Parent) Issue(ctx context.Context, o Order, now time.Time) (issued Issued, err error) {
	c, err := Open(ctx, p.Directory)
	if err != nil {
		return issued, err
	}
	issued, err = c.Issue(ctx, p.Desk, IssuersAccess(p.Access), o, now)
	return issued, errors.Join(IssuersAdvice(err, "the parent "+p.Directory), c.Close())
}

// ofIssuer are the secrets of a parent, by those that its own commands ask for.
func ofIssuer() map[secret.Name]secret.Name {
	return map[secret.Name]secret.Name{secret.PIN: secret.IssuerPIN, secret.Password: secret.IssuerSecret}
}

// IssuersAccess asks for the secrets of an issuer by their own names: the caller's are
// those of the card that gets the certificate.
func IssuersAccess(a desk.Access) desk.Access {
	ask := a.Ask
	a.Ask = func(ctx context.Context, q secret.Request) (*secret.Bytes, error) {
		if name, is := ofIssuer()[q.Name]; is {
			q.Name, q.Label = name, "issuer's "+q.Label
		}
		return ask(ctx, q)
	}
	return a
}

// IssuersAdvice has the advice of an error name the secrets of the issuer.
func IssuersAdvice(err error, issuer string) error {
	var known *problem.Error
	if !errors.As(err, &known) {
		return err
	}
	told := problem.Wrap(known.Code, err, issuer)
	told.Next.Values = slices.Clone(told.Next.Values)
	for i, v := range told.Next.Values {
		if name, is := ofIssuer()[secret.Name(v.Field)]; is {
			told.Next.Values[i].Field = advice.Field(name)
		}
	}
	return told
}
