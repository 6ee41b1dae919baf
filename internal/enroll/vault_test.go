package enroll

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
	"testing"
	"time"

	"github.com/cardctl/cardctl/internal/problem"
	"github.com/cardctl/cardctl/internal/secret"
)

// vaultServer is a server with the secrets engine PKI at its mount, and one role, which
// takes names from parameters and not from the request.
type vaultServer struct {
	t        testing.TB
	ca       *authority
	at       url.URL
	mount    string
	token    string
	secretID string // of the AppRole role-736; its login gives the token
	answer   func(w http.ResponseWriter, r *http.Request) bool
	issue    func(*x509.Certificate)

	paths []string
	sent  map[string]any
	// revoked is how many revocations it was asked for.
	revoked int
}

func newVaultServer(t testing.TB) *vaultServer {
	ca := newAuthority(t, "Vault CA")
	s := &vaultServer{t: t, ca: ca, mount: "pki", token: "hvs.736451-token"}
	s.at = listen(t, ca.server(t, x509.Certificate{}), &tls.Config{}, s)
	return s
}

func (s *vaultServer) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	s.paths = append(s.paths, r.Method+" "+r.URL.Path+" "+r.Header.Get("X-Vault-Namespace"))
	if s.answer != nil && s.answer(w, r) {
		return
	}
	refuse := func(status int, why string) {
		w.WriteHeader(status)
		_ = json.NewEncoder(w).Encode(map[string]any{"errors": []string{why}})
	}
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
	case path == s.mount+"/ca/pem":
		_, _ = io.WriteString(w, encoded(s.ca.Raw))
	case path == "auth/approle/login" && s.secretID != "":
		if sent["role_id"] != "role-736" || sent["secret_id"] != s.secretID {
			refuse(http.StatusBadRequest, fmt.Sprintf("invalid role or secret ID %s", sent["secret_id"]))
			return
		}
		_ = json.NewEncoder(w).Encode(map[string]any{"auth": map[string]any{"client_token": s.token}})
	case r.Header.Get("X-Vault-Token") != s.token:
		refuse(http.StatusForbidden, "permission denied for "+r.Header.Get("X-Vault-Token"))
	case path == "auth/token/revoke-self":
		s.token = "revoked"
		w.WriteHeader(http.StatusNoContent)
	case path == s.mount+"/revoke":
		s.sent = sent
		if s.revoked++; sent["serial_number"] == "de:ad" {
			refuse(http.StatusBadRequest, "certificate with serial de:ad not found")
			return
		}
		_ = json.NewEncoder(w).Encode(map[string]any{"data": map[string]any{"revocation_time": 1700000000, "state": "revoked"}})
	case path == s.mount+"/sign/client":
		s.sent = sent
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
			check(s.t, err)
			template.URIs = append(template.URIs, u)
		}
		if sent["exclude_cn_from_sans"] != true {
			template.DNSNames = append(template.DNSNames, template.Subject.CommonName)
		}
		if s.issue != nil {
			s.issue(&template)
		}
		_ = json.NewEncoder(w).Encode(map[string]any{
			"data": map[string]any{
				"certificate": encoded(s.ca.issue(s.t, template, request.PublicKey).Raw), "issuing_ca": encoded(s.ca.Raw), "ca_chain": []string{encoded(s.ca.Raw)},
			},
			"warnings": []string{"TTL of \x1b[1m9 days"},
		})
	default:
		refuse(http.StatusNotFound, "no handler for route")
	}
}

// vaultOptions has names that Vault can certify.
func (d *simulated) vaultOptions(s *vaultServer, address string) Options {
	o := d.options("vault+https://"+strings.ReplaceAll(address, "HOST", s.at.Host), s.ca)
	o.Names.Subject, o.Names.ExtKeyUsage = "CN=host.example.org", nil
	o.Names.DNS, o.Names.IPs, o.Names.URIs = []string{"a.example.org", "b.example.org"}, []string{"192.0.2.7"}, []string{"spiffe://example.org/me"}
	return o
}

// TestVaultSigns with a token, and with an AppRole, at a mount and in a namespace.
func TestVaultSigns(t *testing.T) {
	for _, test := range []struct{ profile, ref, algorithm string }{
		{"", "OPENPGP.3", "p256"}, {"", "OPENPGP.3", "rsa2048"}, {"piv-yubikey-5.7", "PIV.9A", "p384"}, {"piv-yubikey-5.7", "PIV.9C", "rsa2048"},
	} {
		s := newVaultServer(t)
		d := newCard(t, test.profile, test.ref, test.algorithm)
		d.secrets[secret.IssuerSecret] = s.token
		o := d.vaultOptions(s, "client@HOST")
		o.Days = 9
		report, err := d.enroll(test.ref, o)
		check(t, err)
		made := d.leaf(test.ref)
		if fmt.Sprint(made.DNSNames, made.EmailAddresses, made.IPAddresses, made.URIs[0]) != "[a.example.org b.example.org] [me@example.org] [192.0.2.7] spiffe://example.org/me" {
			t.Errorf("%q %q %s %s", made.DNSNames, made.EmailAddresses, made.IPAddresses, made.URIs)
		}
		if s.sent["ttl"] != "216h" || len(report.Notes) != 1 || !strings.Contains(report.Notes[0], "TTL of [1m9 days") {
			t.Errorf("%v %q", s.sent["ttl"], report.Notes)
		}
	}
}

