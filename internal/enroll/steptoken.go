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
	Names    []string `json:"sans"`
	ID       string   `json:"jti"`
	IssuedAt int64    `json:"iat"`
	From     int64    `json:"nbf"`
	Until    int64    `json:"exp"`
	// Request binds the token to one request, by its SHA-256.
	Request struct {
		Fingerprint string `json:"x5rt#S256"`
	} `json:"cnf"`
}

// tokenLife is how long a token of ours is good for.
const tokenLife = 5 * time.Minute

// token is the one that permits the order: signed by the card for a provisioner that takes
// certificates (X5C), otherwise the issuer's secret, or made with the key that it opens.
func (i *stepCA) token(ctx context.Context, o *Order) (*secret.Bytes, error) {
	if i.by.is(stepX5C) {
		return i.cardToken(ctx, o)
	}
	what := "one-time token of the issuer"
	if i.by.is(stepJWK) && i.by.EncryptedKey != "" {
		what = "password of the provisioner " + plain(i.by.Name) + ", or a one-time token"
	}
	given, err := o.Access.Ask(ctx, secret.Request{Name: secret.IssuerSecret, Label: what})
	if err != nil {
		return nil, err
	}
	var claims struct {
		Subject string   `json:"sub"`
		Names   []string `json:"sans"`
	}
	if jose.Claims(string(given.Reveal()), &claims) == nil {
		if err := fits(claims.Subject, claims.Names, o); err != nil {
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
	return i.sign(signer, jose.Header{"kid": kid, "typ": "JWT"}, "", o)
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
			token, err = i.certifiedToken(ctx, k, certificate, o)
			return err
		})
		return token, err
	}
	if len(o.Auth.Certificate) == 0 {
		return nil, problem.New(problem.NotFound, "%s has no certificate that could authenticate", o.Ref).
			Because("The provisioner %s certifies for those who have a certificate already.", plain(i.by.Name)).
			Advise(advice.Repeat(advice.Fill(advice.IssuerKey)))
	}
	return i.certifiedToken(ctx, o.Auth.Card, o.Auth.Certificate, o)
}

// signing is a key that signs.
type signing interface {
	Signer(ctx context.Context) (crypto.Signer, error)
}

// certifiedToken is a token with the certificate of the key that signs it, and with those
// of the CA that issued this.
func (i *stepCA) certifiedToken(ctx context.Context, by signing, certificate []byte, o *Order) (*secret.Bytes, error) {
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
	return i.sign(signer, jose.Header{"x5c": path, "typ": "JWT"}, "#x5c/"+i.by.Name, o)
}

// sign makes a token for the order, which is good for this request alone.
func (i *stepCA) sign(signer crypto.Signer, header jose.Header, fragment string, o *Order) (*secret.Bytes, error) {
	const idLength = 16 // bytes
	id := make([]byte, idLength)
	_, _ = rand.Read(id) // it never fails
	at := i.address.URL
	at.Path += "/1.0/sign"
	now := i.now()
	claims := stepClaims{
		Audience: at.String() + fragment, Issuer: i.by.Name, Subject: commonName(o), Names: stepNames(o),
		ID: hex.EncodeToString(id), IssuedAt: now.Unix(), From: now.Unix(), Until: now.Add(tokenLife).Unix(),
	}
	if claims.Subject == "" {
		claims.Subject = claims.Names[0]
	}
	sum := sha256.Sum256(o.PKCS10)
	claims.Request.Fingerprint = base64.RawURLEncoding.EncodeToString(sum[:])
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
