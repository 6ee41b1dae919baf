package enroll

import (
	"bytes"
	"context"
	"crypto"
	"crypto/sha256"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"io"
	"math"
	"net"
	"strings"

	"github.com/cardctl/cardctl/internal/advice"
	"github.com/cardctl/cardctl/internal/cert"
	"github.com/cardctl/cardctl/internal/chain"
	"github.com/cardctl/cardctl/internal/key"
	"github.com/cardctl/cardctl/internal/problem"
	"github.com/cardctl/cardctl/internal/tlskey"
)

// mostIssuers is how many issuers a TLS client sends with its certificate.
const mostIssuers = 8

// authenticate has a key on a card be that of the TLS client. Its certificate is sent with
// those of the known that issued it. A key that cannot do that is a problem.NotSupported,
// before anything is sent. The card signs while a message is sent, if the server asks for
// the certificate; an RSA key that makes no RSASSA-PSS signatures limits TLS to version 1.2
// (RFC 8446, 4.2.3).
func (r *remote) authenticate(ctx context.Context, a Auth, known []*cert.Certificate) error {
	signer, err := a.Card.Signer(ctx)
	if err != nil {
		return err
	}
	return r.identify(signer, a.Certificate, known)
}

// identify is authenticate with a signer and its certificate in DER.
func (r *remote) identify(signer crypto.Signer, der []byte, known []*cert.Certificate) error {
	certificate, err := cert.ParseStored(der)
	if err != nil {
		return problem.Wrap(problem.Mismatch, err, "the certificate that authenticates cannot be read")
	}
	schemes, highest, err := tlsSchemes(signer)
	if err != nil {
		return err
	}
	var issuers []*cert.Certificate
	for _, issuer := range chain.Issuers(certificate, known, mostIssuers) {
		if !chain.SelfSigned(issuer) {
			issuers = append(issuers, issuer)
		}
	}
	r.identity = tlskey.NewClient(signer, certificate, issuers, schemes)
	r.identity.Shut()
	r.identity.Around(r.pause)
	r.config.GetClientCertificate = r.identity.Choose
	r.config.MaxVersion = min(highest, r.highest())
	r.close() // connections without it
	return nil
}

// highest is the version of TLS that is spoken at most.
func (r *remote) highest() uint16 {
	if r.config.MaxVersion == 0 {
		return tls.VersionTLS13
	}
	return r.config.MaxVersion
}

// tlsSchemes are the signatures that TLS has for a key, and that it makes, and the highest
// version that has one of them.
func tlsSchemes(signer crypto.Signer) (ids []tls.SignatureScheme, highest uint16, err error) {
	for _, version := range []uint16{tls.VersionTLS12, tls.VersionTLS13} {
		for _, s := range tlskey.Schemes(version, signer.Public()) {
			err := key.Makes(signer, s.Opts)
			if err != nil && !problem.Is(err, problem.NotSupported) {
				return nil, 0, err
			}
			if err == nil {
				highest = version
				if version == tls.VersionTLS12 { // crypto/tls leaves out what 1.3 does not have
					ids = append(ids, s.ID)
				}
			}
		}
	}
	if len(ids) == 0 {
		return nil, 0, problem.New(problem.NotSupported, "the key cannot authenticate a TLS client").
			Because("TLS has no signature that a %s key of this card makes.", key.AlgorithmOf(signer.Public())).
			Advise(generateOther())
	}
	return ids, highest, nil
}

// generateOther is the way out for keys that TLS, or this version of it, does not use.
func generateOther() advice.Advice {
	return advice.Do(advice.GenerateKey, advice.Fill(advice.Key), advice.Set(advice.Algorithm, string(key.P256)))
}

// sameFingerprint reports whether a certificate in DER has this SHA-256.
func sameFingerprint(der, fingerprint []byte) bool {
	sum := sha256.Sum256(der)
	return bytes.Equal(sum[:], fingerprint)
}

