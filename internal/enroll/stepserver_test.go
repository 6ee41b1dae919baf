package enroll

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/sha256"
	"crypto/tls"
	"crypto/x509"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"encoding/pem"
	"math/big"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/go-jose/go-jose/v4"

	"github.com/cardctl/cardctl/test/certs"
	"github.com/cardctl/cardctl/test/issuers"
)

// stepServer is a CA with the interface of step-ca, with the provisioners desk (JWK) and
// cards (X5C), written from its documentation alone.
type stepServer struct {
	t    testing.TB
	mu   sync.Mutex
	root *certs.Authority
	ca   *certs.Authority
	host string

	key       *ecdsa.PrivateKey
	encrypted string
	used      map[string]bool
	// fault is asked before each answer, and gives another one.
	fault func(path string, w http.ResponseWriter) bool
	// makes makes the certificate, if it is another than what was asked for.
	makes func(public any) *x509.Certificate
	asked []string
	// revoked are serial numbers in decimal, with the number of the reason.
	revoked map[string]int
}

const stepPassword = "open sesame"

func newStepServer(t testing.TB) *stepServer {
	t.Helper()
	root := certs.NewAuthority(t, "root")
	s := &stepServer{t: t, root: root, ca: root.Below(t, "issuer"), used: map[string]bool{}, revoked: map[string]int{}}
	var err error
	s.key, err = ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	check(t, err)
	plain, err := json.Marshal(jose.JSONWebKey{Key: s.key, KeyID: "desk1"})
	check(t, err)
	encrypter, err := jose.NewEncrypter(jose.A256GCM, jose.Recipient{Algorithm: jose.PBES2_HS256_A128KW, Key: []byte(stepPassword), PBES2Count: 1000}, nil)
	check(t, err)
	jwe, err := encrypter.Encrypt(plain)
	check(t, err)
	s.encrypted, err = jwe.CompactSerialize()
	check(t, err)
	at := issuers.Listen(t, s.ca.Server(t, x509.Certificate{}), &tls.Config{ClientAuth: tls.RequestClientCert}, s)
	s.host = at.Host
	return s
}

// address is that of a provisioner, by the fingerprint of the root.
func (s *stepServer) address(provisioner string) string {
	sum := sha256.Sum256(s.root.Raw)
	u := url.URL{Scheme: "step+https", Host: s.host, RawQuery: "fingerprint=" + hex.EncodeToString(sum[:])}
	if provisioner != "" {
		u.User = url.User(provisioner)
	}
	return u.String()
}

func inPEM(c *x509.Certificate) string {
	return string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: c.Raw}))
}

func (s *stepServer) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.asked = append(s.asked, r.URL.Path)
	if s.fault != nil && s.fault(r.URL.Path, w) {
		return
	}
	sum := sha256.Sum256(s.root.Raw)
	switch r.URL.Path {
	case "/root/" + hex.EncodeToString(sum[:]):
		s.answer(w, http.StatusOK, map[string]string{"ca": inPEM(s.root.Certificate)})
	case "/1.0/roots":
		s.answer(w, http.StatusCreated, map[string][]string{"crts": {inPEM(s.root.Certificate)}})
	case "/1.0/intermediates":
		s.answer(w, http.StatusCreated, map[string][]string{"crts": {inPEM(s.ca.Certificate)}})
	case "/1.0/provisioners":
		page := map[string]any{"provisioners": []map[string]string{{"type": "ACME", "name": "acme"}}, "nextCursor": "2"}
		if r.URL.Query().Get("cursor") == "2" {
			page = map[string]any{"provisioners": []map[string]string{
				{"type": "JWK", "name": "desk", "encryptedKey": s.encrypted}, {"type": "JWK", "name": "away"}, {"type": "X5C", "name": "cards"},
			}}
		}
		s.answer(w, http.StatusOK, page)
	case "/1.0/sign":
		s.sign(w, r)
	case "/1.0/revoke":
		s.revoke(w, r)
	case "/1.0/rekey":
		if len(r.TLS.PeerCertificates) == 0 {
			s.refuse(w, "missing client certificate")
			return
		}
		var body struct{ CSR string }
		check(s.t, json.NewDecoder(r.Body).Decode(&body))
		block, _ := pem.Decode([]byte(body.CSR))
		request, err := x509.ParseCertificateRequest(block.Bytes)
		check(s.t, err)
		check(s.t, request.CheckSignature())
		old := r.TLS.PeerCertificates[0]
		s.issue(w, x509.Certificate{Subject: old.Subject, EmailAddresses: old.EmailAddresses}, request.PublicKey)
	case "/1.0/renew":
		if len(r.TLS.PeerCertificates) == 0 {
			s.refuse(w, "missing client certificate")
			return
		}
		old := r.TLS.PeerCertificates[0]
		s.issue(w, x509.Certificate{Subject: old.Subject, EmailAddresses: old.EmailAddresses}, old.PublicKey)
	default:
		s.refuse(w, "no such path")
	}
}

func (s *stepServer) answer(w http.ResponseWriter, status int, body any) {
	w.WriteHeader(status)
	check(s.t, json.NewEncoder(w).Encode(body))
}

func (s *stepServer) refuse(w http.ResponseWriter, message string) {
	s.answer(w, http.StatusUnauthorized, map[string]any{"status": http.StatusUnauthorized, "message": message})
}

