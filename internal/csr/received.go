package csr

import (
	"crypto"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/asn1"
	"fmt"
	"strings"
	"unicode"
	"unicode/utf8"

	cbasn1 "golang.org/x/crypto/cryptobyte/asn1"

	"github.com/cardctl/cardctl/internal/ber"
	"github.com/cardctl/cardctl/internal/cert"
	"github.com/cardctl/cardctl/internal/packaging"
	"github.com/cardctl/cardctl/internal/problem"
	"github.com/cardctl/cardctl/internal/pubkey"
)

// MaxFile is the greatest length in bytes of a file that Read reads.
const MaxFile = 1 << 20

// Received is a request (RFC 2986) that was read, and that its own key has signed.
type Received struct {
	Subject    cert.Name
	RawSubject []byte
	// PublicKey is never nil; RawPublicKey is its SubjectPublicKeyInfo.
	PublicKey    crypto.PublicKey
	RawPublicKey []byte
	// Extensions are those of the extensionRequest attribute (RFC 2985, 5.4.2).
	Extensions []cert.Extension
}

// Read reads the one request of a file, in PEM or DER, and verifies its signature. A file
// without a request, or with a wrong one, is a problem.Mismatch.
func Read(data []byte) (*Received, error) {
	if len(data) > MaxFile {
		return nil, notARequest("It is longer than %d bytes.", MaxFile)
	}
	contents := packaging.Open(data)
	var found [][]byte
	for _, block := range contents.Blocks {
		if block.Label == "" || strings.HasSuffix(block.Label, "CERTIFICATE REQUEST") {
			found = append(found, block.Bytes)
		}
	}
	switch {
	case contents.Damaged > 0:
		return nil, notARequest("A PEM block in it is damaged.")
	case len(found) > 1:
		return nil, notARequest("It has %d requests.", len(found))
	case len(found) == 0:
		unknown := packaging.Name(data)
		return nil, notARequest("It holds %s.", unknown.Name)
	}
	r, err := readRequest(found[0])
	if err != nil {
		return nil, notARequest("%s", problem.Sentence(err.Error()))
	}
	return r, nil
}

func notARequest(format string, args ...any) *problem.Error {
	return problem.New(problem.Mismatch, "this is not a certificate request that can be used").Because(format, args...)
}

const damagedRequest = asn1Error("it is not a PKCS#10 request in DER")

type asn1Error string

func (e asn1Error) Error() string { return string(e) }

// readRequest reads a CertificationRequest, RFC 2986, 4.2.
func readRequest(der []byte) (*Received, error) {
	const parts = 3
	outer, rest, err := ber.Read(der)
	if err != nil || len(rest) > 0 || !outer.Is(ber.Sequence) {
		return nil, damagedRequest
	}
	list, err := outer.Elements(parts)
	if err != nil || len(list) != parts || !list[0].Is(ber.Sequence) || !list[1].Is(ber.Sequence) || !list[2].Is(ber.BitString) {
		return nil, damagedRequest
	}
	const fields = 4
	info, err := list[0].Elements(fields)
	if err != nil || len(info) < fields-1 || info[0].SmallInt() != 0 || !info[1].Is(ber.Sequence) || !info[2].Is(ber.Sequence) {
		return nil, damagedRequest
	}
	r := &Received{RawSubject: info[1].Raw, RawPublicKey: info[2].Raw}
	var odd []string
	if r.Subject, odd, err = cert.ParseName(r.RawSubject); err != nil {
		return nil, damagedRequest
	}
	if len(odd) > 0 {
		return nil, asn1Error("its subject has " + odd[0])
	}
	if err := r.nameIsSound(); err != nil {
		return nil, err
	}
	if r.PublicKey, err = pubkey.Parse(r.RawPublicKey); err != nil {
		return nil, asn1Error("its public key cannot be read")
	}
	if err := r.verify(der, list[0].Raw, list[1], list[2]); err != nil {
		return nil, err
	}
	if len(info) == fields {
		r.Extensions, err = requestedExtensions(info[3])
	}
	return r, err
}

