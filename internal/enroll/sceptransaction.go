package enroll

import (
	"bytes"
	"context"
	"encoding/base64"
	"errors"
	"net/http"
	"slices"
	"time"

	"github.com/cardctl/cardctl/internal/advice"
	"github.com/cardctl/cardctl/internal/cert"
	"github.com/cardctl/cardctl/internal/chain"
	"github.com/cardctl/cardctl/internal/cms"
	"github.com/cardctl/cardctl/internal/problem"
	"github.com/cardctl/cardctl/internal/scep"
	"github.com/cardctl/cardctl/internal/secret"
)

// scepTransaction is one request, and what becomes of it.
type scepTransaction struct {
	*scepCA

	o       *Order
	state   scepState
	id      string
	subject []byte
	by      scepIdentity
}

// How a run waits that alone can decrypt the answer.
const (
	firstPause = time.Second
	mostPause  = 30 * time.Second
	patience   = time.Minute // if nobody says how long
	margin     = 2 * time.Second
)

// run sends the request or asks for it, and waits if the answer can be read by this run
// alone.
func (t *scepTransaction) run(ctx context.Context) (answer Answer, err error) {
	if t.state.Reply != nil {
		return t.open(ctx, t.state.Reply)
	}
	until := time.Now().Add(patience)
	if deadline, has := ctx.Deadline(); has {
		until = deadline.Add(-margin)
	}
	sent := t.o.Waiting != nil
	for pause := firstPause; ; pause = min(2*pause, mostPause) {
		reply, err := t.send(ctx, sent)
		if err != nil {
			return answer, err
		}
		if answer, err = t.open(ctx, reply); err != nil || len(answer.Certificates) > 0 || t.by.onCard {
			return answer, err
		}
		if time.Now().Add(pause).After(until) {
			answer.Notes = []string{"The key that reads the answer was one of this run. A server that accepts no other one does not give the certificate to a later run."}
			return answer, nil
		}
		if !sent {
			t.o.Access.Notify("waiting for " + t.address.URL.Host + " to decide")
		}
		sent = true
		select {
		case <-ctx.Done():
			return answer, ctx.Err()
		case <-time.After(pause):
		}
	}
}

// send sends the request, or where it was sent, asks for its answer.
func (t *scepTransaction) send(ctx context.Context, sent bool) ([]byte, error) {
	r := scep.Request{Type: scep.PKCSReq, TransactionID: t.id, SenderNonce: nonce(), Content: t.o.PKCS10, Recipient: t.recipient}
	switch {
	case sent:
		r.Type, r.Content = scep.CertPoll, scep.IssuerAndSubject(t.issuer().RawSubject, t.subject)
	case t.o.Renewal:
		r.Type = scep.RenewalReq
	}
	der, err := r.Encode(ctx, t.by.Signer)
	if err != nil {
		return nil, err
	}
	t.state.Nonce = r.SenderNonce
	const operation = "PKIOperation"
	at := t.at(operation)
	a, err := reply{}, error(nil)
	if t.can.POST {
		a, err = t.server.do(ctx, message{method: http.MethodPost, at: &at, body: der, header: http.Header{"Content-Type": {"application/x-pki-message"}}})
	} else {
		a, err = t.get(ctx, operation, base64.StdEncoding.EncodeToString(der))
	}
	switch {
	case err != nil:
		return nil, err
	case a.status != http.StatusOK:
		return nil, t.server.refusal(a, saidIn(a))
	}
	return a.body, nil
}

// issuer is the certificate of the CA, or of the RA where there is no other.
func (t *scepTransaction) issuer() *cert.Certificate {
	for _, c := range t.authorities {
		if c.IsCA && (c.Equal(t.recipient) || t.recipient.Issuer.Matches(c.Subject)) {
			return c
		}
	}
	return t.recipient
}

// open reads an answer (RFC 8894, 3.3.2) once it is known to be one of the CA.
func (t *scepTransaction) open(ctx context.Context, data []byte) (answer Answer, err error) {
	a, err := scep.ParseAnswer(data)
	if err != nil {
		return answer, t.server.wrong("%s", problem.Sentence(scep.ErrDamaged.Error()))
	}
	switch {
	case !t.isSigned(a):
		return answer, t.server.wrong("The CA did not sign it.")
	case a.TransactionID != t.id:
		return answer, t.server.wrong("It belongs to another transaction.")
	case !bytes.Equal(a.RecipientNonce, t.state.Nonce):
		return answer, t.server.wrong("It answers another message.")
	}
	if t.by.onCard {
		t.state.Certificate = t.by.Certificate.Raw
	}
	switch a.Status {
	case scep.Success:
		return t.issued(ctx, a, data)
	case scep.Pending:
		t.state.Nonce = nil
		answer.Waiting, err = t.state.json()
		return answer, err
	case scep.Failure:
		return answer, t.failed(a)
	}
	return answer, t.server.wrong("Its status is unknown.")
}

// isSigned reports whether one of the authorities signed the answer. SHA-1 is enough: the
// certificate in it is verified by itself, and the request was encrypted without it.
func (t *scepTransaction) isSigned(a *scep.Answer) bool {
	return slices.ContainsFunc(t.authorities, func(c *cert.Certificate) bool {
		var weak chain.Weak
		err := a.Verify(c)
		return err == nil || errors.As(err, &weak) && weak.What == "SHA-1"
	})
}

func (t *scepTransaction) failed(a *scep.Answer) error {
	said := plain(a.Said)
	p := problem.New(problem.Failed, "%s did not issue a certificate", t.address.URL.Host).Because("%s", problem.Sentence(itSaid(said)))
	switch {
	case t.o.Waiting != nil:
		return p.Advise(advice.Repeat(advice.Switch(advice.AskAnew)))
	case t.o.Renewal:
		return p.Advise(advice.Repeat())
	}
	return p.Advise(advice.Repeat(advice.Ask(secret.IssuerSecret)))
}

// issued decrypts the certificate. What a card could not decrypt now is remembered.
func (t *scepTransaction) issued(ctx context.Context, a *scep.Answer, data []byte) (answer Answer, err error) {
	sealed, err := cms.ParseEnveloped(a.Content)
	if err != nil {
		return answer, t.server.wrong("%s", problem.Sentence(err.Error()))
	}
	var failed error
	content, err := sealed.Decrypt(ctx, t.by.Certificate, t.by.decrypt, func(err error) bool {
		if t.by.onCard && cardFailed(ctx, err) {
			failed = err
		}
		return failed != nil
	})
	if failed != nil {
		t.state.Reply = data
		var remembered error
		answer.Waiting, remembered = t.state.json()
		return answer, errors.Join(failed, remembered)
	}
	if err != nil {
		return answer, t.server.wrong("%s", problem.Sentence(err.Error()))
	}
	if answer.Certificates, err = scep.Certificates(content); err != nil {
		return answer, t.server.wrong("Its certificates cannot be read: %s.", scep.ErrDamaged)
	}
	if len(answer.Certificates) == 0 {
		return answer, t.server.wrong("It has no certificate.")
	}
	if len(t.o.Roots) == 0 {
		answer.Roots = slices.DeleteFunc(slices.Clone(t.authorities), func(c *cert.Certificate) bool { return !c.IsCA })
		if len(answer.Roots) == 0 {
			answer.Roots = t.authorities // none of which certifies anybody
		}
	}
	answer.Certificates = slices.Concat(answer.Certificates, t.authorities)
	return answer, nil
}
