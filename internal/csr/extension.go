package csr

import (
	"crypto/x509/pkix"
	"encoding/asn1"
	"encoding/hex"
	"strings"

	"github.com/cardctl/cardctl/internal/problem"
)

func oidKeyUsage() asn1.ObjectIdentifier       { return asn1.ObjectIdentifier{2, 5, 29, 15} }
func oidSubjectAltName() asn1.ObjectIdentifier { return asn1.ObjectIdentifier{2, 5, 29, 17} }
func oidExtKeyUsage() asn1.ObjectIdentifier    { return asn1.ObjectIdentifier{2, 5, 29, 37} }

// parseExtension reads OID=HEX, with "critical," in front of the hex where the
// extension is to be critical. The hex is the DER of the extension's value;
// colons between the bytes and OpenSSL's "DER:" in front do no harm.
func parseExtension(s string) (pkix.Extension, error) {
	wrong := func(why string) (pkix.Extension, error) {
		return pkix.Extension{}, problem.New(problem.Usage, "not an extension: %q", s).
			Because("%s. The form is OID=HEX or OID=critical,HEX, with the DER of the value in hex.", why)
	}
	name, text, found := strings.Cut(s, "=")
	if !found {
		return wrong("There is no equals sign")
	}
	oid, isOID, err := parseDotted(strings.TrimSpace(name))
	if err != nil || !isOID {
		return wrong("There is no OID before the equals sign")
	}
	text, isCritical := cutPrefixFold(strings.TrimSpace(text), critical)
	if isCritical {
		text = strings.TrimLeft(text, ",: ")
	}
	text, _ = cutPrefixFold(text, "DER:")
	value, err := hex.DecodeString(strings.ReplaceAll(text, ":", ""))
	if err != nil {
		return wrong("The value is not hex")
	}
	if !isDER(value) {
		return wrong("The value is not a single ASN.1 value in DER")
	}
	return pkix.Extension{Id: oid, Critical: isCritical, Value: value}, nil
}

func cutPrefixFold(s, prefix string) (rest string, found bool) {
	if len(s) >= len(prefix) && strings.EqualFold(s[:len(prefix)], prefix) {
		return s[len(prefix):], true
	}
	return s, false
}

// extensions makes all that o asks for.
func extensions(o Options, emptySubject bool) ([]pkix.Extension, error) {
	var list []pkix.Extension
	for _, build := range []func() (*pkix.Extension, error){
		func() (*pkix.Extension, error) { return keyUsage(o.KeyUsage) },
		func() (*pkix.Extension, error) { return extKeyUsage(o.ExtKeyUsage) },
		func() (*pkix.Extension, error) { return subjectAltName(o, emptySubject) },
	} {
		extension, err := build()
		if err != nil {
			return nil, err
		}
		if extension != nil {
			list = append(list, *extension)
		}
	}
	for _, s := range o.Extensions {
		extension, err := parseExtension(s)
		if err != nil {
			return nil, err
		}
		list = append(list, extension)
	}
	seen := map[string]bool{}
	for _, extension := range list {
		oid := extension.Id.String()
		if seen[oid] {
			return nil, problem.New(problem.Usage, "the extension %s was given twice", oid).
				Because("%s", problem.Sentences("A request has each extension only once.", madeOf(oid)))
		}
		seen[oid] = true
	}
	return list, nil
}

// madeOf says what else makes an extension.
func madeOf(oid string) string {
	switch oid {
	case oidKeyUsage().String():
		return "The key usages make this one."
	case oidExtKeyUsage().String():
		return "The extended key usages make this one."
	case oidSubjectAltName().String():
		return "Mail addresses, DNS names, IP addresses, URIs and user principal names make this one."
	}
	return ""
}
