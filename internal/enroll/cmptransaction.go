package enroll

import (
	"bytes"
	"context"
	"crypto"
	"crypto/rand"
	"errors"
	"net/http"
	"slices"

	"github.com/cardctl/cardctl/internal/advice"
	"github.com/cardctl/cardctl/internal/cert"
	"github.com/cardctl/cardctl/internal/cmp"
	"github.com/cardctl/cardctl/internal/csr"
	"github.com/cardctl/cardctl/internal/problem"
	"github.com/cardctl/cardctl/internal/pubkey"
	"github.com/cardctl/cardctl/internal/secret"
)

// cmpKey is a key that signs messages.
type cmpKey interface {
	Signer(ctx context.Context) (crypto.Signer, error)
}

// cmpTransaction is one transaction with the server, or what is left of it.
type cmpTransaction struct {
	address    Address
	o          *Order
	server     *remote
	protection cmp.Protection
	// secret is nil where signatures protect the messages.
	secret *secret.Bytes
	state  cmpState
	// others came with the messages.
	others []*cert.Certificate
}

// request is the first message: a PKCS#10, or where a certificate is to be renewed, an
// update of it.
func (t *cmpTransaction) request(ctx context.Context) (cmp.Body, error) {
	o := t.o
	if !o.Renewal {
		return cmp.NewRequest(o.PKCS10), nil
	}
	current, err := cert.ParseStored(o.Current)
	if err != nil {
		return cmp.Body{}, err
	}
	signer, err := o.Card.Signer(ctx)
	if err != nil {
		return cmp.Body{}, err
	}
	signing, err := csr.NewSigning(signer, csr.Signature{Digest: o.Request.Digest, PSS: o.Request.PSS})
	if err != nil {
		return cmp.Body{}, err
	}
	t.state.ID = 0
	update := cmp.Update{
		Extensions: o.Request.Extensions, Issuer: current.RawIssuer, Serial: current.SerialNumber,
		Algorithm: signing.Algorithm(), Sign: signing.Sign,
	}
	if update.Subject, err = o.Request.Subject.DER(); err != nil {
		return cmp.Body{}, err
	}
	if update.PublicKey, err = pubkey.Marshal(o.PublicKey); err != nil {
		return cmp.Body{}, err
	}
	return cmp.NewUpdate(ctx, update)
}

// ask sends a message, and where the answer takes time, asks once when it will be there
// (RFC 9483, 4.4).
func (t *cmpTransaction) ask(ctx context.Context, body cmp.Body) (answer Answer, err error) {
	for range 2 {
		m, err := t.exchange(ctx, body)
		if err != nil {
			return answer, err // the first message may have come
		}
		switch m.Kind {
		case cmp.CP, cmp.KUP:
			response, err := m.Response()
			switch {
			case err != nil:
				return Answer{}, t.damaged(err)
			case response.ID > 0:
				return Answer{}, t.server.wrong("It answers another request.")
			case response.Status.Code != cmp.Waiting:
				return t.issued(m, response)
			}
			t.state.ID = response.ID
		case cmp.PollRep:
			id, after, err := m.Poll()
			if err != nil {
				return answer, t.damaged(err)
			}
			t.state.ID, answer.Retry = id, after
			answer.Waiting, err = t.state.json()
			return answer, err
		case cmp.Error:
			said, err := m.Problem()
			switch {
			case err != nil:
				return Answer{}, t.damaged(err)
			case said.Code != cmp.Waiting:
				return Answer{}, t.refused(said)
			}
		default:
			return Answer{}, t.server.wrong("It is a message of another kind (%d).", m.Kind)
		}
		if answer.Waiting, err = t.state.json(); err != nil {
			return answer, err
		}
		body = cmp.NewPoll(t.state.ID)
	}
	return answer, nil
}

// issued is the answer that has the certificate.
func (t *cmpTransaction) issued(m *cmp.Message, r cmp.Response) (answer Answer, err error) {
	switch {
	case r.Status.Code != cmp.Accepted && r.Status.Code != cmp.GrantedWithMods:
		return answer, t.refused(r.Status)
	case r.Certificate == nil:
		return answer, t.server.wrong("It has no certificate.")
	}
	t.state.ID, t.state.Confirmed = r.ID, m.ImplicitConfirm
	if r.Status.Code == cmp.GrantedWithMods {
		answer.Dropped = []string{cmp.GrantedWithMods.String()}
		if said := plain(r.Status.String()); said != "" {
			answer.Dropped = []string{said}
		}
	}
	if answer.Unsettled, err = t.state.json(); err != nil {
		return answer, err
	}
	answer.Certificates = slices.Concat([]*cert.Certificate{r.Certificate}, m.Extra, r.CAs)
	switch {
	case t.address.Fingerprint != nil:
		answer.Roots = t.address.pinned(t.o, slices.Concat(answer.Certificates, t.others))
		if len(answer.Roots) == 0 {
			return answer, t.server.wrong("No certificate with the fingerprint came with it.")
		}
	case len(t.o.Roots) == 0: // the secret vouches for them
		answer.Roots = r.CAs
	}
	return answer, nil
}

