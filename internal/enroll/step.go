package enroll

import (
	"context"
	"encoding/hex"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"time"

	"github.com/cardctl/cardctl/internal/advice"
	"github.com/cardctl/cardctl/internal/cert"
	"github.com/cardctl/cardctl/internal/certstore"
	"github.com/cardctl/cardctl/internal/csr"
	"github.com/cardctl/cardctl/internal/problem"
	"github.com/cardctl/cardctl/internal/pubkey"
	"github.com/cardctl/cardctl/internal/secret"
)

// stepCA is the interface of step-ca, /1.0 (github.com/smallstep/certificates, api/api.go).
type stepCA struct {
	address Address
	remote  *remote
	// roots are those of the CA, once it was authenticated.
	roots []*cert.Certificate
	// by is who answers for the certificate; nil for whoever made the token.
	by *stepProvisioner
	// renews says that the certificate on the card authenticates its renewal.
	renews bool
	// rekeys says that the certificate of another key, with the same names, authenticates
	// that of a new key.
	rekeys bool
	now    func() time.Time
}

func openStep(a Address) (Issuer, error) {
	return &stepCA{address: a, now: time.Now}, nil
}

func (i *stepCA) Traits() Traits {
	return Traits{Away: true, Officer: true, Reissues: i.renews, Renews: true}
}

// Paths of step-ca.
const (
	stepSign   = "/1.0/sign"
	stepRenew  = "/1.0/renew"
	stepRekey  = "/1.0/rekey"
	stepRevoke = "/1.0/revoke"
)

// reach authenticates the CA.
func (i *stepCA) reach(ctx context.Context, o *Order) (err error) {
	if i.roots = o.Roots; i.address.Fingerprint != nil {
		if i.roots, err = i.pinned(ctx); err != nil {
			return err
		}
	}
	if i.remote, err = newRemote(i.address.URL, i.roots); err != nil {
		return err
	}
	if len(i.roots) == 0 {
		i.roots, err = i.certificates(ctx, "/1.0/roots")
	}
	return err
}

// Prepare authenticates the CA, and finds the provisioner.
func (i *stepCA) Prepare(ctx context.Context, o *Order) (err error) {
	if err := i.reach(ctx, o); err != nil {
		return err
	}
	i.renews = o.Renewal && o.ownAuth()
	if i.rekeys = o.Renewal && !i.renews && o.twin(); i.renews || i.rekeys {
		return nil // without the officer, who answers for what a card gets first
	}
	if len(stepNames(o)) == 0 {
		return problem.New(problem.Usage, "step-ca certifies alternative names only, and none was asked for").
			Because("Without one, it makes one out of the subject.").
			Advise(advice.Repeat(advice.Fill(advice.Email)))
	}
	if i.address.User != "" {
		if i.by, err = i.provisioner(ctx, i.address.User); err != nil {
			return err
		}
	}
	return i.withoutOfficer(o)
}

// withoutOfficer refuses the card of an officer where it would not be used.
func (i *stepCA) withoutOfficer(o *Order) error {
	if o.IssuerKey == "" || i.by.is(stepX5C) {
		return nil
	}
	return problem.New(problem.Usage, "the issuer is not reached with the card of an officer").
		Because("Only a provisioner of the type X5C takes its certificate.").Advise(advice.Repeat().Without(advice.IssuerKey))
}

// ownAuth reports whether the key itself authenticates, with its certificate.
func (o *Order) ownAuth() bool {
	c, err := cert.ParseStored(o.Auth.Certificate)
	return len(o.Auth.Certificate) > 0 && err == nil && pubkey.Same(c.PublicKey, o.PublicKey)
}

// twin reports whether another key authenticates, whose certificate has the names that are
// asked for: step-ca certifies a new key for the names of the certificate that
// authenticates, and no others.
func (o *Order) twin() bool {
	c, err := cert.ParseStored(o.Auth.Certificate)
	if len(o.Auth.Certificate) == 0 || err != nil {
		return false
	}
	subject, err := o.subject()
	if err != nil || subject.String() != c.Subject.String() {
		return false
	}
	names, err := o.altNames()
	if err != nil {
		return false
	}
	var own []cert.GeneralName
	if x, has := c.Extension(cert.OIDSubjectAltName); has {
		if own, err = cert.GeneralNames(x.Value); err != nil {
			return false
		}
	}
	return slices.Equal(sortedNames(names), sortedNames(own))
}

