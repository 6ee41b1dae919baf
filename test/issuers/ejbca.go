package issuers

import (
	"crypto/tls"
	"crypto/x509"
	"encoding/base64"
	"encoding/json"
	"encoding/pem"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strings"
	"sync"
	"testing"

	"github.com/cardctl/cardctl/test/certs"
)

// EJBCA has the resource certificate/pkcs10enroll of EJBCA's REST interface, for
// officers that its CA certified.
type EJBCA struct {
	t      testing.TB
	CA     *certs.Authority
	At     url.URL
	Status int                     // instead of 201
	Text   string                  // instead of its answer
	Change func(*x509.Certificate) // before it is issued
	// Password is the enrolment code of all users.
	Password string

	mu       sync.Mutex
	Officers []string
	Users    []string // who got a certificate
	Revoked  []string
	Requests []string // in PEM
}

// NewEJBCA starts one that speaks this version of TLS alone.
func NewEJBCA(t testing.TB, version uint16) *EJBCA {
	s := &EJBCA{t: t, CA: certs.NewAuthority(t, "ManagementCA"), Password: "736451"}
	config := &tls.Config{MinVersion: version, MaxVersion: version, ClientAuth: tls.RequireAndVerifyClientCert, ClientCAs: x509.NewCertPool()}
	config.ClientCAs.AddCert(s.CA.Certificate)
	s.At = Listen(t, s.CA.Server(t, x509.Certificate{}), config, s)
	return s
}

// Address is the issuer for a user.
func (s *EJBCA) Address(user string) string {
	return "ejbca+https://" + user + "@" + s.At.Host + "?profile=ENDUSER&entity=Staff&ca=Staff+CA"
}

func (s *EJBCA) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.Officers = append(s.Officers, r.TLS.PeerCertificates[0].Subject.CommonName)
	if issuer, rest, is := strings.Cut(strings.TrimPrefix(r.URL.EscapedPath(), "/ejbca/ejbca-rest-api/v1/certificate/"), "/"); is && r.Method == http.MethodPut {
		serial, _, _ := strings.Cut(rest, "/")
		s.Revoked = append(s.Revoked, fmt.Sprint(issuer, " ", serial, " ", r.URL.Query().Get("reason")))
		if s.Text != "" {
			text(w, s.Status, s.Text)
			return
		}
		answer(w, http.StatusOK, map[string]any{"issuer_dn": issuer, "serial_number": serial, "revoked": r.URL.Query().Get("reason") != "REMOVE_FROM_CRL"})
		return
	}
	var sent map[string]any
	body, err := io.ReadAll(r.Body)
	if err == nil {
		err = json.Unmarshal(body, &sent)
	}
	if err != nil || r.URL.Path != "/ejbca/ejbca-rest-api/v1/certificate/pkcs10enroll" || r.Method != http.MethodPost {
		answer(w, http.StatusNotFound, map[string]any{"error_code": 404, "error_message": "RESTEASY003210"})
		return
	}
	inPEM, _ := sent["certificate_request"].(string)
	s.Requests = append(s.Requests, inPEM)
	switch {
	case s.Text != "":
		text(w, s.Status, s.Text)
		return
	case sent["certificate_profile_name"] != "ENDUSER" || sent["end_entity_profile_name"] != "Staff" || sent["certificate_authority_name"] != "Staff CA":
		answer(w, http.StatusBadRequest, map[string]any{"error_code": 400, "error_message": "Profile not found"})
		return
	case sent["username"] == "" || sent["password"] != s.Password:
		answer(w, http.StatusForbidden, map[string]any{"error_code": 403, "error_message": fmt.Sprintf("Wrong password %s", sent["password"])})
		return
	}
	block, _ := pem.Decode([]byte(inPEM))
	request, err := x509.ParseCertificateRequest(block.Bytes)
	if err != nil || request.CheckSignature() != nil {
		answer(w, http.StatusBadRequest, map[string]any{"error_code": 400, "error_message": "no valid request"})
		return
	}
	template := x509.Certificate{RawSubject: request.RawSubject, ExtraExtensions: request.Extensions}
	if s.Change != nil {
		s.Change(&template)
	}
	s.Users = append(s.Users, fmt.Sprint(sent["username"]))
	made := s.CA.Issue(s.t, template, request.PublicKey)
	document := map[string]any{"certificate": base64.StdEncoding.EncodeToString(made.Raw), "serial_number": fmt.Sprintf("%X", made.SerialNumber), "response_format": "DER"}
	if sent["include_chain"] == true {
		document["certificate_chain"] = []string{base64.StdEncoding.EncodeToString(s.CA.Raw)}
	}
	answer(w, http.StatusCreated, document)
}
