package enroll

import (
	"bytes"
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/rsa"
	"crypto/sha256"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/asn1"
	"encoding/base64"
	"encoding/json"
	"encoding/pem"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"sync"
	"testing"

	"github.com/fxamacker/cbor/v2"
	"github.com/go-jose/go-jose/v4"

	"github.com/cardctl/cardctl/internal/pubkey"
	"github.com/cardctl/cardctl/test/certs"
	"github.com/cardctl/cardctl/test/issuers"
)

// acmeServer is a server of ACME that takes statements of cards, written from RFC 8555 and
// the draft alone. One order at a time.
type acmeServer struct {
	t    testing.TB
	mu   sync.Mutex
	ca   *certs.Authority
	base string

	// macKeys are those of external accounts, by their identifiers; without any, everybody
	// gets an account.
	macKeys map[string][]byte
	// bound are the keys of accounts that are bound to these.
	bound map[string]string
	// fault is asked before each answer, and gives another one.
	fault func(path string, w http.ResponseWriter) bool
	// makes makes the certificate, if it is another than what was asked for.
	makes func(public any) []byte
	// badNonces is how many good nonces are refused.
	badNonces int

	nonces   map[string]bool
	accounts map[string]*jose.JSONWebKey
	order    map[string]any
	authz    map[string]any
	attested any
	made     []byte
	// asked are the paths that were asked for.
	asked []string
}

func newACMEServer(t testing.TB) *acmeServer {
	s := &acmeServer{
		t: t, ca: certs.NewAuthority(t, "issuer"), nonces: map[string]bool{}, accounts: map[string]*jose.JSONWebKey{}, bound: map[string]string{},
	}
	at := issuers.Listen(t, s.ca.Server(t, x509.Certificate{}), &tls.Config{}, s)
	s.base = at.String()
	return s
}

// address is that of the directory, for --issuer.
func (s *acmeServer) address(query string) string { return s.of("") + query }

// of is that of an external account, whose key has this identifier.
func (s *acmeServer) of(kid string) string {
	u, err := url.Parse(s.base)
	check(s.t, err)
	u.Scheme, u.Path = "acme+https", "/directory"
	if kid != "" {
		u.User = url.User(kid)
	}
	return u.String()
}

func (s *acmeServer) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.asked = append(s.asked, r.URL.Path)
	nonce := fmt.Sprintf("nonce%d", len(s.nonces))
	s.nonces[nonce] = true
	w.Header().Set("Replay-Nonce", nonce)
	if s.fault != nil && s.fault(r.URL.Path, w) {
		return
	}
	switch r.URL.Path {
	case "/directory":
		meta := map[string]any{"externalAccountRequired": s.macKeys != nil}
		s.answer(w, http.StatusOK, map[string]any{"newNonce": s.base + "/nonce", "newAccount": s.base + "/accounts", "newOrder": s.base + "/orders", "meta": meta})
	case "/nonce":
		w.WriteHeader(http.StatusNoContent)
	default:
		s.signed(w, r)
	}
}

func (s *acmeServer) answer(w http.ResponseWriter, status int, body any) {
	w.WriteHeader(status)
	check(s.t, json.NewEncoder(w).Encode(body))
}

func (s *acmeServer) refuse(w http.ResponseWriter, kind, detail string) {
	w.Header().Set("Content-Type", "application/problem+json")
	s.answer(w, http.StatusBadRequest, map[string]string{"type": "urn:ietf:params:acme:error:" + kind, "detail": detail})
}

// signed answers a request that is a JSON Web Signature, 6.2.
func (s *acmeServer) signed(w http.ResponseWriter, r *http.Request) {
	text, err := io.ReadAll(r.Body)
	check(s.t, err)
	jws, err := jose.ParseSignedJSON(string(text), []jose.SignatureAlgorithm{jose.ES256})
	if err != nil || r.Header.Get("Content-Type") != "application/jose+json" {
		s.refuse(w, "malformed", fmt.Sprint(err))
		return
	}
	header := jws.Signatures[0].Protected
	key := header.JSONWebKey
	if r.URL.Path != "/accounts" {
		if key != nil {
			s.refuse(w, "malformed", "jwk instead of kid")
			return
		}
		key = s.accounts[header.KeyID]
	}
	if key == nil {
		s.refuse(w, "accountDoesNotExist", "no such account")
		return
	}
	payload, err := jws.Verify(key)
	if err != nil || header.ExtraHeaders["url"] != s.base+r.URL.Path {
		s.refuse(w, "unauthorized", fmt.Sprint("wrong signature or url: ", err))
		return
	}
	if !s.nonces[header.Nonce] || s.badNonces > 0 {
		s.badNonces = max(0, s.badNonces-1)
		s.refuse(w, "badNonce", "use another one")
		return
	}
	delete(s.nonces, header.Nonce)
	s.nonces["used "+header.Nonce] = false
	s.act(w, r.URL.Path, key, payload)
}

