package enroll

import (
	"bytes"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/asn1"
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"

	"github.com/smallstep/pkcs7"

	"github.com/cardctl/cardctl/test/certs"
)

// OIDs of attributes (RFC 8894, 3.2.1).
func scepOID(last int) asn1.ObjectIdentifier {
	return asn1.ObjectIdentifier{2, 16, 840, 1, 113733, 1, 9, last}
}

const scepMessageType, scepStatus, scepFailInfo, scepSenderNonce, scepRecipientNonce, scepTransactionID = 2, 3, 4, 5, 6, 7

// rsaKey makes one; the tests share it, because that takes long.
var rsaKey = sync.OnceValue(func() *rsa.PrivateKey { return must(rsa.GenerateKey(rand.Reader, 2048)) })

// scepReply is an answer before it is encrypted and signed.
type scepReply struct {
	attributes  map[int]any
	text        string // failInfoText
	content     []byte // certificates without a signer
	to          *x509.Certificate
	certificate *x509.Certificate
	key         *rsa.PrivateKey
	digest      asn1.ObjectIdentifier
	cipher      int
	// change changes what is encrypted; raw is sent instead of all, if it is not nil.
	change func([]byte) []byte
	raw    []byte
}

// scepServer is a CA that speaks SCEP through an RA. It uses github.com/smallstep/pkcs7.
type scepServer struct {
	t         testing.TB
	ca        *certs.Authority
	ra        *x509.Certificate
	caps      string
	challenge string
	list      []*x509.Certificate // of GetCACert
	template  *x509.Certificate   // instead of the names of the request
	public    any
	waits     int
	broken    bool // it answers requests with an error of HTTP
	edit      func(*scepReply)

	operations []string // what came: GetCACaps, GetCACert, and types of messages
	posted     bool
	issued     []*x509.Certificate
	signers    []*x509.Certificate
	request    *x509.CertificateRequest
	url        string
}

func newSCEPServer(t testing.TB) *scepServer {
	t.Helper()
	s := &scepServer{
		t: t, ca: certs.NewAuthority(t, "CA"), caps: "AES\nSHA-256\nPOSTPKIOperation\r\nRenewal\n", challenge: "20261129",
	}
	s.register(x509.Certificate{UnknownExtKeyUsage: []asn1.ObjectIdentifier{{1, 3, 6, 1, 5, 5, 7, 3, 28}}})
	server := httptest.NewServer(s)
	t.Cleanup(server.Close)
	s.url = "scep+" + server.URL + "/scep"
	return s
}

func (s *scepServer) register(template x509.Certificate) {
	template.Subject = pkix.Name{CommonName: "RA"}
	s.ra = s.ca.Issue(s.t, template, rsaKey().Public())
	s.list = []*x509.Certificate{s.ra, s.ca.Certificate}
}

func (s *scepServer) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if s.broken && r.Method == http.MethodPost {
		http.Error(w, "broken", http.StatusInternalServerError)
		return
	}
	answer, err := s.answer(r)
	if err != nil {
		s.t.Error(err)
		http.Error(w, err.Error(), http.StatusInternalServerError)
		return
	}
	_, _ = w.Write(answer)
}

func (s *scepServer) answer(r *http.Request) ([]byte, error) {
	if r.URL.Path != "/scep" {
		return nil, fmt.Errorf("%s", r.URL)
	}
	operation := r.URL.Query().Get("operation")
	if operation != "PKIOperation" {
		s.operations = append(s.operations, operation)
	}
	switch operation {
	case "GetCACaps":
		return []byte(s.caps), nil
	case "GetCACert":
		if len(s.list) == 1 {
			return s.list[0].Raw, nil
		}
		return bundle(s.list...), nil
	case "PKIOperation":
		var der []byte
		var err error
		if s.posted = r.Method == http.MethodPost; s.posted {
			der, err = io.ReadAll(r.Body)
		} else {
			der, err = base64.StdEncoding.DecodeString(r.URL.Query().Get("message"))
		}
		if err != nil {
			return nil, err
		}
		return s.operate(der)
	}
	return nil, errors.New(operation)
}

func bundle(list ...*x509.Certificate) []byte {
	var all []byte
	for _, c := range list {
		all = append(all, c.Raw...)
	}
	return must(pkcs7.DegenerateCertificate(all))
}

