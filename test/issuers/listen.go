// Package issuers has servers of tests that issue certificates as Vault and EJBCA do,
// which are not at hand.
package issuers

import (
	"crypto/tls"
	"encoding/json"
	"io"
	"log"
	"net/http"
	"net/http/httptest"
	"net/url"
	"testing"
)

// answer writes a document.
func answer(w http.ResponseWriter, status int, document any) {
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	_ = json.NewEncoder(w).Encode(document) // the client may have gone
}

// text writes an answer as it is.
func text(w http.ResponseWriter, status int, answer string) {
	w.WriteHeader(status)
	_, _ = io.WriteString(w, answer) // the client may have gone
}

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