func (s *acmeServer) act(w http.ResponseWriter, path string, key *jose.JSONWebKey, payload []byte) {
	var body struct {
		Identifiers []map[string]string
		CSR         string
		AttObj      string
		Binding     json.RawMessage `json:"externalAccountBinding"`
	}
	if len(payload) > 0 {
		check(s.t, json.Unmarshal(payload, &body))
	}
	switch path {
	case "/accounts":
		s.account(w, key, body.Binding)
	case "/orders":
		s.order = map[string]any{"status": "pending", "identifiers": body.Identifiers, "authorizations": []string{s.base + "/authz"}, "finalize": s.base + "/finalize"}
		s.authz = map[string]any{"status": "pending", "challenges": []map[string]string{{"type": "dns-01"}, {"type": "device-attest-01", "url": s.base + "/challenge", "token": "anything"}}}
		w.Header().Set("Location", s.base+"/order")
		s.answer(w, http.StatusCreated, s.order)
	case "/order":
		s.answer(w, http.StatusOK, s.order)
	case "/authz":
		s.answer(w, http.StatusOK, s.authz)
	case "/challenge":
		if err := s.proved(key, body.AttObj); err != nil {
			s.order["status"], s.authz["status"] = "invalid", "invalid"
			s.authz["challenges"] = []map[string]any{{"type": "device-attest-01", "status": "invalid", "error": map[string]string{"detail": err.Error()}}}
		} else {
			s.order["status"], s.authz["status"] = "ready", "valid"
		}
		s.answer(w, http.StatusOK, map[string]string{"status": "processing"})
	case "/finalize":
		s.finalize(w, body.CSR)
	case "/certificate":
		_, _ = w.Write(append(s.made, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: s.ca.Raw})...))
	default:
		s.refuse(w, "malformed", "no such thing")
	}
}

// account makes one, 7.3, bound to an external one where these are wanted, 7.3.4.
func (s *acmeServer) account(w http.ResponseWriter, key *jose.JSONWebKey, binding json.RawMessage) {
	sum, err := key.Thumbprint(crypto.SHA256)
	check(s.t, err)
	at := fmt.Sprintf("%s/accounts/%x", s.base, sum[:8])
	w.Header().Set("Location", at)
	if s.accounts[at] != nil {
		s.answer(w, http.StatusOK, map[string]string{"status": "valid"})
		return
	}
	if s.macKeys != nil {
		jws, err := jose.ParseSignedJSON(string(binding), []jose.SignatureAlgorithm{jose.HS256})
		if err != nil {
			s.refuse(w, "externalAccountRequired", "no binding")
			return
		}
		kid := jws.Signatures[0].Protected.KeyID
		payload, err := jws.Verify(s.macKeys[kid])
		var inner jose.JSONWebKey
		if err != nil || json.Unmarshal(payload, &inner) != nil || s.bound[kid] != "" || jws.Signatures[0].Protected.ExtraHeaders["url"] != s.base+"/accounts" {
			s.refuse(w, "unauthorized", "a wrong binding, or a second one")
			return
		}
		bound, err := inner.Thumbprint(crypto.SHA256)
		check(s.t, err)
		if !bytes.Equal(bound, sum) {
			s.refuse(w, "unauthorized", "bound to another key")
			return
		}
		s.bound[kid] = at
	}
	s.accounts[at] = key
	s.answer(w, http.StatusCreated, map[string]string{"status": "valid"})
}

