// Package cms writes and reads what SCEP uses of the Cryptographic Message Syntax (RFC
// 5652): data that one key signed, and data that is encrypted to an RSA key. Keys are
// functions, because they are on cards. It is not github.com/smallstep/pkcs7, which takes
// its cipher from a variable that is DES at first, and panics at a wrong padding.
package cms

import (
	"encoding/asn1"
	"errors"
	"fmt"
	"math/big"

	"golang.org/x/crypto/cryptobyte"
	cbasn1 "golang.org/x/crypto/cryptobyte/asn1"

	"github.com/cardctl/cardctl/internal/ber"
	"github.com/cardctl/cardctl/internal/cert"
)

// The errors of reading. ErrDamaged is what is not the structure that was expected,
// ErrAlgorithm an algorithm that is not known here.
var (
	ErrDamaged   = errors.New("not the CMS structure that was expected")
	ErrAlgorithm = errors.New("the algorithm is not supported")
)

// OtherContent is content of another type than was expected.
type OtherContent struct{ Type asn1.ObjectIdentifier }

func (o *OtherContent) Error() string { return "it is content of the type " + o.Type.String() }

// OIDs of contents (RFC 5652, 4, 5.1 and 6.1).
var (
	oidData          = asn1.ObjectIdentifier{1, 2, 840, 113549, 1, 7, 1}
	oidSignedData    = asn1.ObjectIdentifier{1, 2, 840, 113549, 1, 7, 2}
	oidEnvelopedData = asn1.ObjectIdentifier{1, 2, 840, 113549, 1, 7, 3}
)

func tagged(tag uint8) cbasn1.Tag { return cbasn1.Tag(tag).ContextSpecific().Constructed() }

// contentInfo is ContentInfo (RFC 5652, 3).
func contentInfo(oid asn1.ObjectIdentifier, content cryptobyte.BuilderContinuation) ([]byte, error) {
	var b cryptobyte.Builder
	b.AddASN1(cbasn1.SEQUENCE, func(b *cryptobyte.Builder) {
		b.AddASN1ObjectIdentifier(oid)
		b.AddASN1(tagged(0), func(b *cryptobyte.Builder) { b.AddASN1(cbasn1.SEQUENCE, content) })
	})
	return b.Bytes()
}

// addIssuerAndSerial adds IssuerAndSerialNumber (RFC 5652, 10.2.4).
func addIssuerAndSerial(b *cryptobyte.Builder, c *cert.Certificate) {
	b.AddASN1(cbasn1.SEQUENCE, func(b *cryptobyte.Builder) {
		b.AddBytes(c.RawIssuer)
		b.AddASN1BigInt(c.SerialNumber)
	})
}

// addAlgorithm adds an AlgorithmIdentifier (RFC 5280, 4.1.1.2). Parameters are in DER, nil
// for none.
func addAlgorithm(b *cryptobyte.Builder, oid asn1.ObjectIdentifier, parameters []byte) {
	b.AddASN1(cbasn1.SEQUENCE, func(b *cryptobyte.Builder) {
		b.AddASN1ObjectIdentifier(oid)
		b.AddBytes(parameters)
	})
}

// open reads the fields of a content, of which there are most at most.
func open(data []byte, oid asn1.ObjectIdentifier, most int) ([]ber.Element, error) {
	outer, _, err := ber.Read(data)
	if err != nil || !outer.Is(ber.Sequence) {
		return nil, ErrDamaged
	}
	info, err := outer.Elements(2)
	if err != nil || len(info) != 2 || !info[1].IsContext(0) {
		return nil, ErrDamaged
	}
	own, err := info[0].ObjectIdentifier()
	switch {
	case err != nil:
		return nil, ErrDamaged
	case !own.Equal(oid):
		return nil, errors.Join(ErrDamaged, &OtherContent{own})
	}
	inner, err := info[1].Elements(1)
	if err != nil || len(inner) != 1 {
		return nil, ErrDamaged
	}
	fields, err := inner[0].Elements(most)
	if err != nil {
		return nil, ErrDamaged
	}
	return fields, nil
}

// algorithmOf reads an AlgorithmIdentifier.
func algorithmOf(e ber.Element) (oid asn1.ObjectIdentifier, parameters ber.Element, err error) {
	if oid, parameters, err = e.Algorithm(); err != nil {
		return nil, parameters, ErrDamaged
	}
	return oid, parameters, nil
}

// identifier names a certificate: by issuer and serial number, or by the identifier of its
// key (RFC 5652, 5.3 and 6.2.1).
type identifier struct {
	issuer cert.Name
	serial *big.Int
	keyID  []byte
}

func identifierOf(e ber.Element) (id identifier, err error) {
	if e.IsContext(0) {
		if id.keyID, err = e.Octets(); err != nil || len(id.keyID) == 0 {
			return id, ErrDamaged
		}
		return id, nil
	}
	list, err := e.Elements(2)
	if err != nil || len(list) != 2 {
		return id, ErrDamaged
	}
	if id.issuer, _, err = cert.ParseName(list[0].Raw); err != nil {
		return id, ErrDamaged
	}
	if id.serial, err = list[1].Int(); err != nil {
		return id, ErrDamaged
	}
	return id, nil
}

func (id identifier) names(c *cert.Certificate) bool {
	if id.serial == nil {
		return string(id.keyID) == string(c.SubjectKeyId)
	}
	return id.serial.Cmp(c.SerialNumber) == 0 && id.issuer.Matches(c.Issuer)
}

// Certificates are all in a SignedData, in BER or DER, most at most. Its signatures do not
// count: a bundle of certificates has none.
func Certificates(data []byte, most int) (list []*cert.Certificate, err error) {
	fields, err := open(data, oidSignedData, maxFields)
	if err != nil {
		return nil, err
	}
	for _, field := range fields {
		if !field.IsContext(0) {
			continue
		}
		choices, err := field.Elements(most)
		if err != nil {
			return nil, errors.Join(ErrDamaged, err)
		}
		for _, choice := range choices {
			if !choice.Is(ber.Sequence) {
				continue // an attribute certificate, RFC 5652, 10.2.2
			}
			c, err := cert.Parse(choice.Raw)
			if err != nil {
				return nil, fmt.Errorf("%w: a certificate in it: %w", ErrDamaged, err)
			}
			list = append(list, c)
		}
	}
	return list, nil
}
