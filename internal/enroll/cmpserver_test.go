package enroll

import (
	"bytes"
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/asn1"
	"errors"
	"fmt"
	"io"
	"math/big"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/cardctl/cardctl/test/certs"
)

// The messages of RFC 9810, appendix F, as encoding/asn1 has them.
type pkiHeader struct {
	PVNO              int
	Sender, Recipient asn1.RawValue
	MessageTime       time.Time                `asn1:"generalized,explicit,optional,tag:0"`
	Protection        pkix.AlgorithmIdentifier `asn1:"explicit,optional,tag:1"`
	SenderKID         []byte                   `asn1:"explicit,optional,tag:2"`
	RecipKID          []byte                   `asn1:"explicit,optional,tag:3"`
	TransactionID     []byte                   `asn1:"explicit,optional,tag:4"`
	SenderNonce       []byte                   `asn1:"explicit,optional,tag:5"`
	RecipNonce        []byte                   `asn1:"explicit,optional,tag:6"`
	FreeText          asn1.RawValue            `asn1:"explicit,optional,tag:7"`
	GeneralInfo       []pkiInfo                `asn1:"explicit,optional,tag:8"`
}

type pkiInfo struct {
	Type  asn1.ObjectIdentifier
	Value asn1.RawValue `asn1:"optional"`
}

type pkiMessage struct {
	Header, Body asn1.RawValue
	Protection   asn1.BitString  `asn1:"explicit,optional,tag:0"`
	Extra        []asn1.RawValue `asn1:"explicit,optional,tag:1"`
}

type pkiPart struct{ Header, Body asn1.RawValue }

type pbmParameter struct {
	Salt       []byte
	OneWay     pkix.AlgorithmIdentifier
	Iterations int
	MAC        pkix.AlgorithmIdentifier
}

type pkiStatus struct {
	Status int
	Text   []asn1.RawValue `asn1:"optional"`
	Fail   asn1.BitString  `asn1:"optional"`
}

type certifiedKeyPair struct {
	Certificate asn1.RawValue `asn1:"explicit,optional,tag:0"`
	Encrypted   asn1.RawValue `asn1:"explicit,optional,tag:1"`
}

type certResponse struct {
	ID     int
	Status pkiStatus
	Pair   certifiedKeyPair `asn1:"optional"`
}

type certRep struct {
	CAs      []asn1.RawValue `asn1:"explicit,optional,tag:1"`
	Response []certResponse
}

type certStatus struct {
	Hash    []byte
	ID      int
	Status  pkiStatus                `asn1:"optional"`
	HashAlg pkix.AlgorithmIdentifier `asn1:"explicit,optional,tag:0"`
}

type certReqMsg struct {
	Request asn1.RawValue
	Proof   asn1.RawValue
}

type certRequest struct {
	ID       int
	Template struct {
		Subject    asn1.RawValue    `asn1:"tag:5"`
		PublicKey  asn1.RawValue    `asn1:"tag:6"`
		Extensions []pkix.Extension `asn1:"optional,tag:9"`
	}
	Controls []struct {
		Type  asn1.ObjectIdentifier
		Value struct {
			Issuer asn1.RawValue
			Serial *big.Int
		}
	}
}

type popoSigningKey struct {
	Algorithm pkix.AlgorithmIdentifier
	Signature asn1.BitString
}

// Bodies by their tags.
const (
	bodyCP, bodyP10CR, bodyKUR, bodyKUP, bodyPKIConf, bodyError, bodyCertConf, bodyPollReq, bodyPollRep = 3, 4, 7, 8, 19, 23, 24, 25, 26
)

// reply is an answer of the server before it is protected.
type cmpReply struct {
	header pkiHeader
	kind   int
	body   any
	extra  []*x509.Certificate
	// key signs, if it is not nil; else the secret protects, unless it is empty.
	key        crypto.Signer
	secret     string
	iterations int
	// raw is sent instead, if it is not nil.
	raw []byte
}