func (s *stepServer) sign(w http.ResponseWriter, r *http.Request) {
	var body struct{ CSR, OTT string }
	check(s.t, json.NewDecoder(r.Body).Decode(&body))
	block, _ := pem.Decode([]byte(body.CSR))
	request, err := x509.ParseCertificateRequest(block.Bytes)
	check(s.t, err)
	check(s.t, request.CheckSignature())
	claims, issuer, ok := s.claimsOf(w, body.OTT, "/1.0/sign")
	if !ok {
		return
	}
	digest := sha256.Sum256(request.Raw)
	switch {
	case claims.Iss != issuer:
		s.refuse(w, "a wrong token")
	case s.used[claims.Jti]:
		s.refuse(w, "token already used: "+body.OTT)
	case claims.Cnf != nil && claims.Cnf["x5rt#S256"] != base64.RawURLEncoding.EncodeToString(digest[:]):
		s.refuse(w, "for another request")
	case request.Subject.CommonName != claims.Sub || !slices.Equal(claims.SANs, request.EmailAddresses):
		s.refuse(w, "for other names")
	default:
		s.used[claims.Jti] = true
		s.issue(w, x509.Certificate{Subject: request.Subject, EmailAddresses: claims.SANs}, request.PublicKey)
	}
}

// stepToken is what a token claims.
type stepToken struct {
	Aud, Iss, Sub, Jti string
	SANs               []string
	Nbf, Exp           int64
	Cnf                map[string]string
}

// claimsOf are those of a token for a path that is valid now, and the provisioner whose key
// signed it.
func (s *stepServer) claimsOf(w http.ResponseWriter, token, path string) (claims stepToken, issuer string, ok bool) {
	jws, err := jose.ParseSignedCompact(token, []jose.SignatureAlgorithm{jose.ES256, jose.RS256})
	if err != nil {
		s.refuse(w, "not a token")
		return claims, "", false
	}
	header := jws.Signatures[0].Protected
	key, issuer, fragment := any(s.key.Public()), "desk", ""
	if header.KeyID != "desk1" {
		roots := x509.NewCertPool()
		roots.AddCert(s.root.Certificate)
		chains, err := header.Certificates(x509.VerifyOptions{Roots: roots, KeyUsages: []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth}})
		if err != nil {
			s.refuse(w, "no certificate")
			return claims, "", false
		}
		key, issuer, fragment = chains[0][0].PublicKey, "cards", "#x5c/cards"
	}
	payload, err := jws.Verify(key)
	if err == nil {
		err = json.Unmarshal(payload, &claims)
	}
	if now := time.Now().Unix(); err != nil || claims.Aud != "https://"+s.host+path+fragment || now < claims.Nbf || now > claims.Exp {
		s.refuse(w, "a wrong token")
		return claims, "", false
	}
	return claims, issuer, true
}

func (s *stepServer) revoke(w http.ResponseWriter, r *http.Request) {
	var body struct {
		Serial, OTT, Reason string
		ReasonCode          int
		Passive             bool
	}
	check(s.t, json.NewDecoder(r.Body).Decode(&body))
	serial, decimal := new(big.Int).SetString(body.Serial, 10)
	_, twice := s.revoked[body.Serial]
	switch {
	case !decimal || !body.Passive || body.Reason == "":
		s.refuse(w, "a wrong revocation")
		return
	case twice:
		s.refuse(w, "already revoked")
		return
	case body.OTT != "":
		claims, _, ok := s.claimsOf(w, body.OTT, "/1.0/revoke")
		if !ok {
			return
		}
		if claims.Sub != body.Serial {
			s.refuse(w, "for another certificate: "+body.OTT)
			return
		}
	case len(r.TLS.PeerCertificates) == 0 || r.TLS.PeerCertificates[0].SerialNumber.Cmp(serial) != 0:
		s.refuse(w, "missing ott or client certificate")
		return
	}
	s.revoked[body.Serial] = body.ReasonCode
	s.answer(w, http.StatusOK, map[string]string{"status": "ok"})
}

func (s *stepServer) issue(w http.ResponseWriter, template x509.Certificate, public any) {
	template.ExtKeyUsage = []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth}
	template.KeyUsage = x509.KeyUsageDigitalSignature
	made := s.ca.Issue(s.t, template, public)
	if s.makes != nil {
		made = s.makes(public)
	}
	s.answer(w, http.StatusCreated, map[string]any{"crt": inPEM(made), "ca": inPEM(s.ca.Certificate), "certChain": []string{inPEM(made), inPEM(s.ca.Certificate)}})
}

// token is one of the provisioner desk, for a mail address.
func (s *stepServer) token(name string) string {
	s.t.Helper()
	signer, err := jose.NewSigner(jose.SigningKey{Algorithm: jose.ES256, Key: jose.JSONWebKey{Key: s.key, KeyID: "desk1"}}, nil)
	check(s.t, err)
	claims, err := json.Marshal(map[string]any{
		"aud": "https://" + s.host + "/1.0/sign", "iss": "desk", "sub": name, "sans": []string{name}, "jti": strings.Repeat("1", 8), "exp": time.Now().Add(time.Hour).Unix(),
	})
	check(s.t, err)
	jws, err := signer.Sign(claims)
	check(s.t, err)
	text, err := jws.CompactSerialize()
	check(s.t, err)
	return text
}

// count is how often a path was asked for.
func (s *stepServer) count(path string) (n int) {
	for _, asked := range s.asked {
		if asked == path {
			n++
		}
	}
	return n
}
