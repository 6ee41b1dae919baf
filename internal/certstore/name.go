package certstore

import (
	"crypto/x509/pkix"
	"encoding/asn1"
	"slices"
	"strings"
)

// nameOf writes a distinguished name as RFC 4514 has it. The standard library
// does that too, but leaves mail addresses, domain components and people's
// names in hex.
func nameOf(raw []byte, parsed pkix.Name) string {
	var rdns pkix.RDNSequence
	if _, err := asn1.Unmarshal(raw, &rdns); err != nil {
		return parsed.String()
	}
	var parts []string
	for _, rdn := range slices.Backward(rdns) {
		var attributes []string
		for _, a := range rdn {
			attributes = append(attributes, attribute(a))
		}
		parts = append(parts, strings.Join(attributes, "+"))
	}
	return strings.Join(parts, ",")
}

func attribute(a pkix.AttributeTypeAndValue) string {
	name, known := attributeNames()[a.Type.String()]
	if _, isText := a.Value.(string); !known || !isText {
		return pkix.RDNSequence{{a}}.String()
	}
	// Under a name that it knows, the library escapes the value.
	a.Type = asn1.ObjectIdentifier{2, 5, 4, 3}
	return name + strings.TrimPrefix(pkix.RDNSequence{{a}}.String(), "CN")
}

// attributeNames are what the standard library does not know.
func attributeNames() map[string]string {
	return map[string]string{
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