// sortedNames are names in DER, in an order of their own.
func sortedNames(list []cert.GeneralName) (names []string) {
	for _, name := range list {
		names = append(names, string(name.DER()))
	}
	slices.Sort(names)
	return names
}

// pinned gets the root with the fingerprint from the CA, which is not authenticated yet:
// the fingerprint is what tells that the root is true.
func (i *stepCA) pinned(ctx context.Context) ([]*cert.Certificate, error) {
	r, err := newRemote(i.address.URL, nil)
	if err != nil {
		return nil, err
	}
	defer r.close()
	r.config.InsecureSkipVerify = true
	reply, err := r.do(ctx, message{method: http.MethodGet, path: "/root/" + hex.EncodeToString(i.address.Fingerprint)})
	if err != nil {
		return nil, err
	}
	var answer struct {
		CA string `json:"ca"`
	}
	if reply.status == http.StatusOK {
		err = r.readJSON(reply, &answer)
	}
	if err != nil {
		return nil, err
	}
	roots, err := certstore.Parse(ctx, []byte(answer.CA), nil)
	if err != nil || len(roots) != 1 || !sameFingerprint(roots[0].Raw, i.address.Fingerprint) {
		return nil, problem.New(problem.Mismatch, "%s is not trusted", i.address.URL.Host).
			Because("It has no root with this fingerprint.").
			Advise(advice.Repeat(advice.Fill(advice.Issuer)))
	}
	return roots, nil
}

// certificates are a list that the CA publishes.
func (i *stepCA) certificates(ctx context.Context, path string) ([]*cert.Certificate, error) {
	reply, err := i.remote.do(ctx, message{method: http.MethodGet, path: path})
	if err != nil {
		return nil, err
	}
	var answer struct {
		Certificates []string `json:"crts"`
	}
	if reply.status != http.StatusOK && reply.status != http.StatusCreated {
		return nil, i.refusal(reply)
	}
	if err := i.remote.readJSON(reply, &answer); err != nil {
		return nil, err
	}
	return i.parse(ctx, answer.Certificates)
}

// parse reads certificates in PEM.
func (i *stepCA) parse(ctx context.Context, texts []string) ([]*cert.Certificate, error) {
	list, err := certstore.Parse(ctx, []byte(strings.Join(texts, "\n")), nil)
	if err != nil {
		return nil, problem.Wrap(problem.Mismatch, err, "the answer of "+i.address.URL.Host)
	}
	return list, nil
}

// stepProvisioner is who answers for certificates.
type stepProvisioner struct {
	Type string `json:"type"`
	Name string `json:"name"`
	// EncryptedKey signs tokens, for a provisioner of the type JWK; empty where the CA
	// does not keep it.
	EncryptedKey string `json:"encryptedKey"`
}

// Types of provisioners.
const (
	stepJWK = "JWK"
	stepX5C = "X5C"
)

// is compares the type.
func (p *stepProvisioner) is(kind string) bool { return p != nil && strings.EqualFold(p.Type, kind) }

// provisioner finds one by its name. They come in pages.
func (i *stepCA) provisioner(ctx context.Context, name string) (*stepProvisioner, error) {
	const pages = 50
	var names []string
	cursor := ""
	for range pages {
		reply, err := i.remote.do(ctx, message{method: http.MethodGet, at: i.page(cursor)})
		if err != nil {
			return nil, err
		}
		if reply.status != http.StatusOK {
			return nil, i.refusal(reply)
		}
		var page struct {
			Provisioners []stepProvisioner `json:"provisioners"`
			NextCursor   string            `json:"nextCursor"`
		}
		if err := i.remote.readJSON(reply, &page); err != nil {
			return nil, err
		}
		for _, p := range page.Provisioners {
			if p.Name == name {
				return &p, nil
			}
			names = append(names, plain(p.Name))
		}
		if cursor = page.NextCursor; cursor == "" {
			break
		}
	}
	return nil, problem.New(problem.NotFound, "%s has no such provisioner", i.address.URL.Host).
		Because("It has: %s.", strings.Join(names[:min(len(names), 20)], ", ")).Advise(advice.Repeat(advice.Fill(advice.Issuer)))
}

