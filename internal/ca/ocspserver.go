package ca

import (
	"context"
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"strings"
	"sync"
	"time"

	"golang.org/x/crypto/ocsp"

	"github.com/cardctl/cardctl/internal/advice"
	"github.com/cardctl/cardctl/internal/csr"
	"github.com/cardctl/cardctl/internal/desk"
	"github.com/cardctl/cardctl/internal/problem"
)

// maxOCSPRequest is the greatest length of a request in bytes that is answered.
const maxOCSPRequest = 1 << 14

// Listening is a responder that answers requests.
type Listening struct {
	Address string
	Now     func() time.Time
	// Ready is told the address when it listens.
	Ready func(address string) error
	// Ended ends it.
	Ended context.Context
}

// AnswerOCSP answers requests with GET and POST (RFC 6960, A.1) until it is ended, which
// is no error. It signs what the database says at that moment; a certificate that was not
// issued is unknown.
func (c *CA) AnswerOCSP(ctx context.Context, d *desk.Desk, a desk.Access, o Responder, at Listening) error {
	listener, err := (&net.ListenConfig{}).Listen(ctx, "tcp", at.Address)
	if err != nil {
		return problem.Wrap(problem.Failed, err, "cannot listen").Advise(advice.Repeat(advice.Set(advice.Listen, "127.0.0.1:8080")))
	}
	defer func() { _ = listener.Close() }() // the server may have closed it
	return c.respond(ctx, d, a, o, at.Now(), func(_ context.Context, r *responder) error {
		const patience = 30 * time.Second
		server := &http.Server{
			Handler:           &ocspHandler{ctx: at.Ended, responder: r, now: at.Now},
			ReadHeaderTimeout: patience, ReadTimeout: patience, WriteTimeout: patience, MaxHeaderBytes: maxOCSPRequest,
		}
		if err := at.Ready(listener.Addr().String()); err != nil {
			return err
		}
		stop := context.AfterFunc(at.Ended, func() { _ = server.Close() })
		defer stop()
		if err := server.Serve(listener); !errors.Is(err, http.ErrServerClosed) {
			return problem.Wrap(problem.Failed, err, "the responder failed")
		}
		return nil
	})
}

// ocspHandler answers one request at a time: there is one key.
type ocspHandler struct {
	ctx       context.Context
	responder *responder
	now       func() time.Time
	mutex     sync.Mutex
}

func (h *ocspHandler) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	w.Header().Set("Content-Type", "application/ocsp-response")
	answer, nextUpdate := ocsp.MalformedRequestErrorResponse, time.Time{}
	if data, err := requestIn(r); err == nil {
		answer, nextUpdate = h.answer(data)
	}
	if r.Method == http.MethodGet && !nextUpdate.IsZero() { // RFC 5019, 6.2
		w.Header().Set("Cache-Control", fmt.Sprintf("max-age=%d, public, no-transform, must-revalidate", int(nextUpdate.Sub(h.now()).Seconds())))
	}
	_, _ = w.Write(answer) // who asked may be gone
}

// requestIn is the request, of the path or of the body.
func requestIn(r *http.Request) ([]byte, error) {
	switch r.Method {
	case http.MethodPost:
		return io.ReadAll(io.LimitReader(r.Body, maxOCSPRequest))
	case http.MethodGet:
		name, err := url.PathUnescape(strings.TrimPrefix(r.URL.EscapedPath(), "/"))
		if err != nil {
			return nil, err
		}
		return base64.StdEncoding.DecodeString(name)
	}
	return nil, errors.New("neither GET nor POST")
}

// answer is what the database says now, or an answer of RFC 6960, 2.3.
func (h *ocspHandler) answer(data []byte) (der []byte, nextUpdate time.Time) {
	request, err := ocsp.ParseRequest(data)
	if err != nil {
		return ocsp.MalformedRequestErrorResponse, nextUpdate
	}
	h.mutex.Lock()
	defer h.mutex.Unlock()
	c := h.responder.ca
	if !c.isIssuer(request) {
		return ocsp.UnauthorizedErrorResponse, nextUpdate
	}
	serial, err := ParseSerial(fmt.Sprintf("%X", request.SerialNumber))
	if err != nil {
		return ocsp.MalformedRequestErrorResponse, nextUpdate
	}
	e, err := c.entry(h.ctx, serial)
	switch {
	case problem.Is(err, problem.NotFound):
		der, nextUpdate, err = h.responder.sign(ocsp.Response{SerialNumber: request.SerialNumber, Status: ocsp.Unknown, IssuerHash: request.HashAlgorithm}, h.now())
	case err == nil:
		var answer Answer
		answer, err = h.responder.answer(e, request.HashAlgorithm, h.now())
		der, nextUpdate = answer.DER, answer.NextUpdate
	}
	if err != nil {
		return ocsp.InternalErrorErrorResponse, time.Time{}
	}
	return der, nextUpdate
}

// isIssuer reports whether a request is about certificates of this CA.
func (c *CA) isIssuer(request *ocsp.Request) bool {
	if !request.HashAlgorithm.Available() {
		return false
	}
	digest := func(data []byte) string {
		h := request.HashAlgorithm.New()
		h.Write(data)
		return string(h.Sum(nil))
	}
	key, err := csr.KeyBits(c.certificate.RawSubjectPublicKeyInfo)
	return err == nil && digest(c.certificate.RawSubject) == string(request.IssuerNameHash) && digest(key) == string(request.IssuerKeyHash)
}