// operate is what a CA does with a pkiMessage (RFC 8894, 3.2).
func (s *scepServer) operate(der []byte) ([]byte, error) {
	p7, err := pkcs7.Parse(der)
	if err == nil {
		err = p7.Verify()
	}
	if err != nil {
		return nil, err
	}
	var kind, transaction string
	var nonce []byte
	for oid, value := range map[int]any{scepMessageType: &kind, scepTransactionID: &transaction, scepSenderNonce: &nonce} {
		if err := p7.UnmarshalSignedAttribute(scepOID(oid), value); err != nil {
			return nil, err
		}
	}
	if !p7.Signers[0].DigestAlgorithm.Algorithm.Equal(pkcs7.OIDDigestAlgorithmSHA256) {
		return nil, errors.New("the digest is not SHA-256")
	}
	if !bytes.Contains(p7.Content, must(asn1.Marshal(pkcs7.OIDEncryptionAlgorithmAES128CBC))) {
		return nil, errors.New("the cipher is not AES-128")
	}
	enveloped, err := pkcs7.Parse(p7.Content)
	if err != nil {
		return nil, err
	}
	content, err := enveloped.Decrypt(s.ra, rsaKey())
	if err != nil {
		return nil, err
	}
	signer := p7.GetOnlySigner()
	s.operations, s.signers = append(s.operations, kind), append(s.signers, signer)
	a := &scepReply{
		attributes: map[int]any{
			scepMessageType: "3", scepTransactionID: transaction, scepSenderNonce: random(), scepRecipientNonce: nonce, scepStatus: "3",
		},
		to: signer, certificate: s.ra, key: rsaKey(), digest: pkcs7.OIDDigestAlgorithmSHA256, cipher: pkcs7.EncryptionAlgorithmAES256CBC,
	}
	if err := s.decide(kind, content, a); err != nil {
		return nil, err
	}
	if s.edit != nil {
		s.edit(a)
	}
	return a.encode()
}

// decide makes a certificate, or lets the client wait.
func (s *scepServer) decide(kind string, content []byte, a *scepReply) error {
	switch kind {
	case "17", "19":
		request, err := x509.ParseCertificateRequest(content)
		if err == nil {
			err = request.CheckSignature()
		}
		if err != nil {
			return err
		}
		if s.request = request; kind == "19" && !bytes.Contains(request.RawTBSCertificateRequest, []byte(s.challenge)) {
			a.attributes[scepStatus], a.attributes[scepFailInfo], a.text = "2", "2", "wrong\x1b[31m challenge"
			return nil
		}
		if !bytes.Equal(a.to.RawSubject, request.RawSubject) {
			return errors.New("the signer has another subject")
		}
	case "20":
		var names struct{ Issuer, Subject asn1.RawValue }
		if _, err := asn1.Unmarshal(content, &names); err != nil {
			return err
		}
		if !bytes.Equal(names.Issuer.FullBytes, s.ca.RawSubject) || !bytes.Equal(names.Subject.FullBytes, s.request.RawSubject) {
			return errors.New("the poll is for another certificate")
		}
	default:
		return errors.New("a message of type " + kind)
	}
	if s.waits--; s.waits >= 0 {
		return nil
	}
	template := x509.Certificate{RawSubject: s.request.RawSubject, EmailAddresses: s.request.EmailAddresses}
	public := s.request.PublicKey
	if s.template != nil {
		template = *s.template
	}
	if s.public != nil {
		public = s.public
	}
	made := s.ca.Issue(s.t, template, public)
	s.issued = append(s.issued, made)
	a.attributes[scepStatus], a.content = "0", bundle(made)
	return nil
}

// encode encrypts and signs the answer.
func (a *scepReply) encode() ([]byte, error) {
	if a.raw != nil {
		return a.raw, nil
	}
	var sealed []byte
	if a.content != nil {
		pkcs7.ContentEncryptionAlgorithm = a.cipher
		sealed = must(pkcs7.Encrypt(a.content, []*x509.Certificate{a.to}))
		if a.change != nil {
			sealed = a.change(sealed)
		}
	}
	signed, err := pkcs7.NewSignedData(sealed)
	if err != nil {
		return nil, err
	}
	signed.SetDigestAlgorithm(a.digest)
	var config pkcs7.SignerInfoConfig
	for oid, value := range a.attributes {
		config.ExtraSignedAttributes = append(config.ExtraSignedAttributes, pkcs7.Attribute{Type: scepOID(oid), Value: value})
	}
	if a.text != "" {
		config.ExtraSignedAttributes = append(config.ExtraSignedAttributes, pkcs7.Attribute{
			Type: asn1.ObjectIdentifier{1, 3, 6, 1, 5, 5, 7, 24, 1}, Value: asn1.RawValue{Tag: asn1.TagUTF8String, Bytes: []byte(a.text)},
		})
	}
	if err := signed.AddSigner(a.certificate, a.key, config); err != nil {
		return nil, err
	}
	return signed.Finish()
}

// messages are the types that came.
func (s *scepServer) messages() string {
	var list []string
	for _, operation := range s.operations {
		if !strings.HasPrefix(operation, "Get") {
			list = append(list, operation)
		}
	}
	return strings.Join(list, " ")
}
