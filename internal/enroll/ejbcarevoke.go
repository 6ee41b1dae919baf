package enroll

import (
	"context"
	"net/http"
	"net/url"
	"strings"

	"github.com/cardctl/cardctl/internal/ca"
	"github.com/cardctl/cardctl/internal/cert"
	"github.com/cardctl/cardctl/internal/problem"
)

// Revoke revokes a certificate, or ends its hold, as the officer:
// PUT /certificate/ISSUER/SERIAL/revoke. The certificate names its issuer.
func (i *ejbca) Revoke(ctx context.Context, o *Order, r Revocation) error {
	why, err := r.check()
	if err != nil {
		return err
	}
	if r.Certificate == nil {
		return problem.New(problem.NotSupported, "EJBCA revokes certificates by their issuer and serial number").
			Because("Without the certificate, its issuer is not known.").
			Advise(byTheOperator())
	}
	certificate, err := cert.ParseStored(r.Certificate)
	if err == nil {
		err = officerOf(i, o.IssuerKey)
	}
	if err == nil {
		err = i.Prepare(ctx, o)
	}
	if err != nil {
		return err
	}
	defer i.server.close()
	at := i.address.URL
	path := []string{at.Path, "certificate", certificate.Issuer.String(), r.SerialNumber, "revoke"}
	at.Path = strings.Join(path, "/")
	for n := range path[1:] {
		path[n+1] = url.PathEscape(path[n+1])
	}
	at.RawPath = strings.Join(path, "/")
	at.RawQuery = url.Values{"reason": {why.ejbca}}.Encode()
	var said struct {
		ejbcaAnswer
		Revoked *bool `json:"revoked"`
	}
	got, err := i.asOfficer(ctx, o, func(ctx context.Context) (reply, error) {
		got, err := i.server.do(ctx, message{method: http.MethodPut, at: &at, header: http.Header{"Accept": {"application/json"}}})
		if err == nil {
			_ = i.server.readJSON(got, &said) // what is no JSON is refused by its status, or below
		}
		return got, err
	})
	switch {
	case err != nil:
		return err
	case got.status == http.StatusAccepted:
		return problem.New(problem.Failed, "%s has the revocation, and somebody has to approve it", i.address.URL.Host).
			Because("%s", problem.Sentence(plain(said.ErrorMessage))).Advise(byTheOperator())
	case got.status != http.StatusOK:
		return ca.IssuersAdvice(notRevoked(i.server, got, said.ErrorMessage), "")
	case said.Revoked == nil || *said.Revoked == (r.Reason == removeFromCRL):
		return i.server.wrong("It does not say that the certificate is in that state now.")
	}
	return nil
}