// cmpServer is a CA that speaks CMP.
type cmpServer struct {
	t      testing.TB
	ca     *certs.Authority
	secret string
	// signs has the key of the CA, or another one, protect the answers.
	by    *certs.Authority
	signs crypto.Signer
	// template is what is issued; nil for the names of the request.
	template *x509.Certificate
	public   crypto.PublicKey // instead of that of the request
	waits    int              // how often a client has to ask
	// edit changes an answer.
	edit func(*cmpReply)

	mu       sync.Mutex
	messages []int // the kinds that came
	issued   []*x509.Certificate
	// confirmed is what became of the last certificate: "accepted" or "rejected".
	confirmed string
	signers   []*x509.Certificate // of the messages
	pending   func() (int, any)
	url       string
}

func newCMPServer(t testing.TB) *cmpServer {
	t.Helper()
	s := &cmpServer{t: t, ca: certs.NewAuthority(t, "CA"), secret: "20261129"}
	server := httptest.NewServer(s)
	t.Cleanup(server.Close)
	s.url = "cmp+" + strings.Replace(server.URL, "http://", "http://desk@", 1)
	return s
}

func (s *cmpServer) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	s.mu.Lock()
	defer s.mu.Unlock()
	der, err := io.ReadAll(r.Body)
	if r.Method != http.MethodPost || r.URL.Path != "/.well-known/cmp" || r.Header.Get("Content-Type") != "application/pkixcmp" {
		err = fmt.Errorf("%s %s %v", r.Method, r.URL, r.Header)
	}
	var answer []byte
	if err == nil {
		answer, err = s.answer(der)
	}
	if err != nil {
		s.t.Error(err)
		http.Error(w, err.Error(), http.StatusBadRequest)
		return
	}
	w.Header().Set("Content-Type", "application/pkixcmp")
	_, _ = w.Write(answer)
}

func (s *cmpServer) answer(der []byte) ([]byte, error) {
	var m pkiMessage
	var h pkiHeader
	if rest, err := asn1.Unmarshal(der, &m); err != nil || len(rest) > 0 {
		return nil, fmt.Errorf("message: %d, %w", len(rest), err)
	}
	if _, err := asn1.Unmarshal(m.Header.FullBytes, &h); err != nil {
		return nil, fmt.Errorf("header: %w", err)
	}
	if err := s.verify(m, h); err != nil {
		return nil, err
	}
	s.messages = append(s.messages, m.Body.Tag)
	kind, body, err := s.process(m)
	if err != nil {
		return nil, err
	}
	a := &cmpReply{kind: kind, body: body, secret: s.secret, iterations: 500, extra: []*x509.Certificate{s.ca.Certificate}}
	a.header = pkiHeader{
		PVNO: 2, Sender: h.Recipient, Recipient: h.Sender, TransactionID: h.TransactionID, SenderNonce: random(), RecipNonce: h.SenderNonce,
	}
	if s.by != nil {
		a.key, a.secret = s.signs, ""
		a.header.Sender = nameOf(s.by.Certificate.RawSubject)
		a.extra = append(a.extra, s.by.Certificate)
	}
	if s.edit != nil {
		s.edit(a)
	}
	if a.raw != nil {
		return a.raw, nil
	}
	return a.encode(), nil
}

func random() []byte {
	b := make([]byte, 16)
	_, _ = rand.Read(b)
	return b
}

func nameOf(subject []byte) asn1.RawValue {
	return asn1.RawValue{Class: asn1.ClassContextSpecific, Tag: 4, IsCompound: true, Bytes: subject}
}

