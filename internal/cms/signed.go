package cms

import (
	"bytes"
	"context"
	"crypto"
	"encoding/asn1"
	"errors"
	"slices"

	"golang.org/x/crypto/cryptobyte"
	cbasn1 "golang.org/x/crypto/cryptobyte/asn1"

	"github.com/cardctl/cardctl/internal/ber"
	"github.com/cardctl/cardctl/internal/cert"
	"github.com/cardctl/cardctl/internal/chain"
	"github.com/cardctl/cardctl/internal/pubkey"
)

// ErrWrong is a signature that does not verify, or that another key made.
var ErrWrong = errors.New("the signature does not verify")

// Attribute is one with a single value (RFC 5652, 5.3), in DER.
type Attribute struct {
	Type  asn1.ObjectIdentifier
	Value []byte
}

// OIDs of attributes (RFC 5652, 11.1 and 11.2).
var (
	oidContentType   = asn1.ObjectIdentifier{1, 2, 840, 113549, 1, 9, 3}
	oidMessageDigest = asn1.ObjectIdentifier{1, 2, 840, 113549, 1, 9, 4}
)

// Signer is a key with its certificate.
type Signer struct {
	Certificate *cert.Certificate
	Digest      crypto.Hash
	// Algorithm is the AlgorithmIdentifier, in DER, of the signatures that Sign makes.
	Algorithm []byte
	Sign      func(ctx context.Context, message []byte) ([]byte, error)
}

// Sign makes SignedData (RFC 5652, 5.1) with the certificate of the signer.
func Sign(ctx context.Context, content []byte, attributes []Attribute, s Signer) ([]byte, error) {
	digest := s.Digest.New()
	digest.Write(content)
	set := signedAttributes(append(slices.Clone(attributes),
		Attribute{oidContentType, marshal(func(b *cryptobyte.Builder) { b.AddASN1ObjectIdentifier(oidData) })},
		Attribute{oidMessageDigest, marshal(func(b *cryptobyte.Builder) { b.AddASN1OctetString(digest.Sum(nil)) })}))
	signature, err := s.Sign(ctx, marshal(func(b *cryptobyte.Builder) { b.AddASN1(cbasn1.SET, set) }))
	if err != nil {
		return nil, err
	}
	return contentInfo(oidSignedData, func(b *cryptobyte.Builder) {
		b.AddASN1Int64(1)
		b.AddASN1(cbasn1.SET, func(b *cryptobyte.Builder) { addAlgorithm(b, pubkey.DigestOID(s.Digest), nil) })
		b.AddASN1(cbasn1.SEQUENCE, func(b *cryptobyte.Builder) {
			b.AddASN1ObjectIdentifier(oidData)
			b.AddASN1(tagged(0), func(b *cryptobyte.Builder) { b.AddASN1OctetString(content) })
		})
		b.AddASN1(tagged(0), func(b *cryptobyte.Builder) { b.AddBytes(s.Certificate.Raw) })
		b.AddASN1(cbasn1.SET, func(b *cryptobyte.Builder) {
			b.AddASN1(cbasn1.SEQUENCE, func(b *cryptobyte.Builder) {
				b.AddASN1Int64(1)
				addIssuerAndSerial(b, s.Certificate)
				addAlgorithm(b, pubkey.DigestOID(s.Digest), nil)
				b.AddASN1(tagged(0), set)
				b.AddBytes(s.Algorithm)
				b.AddASN1OctetString(signature)
			})
		})
	})
}

// marshal encodes what cannot fail.
func marshal(content cryptobyte.BuilderContinuation) []byte {
	var b cryptobyte.Builder
	content(&b)
	return b.BytesOrPanic()
}

// signedAttributes are those in the order of DER (X.690, 11.6).
func signedAttributes(list []Attribute) cryptobyte.BuilderContinuation {
	var encoded [][]byte
	for _, a := range list {
		encoded = append(encoded, marshal(func(b *cryptobyte.Builder) {
			b.AddASN1(cbasn1.SEQUENCE, func(b *cryptobyte.Builder) {
				b.AddASN1ObjectIdentifier(a.Type)
				b.AddASN1(cbasn1.SET, func(b *cryptobyte.Builder) { b.AddBytes(a.Value) })
			})
		}))
	}
	slices.SortFunc(encoded, bytes.Compare)
	return func(b *cryptobyte.Builder) { b.AddBytes(slices.Concat(encoded...)) }
}

// Signed is SignedData (RFC 5652, 5.1) with one signer, that was read.
type Signed struct {
	// Content is nil where there is none. It and the attributes are not to be believed
	// before Verify.
	Content []byte
	// Certificates came with it, as far as they can be read.
	Certificates []*cert.Certificate
	Attributes   []Attribute

	signer     identifier
	digest     crypto.Hash
	attributes ber.Element
	algorithm  asn1.ObjectIdentifier
	parameters ber.Element
	signature  []byte
}

// Limits of what a message may hold.
const (
	maxFields       = 6
	maxCertificates = 32
	maxAttributes   = 32
)

// ParseSigned reads it, in BER or DER.
func ParseSigned(data []byte) (*Signed, error) {
	fields, err := open(data, oidSignedData, maxFields)
	if err != nil || len(fields) < 4 {
		return nil, ErrDamaged
	}
	s := &Signed{}
	if s.Content, err = encapsulated(fields[2]); err != nil {
		return nil, err
	}
	if s.Certificates, err = readable(fields[3]); err != nil {
		return nil, err
	}
	infos, err := fields[len(fields)-1].Elements(1)
	if err != nil || len(infos) != 1 || !fields[len(fields)-1].Is(ber.Set) {
		return nil, ErrDamaged
	}
	return s, s.readSigner(infos[0])
}

