package enroll

import (
	"context"
	"fmt"
	"net/http"
	"net/netip"
	"strings"

	"github.com/cardctl/cardctl/internal/advice"
	"github.com/cardctl/cardctl/internal/cert"
	"github.com/cardctl/cardctl/internal/certstore"
	"github.com/cardctl/cardctl/internal/csr"
	"github.com/cardctl/cardctl/internal/problem"
	"github.com/cardctl/cardctl/internal/secret"
)

// vault is the secrets engine PKI of HashiCorp Vault and OpenBao, by its HTTP API.
type vault struct {
	role, mount string
	// roleID is that of AppRole; empty for a token.
	roleID, namespace string
	address           Address
	server            *remote
}

func openVault(a Address) (Issuer, error) {
	i := &vault{role: a.User, mount: strings.TrimPrefix(a.URL.Path, "/"), roleID: a.Query.Get("role_id"), namespace: a.Query.Get("namespace"), address: a}
	if i.mount == "" {
		i.mount = "pki"
	}
	if i.role == "" || strings.Contains(i.role, "/") {
		return nil, problem.New(problem.Usage, "the address of Vault names no role").
			Because("Example: vault+https://ROLE@vault.example:8200/pki.").Advise(advice.Repeat(advice.Fill(advice.Issuer)))
	}
	i.address.URL.Path = "/v1"
	return i, nil
}

func (i *vault) Traits() Traits { return Traits{Away: true} }

// vaultAnswer is what every path answers with.
type vaultAnswer struct {
	Data struct {
		Certificate string   `json:"certificate"`
		IssuingCA   string   `json:"issuing_ca"`
		CAChain     []string `json:"ca_chain"`
		// RevocationTime is in seconds since 1970.
		RevocationTime int64 `json:"revocation_time"`
	} `json:"data"`
	Auth struct {
		ClientToken string `json:"client_token"`
	} `json:"auth"`
	Warnings []string `json:"warnings"`
	Errors   []string `json:"errors"`
}

// Prepare reaches the server before a card signs. The certificate of the CA is read by
// everybody, so an error tells of the mount.
func (i *vault) Prepare(ctx context.Context, o *Order) (err error) {
	if i.server, err = newRemote(i.address.URL, o.Roots); err != nil {
		return err
	}
	if i.address.Fingerprint != nil {
		i.server.pin(i.address.Fingerprint)
	}
	answer, err := i.server.do(ctx, message{method: http.MethodGet, path: "/" + i.mount + "/ca/pem", header: i.header()})
	switch {
	case err != nil:
		return err
	case answer.status == http.StatusNotFound, answer.status == http.StatusForbidden:
		return problem.New(problem.Failed, "%s has no CA at %s", i.address.URL.Host, i.mount).
			Because("The path of the address has to be that of a PKI secrets engine, and namespace= that of its namespace.").
			Advise(advice.Repeat(advice.Fill(advice.Issuer)))
	case answer.status == http.StatusServiceUnavailable:
		return problem.New(problem.Failed, "%s is sealed or in maintenance", i.address.URL.Host).Advise(advice.Repeat())
	}
	return nil
}

// header are the headers of every request.
func (i *vault) header() http.Header {
	h := http.Header{"X-Vault-Request": {"true"}}
	if i.namespace != "" {
		h.Set("X-Vault-Namespace", i.namespace)
	}
	return h
}

// Issue has the request signed: POST /MOUNT/sign/ROLE.
func (i *vault) Issue(ctx context.Context, o *Order) (answer Answer, err error) {
	defer i.server.close()
	body, err := i.request(o)
	if err != nil {
		return answer, err
	}
	token, err := i.login(ctx, o)
	if err != nil {
		return answer, err
	}
	defer token.Wipe()
	if i.roleID != "" {
		defer i.logout(context.WithoutCancel(ctx), token)
	}
	var made vaultAnswer
	got, err := i.post(ctx, token, "/"+i.mount+"/sign/"+i.role, body, &made)
	switch {
	case err != nil:
		return answer, err
	case got.status != http.StatusOK:
		return answer, i.server.refusal(got, strings.Join(made.Errors, "; "))
	}
	return i.answer(ctx, made)
}

