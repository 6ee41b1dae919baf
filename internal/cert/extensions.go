package cert

import (
	"encoding/asn1"
	"errors"
	"math/big"
	"net"
	"unicode/utf8"

	"golang.org/x/crypto/cryptobyte"
	cbasn1 "golang.org/x/crypto/cryptobyte/asn1"

	"github.com/cardctl/cardctl/internal/ber"
)

// OIDs of the extensions of RFC 5280, 4.2.1.
var (
	OIDSubjectKeyID     = asn1.ObjectIdentifier{2, 5, 29, 14}
	OIDKeyUsage         = asn1.ObjectIdentifier{2, 5, 29, 15}
	OIDSubjectAltName   = asn1.ObjectIdentifier{2, 5, 29, 17}
	OIDBasicConstraints = asn1.ObjectIdentifier{2, 5, 29, 19}
	OIDNameConstraints  = asn1.ObjectIdentifier{2, 5, 29, 30}
	OIDAuthorityKeyID   = asn1.ObjectIdentifier{2, 5, 29, 35}
	OIDExtKeyUsage      = asn1.ObjectIdentifier{2, 5, 29, 37}

	// OIDSecurityID is that with the security identifier of a Windows account, MS-WCCE,
	// 2.2.2.7.7.4.
	OIDSecurityID = asn1.ObjectIdentifier{1, 3, 6, 1, 4, 1, 311, 25, 2}
)

// KeyUsage are the bits of RFC 5280, 4.2.1.3, the first one being 1.
type KeyUsage int

// The usages that are asked for.
const (
	DigitalSignature KeyUsage = 1 << 0
	KeyEncipherment  KeyUsage = 1 << 2
	KeyCertSign      KeyUsage = 1 << 5
)

// Extended is what the extensions say.
type Extended struct {
	// BasicConstraintsValid says that there is the extension. MaxPathLen is -1 without a
	// limit.
	BasicConstraintsValid, IsCA bool
	MaxPathLen                  int
	// KeyUsage is zero without the extension, which allows everything.
	KeyUsage    KeyUsage
	ExtKeyUsage []asn1.ObjectIdentifier
	// SubjectKeyId and AuthorityKeyId are nil without the extension.
	SubjectKeyId, AuthorityKeyId []byte
	// AuthoritySerial is the serial number of the issuer's certificate as Serial tells it,
	// empty where the extension does not name it.
	AuthoritySerial string
	// AltNames are those of the subject.
	AltNames []GeneralName
}

// Kind is a choice of GeneralName (RFC 5280, 4.2.1.6), by its tag.
type Kind int

// The kinds.
const (
	OtherName     Kind = 0
	EmailName     Kind = 1
	DNSName       Kind = 2
	X400Name      Kind = 3
	DirectoryName Kind = 4
	EDIName       Kind = 5
	URIName       Kind = 6
	IPName        Kind = 7
	RegisteredID  Kind = 8
)

// GeneralName is one name, RFC 5280, 4.2.1.6.
type GeneralName struct {
	Kind Kind
	// Value is the content: text of email, DNS and URI, 4 or 16 bytes of an IP address,
	// the encoding of a directory name.
	Value []byte
}

// DER is the name, encoded.
func (n GeneralName) DER() []byte {
	tag := cbasn1.Tag(n.Kind).ContextSpecific()
	switch n.Kind {
	case OtherName, X400Name, DirectoryName, EDIName:
		tag = tag.Constructed()
	}
	var b cryptobyte.Builder
	b.AddASN1(tag, func(b *cryptobyte.Builder) { b.AddBytes(n.Value) })
	return b.BytesOrPanic() // it is shorter than what it was read from
}

// String is the name for people.
func (n GeneralName) String() string {
	switch n.Kind {
	case DirectoryName:
		if name, _, err := ParseName(n.Value); err == nil {
			return name.String()
		}
	case IPName:
		return net.IP(n.Value).String()
	case EmailName, DNSName, URIName:
		return string(n.Value)
	}
	return "a name of this kind"
}

// Extension finds one by its OID.
func (c *Certificate) Extension(oid asn1.ObjectIdentifier) (Extension, bool) {
	for _, x := range c.Extensions {
		if x.ID.Equal(oid) {
			return x, true
		}
	}
	return Extension{}, false
}