// encapsulated is the content of EncapsulatedContentInfo.
func encapsulated(e ber.Element) ([]byte, error) {
	info, err := e.Elements(2)
	if err != nil || len(info) == 0 {
		return nil, ErrDamaged
	}
	if len(info) == 1 {
		return nil, nil
	}
	inner, err := info[1].Elements(1)
	if err != nil || len(inner) != 1 || !inner[0].Is(ber.OctetString) {
		return nil, ErrDamaged
	}
	content, err := inner[0].Octets()
	if err != nil {
		return nil, ErrDamaged
	}
	return content, nil
}

func readable(e ber.Element) (all []*cert.Certificate, err error) {
	if !e.IsContext(0) {
		return nil, nil
	}
	list, err := e.Elements(maxCertificates)
	if err != nil {
		return nil, ErrDamaged
	}
	for _, choice := range list {
		if c, err := cert.Parse(choice.Raw); err == nil {
			all = append(all, c)
		}
	}
	return all, nil
}

// readSigner reads SignerInfo (RFC 5652, 5.3) with signed attributes.
func (s *Signed) readSigner(e ber.Element) error {
	const fewest, most = 6, 7
	list, err := e.Elements(most)
	if err != nil || len(list) < fewest || !list[3].IsContext(0) || !list[5].Is(ber.OctetString) {
		return ErrDamaged
	}
	if s.signer, err = identifierOf(list[1]); err != nil {
		return err
	}
	digest, _, err := algorithmOf(list[2])
	if err != nil {
		return err
	}
	if s.digest = pubkey.DigestOf(digest); s.digest == 0 {
		return ErrAlgorithm
	}
	if s.attributes = list[3]; s.attributes.NotDER {
		return ErrDamaged
	}
	if s.algorithm, s.parameters, err = algorithmOf(list[4]); err != nil {
		return err
	}
	if s.signature, err = list[5].Octets(); err != nil {
		return ErrDamaged
	}
	attributes, err := s.attributes.Elements(maxAttributes)
	if err != nil {
		return ErrDamaged
	}
	for _, a := range attributes {
		if err := s.readAttribute(a); err != nil {
			return err
		}
	}
	return nil
}

func (s *Signed) readAttribute(e ber.Element) error {
	pair, err := e.Elements(2)
	if err != nil || len(pair) != 2 || !pair[1].Is(ber.Set) {
		return ErrDamaged
	}
	oid, err := pair[0].ObjectIdentifier()
	if err != nil {
		return ErrDamaged
	}
	values, err := pair[1].Elements(maxAttributes)
	if err != nil {
		return ErrDamaged
	}
	if len(values) != 1 {
		return nil // none that is read here has several
	}
	if _, twice := s.attribute(oid); twice {
		return ErrDamaged
	}
	s.Attributes = append(s.Attributes, Attribute{Type: oid, Value: values[0].Raw})
	return nil
}

func (s *Signed) attribute(oid asn1.ObjectIdentifier) (value ber.Element, has bool) {
	for _, a := range s.Attributes {
		if a.Type.Equal(oid) {
			value, _, err := ber.Read(a.Value)
			return value, err == nil
		}
	}
	return value, false
}

// Octets is an attribute that is a string of any type; nil where there is none.
func (s *Signed) Octets(oid asn1.ObjectIdentifier) []byte {
	value, has := s.attribute(oid)
	if !has {
		return nil
	}
	octets, err := value.Octets()
	if err != nil {
		return nil
	}
	return octets
}

// SignedBy reports whether the message names a certificate as that of its signer.
func (s *Signed) SignedBy(c *cert.Certificate) bool { return s.signer.names(c) }

// Verify verifies that the key of a certificate, which the message names, signed content
// and attributes: nil, ErrWrong, ErrAlgorithm, or chain.Weak for a signature by SHA-1 that
// verifies.
func (s *Signed) Verify(by *cert.Certificate) error {
	digest := s.digest.New()
	digest.Write(s.Content)
	if !s.signer.names(by) || !bytes.Equal(s.Octets(oidMessageDigest), digest.Sum(nil)) {
		return ErrWrong
	}
	set := bytes.Clone(s.attributes.Raw)
	set[0] = byte(cbasn1.SET) // RFC 5652, 5.4
	algorithm, parameters := s.algorithm, s.parameters.Raw
	if with, is := withDigest(algorithm, s.digest); is {
		algorithm, parameters = with, nil
	}
	err := chain.CheckMessage(by.PublicKey, algorithm, parameters, set, s.signature)
	var unknown chain.Unchecked
	switch {
	case errors.Is(err, chain.ErrWrong):
		return ErrWrong
	case errors.As(err, &unknown):
		return ErrAlgorithm
	}
	return err
}

// withDigest is the signature algorithm of a key algorithm, which takes its digest from
// elsewhere (RFC 3370, 3.2).
func withDigest(oid asn1.ObjectIdentifier, digest crypto.Hash) (asn1.ObjectIdentifier, bool) {
	if !oid.Equal(oidRSA) {
		return nil, false
	}
	const sha1, sha224, sha256, sha384, sha512 = 5, 14, 11, 12, 13
	last := map[crypto.Hash]int{crypto.SHA1: sha1, crypto.SHA224: sha224, crypto.SHA256: sha256, crypto.SHA384: sha384, crypto.SHA512: sha512}
	return append(slices.Clone(oid[:len(oid)-1]), last[digest]), true
}
