package cert

import (
	"encoding/asn1"
	"encoding/binary"
	"fmt"
	"slices"
	"strings"
	"unicode/utf16"
	"unicode/utf8"

	"github.com/cardctl/cardctl/internal/ber"
)

// Name is a distinguished name, RFC 5280, 4.1.2.4.
type Name []RDN

// RDN is a set of attributes.
type RDN []Attribute

// Attribute is one value of a name.
type Attribute struct {
	Type asn1.ObjectIdentifier
	// Value is the text, if the value is a string of whatever type.
	Value  string
	IsText bool
	// Raw is the encoding of the value.
	Raw []byte
}

func (c *Certificate) parseName(e ber.Element, whose string) (Name, error) {
	name, odd, err := ParseName(e.Raw)
	for _, what := range odd {
		c.odd("its %s has %s", whose, what)
	}
	return name, err
}

// ParseName reads a Name. Odd says which of its strings are not what their types allow.
func ParseName(raw []byte) (name Name, odd []string, err error) {
	outer, _, err := ber.Read(raw)
	if err != nil {
		return nil, nil, err
	}
	rdns, err := outer.Elements(maxNames)
	if err != nil {
		return nil, nil, err
	}
	for _, set := range rdns {
		attributes, err := set.Elements(maxNames)
		if err != nil {
			return nil, nil, err
		}
		var rdn RDN
		for _, attribute := range attributes {
			pair, err := attribute.Elements(2)
			if err != nil || len(pair) != 2 {
				return nil, nil, errNone
			}
			a := Attribute{Raw: pair[1].Raw}
			if a.Type, err = pair[0].ObjectIdentifier(); err != nil {
				return nil, nil, err
			}
			var what string
			if a.Value, a.IsText, what = Text(pair[1]); what != "" {
				odd = append(odd, what)
			}
			rdn = append(rdn, a)
		}
		name = append(name, rdn)
	}
	return name, odd, nil
}

// printable are the characters of PrintableString apart from letters and digits (X.680,
// 41.4). Go and many others accept * and & too.
const printable = " '()+,-./:=?*&"

// Text is the value of a string of any type (X.680, 41), and what about it is odd.
func Text(e ber.Element) (text string, ok bool, odd string) {
	if e.Class != ber.Universal {
		return "", false, ""
	}
	value, err := e.Octets()
	if err != nil {
		return "", false, ""
	}
	switch e.Tag {
	case ber.UTF8String:
		if !utf8.Valid(value) {
			return latin1(value), true, "a UTF8String that is not UTF-8"
		}
		return string(value), true, ""
	case ber.PrintableString:
		if i := slices.IndexFunc(value, notPrintable); i >= 0 {
			return either(value), true, fmt.Sprintf("the character %q in a PrintableString", rune(value[i]))
		}
		return string(value), true, ""
	case ber.IA5String, ber.VisibleString, ber.NumericString:
		if slices.IndexFunc(value, func(b byte) bool { return b >= utf8.RuneSelf }) >= 0 {
			return either(value), true, "other characters than ASCII in an IA5String"
		}
		return string(value), true, oddType(e.Tag, value)
	case ber.TeletexString:
		return latin1(value), true, ""
	case ber.BMPString:
		if len(value)%2 != 0 {
			return "", false, "a BMPString of an odd length"
		}
		return strings.TrimSuffix(bmp(value), "\x00"), true, ""
	case ber.UniversalString:
		if len(value)%4 != 0 {
			return "", false, "a UniversalString of a wrong length"
		}
		return universal(value), true, "a UniversalString"
	}
	return "", false, ""
}

func oddType(tag int, value []byte) string {
	switch {
	case tag == ber.VisibleString:
		return "a VisibleString"
	case tag == ber.NumericString && slices.IndexFunc(value, func(b byte) bool { return b != ' ' && (b < '0' || b > '9') }) >= 0:
		return "other characters than digits in a NumericString"
	}
	return ""
}

func notPrintable(b byte) bool {
	return (b < 'a' || b > 'z') && (b < 'A' || b > 'Z') && (b < '0' || b > '9') && !strings.ContainsRune(printable, rune(b))
}

// either is UTF-8 where the bytes are, else Latin-1.
func either(value []byte) string {
	if utf8.Valid(value) {
		return string(value)
	}
	return latin1(value)
}

