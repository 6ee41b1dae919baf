//go:build cgo

package smoke_test

import (
	"bufio"
	"bytes"
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/cardctl/cardctl/internal/cert"
	"github.com/cardctl/cardctl/internal/problem"
	"github.com/cardctl/cardctl/internal/smoke"
	"github.com/cardctl/cardctl/test/certs"
	"github.com/cardctl/cardctl/test/softhsm"
)

// identity is a server's key, and a certificate for it from the CA.
func identity(t *testing.T, ca softhsm.CA) tls.Certificate {
	t.Helper()
	return identityFor(t, ca, x509.ExtKeyUsageServerAuth)
}

// identityFor is identity with a certificate for another usage.
func identityFor(t *testing.T, ca softhsm.CA, usage x509.ExtKeyUsage) tls.Certificate {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	certificate := ca.Issue(t, key.Public(), func(c *x509.Certificate) {
		c.DNSNames = []string{"localhost"}
		c.ExtKeyUsage = []x509.ExtKeyUsage{usage}
	})
	return tls.Certificate{Certificate: [][]byte{certificate.Raw}, PrivateKey: key}
}

func pool(ca softhsm.CA) *x509.CertPool {
	p := x509.NewCertPool()
	p.AddCert(ca.Certificate)
	return p
}

// serve runs a server in this process, and returns where it is.
func serve(t *testing.T, config *tls.Config) string {
	t.Helper()
	listener, err := tls.Listen("tcp", "localhost:0", config)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = listener.Close() })
	go func() {
		for {
			conn, err := listener.Accept()
			if err != nil {
				return
			}
			go func() {
				_ = conn.(*tls.Conn).Handshake()
				_, _ = conn.Read(make([]byte, 1))
				_ = conn.Close()
			}()
		}
	}()
	_, port, err := net.SplitHostPort(listener.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	return "localhost:" + port
}

// opensslServer runs openssl s_server, which requires and verifies a client
// certificate, and returns where it is.
func opensslServer(t *testing.T, ca softhsm.CA, options ...string) string {
	t.Helper()
	dir, own := t.TempDir(), identity(t, ca)
	file := func(name, kind string, der []byte) string {
		path := filepath.Join(dir, name)
		if err := os.WriteFile(path, pem.EncodeToMemory(&pem.Block{Type: kind, Bytes: der}), 0o600); err != nil {
			t.Fatal(err)
		}
		return path
	}
	key, err := x509.MarshalPKCS8PrivateKey(own.PrivateKey)
	if err != nil {
		t.Fatal(err)
	}
	args := append([]string{"s_server", "-accept", "localhost:0", "-naccept", "1",
		"-cert", file("server.pem", "CERTIFICATE", own.Certificate[0]), "-key", file("server.key", "PRIVATE KEY", key),
		"-CAfile", file("ca.pem", "CERTIFICATE", ca.Certificate.Raw), "-Verify", "1", "-verify_return_error"}, options...)
	cmd := exec.Command("openssl", args...)
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	// Its standard input stays open: at the end of it, the server hangs up.
	in, err := cmd.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = in.Close()
		_ = cmd.Process.Kill()
		_ = cmd.Wait()
	})
	lines := bufio.NewScanner(out)
	for lines.Scan() {
		if where, found := strings.CutPrefix(lines.Text(), "ACCEPT "); found {
			_, port, err := net.SplitHostPort(where)
			if err != nil {
				t.Fatal(err)
			}
			go func() {
				for lines.Scan() {
				}
			}()
			return "localhost:" + port
		}
	}
	t.Fatalf("openssl s_server does not listen: %v", lines.Err())
	return ""
}

func caFile(t *testing.T, ca softhsm.CA) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "ca.pem")
	if err := os.WriteFile(path, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: ca.Certificate.Raw}), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

