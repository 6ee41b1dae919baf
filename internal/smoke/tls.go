package smoke

import (
	"bytes"
	"context"
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rsa"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"io"
	"net"
	"strings"

	"github.com/cardctl/cardctl/internal/advice"
	"github.com/cardctl/cardctl/internal/p11"
	"github.com/cardctl/cardctl/internal/problem"
)

// signatureScheme is one of TLS and what a key has to be able to do for it.
type signatureScheme struct {
	id   tls.SignatureScheme
	opts crypto.SignerOpts
}

func pss(id tls.SignatureScheme, hash crypto.Hash) signatureScheme {
	return signatureScheme{id, &rsa.PSSOptions{SaltLength: rsa.PSSSaltLengthEqualsHash, Hash: hash}}
}

var (
	rsaPSS = []signatureScheme{
		pss(tls.PSSWithSHA256, crypto.SHA256), pss(tls.PSSWithSHA384, crypto.SHA384), pss(tls.PSSWithSHA512, crypto.SHA512),
	}
	rsaPKCS1 = []signatureScheme{
		{tls.PKCS1WithSHA256, crypto.SHA256}, {tls.PKCS1WithSHA384, crypto.SHA384}, {tls.PKCS1WithSHA512, crypto.SHA512},
	}
	ecdsaAny = []signatureScheme{
		{tls.ECDSAWithP256AndSHA256, crypto.SHA256}, {tls.ECDSAWithP384AndSHA384, crypto.SHA384}, {tls.ECDSAWithP521AndSHA512, crypto.SHA512},
	}
)

// schemesOf are the signatures that a version of TLS knows for a kind of key.
// TLS 1.3 has no RSASSA-PKCS1-v1_5 and binds the hash to the curve (RFC 8446,
// 4.2.3).
func schemesOf(version uint16, public crypto.PublicKey) []signatureScheme {
	switch key := public.(type) {
	case *rsa.PublicKey:
		if version == tls.VersionTLS13 {
			return rsaPSS
		}
		return append(append([]signatureScheme(nil), rsaPSS...), rsaPKCS1...)
	case *ecdsa.PublicKey:
		if version != tls.VersionTLS13 {
			return ecdsaAny
		}
		switch key.Curve {
		case elliptic.P256():
			return ecdsaAny[:1]
		case elliptic.P384():
			return ecdsaAny[1:2]
		case elliptic.P521():
			return ecdsaAny[2:]
		}
	case ed25519.PublicKey:
		return []signatureScheme{{tls.Ed25519, crypto.Hash(0)}}
	}
	return nil
}

// whyNoHandshake is the reason for a handshake to be impossible in any version, and the
// way out; nil where it may be possible.
func (r *run) whyNoHandshake() error {
	switch {
	case r.certificate == nil:
		return skip("a client needs a certificate, and the module shows none for this key. Import one for it")
	case r.certificate.Standard() == nil:
		return skip("the certificate is too unusual for Go's TLS: %s. Programs with another TLS library may use it", strings.Join(r.certificate.Odd, ", "))
	case len(r.key.Schemes()) == 0:
		return skip("a client must sign, and this key does not. Use a key for signatures or authentication")
	}
	return nil
}

// client is the certificate and key on the card for crypto/tls. It keeps the
// error of the card, of which crypto/tls passes on the text alone, and notes
// whether it was asked for.
type client struct {
	*p11.Signer
	key         string // as the report calls it
	certificate tls.Certificate
	asked       *tls.CertificateRequestInfo
	failed      error
}

// newClient is a client that signs with one of the schemes.
func (r *run) newClient(ctx context.Context, schemes []tls.SignatureScheme) *client {
	c := &client{Signer: r.key.Signer(ctx), key: r.o.Key}
	c.certificate = tls.Certificate{
		Certificate:                  [][]byte{r.certificate.Raw},
		PrivateKey:                   c,
		Leaf:                         r.certificate.Standard(),
		SupportedSignatureAlgorithms: schemes,
	}
	for _, issuer := range r.o.Chain {
		c.certificate.Certificate = append(c.certificate.Certificate, issuer.Raw)
	}
	return c
}

// SignMessage is what crypto/tls signs with.
func (c *client) SignMessage(random io.Reader, message []byte, opts crypto.SignerOpts) ([]byte, error) {
	signature, err := c.Signer.SignMessage(random, message, opts)
	if err != nil {
		c.failed = c.tooLong(message, err)
	}
	return signature, err
}

// tooLong tells a card that has no room for a message from one that fails: in
// TLS 1.2 a client signs all of the handshake, and Ed25519 needs it whole.
func (c *client) tooLong(message []byte, err error) error {
	_, whole := c.Public().(ed25519.PublicKey)
	if !whole || c.asked == nil || c.asked.Version != tls.VersionTLS12 || !problem.Is(err, problem.Failed) {
		return err
	}
	return skip("in TLS 1.2 an Ed25519 key signs the whole handshake, %d bytes here, and the card does not: %v. Use TLS 1.3, or a p256 key", len(message), err)
}

// choose gives the certificate whatever CAs the server names, as a browser does
// when its user has chosen.
func (c *client) choose(asked *tls.CertificateRequestInfo) (*tls.Certificate, error) {
	c.asked = asked
	return &c.certificate, nil
}

// explain turns the error of a handshake into a problem. The client's own error
// is the reason where there is one, for the other side only sees the
// connection end.
func (c *client) explain(ctx context.Context, what string, err error) error {
	var (
		refused *net.OpError
		invalid *tls.CertificateVerificationError
	)
	switch {
	case c.failed != nil:
		return c.failed
	case ctx.Err() != nil && !errors.Is(ctx.Err(), context.DeadlineExceeded):
		return ctx.Err()
	case ctx.Err() != nil:
		return problem.New(problem.Failed, "%s: timed out", what).
			Because("The other side did not answer in time.").
			Advise(advice.Repeat(advice.Fill(advice.Timeout)))
	case errors.As(err, &invalid):
		return c.explainVerification(what, invalid)
	case errors.As(err, &refused) && refused.Op == "remote error":
		return problem.New(problem.Failed, "%s: the server refused the handshake", what).
			Because("Its alert is %q.", strings.TrimPrefix(refused.Err.Error(), "tls: ")).
			Advise(advice.Say("Check in the server's log whether it accepts the CA of this certificate."))
	}
	return problem.Wrap(problem.Failed, err, what)
}

// explainVerification says what is wrong with a certificate of either side.
func (c *client) explainVerification(what string, failed *tls.CertificateVerificationError) error {
	whose, own := "the server's", bytes.Equal(failed.UnverifiedCertificates[0].Raw, c.certificate.Certificate[0])
	if own {
		whose = "the client's"
	}
	p := problem.New(problem.Mismatch, "%s: %s certificate was not accepted", what, whose).
		Because("%s.", strings.TrimPrefix(failed.Err.Error(), "x509: "))
	p.Cause = failed
	var (
		unknown x509.UnknownAuthorityError
		invalid x509.CertificateInvalidError
	)
	switch {
	case errors.As(failed, &unknown):
		return p.Advise(advice.Repeat(advice.Fill(advice.CA)))
	case own && errors.As(failed, &invalid) && invalid.Reason == x509.IncompatibleUsage:
		return p.Advise(advice.Do(advice.CreateRequest, advice.Set(advice.Key, c.key), advice.Set(advice.ExtKeyUsage, "clientAuth")))
	}
	return p
}
