package issuers

import (
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/json"
	"encoding/pem"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/cardctl/cardctl/test/certs"
)

// Vault is a server with the secrets engine PKI at its mount, and one role, which
// takes names from parameters and not from the request.
type Vault struct {
	t        testing.TB
	CA       *certs.Authority
	At       url.URL
	Mount    string
	Token    string
	SecretID string // of the AppRole role-736; its login gives the token
	// Answer answers instead, if it returns true.
	Answer func(w http.ResponseWriter, r *http.Request) bool
	Change func(*x509.Certificate) // before it is issued

	mu     sync.Mutex
	Paths  []string // of requests: method, path, namespace
	Sent   map[string]any
	Issued int // certificates
	// Revoked is how many revocations it was asked for.
	Revoked int
}

// NewVault starts one, whose mount is pki and whose role is client.
func NewVault(t testing.TB) *Vault {
	s := &Vault{t: t, CA: certs.NewAuthority(t, "Vault CA"), Mount: "pki", Token: "hvs.736451-token"}
	s.At = Listen(t, s.CA.Server(t, x509.Certificate{}), &tls.Config{}, s)
	return s
}

func (s *Vault) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.Paths = append(s.Paths, r.Method+" "+r.URL.Path+" "+r.Header.Get("X-Vault-Namespace"))
	if s.Answer != nil && s.Answer(w, r) {
		return
	}
	refuse := func(status int, why string) { answer(w, status, map[string]any{"errors": []string{why}}) }
	encoded := func(der []byte) string {
		return string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der}))
	}
	var sent map[string]any
	if r.Method == http.MethodPost {
		body, err := io.ReadAll(r.Body)
		if err == nil {
			err = json.Unmarshal(body, &sent)
		}
		if err != nil {
			refuse(http.StatusBadRequest, "failed to parse JSON input")
			return
		}
	}
	switch path := strings.TrimPrefix(r.URL.Path, "/v1/"); {
	case path == s.Mount+"/ca/pem":
		text(w, http.StatusOK, encoded(s.CA.Raw))
	case path == "auth/approle/login" && s.SecretID != "":
		if sent["role_id"] != "role-736" || sent["secret_id"] != s.SecretID {
			refuse(http.StatusBadRequest, fmt.Sprintf("invalid role or secret ID %s", sent["secret_id"]))
			return
		}
		answer(w, http.StatusOK, map[string]any{"auth": map[string]any{"client_token": s.Token}})
	case r.Header.Get("X-Vault-Token") != s.Token:
		refuse(http.StatusForbidden, "permission denied for "+r.Header.Get("X-Vault-Token"))
	case path == "auth/token/revoke-self":
		s.Token = "revoked"
		w.WriteHeader(http.StatusNoContent)
	case path == s.Mount+"/revoke":
		s.Sent = sent
		if s.Revoked++; sent["serial_number"] == "de:ad" {
			refuse(http.StatusBadRequest, "certificate with serial de:ad not found")
			return
		}
		answer(w, http.StatusOK, map[string]any{"data": map[string]any{"revocation_time": 1700000000, "state": "revoked"}})
	case path == s.Mount+"/sign/client":
		s.Sent = sent
		block, _ := pem.Decode([]byte(sent["csr"].(string)))
		request, err := x509.ParseCertificateRequest(block.Bytes)
		if err != nil || request.CheckSignature() != nil {
			refuse(http.StatusBadRequest, "certificate request could not be parsed")
			return
		}
		template := x509.Certificate{Subject: pkix.Name{CommonName: sent["common_name"].(string)}}
		hours := 720
		if ttl, _ := sent["ttl"].(string); ttl != "" {
			_, _ = fmt.Sscanf(ttl, "%dh", &hours)
		}
		template.NotAfter = time.Now().Add(time.Duration(hours) * time.Hour)
		list := func(name string) []string {
			text, _ := sent[name].(string)
			return strings.FieldsFunc(text, func(c rune) bool { return c == ',' })
		}
		for _, name := range list("alt_names") {
			if strings.Contains(name, "@") {
				template.EmailAddresses = append(template.EmailAddresses, name)
			} else {
				template.DNSNames = append(template.DNSNames, name)
			}
		}
		for _, name := range list("ip_sans") {
			template.IPAddresses = append(template.IPAddresses, net.ParseIP(name))
		}
		for _, name := range list("uri_sans") {
			u, err := url.Parse(name)
			if err != nil {
				refuse(http.StatusBadRequest, "no URI")
				return
			}
			template.URIs = append(template.URIs, u)
		}
		if sent["exclude_cn_from_sans"] != true {
			template.DNSNames = append(template.DNSNames, template.Subject.CommonName)
		}
		if s.Change != nil {
			s.Change(&template)
		}
		s.Issued++
		answer(w, http.StatusOK, map[string]any{
			"data": map[string]any{
				"certificate": encoded(s.CA.Issue(s.t, template, request.PublicKey).Raw), "issuing_ca": encoded(s.CA.Raw), "ca_chain": []string{encoded(s.CA.Raw)},
			},
			"warnings": []string{"TTL of \x1b[1m9 days"},
		})
	default:
		refuse(http.StatusNotFound, "no handler for route")
	}
}
