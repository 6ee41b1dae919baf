package smoke

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"math/big"
	"net"
	"slices"
	"strings"
	"time"

	"github.com/cardctl/cardctl/internal/advice"
	"github.com/cardctl/cardctl/internal/cert"
	"github.com/cardctl/cardctl/internal/key"
	"github.com/cardctl/cardctl/internal/problem"
	"github.com/cardctl/cardctl/internal/pubkey"
)

// greeting goes to the server and back. In TLS 1.3 the client learns only when
// it reads whether its certificate was taken.
const greeting = "cardctl"

// checkLoopback shakes hands, in both versions of TLS, with a server in this
// process that requires a certificate and verifies it. Each library has to be able to,
// as it is set up: with TLS 1.3, which servers choose, and with TLS 1.2 if it can.
func (r *run) checkLoopback(ctx context.Context) {
	if reason := r.whyNoHandshake(); reason != nil {
		r.cannotShakeHands(ctx, reason)
		return
	}
	old, current := r.choices(ctx, tls.VersionTLS12), r.choices(ctx, tls.VersionTLS13)
	r.checkVersion(ctx, tls.VersionTLS12, old, current)
	r.checkVersion(ctx, tls.VersionTLS13, current, current)
}

// cannotShakeHands says of both versions that they are not possible, which was asked
// about.
func (r *run) cannotShakeHands(ctx context.Context, reason error) {
	for _, version := range []uint16{tls.VersionTLS12, tls.VersionTLS13} {
		r.check(ctx, checkOf(version), func() (string, error) { return "", reason })
	}
	why, _, _ := strings.Cut(reason.Error(), ". ") // and what to do about it
	impossible := problem.New(problem.NotSupported, "no TLS handshake is possible with this key").
		Because("%s", problem.Sentence(why)).Advise(r.generateOther())
	if r.certificate == nil {
		impossible.Code = problem.NotFound
		_ = impossible.Advise(r.importCertificate())
	}
	r.keep(impossible)
}

func (r *run) generateOther() advice.Advice {
	return advice.Do(advice.GenerateKey, advice.Fill(advice.Key), advice.Set(advice.Algorithm, string(key.P256)))
}

// checkOf is the name of the check of a version: tls1.3.
func checkOf(version uint16) string {
	return strings.ToLower(strings.ReplaceAll(tls.VersionName(version), " ", ""))
}

// checkVersion makes a handshake for each choice. A library that cannot make one in
// TLS 1.2 is told of; it fails if it can make none in TLS 1.3, either.
func (r *run) checkVersion(ctx context.Context, version uint16, choices, current []choice) {
	for _, c := range choices {
		name := checkOf(version)
		if c.reason != "" && len(c.by) < len(r.libraries()) || severalChosen(choices) {
			name += " as " + named(c.by)
		}
		r.check(ctx, name, func() (string, error) {
			if err := MayAuthenticate(r.certificate, r.o.Key); err != nil {
				return "", err
			}
			if c.reason == "" {
				return r.loopback(ctx, version, c)
			}
			if version == tls.VersionTLS12 && !cannot(current, c.by) {
				return "", skip("%s. Use TLS 1.3, or a p256 key", c.reason)
			}
			return "", problem.New(problem.NotSupported, "%s with %s is not possible with this key", tls.VersionName(version), named(c.by)).
				Because("%s Use a p256 key%s.", problem.Sentence(c.reason), r.orOldTLS(version)).Advise(r.generateOther())
		})
	}
}

// severalChosen reports whether the libraries choose different signatures.
func severalChosen(choices []choice) bool {
	chosen := 0
	for _, c := range choices {
		if c.reason == "" {
			chosen++
		}
	}
	return chosen > 1
}

// orOldTLS is the other way out, for RSA keys.
func (r *run) orOldTLS(version uint16) string {
	if pubkey.IsRSA(r.key.Public()) && version == tls.VersionTLS13 {
		return ", or limit the program or the server to TLS 1.2"
	}
	return ""
}

// cannot reports whether one of the libraries has no signature.
func cannot(choices []choice, of []Library) bool {
	return slices.ContainsFunc(choices, func(c choice) bool {
		return c.reason != "" && slices.ContainsFunc(c.by, func(l Library) bool { return slices.Contains(of, l) })
	})
}

// MayAuthenticate checks the key usage, which Go's TLS does not: other programs refuse a
// client whose certificate is not for signatures (RFC 8446, 4.4.2.4). Ref is the key.
func MayAuthenticate(c *cert.Certificate, ref string) error {
	if c.KeyUsage == 0 || c.KeyUsage&cert.DigitalSignature != 0 {
		return nil
	}
	return problem.New(problem.Mismatch, "the certificate is not for TLS clients").
		Because("Its keyUsage does not have digitalSignature, so many servers refuse it.").
		Advise(advice.Do(advice.CreateRequest, advice.Set(advice.Key, ref), advice.Set(advice.KeyUsage, "digitalSignature"), advice.Fill(advice.Subject)))
}