// page is the address of the provisioners after a cursor.
func (i *stepCA) page(cursor string) *url.URL {
	at := i.address.URL
	at.Path += "/1.0/provisioners"
	at.RawQuery = url.Values{"limit": {"100"}, "cursor": {cursor}}.Encode()
	return &at
}

// stepAnswer is an answer with a certificate, or with what is wrong.
type stepAnswer struct {
	Certificate string   `json:"crt"`
	Chain       []string `json:"certChain"`
	Message     string   `json:"message"`
}

// Issue asks for the certificate. It is never asked for twice: a token is used up by the
// first time.
func (i *stepCA) Issue(ctx context.Context, o *Order) (answer Answer, err error) {
	defer i.remote.close()
	var said stepAnswer
	ask := i.order
	switch {
	case i.renews:
		ask = i.renewal
	case i.rekeys:
		ask = i.rekey
	}
	reply, err := ask(ctx, o, &said)
	if err != nil {
		return answer, err
	}
	if reply.status != http.StatusCreated && reply.status != http.StatusOK {
		return answer, i.remote.refusal(reply, said.Message)
	}
	answer.Roots = i.roots
	answer.Certificates, err = i.parse(ctx, append(said.Chain, said.Certificate))
	return answer, err
}

// order sends the request and a one-time token (api/sign.go).
func (i *stepCA) order(ctx context.Context, o *Order, said *stepAnswer) (reply, error) {
	token, err := i.token(ctx, o)
	if err != nil {
		return reply{}, err
	}
	defer token.Wipe()
	body := &jsonBody{}
	body.add("csr", string(csr.PEMRequest(o.PKCS10)))
	if o.Days > 0 {
		body.add("notAfter", o.Now().AddDate(0, 0, o.Days).UTC().Format(time.RFC3339))
	}
	body.addSecret("ott", token)
	return i.remote.postJSON(ctx, message{path: stepSign, secrets: []*secret.Bytes{token}}, body, said)
}

// renewal renews the certificate by which the card authenticates the client of TLS, for the
// same key and with the same names (api/renew.go).
func (i *stepCA) renewal(ctx context.Context, o *Order, said *stepAnswer) (reply, error) {
	above, err := i.certificates(ctx, "/1.0/intermediates")
	if err != nil {
		return reply{}, err
	}
	if err := i.remote.authenticate(ctx, o.Auth, above); err != nil {
		return reply{}, err
	}
	got, err := i.remote.do(ctx, message{method: http.MethodPost, path: stepRenew})
	if err == nil {
		_ = i.remote.readJSON(got, said) // an answer without a certificate is refused
	}
	return got, err
}

// rekey has the new key certified with the names of the certificate by which the card
// authenticates the client of TLS (api/rekey.go).
func (i *stepCA) rekey(ctx context.Context, o *Order, said *stepAnswer) (reply, error) {
	above, err := i.certificates(ctx, "/1.0/intermediates")
	if err != nil {
		return reply{}, err
	}
	if err := i.remote.authenticate(ctx, o.Auth, above); err != nil {
		return reply{}, err
	}
	body := &jsonBody{}
	body.add("csr", string(csr.PEMRequest(o.PKCS10)))
	return i.remote.postJSON(ctx, message{path: stepRekey}, body, said)
}

// refusal is the error of an answer that is none, with the words of the CA.
func (i *stepCA) refusal(a reply) *problem.Error {
	var said stepAnswer
	_ = i.remote.readJSON(a, &said)
	return i.remote.refusal(a, said.Message)
}

// stepNames are the alternative names of a request that a token of step-ca can name, as
// text: hosts, mail addresses, IP addresses and URIs.
func stepNames(o *Order) (names []string) {
	list, err := o.altNames()
	if err != nil {
		return nil
	}
	for _, name := range list {
		switch name.Kind {
		case cert.DNSName, cert.EmailName, cert.IPName, cert.URIName:
			names = append(names, name.String())
		}
	}
	return names
}
