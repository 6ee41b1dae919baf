package csr

import (
	"encoding/asn1"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"unicode/utf8"

	"golang.org/x/crypto/cryptobyte"
	cbasn1 "golang.org/x/crypto/cryptobyte/asn1"
)

// attributeType is a kind of attribute that has a name.
type attributeType struct {
	// names begin with the one that Name.String prints.
	names []string
	oid   asn1.ObjectIdentifier
	tag   cbasn1.Tag
	// max is the upper bound in characters, 0 where there is none; min the
	// lower bound where it is not 1.
	max, min int
}

// ubName is the bound of RFC 5280, appendix A, for the attributes of type name.
const ubName = 32768

// attributeTypes are the attributes of RFC 4519, RFC 5280 and the EV
// guidelines, with the upper bounds of RFC 5280, appendix A, and X.520.
func attributeTypes() []attributeType {
	const (
		utf8String = cbasn1.UTF8String
		printable  = cbasn1.PrintableString
		ia5        = cbasn1.IA5String
	)
	x520 := func(arc int) asn1.ObjectIdentifier { return asn1.ObjectIdentifier{2, 5, 4, arc} }
	pilot := func(arc int) asn1.ObjectIdentifier {
		return asn1.ObjectIdentifier{0, 9, 2342, 19200300, 100, 1, arc}
	}
	pkcs9 := func(arc int) asn1.ObjectIdentifier { return asn1.ObjectIdentifier{1, 2, 840, 113549, 1, 9, arc} }
	ev := func(arc int) asn1.ObjectIdentifier {
		return asn1.ObjectIdentifier{1, 3, 6, 1, 4, 1, 311, 60, 2, 1, arc}
	}
	return []attributeType{
		{names: []string{"CN", "commonName"}, oid: x520(3), tag: utf8String, max: 64},
		{names: []string{"L", "localityName"}, oid: x520(7), tag: utf8String, max: 128},
		{names: []string{"ST", "stateOrProvinceName", "S"}, oid: x520(8), tag: utf8String, max: 128},
		{names: []string{"O", "organizationName"}, oid: x520(10), tag: utf8String, max: 64},
		{names: []string{"OU", "organizationalUnitName"}, oid: x520(11), tag: utf8String, max: 64},
		{names: []string{"C", "countryName"}, oid: x520(6), tag: printable, min: 2, max: 2},
		{names: []string{"STREET", "streetAddress"}, oid: x520(9), tag: utf8String, max: 128},
		{names: []string{"DC", "domainComponent"}, oid: pilot(25), tag: ia5, max: 63},
		{names: []string{"UID", "userId"}, oid: pilot(1), tag: utf8String, max: 256},
		{names: []string{"SN", "surname"}, oid: x520(4), tag: utf8String, max: ubName},
		{names: []string{"GN", "givenName", "G"}, oid: x520(42), tag: utf8String, max: ubName},
		{names: []string{"initials"}, oid: x520(43), tag: utf8String, max: ubName},
		{names: []string{"generationQualifier"}, oid: x520(44), tag: utf8String, max: ubName},
		{names: []string{"name"}, oid: x520(41), tag: utf8String, max: ubName},
		{names: []string{"pseudonym"}, oid: x520(65), tag: utf8String, max: 128},
		{names: []string{"title", "T"}, oid: x520(12), tag: utf8String, max: 64},
		{names: []string{"role"}, oid: x520(72), tag: utf8String},
		{names: []string{"serialNumber"}, oid: x520(5), tag: printable, max: 64},
		{names: []string{"dnQualifier"}, oid: x520(46), tag: printable},
		{names: []string{"description"}, oid: x520(13), tag: utf8String, max: 1024},
		{names: []string{"businessCategory"}, oid: x520(15), tag: utf8String, max: 128},
		{names: []string{"postalAddress"}, oid: x520(16), tag: utf8String},
		{names: []string{"postalCode"}, oid: x520(17), tag: utf8String, max: 40},
		{names: []string{"postOfficeBox"}, oid: x520(18), tag: utf8String, max: 40},
		{names: []string{"physicalDeliveryOfficeName"}, oid: x520(19), tag: utf8String, max: 128},
		{names: []string{"telephoneNumber"}, oid: x520(20), tag: printable, max: 32},
		{names: []string{"houseIdentifier"}, oid: x520(51), tag: utf8String, max: ubName},
		{names: []string{"organizationIdentifier"}, oid: x520(97), tag: utf8String},
		{names: []string{"emailAddress", "E", "email"}, oid: pkcs9(1), tag: ia5, max: 255},
		{names: []string{"unstructuredName"}, oid: pkcs9(2), tag: utf8String, max: 255},
		{names: []string{"unstructuredAddress"}, oid: pkcs9(8), tag: utf8String, max: 255},
		{names: []string{"mail", "rfc822Mailbox"}, oid: pilot(3), tag: ia5, max: 256},
		{names: []string{"jurisdictionL", "jurisdictionLocalityName"}, oid: ev(1), tag: utf8String, max: 128},
		{names: []string{"jurisdictionST", "jurisdictionStateOrProvinceName"}, oid: ev(2), tag: utf8String, max: 128},
		{names: []string{"jurisdictionC", "jurisdictionCountryName"}, oid: ev(3), tag: printable, min: 2, max: 2},
	}
}