func TestConnect(t *testing.T) {
	token, ca, foreign := softhsm.New(t, "connect"), softhsm.NewCA(t, "Snake Oil CA"), softhsm.NewCA(t, "Another CA")
	token.Generate(t, "EC:prime256v1", 1, "p256")
	token.Generate(t, "rsa:2048", 2, "rsa without PSS", "--allowed-mechanisms", "RSA-PKCS")
	p256, rsa := options(t, token, "%01"), options(t, token, "%02")
	for i, o := range []*smoke.Options{&p256, &rsa} {
		o.Public = public(t, *o)
		o.Certificate = certs.One(t, ca.Issue(t, o.Public, nil))
		o.ServerCAs = certs.All(t, ca.Certificate)
		token.WriteCertificate(t, o.Certificate.Raw, byte(i+1), "certificate")
	}
	requiring := func(clients *x509.CertPool, change func(*tls.Config)) *tls.Config {
		c := &tls.Config{Certificates: []tls.Certificate{identity(t, ca)}, ClientAuth: tls.RequireAndVerifyClientCert, ClientCAs: clients}
		if change != nil {
			change(c)
		}
		return c
	}
	tests := []struct {
		name   string
		with   smoke.Options
		server func() string
		code   problem.Code
		says   []string
	}{
		{"openssl", p256, func() string { return opensslServer(t, ca) }, "", []string{"TLS 1.3", "client certificate requested and not refused"}},
		{"openssl with TLS 1.2", p256, func() string { return opensslServer(t, ca, "-tls1_2") }, "", []string{"TLS 1.2", "not refused"}},
		{"openssl and an RSA key", rsa, func() string { return opensslServer(t, ca) }, "",
			[]string{"TLS 1.2", "not refused", "TLS 1.3 was not offered", "RSA-PSS"}},
		{"openssl, which knows another CA", p256, func() string {
			return opensslServer(t, ca, "-CAfile", caFile(t, foreign), "-no-CApath", "-no-CAstore")
		}, problem.Failed, []string{"the server refused", "unknown certificate authority"}},
		{"Go, which knows another CA", p256, func() string { return serve(t, requiring(pool(foreign), nil)) },
			problem.Failed, []string{"the server refused", "certificate"}},
		{"Go with TLS 1.2, which knows another CA", p256, func() string {
			return serve(t, requiring(pool(foreign), func(c *tls.Config) { c.MaxVersion = tls.VersionTLS12 }))
		}, problem.Failed, []string{"the server refused", "certificate"}},
		{"TLS 1.3 only, and an RSA key", rsa, func() string {
			return serve(t, requiring(pool(ca), func(c *tls.Config) { c.MinVersion = tls.VersionTLS13 }))
		}, "", []string{"RSA-PSS", "limit the server to TLS 1.2"}},
		{"no certificate asked for", p256, func() string {
			return serve(t, requiring(nil, func(c *tls.Config) { c.ClientAuth = tls.NoClientCert }))
		}, problem.Failed, []string{"did not ask for a client certificate"}},
		{"another CA named, any certificate taken", p256, func() string {
			return serve(t, requiring(pool(foreign), func(c *tls.Config) { c.ClientAuth = tls.RequireAnyClientCert }))
		}, "", []string{"names CAs other than"}},
		{"a server that cannot be trusted", p256, func() string {
			return serve(t, requiring(pool(ca), func(c *tls.Config) { c.Certificates = []tls.Certificate{identity(t, foreign)} }))
		}, problem.Mismatch, []string{"the server's certificate was not accepted"}},
		{"a server with a certificate of a client", p256, func() string {
			return serve(t, requiring(pool(ca), func(c *tls.Config) {
				c.Certificates = []tls.Certificate{identityFor(t, ca, x509.ExtKeyUsageClientAuth)}
			}))
		}, problem.Mismatch, []string{"the server's certificate was not accepted", "usage"}},
		{"a server that says nothing", p256, func() string {
			silent, err := net.Listen("tcp", "localhost:0")
			if err != nil {
				t.Fatal(err)
			}
			t.Cleanup(func() { _ = silent.Close() })
			return fmt.Sprintf("localhost:%d", silent.Addr().(*net.TCPAddr).Port)
		}, problem.Failed, []string{"timed out"}},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			o := test.with
			o.TLSConnect = test.server()
			ctx := t.Context()
			if strings.Contains(test.name, "says nothing") {
				var cancel context.CancelFunc
				ctx, cancel = context.WithTimeout(ctx, 2*time.Second)
				defer cancel()
			}
			report, err := run(ctx, o)
			if report.Passed != (test.code == "") || test.code != "" && !problem.Is(err, test.code) {
				t.Errorf("passed %v, %v", report.Passed, err)
			}
			got := detail(report, "tls-connect")
			for _, says := range test.says {
				if !strings.Contains(got, says) {
					t.Errorf("got %q, want %q in it\n%+v %v", got, says, report.Checks[len(report.Checks)-1], err)
				}
			}
		})
	}
}

// A CA certificate that Go refuses, and OpenSSL takes: what the error says to try
// verifies the server.
func TestConnectWithAnUnusualCA(t *testing.T) {
	token, ca := softhsm.New(t, "unusual"), softhsm.NewCA(t, "Snake Oil CA")
	token.Generate(t, "EC:prime256v1", 1, "p256")
	o := options(t, token, "%01")
	o.Public = public(t, o)
	o.Certificate = certs.One(t, ca.Issue(t, o.Public, nil))
	token.WriteCertificate(t, o.Certificate.Raw, 1, "certificate")
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	file := filepath.Join(dir, "ca.pem")
	negative := exec.Command("openssl", "req", "-x509", "-new", "-key", "/dev/stdin", "-subj", "/CN=Minus CA", "-set_serial", "-5", "-days", "2",
		"-addext", "subjectAltName=DNS:localhost", "-out", file)
	der, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		t.Fatal(err)
	}
	negative.Stdin = bytes.NewReader(pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: der}))
	if out, err := negative.CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	text, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	block, _ := pem.Decode(text)
	unusual, err := cert.Parse(block.Bytes)
	if err != nil || unusual.Standard() != nil {
		t.Fatalf("%+v, %v", unusual, err)
	}
	o.ServerCAs = []*cert.Certificate{unusual}
	o.TLSConnect = serve(t, &tls.Config{Certificates: []tls.Certificate{{Certificate: [][]byte{block.Bytes}, PrivateKey: key}}})
	_, err = run(t.Context(), o)
	var p *problem.Error
	if !errors.As(err, &p) || p.Code != problem.NotSupported || !strings.Contains(p.Why, "negative") || len(p.Next.Program) == 0 || p.Next.Program[0] != "openssl" {
		t.Fatalf("%v, %+v", err, p)
	}
	words := slices.Clone(p.Next.Program[1:])
	words[slices.Index(words, "FILE")] = file
	if out, err := exec.Command("openssl", append(words, "-verify_return_error")...).CombinedOutput(); err != nil || !bytes.Contains(out, []byte("Verify return code: 0")) {
		t.Errorf("%v\n%s", err, out)
	}
}
