package enroll

import (
	"bytes"
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptrace"
	"net/url"
	"slices"
	"strings"
	"time"

	"github.com/cardctl/cardctl/internal/advice"
	"github.com/cardctl/cardctl/internal/cert"
	"github.com/cardctl/cardctl/internal/problem"
	"github.com/cardctl/cardctl/internal/secret"
	"github.com/cardctl/cardctl/internal/tlskey"
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
	// config is that of TLS for the connections that are made after close.
	config *tls.Config
	client *http.Client
	// identity is that of the TLS client; nil for none.
	identity *tlskey.Client
	// limit is how long an answer may take, without the time in which a card signs.
	limit time.Duration
	wait  *time.Timer
	// used is the connection of the last message, held the one that every further message
	// has to be sent on; nil for any.
	used, held net.Conn
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
	return &remote{base: base, config: config, limit: answerLimit}, nil
}

// connected is the client of HTTP, which keeps a connection for the next message. It is
// HTTP/1.1: its errors tell how a connection ended.
func (r *remote) connected() *http.Client {
	const maxHeader = 64 << 10
	if r.client == nil {
		r.client = &http.Client{
			Transport: &http.Transport{
				Proxy: proxy, TLSClientConfig: r.config.Clone(), MaxResponseHeaderBytes: maxHeader,
			},
			CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
		}
	}
	return r.client
}

// proxy is that of the environment. An address that cannot be read is not shown: it may
// have a password in it.
func proxy(request *http.Request) (*url.URL, error) {
	at, err := http.ProxyFromEnvironment(request)
	if err != nil {
		return nil, problem.New(problem.Failed, "the address of the proxy cannot be read").
			Because("It comes from the environment variable HTTPS_PROXY or HTTP_PROXY.")
	}
	return at, nil
}

// close ends the connections. The next message makes another one.
func (r *remote) close() {
	if r.client != nil {
		r.client.CloseIdleConnections()
		r.client = nil
	}
}

// message is a request of HTTP.
type message struct {
	method string
	// path is appended to that of the address; at is a whole address instead of it.
	path string
	at   *url.URL
	body []byte
	// header may hold secrets, and so may the body. They are blanked in an answer that
	// refuses the message.
	header  http.Header
	secrets []*secret.Bytes
}

// reply is an answer that came whole.
type reply struct {
	status int
	header http.Header
	body   []byte
	// unique is tls-unique of the connection (RFC 5929, 3), nil if it has none.
	unique []byte
}

// do sends a message once. The status of the reply is left to the caller, but for redirects.
func (r *remote) do(ctx context.Context, m message) (reply, error) {
	limited, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	limited = httptrace.WithClientTrace(limited, r.watch(cancel))
	r.wait = time.AfterFunc(r.limit, func() { cancel(context.DeadlineExceeded) })
	defer r.wait.Stop()
	if r.identity != nil {
		r.identity.Open()
		defer r.identity.Shut()
	}
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
	response, err := r.connected().Do(request)
	if err != nil {
		return reply{}, r.failed(ctx, errors.Join(err, context.Cause(limited)))
	}
	defer func() { _ = response.Body.Close() }()
	body, err := io.ReadAll(io.LimitReader(response.Body, maxAnswer+1))
	switch {
	case err != nil:
		return reply{}, r.failed(ctx, errors.Join(err, context.Cause(limited)))
	case len(body) > maxAnswer:
		return reply{}, r.wrong("It is longer than %d bytes.", maxAnswer)
	case response.StatusCode >= 300 && response.StatusCode < 400:
		return reply{}, r.wrong("It refers to another address, which is not followed.")
	}
	if response.StatusCode >= http.StatusBadRequest {
		for _, s := range m.secrets {
			if s.Len() > 0 {
				body = bytes.ReplaceAll(body, s.Reveal(), []byte("…"))
			}
		}
	}
	answer := reply{status: response.StatusCode, header: response.Header, body: body}
	if response.TLS != nil && !response.TLS.DidResume {
		answer.unique = response.TLS.TLSUnique
	}
	return answer, nil
}

