package smoke

import (
	"bytes"
	"context"
	"crypto/ed25519"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"net"
	"strings"

	"github.com/cardctl/cardctl/internal/advice"
	"github.com/cardctl/cardctl/internal/problem"
	"github.com/cardctl/cardctl/internal/tlskey"
)

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

// client is the certificate and key on the card for crypto/tls.
type client struct {
	*tlskey.Client
	key string // as the report calls it
}

// newClient is a client that signs with one of the schemes.
func (r *run) newClient(ctx context.Context, schemes []tls.SignatureScheme) *client {
	return &client{tlskey.NewClient(r.key.Signer(ctx), r.certificate, r.o.Chain, schemes), r.o.Key}
}

// failed is why the card did not sign. It tells a card that has no room for a message from
// one that fails: in TLS 1.2 a client signs all of the handshake, and Ed25519 needs it
// whole.
func (c *client) failed() error {
	length, err := c.Failed()
	_, whole := c.Public().(ed25519.PublicKey)
	if asked := c.Asked(); !whole || asked == nil || asked.Version != tls.VersionTLS12 || !problem.Is(err, problem.Failed) {
		return err
	}
	return skip("in TLS 1.2 an Ed25519 key signs the whole handshake, %d bytes here, and the card does not: %v. Use TLS 1.3, or a p256 key", length, err)
}

// explain turns the error of a handshake into a problem. The client's own error
// is the reason where there is one, for the other side only sees the
// connection end.
func (c *client) explain(ctx context.Context, what string, err error) error {
	var (
		refused *net.OpError
		invalid *tls.CertificateVerificationError
	)
	failed := c.failed()
	switch {
	case failed != nil:
		return failed
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
	whose, own := "the server's", bytes.Equal(failed.UnverifiedCertificates[0].Raw, c.Certificate())
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
