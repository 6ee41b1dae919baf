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
	"slices"
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
// issued is unknown. What a former key of the CA issued is answered by that key, or by its
// delegate. A delegate that may sign no more ends it: it has no authority that would return
// (2.2, 4.2.2.2), so that clients are not told to try later.
func (c *CA) AnswerOCSP(ctx context.Context, d *desk.Desk, a desk.Access, o Responder, at Listening) error {
	listener, err := (&net.ListenConfig{}).Listen(ctx, "tcp", at.Address)
	if err != nil {
		return problem.Wrap(problem.Failed, err, "cannot listen").Advise(advice.Repeat(advice.Set(advice.Listen, "127.0.0.1:8080")))
	}
	defer func() { _ = listener.Close() }() // the server may have closed it
	return c.respondEach(ctx, d, a, o, at.Now(), func(_ context.Context, list []*responder) error {
		const patience = 30 * time.Second
		handler := &ocspHandler{ctx: at.Ended, responders: list, now: at.Now, ended: make(chan struct{})}
		server := &http.Server{
			Handler:           handler,
			ReadHeaderTimeout: patience, ReadTimeout: patience, WriteTimeout: patience, MaxHeaderBytes: maxOCSPRequest,
		}
		if err := at.Ready(listener.Addr().String()); err != nil {
			return err
		}
		stop := context.AfterFunc(at.Ended, func() { _ = server.Close() })
		defer stop()
		served := make(chan error, 1)
		go func() { served <- server.Serve(listener) }()
		select {
		case err = <-served:
		case <-handler.ended:
			last, done := context.WithTimeout(at.Ended, patience) // who asked gets an answer
			err = server.Shutdown(last)
			done()
			<-served
		}
		if failed := handler.why(); failed != nil {
			return failed
		}
		if !errors.Is(err, http.ErrServerClosed) {
			return problem.Wrap(problem.Failed, err, "the responder failed")
		}
		return nil
	})
}

// ocspHandler answers one request at a time: there is one key.
type ocspHandler struct {
	ctx        context.Context
	responders []*responder // one for each key of the CA
	now        func() time.Time
	mutex      sync.Mutex
	// ended is closed when nothing may be signed any more, because of failed.
	ended  chan struct{}
	failed error
}

// why is what it ended with; nil where it goes on.
func (h *ocspHandler) why() error {
	h.mutex.Lock()
	defer h.mutex.Unlock()
	return h.failed
}

// end ends it, once.
func (h *ocspHandler) end(why error) {
	if h.failed == nil {
		h.failed = why
		close(h.ended)
	}
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
	at := slices.IndexFunc(h.responders, func(r *responder) bool { return r.ca.isIssuer(request) })
	if at < 0 || h.failed != nil {
		return ocsp.UnauthorizedErrorResponse, nextUpdate
	}
	r := h.responders[at]
	if err := r.mayAnswer(h.ctx, h.now()); err != nil {
		if h.ctx.Err() == nil {
			h.end(err)
		}
		return ocsp.UnauthorizedErrorResponse, nextUpdate // RFC 5019, 2.2.3: not capable of an authoritative answer
	}
	serial, err := ParseSerial(fmt.Sprintf("%X", request.SerialNumber))
	if err != nil {
		return ocsp.MalformedRequestErrorResponse, nextUpdate
	}
	list, err := r.ca.issuedByKey(h.ctx, []string{serial}, h.now())
	switch {
	case err == nil && len(list) == 0:
		der, nextUpdate, err = r.sign(ocsp.Response{SerialNumber: request.SerialNumber, Status: ocsp.Unknown, IssuerHash: request.HashAlgorithm}, h.now())
	case err == nil:
		var answer Answer
		answer, err = r.answer(list[0], request.HashAlgorithm, h.now())
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
