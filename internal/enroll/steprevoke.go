package enroll

import (
	"context"
	"math/big"
	"net/http"

	"github.com/cardctl/cardctl/internal/advice"
	"github.com/cardctl/cardctl/internal/cert"
	"github.com/cardctl/cardctl/internal/key"
	"github.com/cardctl/cardctl/internal/problem"
	"github.com/cardctl/cardctl/internal/secret"
)

// Revoke revokes a certificate (api/revoke.go): with the key that it is for as TLS client,
// if there is one, otherwise with a one-time token.
func (i *stepCA) Revoke(ctx context.Context, o *Order, r Revocation) error {
	why, err := r.check()
	if err == nil {
		err = r.final("step-ca")
	}
	if err != nil {
		return err
	}
	number, _ := new(big.Int).SetString(r.SerialNumber, 16) // it was checked
	serial := number.String()                               // step-ca reads it as decimal
	if err := i.reach(ctx, o); err != nil {
		return err
	}
	defer func() { i.remote.close() }()
	body := &jsonBody{}
	body.add("serial", serial)
	body.add("reasonCode", why.number)
	body.add("reason", why.name)
	body.add("passive", true) // it knows no other; with a CRL, the certificate is in it
	m := message{path: stepRevoke}
	if len(o.Auth.Certificate) > 0 {
		err = i.itself(ctx, o, number)
	} else {
		var token *secret.Bytes
		if token, err = i.revocationToken(ctx, o, serial); err == nil {
			defer token.Wipe()
			body.addSecret("ott", token)
			m.secrets = []*secret.Bytes{token}
		}
	}
	if err != nil {
		return err
	}
	var said stepAnswer
	reply, err := i.remote.postJSON(ctx, m, body, &said)
	if err != nil || reply.status == http.StatusOK {
		return err
	}
	return notRevoked(i.remote, reply, said.Message)
}

// itself has the key of the certificate authenticate its revocation.
func (i *stepCA) itself(ctx context.Context, o *Order, serial *big.Int) error {
	own, err := cert.ParseStored(o.Auth.Certificate)
	if err != nil {
		return problem.Wrap(problem.Mismatch, err, "the certificate that authenticates cannot be read")
	}
	if number, ok := new(big.Int).SetString(own.Serial(), 16); !ok || number.Cmp(serial) != 0 {
		return problem.New(problem.Mismatch, "the certificate of %s is not the one that is to be revoked", o.Ref).
			Because("step-ca lets a key revoke its own certificate alone.").Advise(advice.Repeat().Without(advice.AuthKey))
	}
	above, err := i.certificates(ctx, "/1.0/intermediates")
	if err != nil {
		return err
	}
	return i.remote.authenticate(ctx, o.Auth, above)
}

// revocationToken is a token for the revocation of one certificate.
func (i *stepCA) revocationToken(ctx context.Context, o *Order, serial string) (token *secret.Bytes, err error) {
	if i.address.User != "" {
		if i.by, err = i.provisioner(ctx, i.address.User); err != nil {
			return nil, err
		}
	}
	claims := stepClaims{Subject: serial}
	if i.by.is(stepX5C) && o.IssuerKey == "" {
		return nil, problem.New(problem.Usage, "a certificate has to authenticate the revocation").
			Because("The provisioner %s takes tokens that the key of a certificate signs.", plain(i.by.Name)).
			Advise(advice.Repeat(advice.Fill(advice.IssuerKey)))
	}
	if i.by.is(stepX5C) {
		err = withOfficer(ctx, o, func(ctx context.Context, k key.Key, certificate []byte) (err error) {
			token, err = i.certifiedToken(ctx, k, certificate, stepRevoke, claims)
			return err
		})
		return token, err
	}
	return i.givenToken(ctx, o, stepRevoke, claims, func(subject string, _ []string) error {
		if subject == serial {
			return nil
		}
		return problem.New(problem.Mismatch, "the one-time token is not for the revocation of this certificate").
			Because("It is for %s, and the serial number is %s.", plain(subject), serial).
			Advise(advice.Repeat(advice.Ask(advice.Field(secret.IssuerSecret))))
	})
}

// notRevoked is the error of a server that did not revoke a certificate.
func notRevoked(server *remote, a reply, said string) error {
	p := server.refusal(a, said)
	p.What = server.base.Host + " did not revoke the certificate"
	return p.Advise(byTheOperator())
}