func latin1(value []byte) string {
	runes := make([]rune, len(value))
	for i, b := range value {
		runes[i] = rune(b)
	}
	return string(runes)
}

func bmp(value []byte) string {
	units := make([]uint16, len(value)/2)
	for i := range units {
		units[i] = binary.BigEndian.Uint16(value[2*i:])
	}
	return string(utf16.Decode(units))
}

func universal(value []byte) string {
	runes := make([]rune, len(value)/4)
	for i := range runes {
		runes[i] = utf8.RuneError
		if r := binary.BigEndian.Uint32(value[4*i:]); r <= utf8.MaxRune {
			runes[i] = rune(r)
		}
	}
	return string(runes)
}

// attributeNames are what RFC 4514, 3, and practice call the types of attributes.
func attributeNames() map[string]string {
	return map[string]string{
		"2.5.4.3": "CN", "2.5.4.5": "SERIALNUMBER", "2.5.4.6": "C", "2.5.4.7": "L", "2.5.4.8": "ST", "2.5.4.9": "STREET",
		"2.5.4.10": "O", "2.5.4.11": "OU", "2.5.4.17": "POSTALCODE",
		"1.2.840.113549.1.9.1":       "emailAddress",
		"0.9.2342.19200300.100.1.1":  "UID",
		"0.9.2342.19200300.100.1.25": "DC",
		"2.5.4.4":                    "SN",
		"2.5.4.12":                   "title",
		"2.5.4.42":                   "GN",
		"2.5.4.65":                   "pseudonym",
		"2.5.4.97":                   "organizationIdentifier",
	}
}

// String is the name as RFC 4514 writes it, the last RDN first.
func (n Name) String() string {
	var parts []string
	for _, rdn := range slices.Backward(n) {
		var attributes []string
		for _, a := range rdn {
			attributes = append(attributes, a.String())
		}
		parts = append(parts, strings.Join(attributes, "+"))
	}
	return strings.Join(parts, ",")
}

// String is the attribute as RFC 4514, 2.3, writes it.
func (a Attribute) String() string {
	name, known := attributeNames()[a.Type.String()]
	switch {
	case known && a.IsText:
		return name + "=" + escape(a.Value)
	case known:
		return fmt.Sprintf("%s=#%x", name, a.Raw)
	}
	return fmt.Sprintf("%s=#%x", a.Type, a.Raw)
}

// escape is RFC 4514, 2.4.
func escape(value string) string {
	var escaped strings.Builder
	last := len(value) - 1
	for i, r := range value {
		if strings.ContainsRune(`,+"\<>;`, r) || i == 0 && (r == '#' || r == ' ') || i == last && r == ' ' {
			escaped.WriteByte('\\')
		}
		escaped.WriteRune(r)
	}
	return escaped.String()
}

// CommonName is the last of that type.
func (n Name) CommonName() string {
	common := ""
	for _, rdn := range n {
		for _, a := range rdn {
			if a.IsText && a.Type.Equal(oidCommonName) {
				common = a.Value
			}
		}
	}
	return common
}

var oidCommonName = asn1.ObjectIdentifier{2, 5, 4, 3}

// Matches compares two names as RFC 5280, 7.1, says: the types of the strings, the case
// of letters and the number of blanks do not count.
func (n Name) Matches(other Name) bool {
	return len(n) == len(other) && n.Within(other)
}

// Within reports whether the name is in the subtree of another one (RFC 5280,
// 4.2.1.10).
func (n Name) Within(subtree Name) bool {
	if len(n) < len(subtree) {
		return false
	}
	for i := range subtree {
		if !n[i].matches(subtree[i]) {
			return false
		}
	}
	return true
}

func (r RDN) matches(other RDN) bool {
	if len(r) != len(other) {
		return false
	}
	for _, a := range r {
		if !slices.ContainsFunc(other, a.matches) {
			return false
		}
	}
	for _, a := range other {
		if !slices.ContainsFunc(r, a.matches) {
			return false
		}
	}
	return true
}

func (a Attribute) matches(other Attribute) bool {
	if !a.Type.Equal(other.Type) || a.IsText != other.IsText {
		return false
	}
	if !a.IsText {
		return string(a.Raw) == string(other.Raw)
	}
	return strings.EqualFold(prepared(a.Value), prepared(other.Value))
}

// prepared has one blank where there are several, and none at the ends.
func prepared(value string) string { return strings.Join(strings.Fields(value), " ") }