// proved checks an attestation object of the format step (the draft, 5).
func (s *acmeServer) proved(key *jose.JSONWebKey, object string) error {
	raw, err := base64.RawURLEncoding.DecodeString(object)
	if err != nil {
		return err
	}
	var attested struct {
		Format    string `cbor:"fmt"`
		Statement struct {
			Algorithm int      `cbor:"alg"`
			Signature []byte   `cbor:"sig"`
			Path      [][]byte `cbor:"x5c"`
		} `cbor:"attStmt"`
	}
	if err := cbor.Unmarshal(raw, &attested); err != nil || attested.Format != "step" {
		return fmt.Errorf("not of the format step: %v", err)
	}
	var signature []byte
	if err := cbor.Unmarshal(attested.Statement.Signature, &signature); err != nil {
		return err
	}
	leaf, err := x509.ParseCertificate(attested.Statement.Path[0])
	if err != nil {
		return err
	}
	above, err := x509.ParseCertificate(attested.Statement.Path[1])
	if err == nil {
		err = above.CheckSignature(leaf.SignatureAlgorithm, leaf.RawTBSCertificate, leaf.Signature)
	}
	if err != nil {
		return fmt.Errorf("not certified by the card: %w", err)
	}
	sum, err := key.Thumbprint(crypto.SHA256)
	check(s.t, err)
	authorization := []byte("anything." + base64.RawURLEncoding.EncodeToString(sum))
	digest := sha256.Sum256(authorization)
	good, algorithm := false, 0
	switch public := leaf.PublicKey.(type) {
	case *ecdsa.PublicKey:
		good, algorithm = ecdsa.VerifyASN1(public, digest[:], signature), -7
	case *rsa.PublicKey:
		good, algorithm = rsa.VerifyPKCS1v15(public, crypto.SHA256, digest[:], signature) == nil, -257
	case ed25519.PublicKey:
		good, algorithm = ed25519.Verify(public, authorization, signature), -8
	}
	if !good || algorithm != attested.Statement.Algorithm {
		return fmt.Errorf("wrong signature with algorithm %d", attested.Statement.Algorithm)
	}
	var serial int
	for _, x := range leaf.Extensions {
		if x.Id.String() == "1.3.6.1.4.1.41482.3.7" {
			_, err = asn1.Unmarshal(x.Value, &serial)
			check(s.t, err)
		}
	}
	identifiers, _ := s.order["identifiers"].([]map[string]string)
	if len(identifiers) != 1 || identifiers[0]["type"] != "permanent-identifier" || identifiers[0]["value"] != fmt.Sprint(serial) {
		return fmt.Errorf("the card %d is not %v", serial, identifiers)
	}
	s.attested = leaf.PublicKey
	return nil
}

func (s *acmeServer) finalize(w http.ResponseWriter, text string) {
	der, err := base64.RawURLEncoding.DecodeString(text)
	check(s.t, err)
	request, err := x509.ParseCertificateRequest(der)
	check(s.t, err)
	check(s.t, request.CheckSignature())
	if !pubkey.Same(request.PublicKey, s.attested) {
		s.refuse(w, "badCSR", "another key")
		return
	}
	s.made = s.makeCertificate(request)
	s.order["status"], s.order["certificate"] = "valid", s.base+"/certificate"
	s.answer(w, http.StatusOK, s.order)
}

func (s *acmeServer) makeCertificate(request *x509.CertificateRequest) []byte {
	if s.makes != nil {
		return s.makes(request.PublicKey)
	}
	identifiers, _ := s.order["identifiers"].([]map[string]string)
	made := s.ca.Issue(s.t, x509.Certificate{
		Subject: request.Subject, ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth},
		ExtraExtensions: []pkix.Extension{{Id: asn1.ObjectIdentifier{2, 5, 29, 17}, Value: identified(s.t, identifiers[0]["value"])}},
	}, request.PublicKey)
	return pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: made.Raw})
}

// identified is a permanent identifier as the only alternative name, RFC 4043, 2, octet by
// octet.
func identified(t testing.TB, serial string) []byte {
	t.Helper()
	wrap := func(tag byte, content ...[]byte) []byte {
		all := bytes.Join(content, nil)
		if len(all) > 127 {
			t.Fatal("too long")
		}
		return append([]byte{tag, byte(len(all))}, all...)
	}
	oid := []byte{6, 8, 0x2B, 6, 1, 5, 5, 7, 8, 3}
	return wrap(0x30, wrap(0xA0, oid, wrap(0xA0, wrap(0x30, wrap(0x0C, []byte(serial))))))
}
