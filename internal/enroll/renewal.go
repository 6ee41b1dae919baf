package enroll

import (
	"context"

	"github.com/cardctl/cardctl/internal/advice"
	"github.com/cardctl/cardctl/internal/cert"
	"github.com/cardctl/cardctl/internal/certstore"
	"github.com/cardctl/cardctl/internal/csr"
	"github.com/cardctl/cardctl/internal/family"
	"github.com/cardctl/cardctl/internal/key"
	"github.com/cardctl/cardctl/internal/problem"
	"github.com/cardctl/cardctl/internal/pubkey"
)

// due is the certificate of the key, if it is to be renewed now; nil if it is not. Another
// one with its names is asked for.
func (r *run) due(ctx context.Context) (*cert.Certificate, error) {
	current, err := r.renewable(ctx)
	if err != nil {
		return nil, err
	}
	if until := current.NotAfter; r.o.Before > 0 && r.record.Certificates == nil && r.record.Of == nil && r.o.Now.Add(r.o.Before).Before(until) {
		r.report.NotDue, r.report.Certificate = true, certstore.Describe(r.order.Current, r.order.PublicKey)
		return nil, nil
	}
	r.order.Request = csr.Again(current)
	return current, r.authenticateWith(ctx)
}

// renewable is the certificate of the key, or of the one that a new key has replaced.
func (r *run) renewable(ctx context.Context) (*cert.Certificate, error) {
	o := r.order
	if r.o.NewKey {
		if before, err := r.replaced(ctx); err != nil || before != nil {
			return before, err
		}
	}
	if len(o.Current) == 0 {
		return nil, problem.New(problem.NotFound, "%s has no certificate that could be renewed", o.Ref).
			Advise(advice.Do(advice.Enroll, advice.Set(advice.Key, o.Ref), advice.Fill(advice.Subject), advice.Fill(advice.Issuer)))
	}
	current, err := cert.ParseStored(o.Current)
	if err != nil || !pubkey.Same(current.PublicKey, o.PublicKey) {
		return nil, problem.New(problem.Mismatch, "the certificate of %s is not for this key", o.Ref).
			Advise(advice.Do(advice.ShowCard))
	}
	return current, nil
}

// renewedBy is the address of the issuer.
func (r *run) renewedBy() string {
	if r.o.Issuer != "" {
		return r.o.Issuer
	}
	return r.record.Certifier
}

// authenticateWith finds the other key that authenticates a renewal.
func (r *run) authenticateWith(ctx context.Context) error {
	if r.o.AuthKey == "" {
		if r.o.NewKey { // the key that could is lost by then
			r.order.Auth = Auth{}
		}
		return nil
	}
	ref, kind, err := family.Parse(r.o.AuthKey)
	if err != nil {
		return err
	}
	if _, own, err := family.Parse(r.order.Ref); err != nil || own.Kind != kind.Kind {
		return problem.New(problem.Usage, "%s is not a key of the same application", ref).Advise(advice.Repeat().Without(advice.AuthKey))
	}
	if r.o.NewKey && ref.String() == r.order.Ref {
		return problem.New(problem.Usage, "the key that is replaced cannot authenticate its renewal").
			Because("It is lost before anything is sent.").Advise(advice.Repeat().Without(advice.AuthKey))
	}
	other, err := r.here.Card.Key(ctx, ref)
	if err != nil {
		return err
	}
	certificate, err := authenticating(ctx, other)
	if err != nil {
		return err
	}
	r.order.Auth = Auth{Card: &onCard{Key: other, here: r.here, o: r.o}, Certificate: certificate}
	return nil
}

// plan tells what would be asked for.
func (r *run) plan(ctx context.Context) error {
	subject, err := r.order.subject()
	if err != nil {
		return err
	}
	names, err := r.order.altNames()
	if err != nil {
		return err
	}
	p := &Plan{Subject: subject.String(), Algorithm: string(key.AlgorithmOf(r.order.PublicKey))}
	for _, name := range names {
		p.Names = append(p.Names, told(name))
	}
	p.Signed, err = r.signs(ctx)
	r.report.Plan = p
	return err
}