// confirm sends the confirmation of a certificate.
func (t *cmpTransaction) confirm(ctx context.Context, body cmp.Body) error {
	m, err := t.exchange(ctx, body)
	if err != nil {
		return err
	}
	switch m.Kind {
	case cmp.PKIConf:
		return nil
	case cmp.Error:
		said, err := m.Problem()
		if err != nil {
			return t.damaged(err)
		}
		return t.refused(said)
	}
	return t.server.wrong("It is a message of another kind (%d).", m.Kind)
}

// exchange sends a message and verifies the answer.
func (t *cmpTransaction) exchange(ctx context.Context, body cmp.Body) (*cmp.Message, error) {
	if t.state.Transaction == nil {
		t.state.Transaction = nonce()
	}
	r := cmp.Request{
		Time: t.o.Now(), TransactionID: t.state.Transaction, SenderNonce: nonce(), RecipNonce: t.state.Nonce, Body: body,
	}
	if len(t.o.Roots) == 1 {
		r.Recipient = t.o.Roots[0].RawSubject
	}
	message, err := r.Encode(ctx, t.protection)
	if err != nil {
		return nil, err
	}
	a, err := t.server.do(ctx, ofCMP(message))
	if err != nil {
		return nil, err
	}
	m, err := cmp.Parse(a.body)
	switch {
	case err != nil && a.status != http.StatusOK:
		return nil, t.server.refusal(a, saidIn(a))
	case err != nil:
		return nil, t.damaged(err)
	}
	if err := t.verify(ctx, m); err != nil {
		return nil, err
	}
	switch {
	case m.Version != cmp.Version2 && m.Version != cmp.Version3:
		return nil, t.server.wrong("It is of another version of CMP.")
	case !bytes.Equal(m.TransactionID, r.TransactionID):
		return nil, t.server.wrong("It belongs to another transaction.")
	case !bytes.Equal(m.RecipNonce, r.SenderNonce):
		return nil, t.server.wrong("It answers another message.")
	case len(m.SenderNonce) == 0:
		return nil, t.server.wrong("It has no nonce.")
	}
	t.state.Nonce = m.SenderNonce
	return m, nil
}

func ofCMP(body []byte) message {
	const media = "application/pkixcmp" // RFC 9811, 3.3
	return message{method: http.MethodPost, body: body, header: http.Header{"Content-Type": {media}, "Accept": {media}}}
}

// nonce is a random one, or a transaction ID.
func nonce() []byte {
	b := make([]byte, cmp.NonceLength)
	_, _ = rand.Read(b) // never fails
	return b
}

func (t *cmpTransaction) damaged(err error) error {
	return t.server.wrong("%s", problem.Sentence(err.Error()))
}

// refused is the error of a server that says no.
func (t *cmpTransaction) refused(s cmp.Status) *problem.Error {
	p := problem.New(problem.Failed, "%s did not issue a certificate", t.address.URL.Host).
		Because("%s", problem.Sentence(itSaid(plain(s.String()))))
	if t.o.Waiting != nil {
		return p.Advise(advice.Repeat(advice.Switch(advice.AskAnew)))
	}
	return p.Advise(advice.Repeat())
}

// verify verifies what protects the answer. One that nothing protects is shown where it
// says no, and is believed for nothing else.
func (t *cmpTransaction) verify(ctx context.Context, m *cmp.Message) error {
	switch {
	case !m.Protected():
		return t.unprotected(m)
	case m.Signed():
		return t.verifySignature(ctx, m)
	case t.secret == nil:
		return t.damaged(cmp.ErrUnknown)
	}
	if err := m.VerifySecret(t.secret); err != nil {
		p := problem.New(problem.Mismatch, "the answer of %s cannot be used", t.address.URL.Host).Because("%s", problem.Sentence(err.Error()))
		if errors.Is(err, cmp.ErrWrong) {
			p.Why += " Its secret may be another one."
			return p.Advise(advice.Repeat(advice.Ask(issuerSecret)))
		}
		return p
	}
	return nil
}

func (t *cmpTransaction) unprotected(m *cmp.Message) error {
	said, err := m.Problem()
	if m.Kind != cmp.Error || err != nil {
		return t.damaged(cmp.ErrUnprotected)
	}
	p := t.refused(said)
	p.Why += " Nothing proves that the CA said so."
	return p
}