// watch notes the connection of a message, and ends the message if it would be another one
// than the one that is held.
func (r *remote) watch(end context.CancelCauseFunc) *httptrace.ClientTrace {
	another := func() {
		end(problem.New(problem.Failed, "the connection to %s ended before the request was sent", r.base.Host).
			Because("The request is linked to that connection.").Advise(advice.Repeat()))
	}
	return &httptrace.ClientTrace{
		ConnectStart: func(string, string) {
			if r.held != nil {
				another()
			}
		},
		GotConn: func(got httptrace.GotConnInfo) {
			if r.used = got.Conn; r.held != nil && got.Conn != r.held {
				another()
			}
		},
	}
}

// hold has every further message sent on the connection of the last one.
func (r *remote) hold() { r.held = r.used }

// limitTo12 limits TLS to version 1.2.
func (r *remote) limitTo12() {
	r.config.MaxVersion = tls.VersionTLS12
	r.close()
}

// basic sends a message again that was refused without a password, with the one of a user
// (RFC 7617).
func (r *remote) basic(ctx context.Context, o *Order, m message, refused reply, user string) (reply, error) {
	asks := slices.ContainsFunc(refused.header.Values("Www-Authenticate"), func(challenge string) bool {
		scheme, _, _ := strings.Cut(challenge, " ")
		return strings.EqualFold(scheme, "Basic")
	})
	switch {
	case !asks:
		return reply{}, problem.New(problem.NotSupported, "%s asks for an authentication that cardctl does not know", r.base.Host).
			Because("cardctl knows user name and password (Basic, RFC 7617), and the certificate on the card in a renewal.")
	case user == "" || strings.Contains(user, ":"):
		return reply{}, problem.New(problem.Usage, "%s asks for a user name and password", r.base.Host).
			Because("The user name is the user part of the address: est+https://USER@HOST.").Advise(advice.Repeat(advice.Fill(advice.Issuer)))
	}
	password, err := o.Access.Ask(ctx, secret.Request{Name: secret.IssuerSecret, Label: "password of " + user + " at " + r.base.Host})
	if err != nil {
		return reply{}, err
	}
	defer password.Wipe()
	both := secret.New(slices.Concat([]byte(user), []byte{':'}, password.Reveal()))
	defer both.Wipe()
	encoded := secret.New(base64.StdEncoding.AppendEncode(nil, both.Reveal()))
	defer encoded.Wipe()
	if m.header = m.header.Clone(); m.header == nil {
		m.header = http.Header{}
	}
	m.header.Set("Authorization", "Basic "+string(encoded.Reveal()))
	m.secrets = []*secret.Bytes{encoded, password}
	return r.do(ctx, m)
}

// pause has the time stand still until the function that it returns is called.
func (r *remote) pause() (goOn func()) {
	r.wait.Stop()
	return func() { r.wait.Reset(r.limit) }
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
	refused := r.refusedIdentity(err)
	alert, is := alertOf(err)
	switch {
	case ctx.Err() != nil:
		return ctx.Err()
	case refused != nil:
		return refused
	case is && alert == alertNoCertificate:
		p := problem.New(problem.Failed, "%s asks for the certificate of a TLS client", r.base.Host).
			Because("The certificate on the card is used where it is renewed.").Advise(advice.Repeat(advice.Fill(advice.Issuer)))
		p.Cause = err
		return p
	case errors.As(err, &known):
		return err
	case errors.As(err, &untrusted):
		p := problem.New(problem.Mismatch, "%s is not trusted", r.base.Host).
			Because("%s", problem.Sentence(untrusted.Err.Error())).Advise(advice.Repeat(advice.Fill(advice.IssuerCA)))
		p.Cause = err
		return p
	case errors.Is(err, context.DeadlineExceeded):
		return problem.New(problem.Failed, "%s did not answer", r.base.Host).
			Because("There was no whole answer within %s.", r.limit).Advise(r.reach())
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

// saidIn is an answer that is plain text, empty for another one.
func saidIn(a reply) string {
	if kind, _, _ := strings.Cut(a.header.Get("Content-Type"), ";"); kind == "text/plain" || kind == "" {
		return string(a.body)
	}
	return ""
}

// refusal is the error of a status that is none of those that were expected; what the
// server wrote is shown as far as it is plain text.
func (r *remote) refusal(a reply, said string) *problem.Error {
	why := fmt.Sprintf("It answered %d %s", a.status, http.StatusText(a.status))
	if said = plain(said); said != "" {
		why += ": " + said
	}
	return problem.New(problem.Failed, "%s did not issue a certificate", r.base.Host).Because("%s", problem.Sentence(why)).
		Advise(advice.Repeat(advice.Switch(advice.DryRun)))
}
