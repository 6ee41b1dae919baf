package ca

import (
	"context"
	"slices"
	"time"

	"github.com/cardctl/cardctl/internal/advice"
	"github.com/cardctl/cardctl/internal/cert"
	"github.com/cardctl/cardctl/internal/problem"
	"github.com/cardctl/cardctl/internal/pubkey"
)

// again refuses to issue a certificate again that is not a valid one of this CA, and takes
// the profile from it, if there is no other.
func (c *CA) again(ctx context.Context, o *Order, now time.Time) error {
	serial, err := c.Issued(ctx, o.Again)
	if err != nil {
		return err
	}
	e, err := c.entry(ctx, serial)
	switch {
	case err != nil:
		return err
	case e.state(now) != Valid:
		return problem.New(problem.Refused, "a certificate that is %s is not renewed", e.state(now)).
			Advise(advice.Do(advice.Enroll, advice.Fill(advice.Subject)))
	case o.Again.IsCA:
		return problem.New(problem.NotSupported, "the certificate of a CA is not renewed like this").Advise(c.look())
	case o.Profile.Name != "":
		return nil
	case !slices.Contains(ProfileNames(), e.Profile):
		return problem.New(problem.Usage, "the certificate was issued with the profile %s, which is not here", e.Profile).
			Because("Name it in the address of the issuer: ca:DIR?profile=FILE.").Advise(advice.Repeat(advice.Fill(advice.Issuer)))
	}
	o.Profile, err = ReadProfile(ctx, e.Profile)
	return err
}

// subjectAgain is that of the certificate that is issued again.
func (o *Order) subjectAgain() (s subject, err error) {
	s = subject{name: o.Again.RawSubject, public: o.Again.RawSubjectPublicKeyInfo, key: o.Again.PublicKey, text: o.Again.Subject.String()}
	if o.PublicKey != nil && !pubkey.Same(o.PublicKey, s.key) {
		s.key = o.PublicKey
		if s.public, err = pubkey.Marshal(s.key); err != nil {
			return s, problem.Wrap(problem.NotSupported, err, "the public key cannot be encoded")
		}
	}
	if x, has := o.Again.Extension(cert.OIDSubjectAltName); has {
		names, err := cert.GeneralNames(x.Value)
		if err != nil {
			return s, err
		}
		for _, name := range names {
			s.add(name.DER())
		}
	}
	if err := o.suits(s.key); err != nil {
		return s, err
	}
	return s, weak(s.key)
}
