package enroll

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/cardctl/cardctl/internal/advice"
	"github.com/cardctl/cardctl/internal/csr"
	"github.com/cardctl/cardctl/internal/key"
	"github.com/cardctl/cardctl/internal/problem"
)

// answer is what the issuer says, now or before.
func (r *run) answer(ctx context.Context) (answer Answer, err error) {
	wanted := r.wanted()
	switch {
	case r.o.AskAnew:
		r.record.forget()
	case r.record.is(r.lasting, wanted):
		r.order.Asked = r.record.Asked
	case r.record.Waiting != nil:
		return answer, problem.New(problem.Refused, "another request for %s is waiting for its answer", r.order.Ref).
			Because("It was sent to %s on %s.", r.record.Issuer, r.record.Asked.UTC().Format(time.DateTime)).
			AllowedBy(advice.Switch(advice.AskAnew)).Advise(advice.Repeat(advice.Switch(advice.AskAnew)))
	default:
		r.record.forget()
	}
	if r.record.Certificates != nil { // and it is not on the card yet
		r.order.Implied = r.record.Implied
		return r.record.answer()
	}
	if err := r.sign(ctx); err != nil {
		return answer, err
	}
	if err := r.record.asks(r.lasting, wanted, r.order, r.o.Now); err != nil {
		return answer, err
	}
	if r.issuer.Traits().Away {
		if err := r.here.Line.Pause(ctx); err != nil {
			return answer, err
		}
	}
	answer, err = r.issuer.Issue(ctx, r.order)
	r.report.Dropped, r.report.Notes = answer.Dropped, answer.Notes
	r.record.Implied = r.order.Implied
	if answer.Waiting != nil {
		if err == nil {
			err = r.later(answer)
		}
		return answer, errors.Join(r.record.waits(answer.Waiting), err)
	}
	return answer, err
}

// wanted is a digest of what is asked for, without secrets.
func (r *run) wanted() string {
	sum := sha256.New()
	name, _ := r.order.Request.Subject.DER()
	for _, part := range [][]byte{name, []byte(r.order.SID), fmt.Append(nil, r.o.Days, r.o.Renew)} {
		fmt.Fprintf(sum, "%x.", part)
	}
	for _, x := range r.order.Request.Extensions {
		fmt.Fprintf(sum, "%s %t %x.", x.Id, x.Critical, x.Value)
	}
	return fmt.Sprintf("%x", sum.Sum(nil))
}

// later is the error of an issuer that wants to be asked again.
func (r *run) later(a Answer) error {
	when := "The issuer did not say when it will."
	if a.Retry > 0 {
		when = fmt.Sprintf("The issuer asks for the same again in %s.", a.Retry.Round(time.Second))
	}
	return problem.New(problem.Failed, "the issuer has the request, and has not decided yet").
		Because("%s", problem.Sentences(slices.Concat([]string{when, "The request is remembered, and no second one is sent."}, a.Notes)...)).
		Advise(advice.Say("Run the same command again later."))
}

// sign has the card sign the request, unless there is one from before, or none is needed.
func (r *run) sign(ctx context.Context) error {
	o, traits := r.order, r.issuer.Traits()
	if o.Waiting = r.record.Waiting; r.record.Request != nil {
		o.PKCS10 = r.record.Request
		return nil
	}
	if o.Waiting != nil || o.Renewal && traits.Reissues {
		return nil
	}
	signer, err := r.key.Signer(ctx)
	if err == nil {
		o.PKCS10, err = csr.Build(ctx, signer, o.Request)
	}
	return r.cannotSign(err)
}

// signs reports whether the card signs: a request, or what renews the certificate without
// one.
func (r *run) signs(ctx context.Context) (bool, error) {
	if traits := r.issuer.Traits(); r.order.Renewal && traits.Reissues {
		return traits.Renews, nil
	}
	_, err := r.key.Signer(ctx)
	return err == nil, r.cannotSign(err)
}

// cannotSign is the error of a key that cannot sign a request, for an issuer that needs
// one.
func (r *run) cannotSign(err error) error {
	if errors.Is(err, key.ErrCannotSign) && r.issuer.Traits().PublicKeys {
		return nil
	}
	var told *problem.Error
	if errors.Is(err, key.ErrCannotSign) && errors.As(err, &told) {
		told.Why = problem.Sentences(told.Why, "Only a CA of this machine certifies such a key, from its public half: ca:DIR.")
		return told.Advise(advice.Repeat(advice.Fill(advice.Issuer)))
	}
	return err
}

// settle tells the issuer in the end whether its certificate was taken.
// What is remembered may still be taken.
func (r *run) settle(ctx context.Context, answer Answer, refused error) error {
	settler, tells := r.issuer.(Settler)
	if !tells || refused != nil && r.record.Certificates != nil {
		return refused
	}
	if err := settler.Settle(ctx, r.order, answer, refused); err != nil && refused == nil {
		return problem.Wrap(problem.Failed, err, "the certificate is on the card, and the issuer does not know it")
	}
	return refused
}