// answer are the certificates that came. Everything is trusted that the CA which it names
// has issued.
func (i *vault) answer(ctx context.Context, made vaultAnswer) (answer Answer, err error) {
	parse := func(pem string) (list []*cert.Certificate) {
		if err == nil && pem != "" {
			list, err = certstore.Parse(ctx, []byte(pem), nil)
		}
		return list
	}
	answer.Certificates = parse(made.Data.Certificate)
	answer.Roots = parse(made.Data.IssuingCA)
	answer.Certificates = append(answer.Certificates, answer.Roots...)
	for _, pem := range made.Data.CAChain {
		answer.Certificates = append(answer.Certificates, parse(pem)...)
	}
	if err != nil || made.Data.Certificate == "" {
		return Answer{}, i.server.wrong("It has no certificate that can be read.")
	}
	for _, warning := range made.Warnings {
		answer.Notes = append(answer.Notes, problem.Sentence(i.address.URL.Host+": "+plain(warning)))
	}
	return answer, nil
}

// request is what is asked for, once in PKCS#10 and once in parameters: the role says which
// of the two counts.
func (i *vault) request(o *Order) (*jsonBody, error) {
	subject, err := o.subject()
	if err != nil {
		return nil, err
	}
	list, err := o.altNames()
	if err != nil {
		return nil, err
	}
	names := map[string][]string{}
	for _, name := range list {
		if parameter, value := vaultName(name); parameter != "" {
			names[parameter] = append(names[parameter], value)
		}
	}
	b := &jsonBody{}
	b.add("csr", string(csr.PEMRequest(o.PKCS10)))
	b.add("format", "pem")
	b.add("common_name", subject.CommonName())
	b.add("exclude_cn_from_sans", true) // a host in it would become a name that nobody asked for
	for _, parameter := range []string{"alt_names", "ip_sans", "uri_sans", "other_sans"} {
		if len(names[parameter]) > 0 {
			b.add(parameter, strings.Join(names[parameter], ","))
		}
	}
	if o.Days > 0 {
		const hours = 24
		b.add("ttl", fmt.Sprintf("%dh", o.Days*hours))
	}
	return b, nil
}

// vaultName is an alternative name as a parameter; empty for one that there is none for.
func vaultName(name cert.GeneralName) (parameter, value string) {
	switch name.Kind {
	case cert.EmailName, cert.DNSName:
		return "alt_names", string(name.Value)
	case cert.URIName:
		return "uri_sans", string(name.Value)
	case cert.IPName:
		if ip, ok := netip.AddrFromSlice(name.Value); ok {
			return "ip_sans", ip.String()
		}
	case cert.OtherName:
		if upn := name.PrincipalName(); upn != "" {
			return "other_sans", "1.3.6.1.4.1.311.20.2.3;UTF8:" + upn
		}
	}
	return "", ""
}

// login is the token that was given, or one of AppRole: POST /auth/approle/login.
func (i *vault) login(ctx context.Context, o *Order) (*secret.Bytes, error) {
	label := "token for " + i.address.URL.Host
	if i.roleID != "" {
		label = "secret ID of AppRole for " + i.address.URL.Host
	}
	given, err := o.Access.Ask(ctx, secret.Request{Name: secret.IssuerSecret, Label: label})
	if err != nil || i.roleID == "" {
		return given, err
	}
	defer given.Wipe()
	b := &jsonBody{}
	b.add("role_id", i.roleID)
	b.addSecret("secret_id", given)
	var answer vaultAnswer
	got, err := i.server.postJSON(ctx, message{path: "/auth/approle/login", header: i.header(), secrets: []*secret.Bytes{given}}, b, &answer)
	switch {
	case err != nil:
		return nil, err
	case got.status != http.StatusOK:
		refused := i.server.refusal(got, strings.Join(answer.Errors, "; "))
		refused.What = i.address.URL.Host + " did not accept the AppRole"
		return nil, refused.Advise(advice.Repeat(advice.Ask(string(secret.IssuerSecret))))
	case answer.Auth.ClientToken == "":
		return nil, i.server.wrong("It has no token.")
	}
	return secret.New([]byte(answer.Auth.ClientToken)), nil
}

// logout revokes a token that was made for this one request. A server that does not let it
// forgets it by itself.
func (i *vault) logout(ctx context.Context, token *secret.Bytes) {
	_, _ = i.post(ctx, token, "/auth/token/revoke-self", &jsonBody{b: []byte{'{'}}, &vaultAnswer{})
}

func (i *vault) post(ctx context.Context, token *secret.Bytes, path string, body *jsonBody, answer *vaultAnswer) (reply, error) {
	header := i.header()
	header.Set("X-Vault-Token", string(token.Reveal()))
	return i.server.postJSON(ctx, message{path: path, header: header, secrets: []*secret.Bytes{token}}, body, answer)
}