// nameIsSound refuses a subject that RFC 5280, appendix A.1, does not allow, or that
// looks like another one where it is shown.
func (r *Received) nameIsSound() error {
	var strict pkix.RDNSequence
	if rest, err := asn1.Unmarshal(r.RawSubject, &strict); err != nil || len(rest) > 0 {
		return damagedRequest
	}
	for _, rdn := range r.Subject {
		if len(rdn) == 0 {
			return damagedRequest
		}
		for _, a := range rdn {
			t := attributeTypeOf(a.Type)
			length := utf8.RuneCountInString(a.Value)
			switch {
			case len(t.names) == 0 && !a.IsText:
			case !a.IsText:
				return asn1Error("the " + t.String() + " of its subject is not a character string")
			case strings.ContainsFunc(a.Value, func(c rune) bool { return unicode.Is(unicode.Cc, c) || unicode.Is(unicode.Bidi_Control, c) }):
				return asn1Error("the " + t.String() + " of its subject has a control character")
			case length == 0, length < t.min, t.max > 0 && length > t.max:
				return asn1Error(fmt.Sprintf("the %s of its subject has %d characters (RFC 5280, A.1)", t, length))
			}
		}
	}
	return nil
}

// Name is the subject with its strings as RFC 5280, 4.1.2.4 and A.1, wants them in new
// certificates. Without mail, it lacks the mail addresses, which are returned in any case.
func (r *Received) Name(mail bool) (name Name, addresses []string, err error) {
	for _, list := range r.Subject {
		var own rdn
		for _, a := range list {
			t := attributeTypeOf(a.Type)
			if a.Type.Equal(OIDEmailAddress) {
				if addresses = append(addresses, a.Value); !mail {
					continue
				}
			}
			value := a.Raw
			if len(t.names) > 0 && !t.isFit(value[0]) {
				if value, err = t.encode(a.Value); err != nil {
					return name, nil, notARequest("%s", problem.Sentence("the "+t.String()+" of its subject: "+err.Error()))
				}
			}
			own = append(own, attribute{oid: a.Type, value: value})
		}
		if len(own) > 0 {
			own.sort()
			name.rdns = append(name.rdns, own)
		}
	}
	return name, addresses, nil
}

// isFit reports whether a value of the type may have a tag.
func (t attributeType) isFit(tag byte) bool {
	return tag == byte(t.tag) || t.tag == cbasn1.UTF8String && tag == byte(cbasn1.PrintableString)
}

// OIDEmailAddress is the mail address in a name, RFC 2985, 5.2.1.
var OIDEmailAddress = asn1.ObjectIdentifier{1, 2, 840, 113549, 1, 9, 1}

// verify verifies that the key of the request has signed it.
func (r *Received) verify(der, info []byte, algorithm, signature ber.Element) error {
	const wrong = asn1Error("its signature does not verify with its own key")
	other, ok := r.PublicKey.(*pubkey.Other)
	if !ok {
		read, err := x509.ParseCertificateRequest(der)
		switch {
		case err != nil:
			return asn1Error("strict software rejects it: " + strings.TrimPrefix(err.Error(), "x509: "))
		case read.CheckSignature() != nil:
			return wrong
		}
		return nil
	}
	parts, err := algorithm.Elements(2)
	if err != nil || len(parts) == 0 {
		return damagedRequest
	}
	oid, err := parts[0].ObjectIdentifier()
	if err != nil {
		return damagedRequest
	}
	bits, err := signature.Octets()
	if err != nil || len(bits) < 2 || bits[0] != 0 {
		return damagedRequest
	}
	for _, digest := range []crypto.Hash{0, crypto.SHA256, crypto.SHA384, crypto.SHA512} {
		own, hash := signatureOn(other, digest)
		if !other.Curve.Verifies() || own == nil || !own.Equal(oid) {
			continue
		}
		if s := (scheme{oid: own, opts: hash}); other.Curve.Verify(other.Key, s.input(info), bits[1:]) {
			return nil
		}
		return wrong
	}
	return asn1Error("nothing here can verify its signature, which is one of " + other.Name())
}

// requestedExtensions are those of the attribute extensionRequest.
func requestedExtensions(attributes ber.Element) ([]cert.Extension, error) {
	const most = 64
	if !attributes.IsContext(0) {
		return nil, damagedRequest
	}
	list, err := attributes.Elements(most)
	if err != nil {
		return nil, damagedRequest
	}
	var all []cert.Extension
	for _, attribute := range list {
		pair, err := attribute.Elements(2)
		if err != nil || len(pair) != 2 {
			return nil, damagedRequest
		}
		oid, err := pair[0].ObjectIdentifier()
		if err != nil {
			return nil, damagedRequest
		}
		if !oid.Equal(oidExtensionRequest()) {
			continue
		}
		values, err := pair[1].Elements(1)
		if err != nil || len(values) != 1 || all != nil {
			return nil, damagedRequest
		}
		if all, err = cert.ParseExtensions(values[0]); err != nil {
			return nil, damagedRequest
		}
	}
	return all, nil
}

func oidExtensionRequest() asn1.ObjectIdentifier {
	return asn1.ObjectIdentifier{1, 2, 840, 113549, 1, 9, 14} // RFC 2985, 5.4.2
}
