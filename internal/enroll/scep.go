package enroll

import (
	"context"
	"encoding/json"
	"net/http"
	"net/url"

	"github.com/cardctl/cardctl/internal/advice"
	"github.com/cardctl/cardctl/internal/cert"
	"github.com/cardctl/cardctl/internal/csr"
	"github.com/cardctl/cardctl/internal/problem"
	"github.com/cardctl/cardctl/internal/pubkey"
	"github.com/cardctl/cardctl/internal/scep"
	"github.com/cardctl/cardctl/internal/secret"
)

// scepCA is a CA or RA that speaks SCEP (RFC 8894).
type scepCA struct {
	address Address
	server  *remote
	can     scep.Capabilities
	// authorities are the certificates of the CA and its RAs that are believed, recipient
	// the one that requests are encrypted to.
	authorities []*cert.Certificate
	recipient   *cert.Certificate
}

// scepIdentifier is the parameter with the name of a CA, where a server has several.
const scepIdentifier = "ca"

// defaultSCEP is the path of RFC 8894, 4.1.
const defaultSCEP = "/cgi-bin/pkiclient.exe"

func openSCEP(a Address) (Issuer, error) {
	if a.URL.Path == "" {
		a.URL.Path = defaultSCEP
	}
	return &scepCA{address: a}, nil
}

func (i *scepCA) Traits() Traits { return Traits{Away: true, Renews: true} }

// Prepare finds out what the CA can do and who it is, and asks for the challenge password.
func (i *scepCA) Prepare(ctx context.Context, o *Order) (err error) {
	if err := i.address.safely(o); err != nil {
		return err
	}
	if o.Renewal && !pubkey.IsRSA(scepRenewedWith(o)) {
		return noSCEPRenewal(o)
	}
	if i.server, err = i.address.reach(o); err != nil {
		return err
	}
	if err := i.capabilities(ctx, o); err != nil {
		return err
	}
	if err := i.authenticate(ctx, o); err != nil {
		return err
	}
	o.Request.Challenge, err = csr.AskChallengeAs(ctx, o.Access.Ask, secret.Request{
		Name: secret.IssuerSecret, Label: "challenge password of " + i.address.URL.Host, Optional: true,
	})
	return err
}

// scepRenewedWith is the key that authenticates a renewal, nil where it has no certificate.
func scepRenewedWith(o *Order) any {
	c, err := cert.ParseStored(o.Auth.Certificate)
	if err != nil {
		return nil
	}
	return c.PublicKey
}

// noSCEPRenewal is the error of a key that cannot renew its certificate.
func noSCEPRenewal(o *Order) error {
	return problem.New(problem.NotSupported, "%s cannot renew its certificate with SCEP", o.Ref).
		Because("The answer is encrypted to the certificate that is renewed. This needs an RSA key that signs and decrypts.").
		Advise(advice.Do(advice.Enroll, advice.Set(advice.Key, o.Ref), advice.Fill(advice.Subject), advice.Fill(advice.Issuer), advice.Ask(secret.IssuerSecret)))
}

// capabilities gets what the CA announces (RFC 8894, 3.5).
func (i *scepCA) capabilities(ctx context.Context, o *Order) error {
	a, err := i.get(ctx, "GetCACaps", i.address.Query.Get(scepIdentifier))
	if err != nil {
		return err
	}
	if a.status == http.StatusOK {
		i.can = scep.ParseCapabilities(a.body)
	}
	switch {
	case !i.can.Strong:
		return problem.New(problem.NotSupported, "%s does not accept AES and SHA-2", i.address.URL.Host).
			Because("Others protect neither the request nor the challenge password in it.").Advise(advice.Repeat(advice.Fill(advice.Issuer)))
	case o.Renewal && !i.can.Renewal:
		return problem.New(problem.NotSupported, "%s does not renew certificates", i.address.URL.Host).
			Because("Its capabilities lack Renewal.").
			Advise(advice.Do(advice.Enroll, advice.Set(advice.Key, o.Ref), advice.Fill(advice.Subject), advice.Fill(advice.Issuer)))
	}
	return nil
}

// get sends a message of HTTP GET (RFC 8894, 4.1).
func (i *scepCA) get(ctx context.Context, operation, text string) (reply, error) {
	at := i.at(operation)
	if text != "" {
		at.RawQuery += "&message=" + url.QueryEscape(text)
	}
	return i.server.do(ctx, message{method: http.MethodGet, at: &at})
}

func (i *scepCA) at(operation string) url.URL {
	at := i.address.URL
	at.RawQuery = "operation=" + operation
	return at
}

// scepState is what an answer that takes time goes on with. It has no secret.
type scepState struct {
	// Certificate is the one that signed the request with a key on the card; nil where a
	// key of that run did.
	Certificate []byte `json:"certificate,omitempty"`
	// Reply came, and the card has not decrypted it yet; Nonce is what it answers.
	Reply []byte `json:"reply,omitempty"`
	Nonce []byte `json:"nonce,omitempty"`
}

func (s *scepState) json() (json.RawMessage, error) { return json.Marshal(s) }

// Issue sends the request, or asks what has become of it.
func (i *scepCA) Issue(ctx context.Context, o *Order) (answer Answer, err error) {
	t := &scepTransaction{scepCA: i, o: o}
	if o.Waiting != nil {
		if err := json.Unmarshal(o.Waiting, &t.state); err != nil {
			return answer, problem.Wrap(problem.Failed, err, "what is remembered of the request cannot be read").
				Advise(advice.Repeat(advice.Switch(advice.AskAnew)))
		}
	}
	info, err := pubkey.Marshal(o.PublicKey)
	if err != nil {
		return answer, err
	}
	t.id = scep.TransactionID(info)
	if t.subject, err = o.Request.Subject.DER(); err != nil {
		return answer, err
	}
	if t.by, err = t.identity(ctx); err != nil {
		return answer, err
	}
	defer i.server.close()
	return t.run(ctx)
}