// readExtensions reads those that are known. One that cannot be read is odd, and says
// nothing.
func (c *Certificate) readExtensions() {
	c.MaxPathLen = -1
	readers := []struct {
		oid  asn1.ObjectIdentifier
		name string
		read func(ber.Element) bool
	}{
		{OIDBasicConstraints, "basicConstraints", c.readBasicConstraints},
		{OIDKeyUsage, "keyUsage", c.readKeyUsage},
		{OIDExtKeyUsage, "extendedKeyUsage", c.readExtKeyUsage},
		{OIDSubjectKeyID, "subjectKeyIdentifier", c.readSubjectKeyID},
		{OIDAuthorityKeyID, "authorityKeyIdentifier", c.readAuthorityKeyID},
		{OIDSubjectAltName, "subjectAltName", c.readAltNames},
	}
	for _, r := range readers {
		x, there := c.Extension(r.oid)
		if !there {
			continue
		}
		e, rest, err := ber.Read(x.Value)
		if err != nil || !r.read(e) {
			c.odd("its %s cannot be read", r.name)
			continue
		}
		if len(rest) > 0 {
			c.odd("bytes follow its %s", r.name)
		}
	}
}

func (c *Certificate) readBasicConstraints(e ber.Element) bool {
	const most = 2
	list, _ := c.elements(e, most)
	if !e.Is(ber.Sequence) {
		return false
	}
	c.BasicConstraintsValid = true
	for _, part := range list {
		switch {
		case part.Is(ber.Boolean) && len(part.Content) == 1:
			c.IsCA = part.Content[0] != 0
		case part.Is(ber.Integer):
			c.MaxPathLen = part.SmallInt()
		default:
			return false
		}
	}
	return true
}

func (c *Certificate) readKeyUsage(e ber.Element) bool {
	value, err := e.Octets()
	if !e.Is(ber.BitString) || err != nil || len(value) == 0 || value[0] > 7 {
		return false
	}
	bits := asn1.BitString{Bytes: value[1:], BitLength: (len(value)-1)*8 - int(value[0])}
	const known = 9
	for i := range known {
		if bits.At(i) != 0 {
			c.KeyUsage |= 1 << i
		}
	}
	return true
}

// ExtKeyUsages reads an ExtKeyUsageSyntax (RFC 5280, 4.2.1.12).
func ExtKeyUsages(value []byte) ([]asn1.ObjectIdentifier, error) {
	c := &Certificate{}
	e, rest, err := ber.Read(value)
	if err != nil || len(rest) > 0 || !c.readExtKeyUsage(e) {
		return nil, errors.New("its extended key usages cannot be read")
	}
	return c.ExtKeyUsage, nil
}

func (c *Certificate) readExtKeyUsage(e ber.Element) bool {
	list, err := e.Elements(maxNames)
	if !e.Is(ber.Sequence) || err != nil {
		return false
	}
	for _, purpose := range list {
		oid, err := purpose.ObjectIdentifier()
		if err != nil {
			return false
		}
		c.ExtKeyUsage = append(c.ExtKeyUsage, oid)
	}
	return true
}

func (c *Certificate) readSubjectKeyID(e ber.Element) bool {
	value, err := e.Octets()
	if !e.Is(ber.OctetString) || err != nil {
		return false
	}
	c.SubjectKeyId = value
	return true
}

func (c *Certificate) readAuthorityKeyID(e ber.Element) bool {
	const most = 3
	list, err := e.Elements(most)
	if !e.Is(ber.Sequence) || err != nil {
		return false
	}
	for _, part := range list {
		switch {
		case part.IsContext(0):
			c.AuthorityKeyId, err = part.Octets()
		case part.IsContext(2):
			c.AuthoritySerial = Hex(new(big.Int).SetBytes(part.Content))
		}
		if err != nil {
			return false
		}
	}
	return true
}

func (c *Certificate) readAltNames(e ber.Element) bool {
	list, err := e.Elements(maxNames)
	if !e.Is(ber.Sequence) || err != nil {
		return false
	}
	for _, part := range list {
		if part.Class != ber.Context {
			return false
		}
		name := GeneralName{Kind: Kind(part.Tag), Value: part.Content}
		c.checkAltName(name)
		c.AltNames = append(c.AltNames, name)
	}
	return true
}

// GeneralNames reads GeneralNames (RFC 5280, 4.2.1.6), and refuses what is odd.
func GeneralNames(value []byte) ([]GeneralName, error) {
	c := &Certificate{}
	e, rest, err := ber.Read(value)
	if err != nil || len(rest) > 0 || !c.readAltNames(e) || len(c.Odd) > 0 {
		return nil, errors.New("its alternative names cannot be read")
	}
	return c.AltNames, nil
}

func (c *Certificate) checkAltName(name GeneralName) {
	switch name.Kind {
	case EmailName, DNSName, URIName:
		for _, b := range name.Value {
			if b >= utf8.RuneSelf {
				c.odd("its subjectAltName has other characters than ASCII")
				return
			}
		}
	case IPName:
		if len(name.Value) != net.IPv4len && len(name.Value) != net.IPv6len {
			c.odd("its subjectAltName has an IP address of %d bytes", len(name.Value))
		}
	}
}