// errChallenge is a challenge password in a name.
var errChallenge = errors.New("a challenge password is an attribute of a request, and not part of a name, which everybody can read")

// attributeTypeNamed finds a type by any of its names, or by its OID written
// with dots, with or without "OID." in front.
func attributeTypeNamed(name string) (attributeType, error) {
	oid, isOID, err := parseDotted(name)
	switch {
	case err != nil:
		return attributeType{}, err
	case oid.Equal(oidChallengePassword()), strings.EqualFold(name, "challengePassword"):
		return attributeType{}, errChallenge
	case isOID:
		return attributeTypeOf(oid), nil
	}
	for _, t := range attributeTypes() {
		for _, n := range t.names {
			if strings.EqualFold(n, name) {
				return t, nil
			}
		}
	}
	return attributeType{}, fmt.Errorf("%q is not a known attribute name; any other attribute is written as an OID with dots", name)
}

// attributeTypeOf is the type with this OID: one without names, for UTF-8
// strings, where it is not in the table.
func attributeTypeOf(oid asn1.ObjectIdentifier) attributeType {
	for _, t := range attributeTypes() {
		if t.oid.Equal(oid) {
			return t
		}
	}
	return attributeType{oid: oid, tag: cbasn1.UTF8String}
}

// encode returns the DER of a value that is written as text.
func (t attributeType) encode(text string) ([]byte, error) {
	length := utf8.RuneCountInString(text)
	switch {
	case length == 0:
		return nil, fmt.Errorf("%s has no value", t)
	case t.min > 0 && t.min == t.max && length != t.max:
		return nil, fmt.Errorf("%s must have exactly %d letters, not %d", t, t.max, length)
	case t.max > 0 && length > t.max:
		return nil, fmt.Errorf("%s can have at most %d characters, not %d", t, t.max, length)
	}
	for _, r := range text {
		switch {
		case t.tag == cbasn1.IA5String && r > 0x7F:
			return nil, fmt.Errorf("%s must be ASCII, and %q is not", t, r)
		case t.tag == cbasn1.PrintableString && (!isPrintable(r) || t.min == 2 && !isLetter(r)):
			return nil, fmt.Errorf("%s cannot contain %q", t, r)
		}
	}
	var b cryptobyte.Builder
	b.AddASN1(t.tag, func(b *cryptobyte.Builder) { b.AddBytes([]byte(text)) })
	return b.Bytes()
}

func (t attributeType) String() string {
	if len(t.names) == 0 {
		return t.oid.String()
	}
	return t.names[0]
}

func isLetter(r rune) bool { return 'a' <= r && r <= 'z' || 'A' <= r && r <= 'Z' }
func isDigit(r rune) bool  { return '0' <= r && r <= '9' }

// isPrintable reports whether r is of PrintableString, X.680, 41.4.
func isPrintable(r rune) bool {
	return isLetter(r) || isDigit(r) || strings.ContainsRune(" '()+,-./:=?", r)
}

// parseDotted reads an OID written with dots; isOID is false where s does not
// look like one.
func parseDotted(s string) (oid asn1.ObjectIdentifier, isOID bool, err error) {
	if len(s) > 4 && strings.EqualFold(s[:4], "OID.") {
		s = s[4:]
		isOID = true
	}
	if !isOID && (s == "" || !isDigit(rune(s[0]))) {
		return nil, false, nil
	}
	for arc := range strings.SplitSeq(s, ".") {
		// encoding/asn1 reads arcs of 31 bits.
		n, err := strconv.ParseUint(arc, 10, 31)
		if err != nil || len(arc) > 1 && arc[0] == '0' {
			return nil, true, fmt.Errorf("%q is not an OID", s)
		}
		oid = append(oid, int(n))
	}
	if len(oid) < 2 || oid[0] > 2 || oid[0] < 2 && oid[1] >= 40 {
		return nil, true, fmt.Errorf("%q is not an OID", s)
	}
	return oid, true, nil
}
