package csr

import (
	"bytes"
	"encoding/asn1"
	"fmt"
	"slices"
	"strings"
	"unicode/utf8"

	"golang.org/x/crypto/cryptobyte"
	cbasn1 "golang.org/x/crypto/cryptobyte/asn1"

	"github.com/cardctl/cardctl/internal/cert"
)

// Name is a distinguished name: an RDNSequence of X.501. The zero value is the
// empty name.
type Name struct {
	rdns []rdn // in the order of the DER
}

// rdn is one relative distinguished name, its attributes in the order that DER
// wants in a SET.
type rdn []attribute

type attribute struct {
	oid   asn1.ObjectIdentifier
	value []byte // DER
}

// Empty reports whether the name has no attribute.
func (n Name) Empty() bool { return len(n.rdns) == 0 }

// DER is the RDNSequence (RFC 5280, 4.1.2.4).
func (n Name) DER() ([]byte, error) {
	var b cryptobyte.Builder
	b.AddASN1(cbasn1.SEQUENCE, func(b *cryptobyte.Builder) {
		for _, rdn := range n.rdns {
			b.AddASN1(cbasn1.SET, func(b *cryptobyte.Builder) {
				for _, a := range rdn {
					b.AddBytes(a.der())
				}
			})
		}
	})
	return b.Bytes()
}

// AsRead is the name as that of a certificate is read, to compare the two.
func (n Name) AsRead() (cert.Name, error) {
	der, err := n.DER()
	if err != nil {
		return nil, err
	}
	name, _, err := cert.ParseName(der)
	return name, err
}

// der is the AttributeTypeAndValue. The parsers made the OID and the value, so
// it cannot fail.
func (a attribute) der() []byte {
	var b cryptobyte.Builder
	b.AddASN1(cbasn1.SEQUENCE, func(b *cryptobyte.Builder) {
		b.AddASN1ObjectIdentifier(a.oid)
		b.AddBytes(a.value)
	})
	return b.BytesOrPanic()
}

// sort puts the attributes in the order of X.690, 11.6.
func (r rdn) sort() {
	slices.SortFunc(r, func(a, b attribute) int { return bytes.Compare(a.der(), b.der()) })
}

// String writes the name as RFC 4514 has it: the last RDN of the DER first.
// ParseName of it gives the same DER.
func (n Name) String() string {
	rdns := make([]string, 0, len(n.rdns))
	for _, rdn := range slices.Backward(n.rdns) {
		attributes := make([]string, 0, len(rdn))
		for _, a := range rdn {
			attributes = append(attributes, a.String())
		}
		rdns = append(rdns, strings.Join(attributes, "+"))
	}
	return strings.Join(rdns, ",")
}

// String writes the value as text only where reading the text gives the same
// DER again, else as its DER in hex.
func (a attribute) String() string {
	t := attributeTypeOf(a.oid)
	var value asn1.RawValue
	if _, err := asn1.Unmarshal(a.value, &value); err == nil && len(t.names) > 0 && utf8.Valid(value.Bytes) {
		if again, err := t.encode(string(value.Bytes)); err == nil && bytes.Equal(again, a.value) {
			return t.names[0] + "=" + escapeValue(string(value.Bytes))
		}
	}
	return fmt.Sprintf("%s=#%X", a.oid, a.value)
}

// escapeValue does what RFC 4514, 2.4, asks for, and writes control characters
// in hex.
func escapeValue(s string) string {
	var b strings.Builder
	last := len(s) - 1
	for i, r := range s {
		switch {
		case strings.ContainsRune(`"+,;<>\`, r),
			r == '#' && i == 0,
			r == ' ' && (i == 0 || i == last):
			b.WriteByte('\\')
			b.WriteRune(r)
		case isControl(r):
			fmt.Fprintf(&b, `\%02X`, r)
		default:
			b.WriteRune(r)
		}
	}
	return b.String()
}

func isControl(r rune) bool { return r < 0x20 || r == 0x7F }
