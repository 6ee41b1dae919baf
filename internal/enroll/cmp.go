package enroll

import (
	"context"
	"encoding/json"
	"strings"

	"github.com/cardctl/cardctl/internal/advice"
	"github.com/cardctl/cardctl/internal/cert"
	"github.com/cardctl/cardctl/internal/chain"
	"github.com/cardctl/cardctl/internal/cmp"
	"github.com/cardctl/cardctl/internal/csr"
	"github.com/cardctl/cardctl/internal/key"
	"github.com/cardctl/cardctl/internal/problem"
	"github.com/cardctl/cardctl/internal/pubkey"
	"github.com/cardctl/cardctl/internal/secret"
)

// cmpCA is a CA or RA that speaks CMP, as the profile of RFC 9483 has it.
type cmpCA struct {
	address Address
	// server is kept from the request to its confirmation.
	server *remote
}

// defaultCMP is the path of RFC 9483, 6.1.
const defaultCMP = "/.well-known/cmp"

func openCMP(a Address) (Issuer, error) {
	typed, _, _ := strings.Cut(a.Text, "?")
	switch {
	case strings.HasSuffix(typed, "/"):
		a.URL.Path += "/"
	case a.URL.Path == "":
		a.URL.Path = defaultCMP
	}
	return &cmpCA{address: a}, nil
}

func (i *cmpCA) Traits() Traits {
	return Traits{Away: true, Officer: true, Reissues: true, Renews: true}
}

func (i *cmpCA) Prepare(_ context.Context, o *Order) error {
	if (o.Renewal || o.IssuerKey != "") && !i.address.pins(o) {
		return needsPin("The answers are signed, and nothing tells who may sign them.")
	}
	return i.address.safely(o)
}

// cmpState is what a transaction goes on with. It has no secret.
type cmpState struct {
	Transaction []byte `json:"transaction"`
	// Nonce is that of the last message that came.
	Nonce []byte `json:"nonce"`
	// ID is that of the request for one certificate.
	ID int `json:"id"`
	// Certificate is the one that our messages are signed with, nil where a secret
	// protects them.
	Certificate []byte `json:"certificate,omitempty"`
	// Others are the certificates that came, which later messages may omit.
	Others [][]byte `json:"others,omitempty"`
	// Confirmed says that no confirmation is expected.
	Confirmed bool `json:"confirmed,omitempty"`
}

func (s *cmpState) json() (json.RawMessage, error) { return json.Marshal(s) }

func readCMPState(text json.RawMessage) (s cmpState, err error) {
	if err = json.Unmarshal(text, &s); err != nil {
		return s, problem.Wrap(problem.Failed, err, "what is remembered of the request cannot be read").
			Advise(advice.Repeat(advice.Switch(advice.AskAnew)))
	}
	return s, nil
}

func (i *cmpCA) Issue(ctx context.Context, o *Order) (answer Answer, err error) {
	state := cmpState{ID: cmp.IDOfRequest}
	if o.Waiting != nil {
		if state, err = readCMPState(o.Waiting); err != nil {
			return answer, err
		}
	}
	err = i.begin(ctx, o, state, func(ctx context.Context, t *cmpTransaction) error {
		body := cmp.NewPoll(t.state.ID)
		if o.Waiting == nil {
			if body, err = t.request(ctx); err != nil {
				return err
			}
		}
		answer, err = t.ask(ctx, body)
		return err
	})
	return answer, err
}

// Settle confirms or rejects the certificate (RFC 9483, 4.1.1).
func (i *cmpCA) Settle(ctx context.Context, o *Order, a Answer, refused error) error {
	state, err := readCMPState(a.Unsettled)
	if err != nil || state.Confirmed {
		return err
	}
	issued := a.Certificates[0]
	body, err := cmp.NewConfirmation(cmp.Confirmation{
		ID: state.ID, Certificate: issued.Raw, Digest: chain.DigestOf(issued), Refused: refused != nil,
	})
	if err != nil {
		return err
	}
	return i.begin(ctx, o, state, func(ctx context.Context, t *cmpTransaction) error {
		defer t.server.close()
		return t.confirm(ctx, body)
	})
}

// begin works with what protects the messages: a secret, the officer's card, or a
// certificate on the card.
func (i *cmpCA) begin(ctx context.Context, o *Order, state cmpState, work func(context.Context, *cmpTransaction) error) error {
	t := &cmpTransaction{address: i.address, o: o, state: state}
	others, err := decoded(state.Others)
	if err != nil {
		return err
	}
	t.others = others
	if i.server == nil {
		if i.server, err = i.address.reach(o); err != nil {
			return err
		}
	}
	t.server = i.server
	if o.IssuerKey != "" {
		return withOfficer(ctx, o, func(ctx context.Context, k key.Key, certificate []byte) error {
			if err := t.signWith(ctx, k, certificate); err != nil {
				return err
			}
			return work(ctx, t)
		})
	}
	if state.Certificate == nil && !o.Renewal {
		if t.secret, err = i.secret(ctx, o); err != nil {
			return err
		}
		defer t.secret.Wipe()
	}
	if t.secret != nil {
		t.protection, err = cmp.WithSecret(i.address.User, t.secret)
	} else {
		own := o.Auth.Certificate
		if state.Certificate != nil {
			own = state.Certificate
		}
		err = t.signWith(ctx, o.Auth.Card, own)
	}
	if err != nil {
		return err
	}
	return work(ctx, t)
}

// secret is the one that is shared with the CA, nil where there is none, and a certificate
// on the card takes its place.
func (i *cmpCA) secret(ctx context.Context, o *Order) (*secret.Bytes, error) {
	q := secret.Request{Name: secret.IssuerSecret, Label: "secret shared with " + i.address.URL.Host}
	if i.address.User != "" {
		q.Label += " for " + i.address.User
	}
	q.Optional = i.address.User == "" && len(o.Current) > 0
	return o.Access.Ask(ctx, q)
}

// signWith protects messages with signatures (RFC 9483, 3.2).
func (t *cmpTransaction) signWith(ctx context.Context, k cmpKey, certificate []byte) error {
	if !t.address.pins(t.o) {
		return needsPin("The answers are signed, and nothing tells who may sign them.")
	}
	own, err := cert.ParseStored(certificate)
	if err != nil {
		return problem.Wrap(problem.Mismatch, err, "the certificate that authenticates cannot be read")
	}
	signer, err := k.Signer(ctx)
	if err != nil {
		return err
	}
	if !pubkey.Same(own.PublicKey, signer.Public()) {
		return problem.New(problem.Mismatch, "the certificate that authenticates is not for its key").Advise(advice.Do(advice.ShowCard))
	}
	signing, err := csr.NewSigning(signer, csr.Signature{PSS: t.o.Request.PSS && pubkey.IsRSA(signer.Public())})
	if err != nil {
		return err
	}
	t.state.Certificate = own.Raw
	t.protection = cmp.Protection{
		Sender: own.RawSubject, KeyID: own.SubjectKeyId, Algorithm: signing.Algorithm(),
		Certificates: [][]byte{own.Raw}, Protect: signing.Sign,
	}
	return nil
}