// encode protects the answer.
func (a *cmpReply) encode() []byte {
	content := must(asn1.Marshal(a.body))
	part := pkiPart{Body: asn1.RawValue{Class: asn1.ClassContextSpecific, Tag: a.kind, IsCompound: true, Bytes: content}}
	var protect func(part []byte) []byte
	switch {
	case a.key != nil:
		a.header.Protection = pkix.AlgorithmIdentifier{Algorithm: asn1.ObjectIdentifier{1, 2, 840, 10045, 4, 3, 2}}
		protect = func(part []byte) []byte {
			digest := sha256.Sum256(part)
			return must(a.key.Sign(rand.Reader, digest[:], crypto.SHA256))
		}
	case a.secret != "":
		salt := random()
		a.header.Protection = pkix.AlgorithmIdentifier{
			Algorithm: asn1.ObjectIdentifier{1, 2, 840, 113533, 7, 66, 13},
			Parameters: asn1.RawValue{FullBytes: must(asn1.Marshal(pbmParameter{
				Salt: salt, OneWay: pkix.AlgorithmIdentifier{Algorithm: asn1.ObjectIdentifier{2, 16, 840, 1, 101, 3, 4, 2, 1}}, Iterations: a.iterations,
				MAC: pkix.AlgorithmIdentifier{Algorithm: asn1.ObjectIdentifier{1, 2, 840, 113549, 2, 9}},
			}))},
		}
		protect = func(part []byte) []byte { return macOf(a.secret, salt, min(a.iterations, 1000), part) }
	}
	part.Header = asn1.RawValue{FullBytes: must(asn1.Marshal(a.header))}
	m := pkiMessage{Header: part.Header, Body: part.Body}
	if protect != nil {
		value := protect(must(asn1.Marshal(part)))
		m.Protection = asn1.BitString{Bytes: value, BitLength: 8 * len(value)}
	}
	for _, c := range a.extra {
		m.Extra = append(m.Extra, asn1.RawValue{FullBytes: c.Raw})
	}
	return must(asn1.Marshal(m))
}

// macOf is RFC 9810, 5.1.3.1, with SHA-256.
func macOf(secret string, salt []byte, iterations int, part []byte) []byte {
	key := sha256.Sum256(append([]byte(secret), salt...))
	for i := 1; i < iterations; i++ {
		key = sha256.Sum256(key[:])
	}
	mac := hmac.New(sha256.New, key[:])
	mac.Write(part)
	return mac.Sum(nil)
}

func must[T any](value T, err error) T {
	if err != nil {
		panic(err)
	}
	return value
}

// verify verifies the protection of a message of the client.
func (s *cmpServer) verify(m pkiMessage, h pkiHeader) error {
	part := must(asn1.Marshal(pkiPart{m.Header, m.Body}))
	if len(h.SenderNonce) != 16 || len(h.TransactionID) != 16 || h.MessageTime.IsZero() {
		return fmt.Errorf("%+v", h)
	}
	if s.by == nil {
		var p pbmParameter
		if _, err := asn1.Unmarshal(h.Protection.Parameters.FullBytes, &p); err != nil {
			return err
		}
		if string(h.SenderKID) != "desk" || !bytes.Equal(m.Protection.Bytes, macOf(s.secret, p.Salt, p.Iterations, part)) {
			return errors.New("the MAC is wrong")
		}
		return nil
	}
	signer, err := x509.ParseCertificate(m.Extra[0].FullBytes)
	if err != nil {
		return err
	}
	s.signers = append(s.signers, signer)
	if !bytes.Equal(h.Sender.Bytes, signer.RawSubject) {
		return errors.New("the sender is not who signed")
	}
	if err := signer.CheckSignatureFrom(s.ca.Certificate); err != nil {
		return err
	}
	return verifies(signer.PublicKey, h.Protection.Algorithm, part, m.Protection.Bytes)
}

// verifies verifies a signature with SHA-256, or SHA-384 of P-384.
func verifies(public crypto.PublicKey, algorithm asn1.ObjectIdentifier, message, signature []byte) error {
	for name, known := range map[string]x509.SignatureAlgorithm{
		"1.2.840.113549.1.1.11": x509.SHA256WithRSA, "1.2.840.10045.4.3.2": x509.ECDSAWithSHA256, "1.2.840.10045.4.3.3": x509.ECDSAWithSHA384,
		"1.3.101.112": x509.PureEd25519,
	} {
		if algorithm.String() == name {
			return (&x509.Certificate{PublicKey: public}).CheckSignature(known, message, signature)
		}
	}
	return fmt.Errorf("algorithm %s", algorithm)
}

