package enroll

import (
	"context"
	"crypto"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"errors"
	"slices"
	"strings"
	"time"

	"github.com/cardctl/cardctl/internal/advice"
	"github.com/cardctl/cardctl/internal/cert"
	"github.com/cardctl/cardctl/internal/chain"
	"github.com/cardctl/cardctl/internal/jose"
	"github.com/cardctl/cardctl/internal/key"
	"github.com/cardctl/cardctl/internal/problem"
	"github.com/cardctl/cardctl/internal/secret"
)

// stepClaims are what a one-time token claims (authority/provisioner/jwk.go).
type stepClaims struct {
	Audience string   `json:"aud"`
	Issuer   string   `json:"iss"`
	Subject  string   `json:"sub"`
	Names    []string `json:"sans,omitempty"`
	ID       string   `json:"jti"`
	IssuedAt int64    `json:"iat"`
	From     int64    `json:"nbf"`
	Until    int64    `json:"exp"`
	// Request binds the token to one request; nil for none.
	Request *stepRequest `json:"cnf,omitempty"`
}

// stepRequest is a request by its SHA-256.
type stepRequest struct {
	Fingerprint string `json:"x5rt#S256"`
}

// tokenLife is how long a token of ours is good for.
const tokenLife = 5 * time.Minute

// token is the one that permits the order: signed by the card for a provisioner that takes
// certificates (X5C), otherwise the issuer's secret, or made with the key that it opens.
func (i *stepCA) token(ctx context.Context, o *Order) (*secret.Bytes, error) {
	if i.by.is(stepX5C) {
		return i.cardToken(ctx, o)
	}
	return i.givenToken(ctx, o, stepSign, i.claims(o), func(subject string, names []string) error { return fits(subject, names, o) })
}

// givenToken is the issuer's secret, if it is a token that fits; otherwise one with the
// claims, which the key of the provisioner signs that the secret opens.
func (i *stepCA) givenToken(ctx context.Context, o *Order, path string, claims stepClaims, fits func(subject string, names []string) error) (*secret.Bytes, error) {
	what := "one-time token of the issuer"
	if i.by.is(stepJWK) && i.by.EncryptedKey != "" {
		what = "password of the provisioner " + plain(i.by.Name) + ", or a one-time token"
	}
	given, err := o.Access.Ask(ctx, secret.Request{Name: secret.IssuerSecret, Label: what})
	if err != nil {
		return nil, err
	}
	var its struct {
		Subject string   `json:"sub"`
		Names   []string `json:"sans"`
	}
	if jose.Claims(string(given.Reveal()), &its) == nil {
		if err := fits(its.Subject, its.Names); err != nil {
			given.Wipe()
			return nil, err
		}
		return given, nil
	}
	defer given.Wipe()
	if !i.by.is(stepJWK) || i.by.EncryptedKey == "" {
		return nil, problem.New(problem.Usage, "the issuer's secret is not a one-time token").
			Because("Only a provisioner of the type JWK whose key the CA keeps has a password.").
			Advise(advice.Repeat(advice.Ask(advice.Field(secret.IssuerSecret))))
	}
	signer, kid, err := jose.OpenKey(i.by.EncryptedKey, given)
	switch {
	case errors.Is(err, jose.ErrPassword):
		return nil, problem.New(problem.Failed, "the password does not open the key of the provisioner").
			Advise(advice.Repeat(advice.Ask(advice.Field(secret.IssuerSecret))))
	case err != nil:
		return nil, i.remote.wrong("The key of the provisioner cannot be used: %s.", err)
	}
	return i.sign(signer, jose.Header{"kid": kid, "typ": "JWT"}, path, claims)
}

// fits refuses a token for other names than those of the request: the CA would put them
// into the certificate. Without names, it is for its subject.
func fits(subject string, names []string, o *Order) error {
	if len(names) == 0 {
		names = []string{subject}
	}
	wanted := stepNames(o)
	if !slices.Equal(slices.Sorted(slices.Values(names)), slices.Sorted(slices.Values(wanted))) {
		return problem.New(problem.Mismatch, "the one-time token is for other names than the request").
			Because("It is for %s, and the request for %s.", plain(strings.Join(names, ", ")), strings.Join(wanted, ", ")).
			Advise(advice.Repeat(advice.Ask(advice.Field(secret.IssuerSecret))))
	}
	if cn := commonName(o); cn != "" && cn != subject && !slices.Contains(names, cn) {
		return problem.New(problem.Mismatch, "the one-time token is for another subject than the request").
			Because("It is for %s, and the request for %s.", plain(subject), cn).
			Advise(advice.Repeat(advice.Ask(advice.Field(secret.IssuerSecret))))
	}
	return nil
}

