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
	"github.com/cardctl/cardctl/internal/problem"
)

// greeting goes to the server and back. In TLS 1.3 the client learns only when
// it reads whether its certificate was taken.
const greeting = "cardctl"

// checkLoopback shakes hands, in both versions of TLS, with a server in this
// process that requires a certificate and verifies it. One version may be left out;
// where neither is possible the key is no use for TLS, which was asked about.
func (r *run) checkLoopback(ctx context.Context) {
	before := len(r.report.Checks)
	for _, version := range []uint16{tls.VersionTLS12, tls.VersionTLS13} {
		name := strings.ToLower(strings.ReplaceAll(tls.VersionName(version), " ", ""))
		r.check(ctx, name, func() (string, error) {
			if err := r.whyNot(ctx, version); err != nil {
				return "", err
			}
			if err := r.mayAuthenticate(); err != nil {
				return "", err
			}
			return r.loopback(ctx, version)
		})
	}
	checks := r.report.Checks[before:]
	if slices.ContainsFunc(checks, func(c Check) bool { return c.Result != Skip }) || len(checks) == 0 {
		return
	}
	reason, _, _ := strings.Cut(checks[0].Detail, ". ") // and what to do about it
	impossible := problem.New(problem.NotSupported, "no TLS handshake is possible with this key").
		Because("%s", problem.Sentence(reason)).Advise(advice.Do(advice.GenerateKey, advice.Fill(advice.Key), advice.Set(advice.Algorithm, "p256")))
	if r.certificate == nil {
		impossible.Code = problem.NotFound
		_ = impossible.Advise(r.importCertificate())
	}
	r.keep(impossible)
}

// mayAuthenticate checks the key usage, which Go's TLS does not: other programs refuse a
// client whose certificate is not for signatures (RFC 8446, 4.4.2.4).
func (r *run) mayAuthenticate() error {
	if r.certificate.KeyUsage == 0 || r.certificate.KeyUsage&cert.DigitalSignature != 0 {
		return nil
	}
	return problem.New(problem.Mismatch, "the certificate is not for TLS clients").
		Because("Its keyUsage does not have digitalSignature, so many servers refuse it.").
		Advise(advice.Do(advice.CreateRequest, advice.Set(advice.Key, r.o.Key), advice.Set(advice.KeyUsage, "digitalSignature"), advice.Fill(advice.Subject)))
}

func (r *run) loopback(ctx context.Context, version uint16) (string, error) {
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
	c := r.newClient(ctx, version)
	state, err := greet(ctx, listener.Addr().String(), &tls.Config{
		RootCAs:              roots,
		ServerName:           loopbackName,
		GetClientCertificate: c.choose,
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
		return fmt.Sprintf("%s, %s, client certificate required and verified", tls.VersionName(state.Version), tls.CipherSuiteName(state.CipherSuite)), nil
	case err == nil:
		err = serverErr
	case c.failed == nil && errors.As(serverErr, &invalid):
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
