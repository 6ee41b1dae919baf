package enroll

import (
	"bytes"
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"os"
	"os/exec"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/cardctl/cardctl/internal/problem"
	"github.com/cardctl/cardctl/internal/secret"
	"github.com/cardctl/cardctl/test/certs"
	"github.com/cardctl/cardctl/test/issuers"
)

// TestBadServers has servers of TLS that answer nothing, for ever, too much, or elsewhere.
func TestBadServers(t *testing.T) {
	root := certs.NewAuthority(t, "root")
	for what, test := range map[string]struct {
		answer http.HandlerFunc
		code   problem.Code
		says   string
	}{
		"nothing, for ever": {func(_ http.ResponseWriter, r *http.Request) { <-r.Context().Done() }, problem.Failed, "did not answer"},
		"a drop at a time": {func(w http.ResponseWriter, r *http.Request) {
			for r.Context().Err() == nil {
				_, _ = io.WriteString(w, "A")
				_ = http.NewResponseController(w).Flush()
				time.Sleep(10 * time.Millisecond)
			}
		}, problem.Failed, "did not answer"},
		"a gigabyte": {func(w http.ResponseWriter, _ *http.Request) {
			part := bytes.Repeat([]byte("A"), 1<<20)
			for range 1 << 10 {
				if _, err := w.Write(part); err != nil {
					return
				}
			}
		}, problem.Mismatch, "longer than"},
		"a gigabyte of header": {func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("X", strings.Repeat("A", 1<<20))
		}, problem.Failed, "could not be reached"},
		"the end": {func(w http.ResponseWriter, _ *http.Request) {
			connection, _, err := http.NewResponseController(w).Hijack()
			if err == nil {
				_ = connection.Close()
			}
		}, problem.Failed, "could not be reached"},
		"another address": {func(w http.ResponseWriter, r *http.Request) {
			http.Redirect(w, r, "/other", http.StatusPermanentRedirect)
		}, problem.Mismatch, "another address"},
	} {
		t.Run(what, func(t *testing.T) {
			at := issuers.Listen(t, root.Server(t, x509.Certificate{}), &tls.Config{}, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				_, _ = io.Copy(io.Discard, r.Body) // only then is it noticed that the client is gone
				test.answer(w, r)
			}))
			r, err := newRemote(at, root.Roots(t))
			check(t, err)
			defer r.close()
			r.limit = 300 * time.Millisecond
			answer, err := r.do(t.Context(), message{method: http.MethodPost, path: "/x", body: []byte("x")})
			if !problem.Is(err, test.code) || !strings.Contains(err.Error(), test.says) || answer.body != nil {
				t.Errorf("%v", err)
			}
		})
	}
}

// TestARequestIsSentOnce whatever becomes of the connection: it may have made a certificate.
func TestARequestIsSentOnce(t *testing.T) {
	root := certs.NewAuthority(t, "root")
	var posts atomic.Int32
	at := issuers.Listen(t, root.Server(t, x509.Certificate{}), &tls.Config{}, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Method == http.MethodPost {
			_, _ = io.Copy(io.Discard, r.Body)
			posts.Add(1)
			if connection, _, err := http.NewResponseController(w).Hijack(); err == nil {
				_ = connection.Close()
			}
		}
	}))
	r, err := newRemote(at, root.Roots(t))
	check(t, err)
	defer r.close()
	_, err = r.do(t.Context(), message{method: http.MethodGet})
	check(t, err) // and the connection is used again
	if _, err := r.do(t.Context(), message{method: http.MethodPost, body: []byte("x")}); !problem.Is(err, problem.Failed) || posts.Load() != 1 {
		t.Errorf("%v, %d times", err, posts.Load())
	}
}

// TestAnInterruptionIsOne and no error of the server.
func TestAnInterruptionIsOne(t *testing.T) {
	root := certs.NewAuthority(t, "root")
	ctx, interrupt := context.WithCancel(t.Context())
	at := issuers.Listen(t, root.Server(t, x509.Certificate{}), &tls.Config{}, http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		interrupt()
		<-r.Context().Done()
	}))
	r, err := newRemote(at, root.Roots(t))
	check(t, err)
	if _, err := r.do(ctx, message{method: http.MethodGet}); !errors.Is(err, context.Canceled) {
		t.Errorf("%v", err)
	}
}