// process does what a message asks for.
func (s *cmpServer) process(m pkiMessage) (kind int, body any, err error) {
	switch m.Body.Tag {
	case bodyP10CR:
		request, err := x509.ParseCertificateRequest(m.Body.Bytes)
		if err == nil {
			err = request.CheckSignature()
		}
		if err != nil {
			return 0, nil, err
		}
		return s.grant(bodyCP, -1, x509.Certificate{
			RawSubject: request.RawSubject, DNSNames: request.DNSNames, EmailAddresses: request.EmailAddresses,
		}, request.PublicKey)
	case bodyKUR:
		return s.update(m.Body.Bytes)
	case bodyPollReq:
		if s.pending == nil {
			return 0, nil, errors.New("nothing is waited for")
		}
		if s.waits--; s.waits > 0 {
			return bodyPollRep, []any{struct{ ID, After int }{-1, 90}}, nil
		}
		kind, body = s.pending()
		return kind, body, nil
	case bodyCertConf:
		return s.confirm(m.Body.Bytes)
	}
	return 0, nil, fmt.Errorf("a message of kind %d", m.Body.Tag)
}

func (s *cmpServer) grant(kind, id int, template x509.Certificate, public crypto.PublicKey) (int, any, error) {
	if s.template != nil {
		template = *s.template
	}
	if s.public != nil {
		public = s.public
	}
	give := func() (int, any) {
		made := s.ca.Issue(s.t, template, public)
		s.issued = append(s.issued, made)
		return kind, certRep{Response: []certResponse{{ID: id, Pair: certifiedKeyPair{
			Certificate: asn1.RawValue{Class: asn1.ClassContextSpecific, Tag: 0, IsCompound: true, Bytes: made.Raw},
		}}}}
	}
	if s.waits > 0 {
		s.pending = give
		return kind, certRep{Response: []certResponse{{ID: id, Status: pkiStatus{Status: 3}}}}, nil
	}
	kind, body := give()
	return kind, body, nil
}

// update reads a request for the update of a certificate.
func (s *cmpServer) update(der []byte) (int, any, error) {
	var list []certReqMsg
	var r certRequest
	var proof popoSigningKey
	if _, err := asn1.Unmarshal(der, &list); err != nil || len(list) != 1 {
		return 0, nil, fmt.Errorf("CertReqMessages: %w", err)
	}
	if _, err := asn1.Unmarshal(list[0].Request.FullBytes, &r); err != nil {
		return 0, nil, fmt.Errorf("CertRequest: %w", err)
	}
	if _, err := asn1.UnmarshalWithParams(list[0].Proof.FullBytes, &proof, "tag:1"); err != nil {
		return 0, nil, fmt.Errorf("proof: %w", err)
	}
	public, err := x509.ParsePKIXPublicKey(append([]byte{0x30}, r.Template.PublicKey.FullBytes[1:]...))
	if err != nil {
		return 0, nil, err
	}
	if err := verifies(public, proof.Algorithm.Algorithm, list[0].Request.FullBytes, proof.Signature.Bytes); err != nil {
		return 0, nil, err
	}
	old := s.issued[len(s.issued)-1]
	if len(r.Controls) != 1 || r.Controls[0].Value.Serial.Cmp(old.SerialNumber) != 0 || !bytes.Equal(r.Controls[0].Value.Issuer.Bytes, old.RawIssuer) {
		return 0, nil, fmt.Errorf("controls %+v", r.Controls)
	}
	return s.grant(bodyKUP, 0, x509.Certificate{RawSubject: r.Template.Subject.Bytes, ExtraExtensions: r.Template.Extensions}, public)
}

func (s *cmpServer) confirm(der []byte) (int, any, error) {
	var list []certStatus
	if _, err := asn1.Unmarshal(der, &list); err != nil || len(list) != 1 {
		return 0, nil, fmt.Errorf("CertConfirmContent: %w", err)
	}
	made := s.issued[len(s.issued)-1]
	if digest := sha256.Sum256(made.Raw); !bytes.Equal(digest[:], list[0].Hash) {
		return 0, nil, errors.New("the confirmation has another hash")
	}
	s.confirmed = map[int]string{0: "accepted", 2: "rejected"}[list[0].Status.Status]
	return bodyPKIConf, asn1.RawValue{FullBytes: asn1.NullBytes}, nil
}

// registrar has an RA, or somebody else whom the CA certified, sign the answers.
func (s *cmpServer) registrar(by *certs.Authority, template x509.Certificate) {
	key := must(ecdsa.GenerateKey(elliptic.P256(), rand.Reader))
	template.Subject = pkix.Name{CommonName: "RA"}
	s.by, s.signs = &certs.Authority{Certificate: by.Issue(s.t, template, key.Public())}, key
}
