package smoke

import (
	"bytes"
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"strings"
	"time"

	"github.com/cardctl/cardctl/internal/advice"
	"github.com/cardctl/cardctl/internal/problem"
	"github.com/cardctl/cardctl/internal/tlskey"
)

// objection is how long a server of TLS 1.3 is given to refuse the client
// certificate: it does so only after the handshake.
const objection = 2 * time.Second

// checkServer shakes hands with a real server.
func (r *run) checkServer(ctx context.Context) {
	r.check(ctx, "tls-connect", func() (string, error) {
		if reason := r.whyNoHandshake(); reason != nil {
			return "", reason
		}
		highest, limited := uint16(tls.VersionTLS13), ""
		schemes, reason := r.offered(ctx, tls.VersionTLS13)
		if reason != nil {
			var err error
			if schemes, err = r.offered(ctx, tls.VersionTLS12); err != nil {
				return "", err
			}
			highest, limited = tls.VersionTLS12, "; TLS 1.3 was not offered: "+reason.Error()
		}
		c := r.newClient(ctx, schemes)
		state, err := r.connect(ctx, highest, c)
		if reason != nil && refusesVersion(err) {
			return "", reason
		}
		if err != nil {
			return "", c.explain(ctx, "TLS with "+r.o.TLSConnect, err)
		}
		detail := fmt.Sprintf("%s, %s, server certificate %q verified", tls.VersionName(state.Version),
			tls.CipherSuiteName(state.CipherSuite), state.PeerCertificates[0].Subject)
		if c.Asked() == nil {
			return "", problem.New(problem.Failed, "%s did not ask for a client certificate", r.o.TLSConnect).
				Because("The handshake succeeded without the card (%s). In nginx, ssl_verify_client requires a certificate.", detail).
				Advise(advice.Repeat(advice.Fill(advice.TLSPeer)))
		}
		return detail + "; client certificate requested and not refused" + r.otherCAs(c) + limited, nil
	})
}

// connect shakes hands and waits whether the server has something against it.
func (r *run) connect(ctx context.Context, highest uint16, c *client) (tls.ConnectionState, error) {
	host, err := hostOf(r.o.TLSConnect)
	if err != nil {
		return tls.ConnectionState{}, err
	}
	roots, err := r.roots()
	if err != nil {
		return tls.ConnectionState{}, err
	}
	dialer := tls.Dialer{Config: &tls.Config{
		RootCAs:              roots,
		ServerName:           host,
		GetClientCertificate: c.Choose,
		MinVersion:           tls.VersionTLS12,
		MaxVersion:           highest,
		Time:                 r.o.Now,
	}}
	dialed, err := dialer.DialContext(ctx, "tcp", r.o.TLSConnect)
	if err != nil {
		return tls.ConnectionState{}, err
	}
	conn := dialed.(*tls.Conn)
	defer func() { _ = conn.Close() }()
	defer context.AfterFunc(ctx, func() { _ = conn.NetConn().Close() })()
	state := conn.ConnectionState()
	if state.Version != tls.VersionTLS13 {
		return state, nil // the server's Finished came after it had verified
	}
	if err := conn.SetReadDeadline(time.Now().Add(objection)); err != nil {
		return state, err
	}
	_, err = conn.Read(make([]byte, 1))
	if errors.Is(err, os.ErrDeadlineExceeded) || errors.Is(err, io.EOF) {
		err = nil // it waits for the client to speak, or has nothing to say
	}
	return state, err
}

// refusesVersion reports whether the server wants another version of TLS, which
// is alert 70 (RFC 8446, 6.2).
func refusesVersion(err error) bool {
	var refused *net.OpError
	return errors.As(err, &refused) && refused.Op == "remote error" && refused.Err.Error() == tls.AlertError(70).Error()
}

// otherCAs is a remark for a server that names the CAs it accepts, and names
// another than the certificate's.
func (r *run) otherCAs(c *client) string {
	accepted := c.Asked().AcceptableCAs
	if len(accepted) == 0 {
		return ""
	}
	for _, name := range accepted {
		if bytes.Equal(name, r.certificate.RawIssuer) {
			return ""
		}
		for _, issuer := range r.o.Chain {
			if bytes.Equal(name, issuer.RawIssuer) {
				return ""
			}
		}
	}
	return fmt.Sprintf(", but the server names CAs other than %q, so a browser may not offer this certificate", r.certificate.Issuer)
}

func hostOf(address string) (string, error) {
	host, port, err := net.SplitHostPort(address)
	if err != nil || host == "" || port == "" {
		return "", problem.New(problem.Usage, "%q is not HOST:PORT", address).
			Because("Example: www.example.com:443.").Advise(advice.Repeat(advice.Fill(advice.TLSPeer)))
	}
	return host, nil
}

// roots are the CAs that verify the server; nil for those of the system.
func (r *run) roots() (*x509.CertPool, error) {
	if len(r.o.ServerCAs) == 0 {
		return nil, nil
	}
	pool := x509.NewCertPool()
	for _, c := range r.o.ServerCAs {
		standard := c.Standard()
		if standard == nil {
			return nil, problem.New(problem.NotSupported, "the CA certificate cannot verify a TLS server here").
				Because("%s is unusual: %s.", c.Subject, strings.Join(c.Odd, ", ")).
				Advise(advice.Run("openssl", "s_client", "-connect", r.o.TLSConnect, "-CAfile", "FILE"))
		}
		pool.AddCert(standard)
	}
	return pool, nil
}

// offered are the signatures that a client offers to a real server: of one library,
// the one that it chooses.
func (r *run) offered(ctx context.Context, version uint16) ([]tls.SignatureScheme, error) {
	as := r.o.As
	if as == "" {
		as = Go
	}
	c := r.prospect().chooses(ctx, as, version)
	switch {
	case c.reason != "" && version == tls.VersionTLS13:
		return nil, skip("%s. Use a p256 key, or limit the server to TLS 1.2", problem.Sentence(c.reason))
	case c.reason != "":
		return nil, skip("%s. Use a p256 key", c.reason)
	case as == Go: // it is told all
		return r.prospect().possible(ctx, as, tlskey.Schemes(tls.VersionTLS12, r.key.Public())), nil // crypto/tls leaves out what 1.3 does not have
	}
	return []tls.SignatureScheme{c.scheme}, nil
}
