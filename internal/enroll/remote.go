package enroll

import (
	"bytes"
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"time"

	"github.com/cardctl/cardctl/internal/advice"
	"github.com/cardctl/cardctl/internal/cert"
	"github.com/cardctl/cardctl/internal/problem"
)

// Limits of what a server may ask of this machine.
const (
	maxAnswer   = 1 << 20 // bytes
	answerLimit = 30 * time.Second
)

// remote is the server of an issuer. TLS is always verified, redirects are refused, and
// an answer is bounded in size and time.
type remote struct {
	base url.URL
	// config is that of TLS.
	config *tls.Config
	client *http.Client
}

// newRemote reaches a server whose certificate chains to one of the roots; without any,
// to one of the system's.
func newRemote(base url.URL, roots []*cert.Certificate) (*remote, error) {
	config := &tls.Config{MinVersion: tls.VersionTLS12}
	for _, root := range roots {
		if config.RootCAs == nil {
			config.RootCAs = x509.NewCertPool()
		}
		c, err := x509.ParseCertificate(root.Raw)
		if err != nil {
			return nil, problem.Wrap(problem.Mismatch, err, "the certificate of "+root.Subject.String()+" cannot be used for TLS")
		}
		config.RootCAs.AddCert(c)
	}
	transport := &http.Transport{Proxy: http.ProxyFromEnvironment, TLSClientConfig: config, ForceAttemptHTTP2: true}
	return &remote{base: base, config: config, client: &http.Client{
		Transport:     transport,
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}}, nil
}

// close ends the connections.
func (r *remote) close() { r.client.CloseIdleConnections() }

// message is a request of HTTP.
type message struct {
	method string
	// path is appended to that of the address; at is a whole address instead of it.
	path string
	at   *url.URL
	body []byte
	// header may hold secrets.
	header http.Header
}

// reply is an answer that came whole.
type reply struct {
	status int
	header http.Header
	body   []byte
}

// do sends a message once. The status of the reply is left to the caller, but for redirects.
func (r *remote) do(ctx context.Context, m message) (reply, error) {
	limited, cancel := context.WithTimeout(ctx, answerLimit)
	defer cancel()
	at := r.base
	if at.Path += m.path; m.at != nil {
		at = *m.at
	}
	request, err := http.NewRequestWithContext(limited, m.method, at.String(), bytes.NewReader(m.body))
	if err != nil {
		return reply{}, err
	}
	for name, values := range m.header {
		request.Header[name] = values
	}
	response, err := r.client.Do(request)
	if err != nil {
		return reply{}, r.failed(ctx, err)
	}
	defer func() { _ = response.Body.Close() }()
	body, err := io.ReadAll(io.LimitReader(response.Body, maxAnswer+1))
	switch {
	case err != nil:
		return reply{}, r.failed(ctx, err)
	case len(body) > maxAnswer:
		return reply{}, r.wrong("It is longer than %d bytes.", maxAnswer)
	case response.StatusCode >= 300 && response.StatusCode < 400:
		return reply{}, r.wrong("It refers to another address, which is not followed.")
	}
	return reply{status: response.StatusCode, header: response.Header, body: body}, nil
}

// wrong is the error of an answer that cannot be used.
func (r *remote) wrong(why string, args ...any) *problem.Error {
	return problem.New(problem.Mismatch, "the answer of %s cannot be used", r.base.Host).Because(why, args...)
}

// failed says why there is no answer.
func (r *remote) failed(ctx context.Context, err error) error {
	var untrusted *tls.CertificateVerificationError
	var known *problem.Error
	var where *url.Error
	switch {
	case ctx.Err() != nil:
		return ctx.Err()
	case errors.As(err, &known):
		return err
	case errors.As(err, &untrusted):
		p := problem.New(problem.Mismatch, "%s is not trusted", r.base.Host).
			Because("%s", problem.Sentence(untrusted.Err.Error())).Advise(advice.Repeat(advice.Fill(advice.IssuerCA)))
		p.Cause = err
		return p
	case errors.Is(err, context.DeadlineExceeded):
		return problem.New(problem.Failed, "%s did not answer", r.base.Host).
			Because("There was no whole answer within %s.", answerLimit).Advise(r.reach())
	case errors.As(err, &where):
		err = where.Err // without the address, which may have a user in it
	}
	p := problem.New(problem.Failed, "%s could not be reached", r.base.Host).Because("%s", problem.Sentence(err.Error())).Advise(r.reach())
	p.Cause = err
	return p
}

// reach is a look at the server with another program.
func (r *remote) reach() advice.Advice {
	return advice.Run("curl", "-v", r.base.Scheme+"://"+r.base.Host)
}

// refusal is the error of a status that is none of those that were expected; what the
// server wrote is shown as far as it is plain text.
func (r *remote) refusal(a reply, said string) *problem.Error {
	why := fmt.Sprintf("It answered %d %s", a.status, http.StatusText(a.status))
	if said = plain(said); said != "" {
		why += ": " + said
	}
	return problem.New(problem.Failed, "%s did not issue a certificate", r.base.Host).Because("%s", problem.Sentence(why))
}