// commonName is that of the request.
func commonName(o *Order) string {
	subject, err := o.subject()
	if err != nil {
		return ""
	}
	return subject.CommonName()
}

// cardToken is a token that a key on a card signs, whose certificate is in its header
// (authority/provisioner/x5c.go): the officer's, otherwise the key itself or the one that
// authenticates renewals.
func (i *stepCA) cardToken(ctx context.Context, o *Order) (token *secret.Bytes, err error) {
	if o.IssuerKey != "" {
		err = withOfficer(ctx, o, func(ctx context.Context, k key.Key, certificate []byte) (err error) {
			token, err = i.certifiedToken(ctx, k, certificate, stepSign, i.claims(o))
			return err
		})
		return token, err
	}
	if len(o.Auth.Certificate) == 0 {
		return nil, problem.New(problem.NotFound, "%s has no certificate that could authenticate", o.Ref).
			Because("The provisioner %s certifies for those who have a certificate already.", plain(i.by.Name)).
			Advise(advice.Repeat(advice.Fill(advice.IssuerKey)))
	}
	return i.certifiedToken(ctx, o.Auth.Card, o.Auth.Certificate, stepSign, i.claims(o))
}

// signing is a key that signs.
type signing interface {
	Signer(ctx context.Context) (crypto.Signer, error)
}

// certifiedToken is a token with the certificate of the key that signs it, and with those
// of the CA that issued this.
func (i *stepCA) certifiedToken(ctx context.Context, by signing, certificate []byte, at string, claims stepClaims) (*secret.Bytes, error) {
	own, err := cert.ParseStored(certificate)
	if err != nil {
		return nil, problem.Wrap(problem.Mismatch, err, "the certificate that authenticates cannot be read")
	}
	signer, err := by.Signer(ctx)
	if err != nil {
		return nil, err
	}
	path := []string{base64.StdEncoding.EncodeToString(own.Raw)}
	above, err := i.certificates(ctx, "/1.0/intermediates")
	if err != nil {
		return nil, err
	}
	for _, c := range chain.Issuers(own, above, mostIssuers) {
		path = append(path, base64.StdEncoding.EncodeToString(c.Raw))
	}
	return i.sign(signer, jose.Header{"x5c": path, "typ": "JWT"}, at+"#x5c/"+i.by.Name, claims)
}

// claims are those of a token for the order, which is good for this request alone.
func (i *stepCA) claims(o *Order) stepClaims {
	c := stepClaims{Subject: commonName(o), Names: stepNames(o)}
	if c.Subject == "" && len(c.Names) > 0 {
		c.Subject = c.Names[0]
	}
	sum := sha256.Sum256(o.PKCS10)
	c.Request = &stepRequest{base64.RawURLEncoding.EncodeToString(sum[:])}
	return c
}

// sign makes a token with these claims, for a path of the CA.
func (i *stepCA) sign(signer crypto.Signer, header jose.Header, path string, claims stepClaims) (*secret.Bytes, error) {
	const idLength = 16 // bytes
	id := make([]byte, idLength)
	_, _ = rand.Read(id) // it never fails
	at := i.address.URL
	target, fragment, _ := strings.Cut(path, "#")
	at.Path += target
	if claims.Audience = at.String(); fragment != "" {
		claims.Audience += "#" + fragment
	}
	now := i.now()
	claims.Issuer, claims.ID = i.by.Name, hex.EncodeToString(id)
	claims.IssuedAt, claims.From, claims.Until = now.Unix(), now.Unix(), now.Add(tokenLife).Unix()
	payload, err := json.Marshal(claims)
	if err != nil {
		return nil, err
	}
	signed, err := jose.Sign(signer, header, payload)
	if err != nil {
		return nil, err
	}
	token, err := signed.Compact()
	return secret.New([]byte(token)), err
}