// TestAppRole logs in for one request, and out again.
func TestAppRole(t *testing.T) {
	s := newVaultServer(t)
	s.mount, s.secretID = "team/pki", `se"cret\736451`+"\x01ü"
	d := newCard(t, "", "OPENPGP.3", "p256")
	d.secrets[secret.IssuerSecret] = s.secretID
	o := d.vaultOptions(s, "client@HOST/team/pki?role_id=role-736&namespace=ns1")
	if _, err := d.enroll("OPENPGP.3", o); err != nil {
		t.Fatal(err)
	}
	want := "GET /v1/team/pki/ca/pem ns1;POST /v1/auth/approle/login ns1;POST /v1/team/pki/sign/client ns1;POST /v1/auth/token/revoke-self ns1"
	if got := strings.Join(s.paths, ";"); got != want {
		t.Errorf("%s", got)
	}
}

// TestVaultRefuses with what is wrong, and without a secret in it.
func TestVaultRefuses(t *testing.T) {
	other := newAuthority(t, "other")
	instead := func(text string) func(s *vaultServer) {
		return func(s *vaultServer) {
			s.answer = func(w http.ResponseWriter, r *http.Request) bool {
				if strings.Contains(r.URL.Path, "/sign/") {
					_, _ = io.WriteString(w, text)
				}
				return strings.Contains(r.URL.Path, "/sign/")
			}
		}
	}
	status := func(path string, code int) func(s *vaultServer) {
		return func(s *vaultServer) {
			s.answer = func(w http.ResponseWriter, r *http.Request) bool {
				if !strings.Contains(r.URL.Path, path) {
					return false
				}
				w.WriteHeader(code)
				return true
			}
		}
	}
	for what, test := range map[string]struct {
		address, secret string
		set             func(*vaultServer)
		code            problem.Code
		says            string
	}{
		"a wrong token":        {"client@HOST", "hvs.736452-wrong", nil, problem.Failed, "permission denied for …"},
		"a wrong secret ID":    {"client@HOST?role_id=role-736", "736453", func(s *vaultServer) { s.secretID = "736454" }, problem.Failed, "invalid role or secret ID …"},
		"another role":         {"server@HOST", "", nil, problem.Failed, "no handler for route"},
		"no such mount":        {"client@HOST/other", "", nil, problem.Failed, "has no CA at other"},
		"sealed":               {"client@HOST", "", status("/ca/pem", 503), problem.Failed, "sealed"},
		"a redirect":           {"client@HOST", "", status("/sign/", 307), problem.Mismatch, "refers to another address"},
		"no role":              {"HOST", "", nil, problem.Usage, "names no role"},
		"an unknown parameter": {"client@HOST?role=x", "", nil, problem.Usage, "not a parameter"},
		"garbage":              {"client@HOST", "", instead("garbage"), problem.Mismatch, "not the JSON"},
		"no certificate":       {"client@HOST", "", instead(`{"data":{}}`), problem.Mismatch, "no certificate"},
		"garbage in PEM":       {"client@HOST", "", instead(`{"data":{"certificate":"-----BEGIN"}}`), problem.Mismatch, "no certificate"},
		"another type":         {"client@HOST", "", instead(`{"data":{"certificate":7}}`), problem.Mismatch, "not the JSON"},
		"a name in the SAN": {"client@HOST", "", func(s *vaultServer) {
			s.issue = func(c *x509.Certificate) { c.DNSNames = append(c.DNSNames, "www.example.org") }
		}, problem.Mismatch, "not asked for"},
		"a longer life": {"client@HOST", "", func(s *vaultServer) { s.issue = func(c *x509.Certificate) { c.NotAfter = time.Now().AddDate(1, 0, 0) } }, problem.Mismatch, "longer than"},
		"a CA": {"client@HOST", "", func(s *vaultServer) {
			s.issue = func(c *x509.Certificate) { c.IsCA, c.BasicConstraintsValid = true, true }
		}, problem.Mismatch, "that of a CA"},
		"of a CA not named":      {"client@HOST", "", func(s *vaultServer) { s.ca = other }, problem.Mismatch, "does not chain"},
		"the card of an officer": {"client@HOST", "officer", nil, problem.Usage, "officer"},
	} {
		t.Run(what, func(t *testing.T) {
			s := newVaultServer(t)
			d := newCard(t, "", "OPENPGP.3", "p256")
			d.secrets[secret.IssuerSecret] = s.token
			o := d.vaultOptions(s, test.address)
			if o.Days = 9; test.secret == "officer" {
				o.IssuerKey = "OPENPGP.3"
			} else if test.secret != "" {
				d.secrets[secret.IssuerSecret] = test.secret
			}
			if test.set != nil {
				test.set(s)
			}
			_, err := d.enroll("OPENPGP.3", o)
			if !problem.Is(err, test.code) || !strings.Contains(err.Error(), test.says) {
				t.Errorf("%v", err)
			}
			if strings.Contains(fmt.Sprintf("%+v", err), "73645") {
				t.Errorf("the error has the secret: %v", err)
			}
			if d.leaf("OPENPGP.3") != nil {
				t.Error("a certificate is on the card")
			}
		})
	}
}
