package setup

import (
	"crypto"
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"net/http"
	"strings"
	"testing"

	"github.com/cardctl/cardctl/internal/cert"
)

// TestServerOfChecks lets in whoever has the certificate, and says what became of others.
func TestServerOfChecks(t *testing.T) {
	own, other := clientIdentity(t), clientIdentity(t)
	stolen := tls.Certificate{Certificate: own.Certificate, PrivateKey: broken{other.PrivateKey.(crypto.Signer), own.PrivateKey.(crypto.Signer).Public()}}
	parsed, err := cert.Parse(own.Certificate[0])
	check(t, err)
	for name, c := range map[string]struct {
		with    []tls.Certificate
		prompts []string
		says    string
	}{
		"the certificate":     {[]tls.Certificate{own}, nil, "logs in to a server on this machine with TLS 1.3, as CN=localhost"},
		"without its key":     {[]tls.Certificate{stolen}, nil, "asked for no PIN"},
		"another certificate": {[]tls.Certificate{other}, nil, "another certificate"},
		"none":                {nil, nil, "asked for no PIN"},
		"none after a prompt": {nil, []string{"Enter the password"}, "It asked: Enter the password."},
	} {
		t.Run(name, func(t *testing.T) {
			server, err := newTLSServer(parsed)
			check(t, err)
			defer server.close()
			roots := x509.NewCertPool()
			authority, err := x509.ParseCertificate(server.authority)
			check(t, err)
			roots.AddCert(authority)
			client := http.Client{Transport: &http.Transport{TLSClientConfig: &tls.Config{RootCAs: roots, Certificates: c.with}}}
			answer, err := client.Get(fmt.Sprintf("https://localhost:%d/", server.port))
			if err == nil {
				_ = answer.Body.Close()
			}
			if in := server.loggedIn() != nil; in != (err == nil) || in != (name == "the certificate") {
				t.Fatalf("logged in: %v, %v", in, err)
			}
			said := ""
			if server.loggedIn() != nil {
				said = server.report("Firefox")
			} else {
				said = fmt.Sprint(server.refused("Firefox", c.prompts))
			}
			if !strings.Contains(said, c.says) {
				t.Error(said)
			}
		})
	}
}

// clientIdentity is a certificate whose issuer is a CA of its own.
func clientIdentity(t *testing.T) tls.Certificate {
	t.Helper()
	own, _, err := certify()
	check(t, err)
	return own
}

// broken says that it is another key than it is.
type broken struct {
	crypto.Signer
	public crypto.PublicKey
}

func (b broken) Public() crypto.PublicKey { return b.public }
