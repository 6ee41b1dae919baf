package enroll

import (
	"context"
	"encoding/base64"
	"encoding/json"
	"net/http"

	"github.com/cardctl/cardctl/internal/advice"
	"github.com/cardctl/cardctl/internal/ca"
	"github.com/cardctl/cardctl/internal/cert"
	"github.com/cardctl/cardctl/internal/csr"
	"github.com/cardctl/cardctl/internal/key"
	"github.com/cardctl/cardctl/internal/problem"
	"github.com/cardctl/cardctl/internal/secret"
)

// ejbca is the REST interface of EJBCA, version 1.
type ejbca struct {
	address Address
	server  *remote
}

// ejbcaNames are the parameters of the address, and the members of the request.
func ejbcaNames() map[string]string {
	return map[string]string{"profile": "certificate_profile_name", "entity": "end_entity_profile_name", "ca": "certificate_authority_name"}
}

func openEJBCA(a Address) (Issuer, error) {
	wrong := func(what string) error {
		return problem.New(problem.Usage, "the address of EJBCA names no %s", what).
			Because("Example: ejbca+https://USER@HOST?profile=PROFILE&entity=PROFILE&ca=NAME.").Advise(advice.Repeat(advice.Fill(advice.Issuer)))
	}
	for _, name := range []string{"profile", "entity", "ca"} {
		if a.Query.Get(name) == "" {
			return nil, wrong("parameter " + name)
		}
	}
	if a.User == "" {
		return nil, wrong("user")
	}
	if a.URL.Path == "" {
		a.URL.Path = "/ejbca"
	}
	a.URL.Path += "/ejbca-rest-api/v1"
	return &ejbca{address: a}, nil
}

func (i *ejbca) Traits() Traits { return Traits{Away: true, Officer: true, OfficerOnly: true} }

func (i *ejbca) Prepare(_ context.Context, o *Order) (err error) {
	if i.server, err = newRemote(i.address.URL, o.Roots); err == nil && i.address.Fingerprint != nil {
		i.server.pin(i.address.Fingerprint)
	}
	return err
}

// ejbcaAnswer is a CertificateRestResponse, or the error of one. Certificates are DER in
// base64.
type ejbcaAnswer struct {
	Certificate  string   `json:"certificate"`
	Chain        []string `json:"certificate_chain"`
	ErrorMessage string   `json:"error_message"`
}

// Issue has the request certified: POST /certificate/pkcs10enroll.
func (i *ejbca) Issue(ctx context.Context, o *Order) (answer Answer, err error) {
	defer i.server.close()
	password, err := o.Access.Ask(ctx, secret.Request{Name: secret.IssuerSecret, Label: "enrolment code of " + i.address.User + " at " + i.address.URL.Host})
	if err != nil {
		return answer, err
	}
	defer password.Wipe()
	b := &jsonBody{}
	b.add("certificate_request", string(csr.PEMRequest(o.PKCS10)))
	for parameter, member := range ejbcaNames() {
		b.add(member, i.address.Query.Get(parameter))
	}
	b.add("username", i.address.User)
	b.add("include_chain", true)
	b.addSecret("password", password)
	defer b.wipe()
	var made ejbcaAnswer
	got, err := i.asOfficer(ctx, o, func(ctx context.Context) (reply, error) {
		return i.server.postJSON(ctx, message{path: "/certificate/pkcs10enroll", secrets: []*secret.Bytes{password}}, b, &made)
	})
	switch {
	case err != nil:
		return answer, err
	case got.status == http.StatusAccepted:
		// The same request, once it is approved, is answered with the certificate.
		answer.Waiting = json.RawMessage(`{"approval":true}`)
		answer.Notes = []string{i.address.URL.Host + " says that somebody has to approve it."}
		if said := problem.Sentence(plain(made.ErrorMessage)); said != "" {
			answer.Notes = append(answer.Notes, said)
		}
		return answer, nil
	case got.status != http.StatusOK && got.status != http.StatusCreated:
		return answer, i.server.refusal(got, made.ErrorMessage)
	}
	return i.answer(made)
}

// asOfficer sends something while the officer's card is the TLS client.
func (i *ejbca) asOfficer(ctx context.Context, o *Order, send func(context.Context) (reply, error)) (got reply, err error) {
	var failed error // of the server, or of the card while it authenticated
	err = withOfficer(ctx, o, func(ctx context.Context, k key.Key, certificate []byte) error {
		signer, err := k.Signer(ctx)
		if err == nil {
			err = i.server.identify(signer, certificate, o.Roots)
		}
		if err != nil {
			return err
		}
		got, failed = send(ctx)
		return nil
	})
	if err == nil && failed != nil {
		err = ca.IssuersAdvice(failed, "")
	}
	return got, err
}

// answer are the certificates that came. The CA is the last of the chain.
func (i *ejbca) answer(made ejbcaAnswer) (answer Answer, err error) {
	for _, text := range append([]string{made.Certificate}, made.Chain...) {
		der, err := base64.StdEncoding.DecodeString(text)
		if err != nil {
			return Answer{}, i.server.wrong("It has no certificate that can be read.")
		}
		c, err := cert.Parse(der)
		if err != nil {
			return Answer{}, i.server.wrong("It has no certificate that can be read.")
		}
		answer.Certificates = append(answer.Certificates, c)
	}
	if last := len(made.Chain); last > 0 {
		answer.Roots = answer.Certificates[last:]
	}
	return answer, nil
}