func (r *run) loopback(ctx context.Context, version uint16, chosen choice) (string, error) {
	identity, roots, err := r.serverIdentity()
	if err != nil {
		return "", err
	}
	listener, err := listen(ctx)
	if err != nil {
		return "", problem.Wrap(problem.Failed, err, "listen on loopback")
	}
	defer func() { _ = listener.Close() }()
	trusted := x509.NewCertPool()
	trusted.AddCert(r.certificate.Standard()) // itself: whom its CA is trusted by is not at issue here

	served := make(chan error, 1)
	go func() {
		served <- serveOnce(ctx, listener, &tls.Config{
			Certificates: []tls.Certificate{identity},
			ClientAuth:   tls.RequireAndVerifyClientCert,
			ClientCAs:    trusted,
			MinVersion:   version,
			MaxVersion:   version,
			Time:         r.o.Now,
		})
	}()
	c := r.newClient(ctx, []tls.SignatureScheme{chosen.scheme})
	state, err := greet(ctx, listener.Addr().String(), &tls.Config{
		RootCAs:              roots,
		ServerName:           loopbackName,
		GetClientCertificate: c.Choose,
		MinVersion:           version,
		MaxVersion:           version,
		Time:                 r.o.Now,
	})
	_ = listener.Close() // nobody else is expected, nor the first one where it failed
	serverErr := <-served
	what := tls.VersionName(version) + " on loopback"
	var invalid *tls.CertificateVerificationError
	switch {
	case err == nil && serverErr == nil:
		return fmt.Sprintf("%s, %s, %s as %s, client certificate required and verified",
			tls.VersionName(state.Version), tls.CipherSuiteName(state.CipherSuite), chosen.scheme, named(chosen.by)), nil
	case err == nil:
		err = serverErr
	case c.failed() == nil && errors.As(serverErr, &invalid):
		err = serverErr // the client only hears "bad certificate"
	}
	return "", c.explain(ctx, what, err)
}

// serveOnce takes one connection and sends back what it reads.
func serveOnce(ctx context.Context, listener net.Listener, config *tls.Config) error {
	defer context.AfterFunc(ctx, func() { _ = listener.Close() })()
	plain, err := listener.Accept()
	if err != nil {
		return err
	}
	conn := tls.Server(plain, config)
	defer func() { _ = conn.Close() }()
	if err := conn.HandshakeContext(ctx); err != nil {
		return err
	}
	defer context.AfterFunc(ctx, func() { _ = plain.Close() })()
	_, err = io.CopyN(conn, conn, int64(len(greeting)))
	return err
}

// greet shakes hands, sends the greeting, and waits for it to come back.
func greet(ctx context.Context, address string, config *tls.Config) (tls.ConnectionState, error) {
	dialed, err := (&tls.Dialer{Config: config}).DialContext(ctx, "tcp", address)
	if err != nil {
		return tls.ConnectionState{}, err
	}
	conn := dialed.(*tls.Conn)
	defer func() { _ = conn.Close() }()
	defer context.AfterFunc(ctx, func() { _ = conn.NetConn().Close() })()
	if _, err := io.WriteString(conn, greeting); err != nil {
		return conn.ConnectionState(), err
	}
	_, err = io.ReadFull(conn, make([]byte, len(greeting)))
	return conn.ConnectionState(), err
}

func listen(ctx context.Context) (net.Listener, error) {
	var config net.ListenConfig
	listener, err := config.Listen(ctx, "tcp", "127.0.0.1:0")
	if err != nil {
		return config.Listen(ctx, "tcp", "[::1]:0")
	}
	return listener, nil
}

const loopbackName = "localhost"

// serverIdentity makes a certificate for the server, good for an hour, and the
// pool that trusts it.
func (r *run) serverIdentity() (tls.Certificate, *x509.CertPool, error) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return tls.Certificate{}, nil, problem.Wrap(problem.Failed, err, "generate a key for the server")
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1),
		DNSNames:     []string{loopbackName},
		NotBefore:    r.o.Now().Add(-time.Hour),
		NotAfter:     r.o.Now().Add(time.Hour),
		ExtKeyUsage:  []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth},
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	if err != nil {
		return tls.Certificate{}, nil, problem.Wrap(problem.Failed, err, "make a server's certificate")
	}
	certificate, err := x509.ParseCertificate(der)
	if err != nil {
		return tls.Certificate{}, nil, problem.Wrap(problem.Failed, err, "make a server's certificate")
	}
	pool := x509.NewCertPool()
	pool.AddCert(certificate)
	return tls.Certificate{Certificate: [][]byte{der}, PrivateKey: key}, pool, nil
}
