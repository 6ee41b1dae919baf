// Package issuers has servers of tests that issue certificates as Vault and EJBCA do,
// which are not at hand.
package issuers

import (
	"crypto/tls"
	"io"
	"log"
	"net/http"
	"net/http/httptest"
	"net/url"
	"testing"
)

// Listen starts a server, and tells its address.
func Listen(t testing.TB, identity tls.Certificate, config *tls.Config, handler http.Handler) url.URL {
	t.Helper()
	server := httptest.NewUnstartedServer(handler)
	server.TLS = config
	server.TLS.Certificates = []tls.Certificate{identity}
	server.Config.ErrorLog = log.New(io.Discard, "", 0)
	server.StartTLS()
	t.Cleanup(server.Close)
	at, err := url.Parse(server.URL)
	if err != nil {
		t.Fatal(err)
	}
	return *at
}
