package enroll

import (
	"bytes"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/asn1"
	"encoding/base64"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strings"
	"sync"
	"testing"

	"github.com/smallstep/pkcs7"

	"github.com/cardctl/cardctl/test/certs"
	"github.com/cardctl/cardctl/test/issuers"
)

// estServer is a server of RFC 7030. It has one label, and its CA is below its root.
type estServer struct {
	t          testing.TB
	root, ca   *certs.Authority
	at         url.URL
	attributes []byte // CsrAttrs in DER; nil for 204
	user       string // USER:PASSWORD that it asks for; empty for nobody
	wait       int    // how often it answers 202
	issue      func(template *x509.Certificate)
	answer     func(w http.ResponseWriter, r *http.Request) bool // instead of its own

	mu       sync.Mutex
	requests [][]byte // that came to an enrolment
	paths    []string
	last     tls.ConnectionState
	password string // challenge password of the last request
}

func newESTServer(t testing.TB, config *tls.Config) *estServer {
	root := certs.NewAuthority(t, "EST root")
	s := &estServer{t: t, root: root, ca: root.Below(t, "EST CA")}
	config.ClientCAs = x509.NewCertPool()
	config.ClientCAs.AddCert(root.Certificate)
	s.at = issuers.Listen(t, s.ca.Server(t, x509.Certificate{}), config, s)
	return s
}

func (s *estServer) address(user string) string {
	if user != "" {
		user += "@"
	}
	return "est+https://" + user + s.at.Host + "/label"
}

func (s *estServer) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.paths, s.last = append(s.paths, r.Method+" "+r.URL.Path), *r.TLS
	if s.answer != nil && s.answer(w, r) {
		return
	}
	operation, found := strings.CutPrefix(r.URL.Path, "/.well-known/est/label/")
	switch {
	case !found:
		http.NotFound(w, r)
	case r.Method == http.MethodGet && operation == "cacerts":
		s.certificates(w, s.root.Raw, s.ca.Raw)
	case r.Method == http.MethodGet && operation == "csrattrs" && s.attributes == nil:
		w.WriteHeader(http.StatusNoContent)
	case r.Method == http.MethodGet && operation == "csrattrs":
		w.Header().Set("Content-Type", "application/csrattrs")
		_, _ = io.WriteString(w, base64.StdEncoding.EncodeToString(s.attributes))
	case r.Method == http.MethodPost && (operation == "simpleenroll" || operation == "simplereenroll"):
		s.enroll(w, r, operation == "simplereenroll")
	default:
		http.Error(w, "no such operation", http.StatusMethodNotAllowed)
	}
}

// certificates is a certs-only message, in lines with white space around them.
func (s *estServer) certificates(w http.ResponseWriter, list ...[]byte) {
	message, err := pkcs7.DegenerateCertificate(bytes.Join(list, nil))
	if err != nil {
		http.Error(w, err.Error(), http.StatusInternalServerError)
		return
	}
	w.Header().Set("Content-Type", "application/pkcs7-mime; smime-type=certs-only")
	text := base64.StdEncoding.EncodeToString(message)
	for i := 0; i < len(text); i += 60 {
		_, _ = fmt.Fprintf(w, " \t%s\r\n", text[i:min(i+60, len(text))])
	}
	_, _ = io.WriteString(w, "\n\n")
}

func (s *estServer) enroll(w http.ResponseWriter, r *http.Request, again bool) {
	if user, password, _ := r.BasicAuth(); s.user != "" && user+":"+password != s.user {
		w.Header().Set("WWW-Authenticate", `Basic realm="est"`)
		http.Error(w, "you are not "+r.Header.Get("Authorization")+" "+password, http.StatusUnauthorized)
		return
	}
	body, err := io.ReadAll(io.LimitReader(r.Body, 1<<16))
	if err != nil || r.Header.Get("Content-Type") != "application/pkcs10" {
		http.Error(w, "not a request", http.StatusBadRequest)
		return
	}
	der, err := base64.StdEncoding.DecodeString(strings.Join(strings.Fields(string(body)), ""))
	if err != nil {
		http.Error(w, "not base64", http.StatusBadRequest)
		return
	}
	request, err := x509.ParseCertificateRequest(der)
	if err != nil || request.CheckSignature() != nil {
		http.Error(w, "not signed", http.StatusBadRequest)
		return
	}
	s.requests, s.password = append(s.requests, der), challengeOf(request)
	if again && !sameNames(r.TLS.PeerCertificates, request) {
		http.Error(w, "not the one who renews", http.StatusForbidden)
		return
	}
	if s.wait--; s.wait >= 0 {
		w.Header().Set("Retry-After", "120")
		w.WriteHeader(http.StatusAccepted)
		return
	}
	template := x509.Certificate{RawSubject: request.RawSubject, ExtraExtensions: request.Extensions}
	if s.issue != nil {
		s.issue(&template)
	}
	s.certificates(w, s.ca.Issue(s.t, template, request.PublicKey).Raw)
}

// challengeOf is the challenge password of a request.
func challengeOf(request *x509.CertificateRequest) (password string) {
	var info struct {
		Raw        asn1.RawContent
		Version    int
		Subject    asn1.RawValue
		PublicKey  asn1.RawValue
		Attributes []struct {
			Type   asn1.ObjectIdentifier
			Values []asn1.RawValue `asn1:"set"`
		} `asn1:"tag:0,set"`
	}
	if _, err := asn1.Unmarshal(request.RawTBSCertificateRequest, &info); err != nil {
		return err.Error()
	}
	for _, a := range info.Attributes {
		if a.Type.String() == "1.2.840.113549.1.9.7" {
			password = string(a.Values[0].Bytes)
		}
	}
	return password
}

// sameNames compares the names of a client with those that it asks for (RFC 7030, 4.2.2).
func sameNames(client []*x509.Certificate, request *x509.CertificateRequest) bool {
	san := func(list []pkix.Extension) (value []byte) {
		for _, x := range list {
			if x.Id.String() == "2.5.29.17" {
				value = x.Value
			}
		}
		return value
	}
	return len(client) > 0 && bytes.Equal(client[0].RawSubject, request.RawSubject) && bytes.Equal(san(client[0].Extensions), san(request.Extensions))
}