// pin requires that the chain of the server has a certificate with this SHA-256, from which
// it is verified. It replaces the CAs of the system.
func (r *remote) pin(fingerprint []byte) {
	roots := r.config.RootCAs
	r.config.InsecureSkipVerify = true // for VerifyConnection, which follows
	r.config.VerifyConnection = func(state tls.ConnectionState) error {
		return verifyPinned(state, r.base.Hostname(), fingerprint, roots)
	}
}

// unverified is the error of a server's chain, as crypto/tls has it.
func unverified(state tls.ConnectionState, err error) error {
	return &tls.CertificateVerificationError{UnverifiedCertificates: state.PeerCertificates, Err: err}
}

var errNotPinned = errors.New("no certificate with the fingerprint is in its chain")

// verifyPinned verifies a chain from the certificate with the fingerprint, and, if there
// are other roots, from these. The host is given, because state lacks an IP address.
func verifyPinned(state tls.ConnectionState, host string, fingerprint []byte, roots *x509.CertPool) error {
	pinned, others := x509.NewCertPool(), x509.NewCertPool()
	found := false
	for _, c := range state.PeerCertificates[1:] {
		if others.AddCert(c); sameFingerprint(c.Raw, fingerprint) {
			pinned.AddCert(c)
			found = true
		}
	}
	if !found {
		return unverified(state, errNotPinned)
	}
	for _, anchors := range []*x509.CertPool{pinned, roots} {
		if anchors == nil {
			continue
		}
		o := x509.VerifyOptions{DNSName: host, Roots: anchors, Intermediates: others}
		if _, err := state.PeerCertificates[0].Verify(o); err != nil {
			return unverified(state, err)
		}
	}
	return nil
}

// refusedIdentity is the error of a server that ends a handshake in which the card is the
// client; nil for another one.
func (r *remote) refusedIdentity(err error) error {
	if r.identity == nil {
		return nil
	}
	if _, failed := r.identity.Failed(); failed != nil {
		return problem.Wrap(problem.Failed, failed, "authenticating to "+r.base.Host)
	}
	var broken *net.OpError
	code, alert := alertOf(err)
	what, why := "", ""
	switch {
	case alert && code == alertProtocolVersion && r.highest() < tls.VersionTLS13:
		return problem.New(problem.NotSupported, "%s does not speak TLS 1.2", r.base.Host).
			Because("TLS 1.3 needs RSASSA-PSS signatures of an RSA key, and this card does not make them. A p256 key has no limit.").
			Advise(generateOther())
	case alert && (code >= 42 && code <= 49 || code == alertNoCertificate): // RFC 8446, 6.2
		what, why = "refused the certificate on the card", "Its alert is "+strings.TrimPrefix(code.Error(), "tls: ")
	case !alert && r.identity.Asked() != nil && (errors.Is(err, io.EOF) || errors.As(err, &broken) && broken.Op != "dial"):
		what, why = "ended the connection", "It had asked for the certificate on the card, and may not accept it"
	default:
		return nil
	}
	return problem.New(problem.Failed, "%s %s", r.base.Host, what).
		Because("%s", problem.Sentences(problem.Sentence(why), "The issuer has to accept the CA of this certificate.")).Advise(advice.Repeat())
}

// Alerts of RFC 8446, 6.2.
const (
	alertProtocolVersion = tls.AlertError(70)
	alertNoCertificate   = tls.AlertError(116)
)

// alertOf is the alert of TLS by which the other side ended a connection.
func alertOf(err error) (code tls.AlertError, is bool) {
	var alert *net.OpError
	if !errors.As(err, &alert) || alert.Op != "remote error" {
		return 0, false
	}
	for code = 0; code < math.MaxUint8; code++ { // crypto/tls has another type for those that come
		if alert.Err.Error() == code.Error() {
			return code, true
		}
	}
	return 0, false
}