// TestTimeStandsStillWhileACardSigns also if the signature takes longer than an answer may.
func TestTimeStandsStillWhileACardSigns(t *testing.T) {
	r := &remote{limit: 50 * time.Millisecond}
	ended := make(chan struct{})
	r.wait = time.AfterFunc(r.limit, func() { close(ended) })
	goOn := r.pause()
	select {
	case <-ended:
		t.Error("the time did not stand still")
	case <-time.After(4 * r.limit):
	}
	goOn()
	<-ended
}

// TestSecretsInAnswersAreBlanked as far as they refuse something.
func TestSecretsInAnswersAreBlanked(t *testing.T) {
	root := certs.NewAuthority(t, "root")
	at := issuers.Listen(t, root.Server(t, x509.Certificate{}), &tls.Config{}, http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.WriteHeader(http.StatusForbidden)
		_, _ = io.WriteString(w, "token 736451 is not known")
	}))
	r, err := newRemote(at, root.Roots(t))
	check(t, err)
	defer r.close()
	token := secret.New([]byte("736451"))
	answer, err := r.do(t.Context(), message{method: http.MethodGet, secrets: []*secret.Bytes{token, secret.New(nil)}})
	if err != nil || string(answer.body) != "token … is not known" {
		t.Errorf("%q, %v", answer.body, err)
	}
}

// TestTheProxyOfTheEnvironment is asked for a tunnel, in which TLS is that of the server.
func TestTheProxyOfTheEnvironment(t *testing.T) {
	const child = "CARDCTL_TEST_PROXY_CHILD"
	switch os.Getenv(child) { // net/http reads the environment once
	case "works":
		askThroughProxy(t)
		return
	case "garbage":
		askThroughGarbage(t)
		return
	}
	for _, kind := range []string{"works", "garbage"} {
		program := exec.CommandContext(t.Context(), os.Args[0], "-test.run=^TestTheProxyOfTheEnvironment$", "-test.count=1")
		program.Env = append(os.Environ(), child+"="+kind)
		if out, err := program.CombinedOutput(); err != nil {
			t.Errorf("%s: %v: %s", kind, err, out)
		}
	}
}

// askThroughGarbage has a proxy whose address cannot be read, and does not show it.
func askThroughGarbage(t *testing.T) {
	t.Setenv("HTTPS_PROXY", "http://floppy:73645%1@proxy.example")
	t.Setenv("NO_PROXY", "")
	r, err := newRemote(url.URL{Scheme: "https", Host: "ca.example"}, nil)
	check(t, err)
	if _, err := r.do(t.Context(), message{method: http.MethodGet}); !problem.Is(err, problem.Failed) || strings.Contains(fmt.Sprintf("%+v", err), "73645") {
		t.Errorf("%v", err)
	}
}

func askThroughProxy(t *testing.T) {
	root := certs.NewAuthority(t, "root")
	at := issuers.Listen(t, root.Server(t, x509.Certificate{DNSNames: []string{"ca.example"}}), &tls.Config{}, http.HandlerFunc(whoami))
	server := at.Host
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	check(t, err)
	t.Cleanup(func() { _ = listener.Close() })
	seen := make(chan string, 1)
	go func() { seen <- tunnel(listener, server) }()
	t.Setenv("HTTPS_PROXY", "http://"+listener.Addr().String())
	t.Setenv("NO_PROXY", "")
	at.Host = "ca.example:8443"
	r, err := newRemote(at, root.Roots(t))
	check(t, err)
	answer, err := r.do(t.Context(), message{method: http.MethodGet, header: http.Header{"Authorization": {"Basic 736451"}}})
	if err != nil || string(answer.body) != "TLS 1.3" {
		t.Errorf("%q, %v", answer.body, err)
	}
	r.close()
	if asked := <-seen; !strings.HasPrefix(asked, "CONNECT ca.example:8443 HTTP/1.1\r\n") || strings.Contains(asked, "736451") {
		t.Errorf("%q", asked)
	}
}

// tunnel is a proxy for one connection. It returns what it was asked.
func tunnel(listener net.Listener, to string) (asked string) {
	client, err := listener.Accept()
	if err != nil {
		return err.Error()
	}
	defer func() { _ = client.Close() }()
	buffer := make([]byte, 4<<10)
	n, err := client.Read(buffer)
	if err != nil {
		return err.Error()
	}
	server, err := net.Dial("tcp", to)
	if err != nil {
		return err.Error()
	}
	defer func() { _ = server.Close() }()
	_, _ = fmt.Fprint(client, "HTTP/1.1 200 OK\r\n\r\n")
	go func() { _, _ = io.Copy(client, server) }()
	_, _ = io.Copy(server, client)
	return string(buffer[:n])
}
