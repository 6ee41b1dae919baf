package csr

import (
	"crypto/x509/pkix"
	"encoding/asn1"
	"strings"

	"github.com/cardctl/cardctl/internal/advice"
	"github.com/cardctl/cardctl/internal/problem"
)

// keyUsages are the names of RFC 5280, 4.2.1.3, each at its bit.
func keyUsages() []string {
	return []string{
		"digitalSignature", "nonRepudiation", "keyEncipherment", "dataEncipherment", "keyAgreement",
		"keyCertSign", "cRLSign", "encipherOnly", "decipherOnly",
	}
}

// bitKeyAgreement is the bit without which encipherOnly and decipherOnly, the
// last two, mean nothing.
const bitKeyAgreement = 4

// critical marks an extension as critical in front of its value, as in
// OpenSSL's configuration files.
const critical = "critical"

// keyUsage makes the extension, nil without names. It is critical always, as
// RFC 5280, 4.2.1.3, advises.
func keyUsage(names []string) (*pkix.Extension, error) {
	var bits asn1.BitString
	bits.Bytes = make([]byte, 2)
	for _, name := range names {
		if strings.EqualFold(name, critical) {
			continue
		}
		bit, err := keyUsageBit(name)
		if err != nil {
			return nil, err
		}
		bits.Bytes[bit/8] |= 0x80 >> (bit % 8)
		// A named bit list ends with its last bit that is set, X.690, 11.2.2.
		bits.BitLength = max(bits.BitLength, bit+1)
	}
	switch {
	case bits.BitLength == 0 && len(names) == 0:
		return nil, nil
	case bits.BitLength == 0:
		return nil, problem.New(problem.Usage, "the list of key usages is empty").
			Because("%q is a property of the extension, not a usage.", critical).
			Advise(advice.Repeat().Without(advice.KeyUsage))
	case bits.BitLength > len(keyUsages())-2 && bits.At(bitKeyAgreement) == 0:
		return nil, problem.New(problem.Usage, "the key usages lack keyAgreement").
			Because("A usage for enciphering only or deciphering only restricts a key agreement.").
			Advise(advice.Repeat(advice.Set(advice.KeyUsage, "keyAgreement,"+strings.Join(names, ","))))
	}
	bits.Bytes = bits.Bytes[:(bits.BitLength+7)/8]
	value, err := asn1.Marshal(bits)
	if err != nil {
		return nil, err
	}
	return &pkix.Extension{Id: oidKeyUsage(), Critical: true, Value: value}, nil
}

// KeyUsage is the extension of at least one usage, by its name in RFC 5280, 4.2.1.3.
func KeyUsage(names ...string) (pkix.Extension, error) {
	extension, err := keyUsage(names)
	if err != nil {
		return pkix.Extension{}, err
	}
	return *extension, nil
}

// ExtKeyUsage is the extension of at least one usage, by a name or an OID with dots.
func ExtKeyUsage(names ...string) (pkix.Extension, error) {
	extension, err := extKeyUsage(names)
	if err != nil {
		return pkix.Extension{}, err
	}
	return *extension, nil
}

// ParseOID reads an OID with dots.
func ParseOID(text string) (asn1.ObjectIdentifier, error) {
	oid, isOID, err := parseDotted(text)
	if err == nil && !isOID {
		err = problem.New(problem.Usage, "not an OID: %q", text)
	}
	return oid, err
}

func keyUsageBit(name string) (int, error) {
	for bit, usage := range keyUsages() {
		if SameUsage(usage, name) {
			return bit, nil
		}
	}
	return 0, problem.New(problem.Usage, "unknown key usage: %q", name).
		Because("Valid key usages: %s.", strings.Join(keyUsages(), ", "))
}

// shown are the names that OpenSSL and Windows show for usages, without signs and in lower
// case, each with the one that it has here.
func shown() map[string]string {
	return map[string]string{
		"contentcommitment": "nonRepudiation", // as X.509 calls it now
		"certificatesign":   "keyCertSign", "certificatesigning": "keyCertSign", "crlsigning": "cRLSign",
		"tlswebserverauthentication": "serverAuth", "serverauthentication": "serverAuth",
		"tlswebclientauthentication": "clientAuth", "clientauthentication": "clientAuth",
		"secureemail":             "emailProtection",
		"microsoftsmartcardlogin": "smartcardLogon", "microsoftsmartcardlogon": "smartcardLogon",
	}
}

// SameUsage compares a usage with what was typed, in either case and with blanks or
// hyphens between its words: Digital Signature, E-mail Protection.
func SameUsage(usage, typed string) bool {
	typed = strings.NewReplacer(" ", "", "-", "", "_", "").Replace(typed)
	if name, ok := shown()[strings.ToLower(typed)]; ok {
		return name == usage
	}
	return strings.EqualFold(usage, typed)
}

// purpose is a name for an extended key usage.
type purpose struct {
	name string
	oid  asn1.ObjectIdentifier
}

// purposes are the names that OpenSSL and RFC 5280, 4.2.1.12, know.
func purposes() []purpose {
	pkix := func(arc int) asn1.ObjectIdentifier { return asn1.ObjectIdentifier{1, 3, 6, 1, 5, 5, 7, 3, arc} }
	microsoft := func(arcs ...int) asn1.ObjectIdentifier {
		return append(asn1.ObjectIdentifier{1, 3, 6, 1, 4, 1, 311}, arcs...)
	}
	smartCardLogon := microsoft(20, 2, 2)
	return []purpose{
		{"serverAuth", pkix(1)},
		{"clientAuth", pkix(2)},
		{"codeSigning", pkix(3)},
		{"emailProtection", pkix(4)},
		{"timeStamping", pkix(8)},
		{"OCSPSigning", pkix(9)},
		{"smartcardLogon", smartCardLogon},
		{"msSmartcardLogin", smartCardLogon},
		{"smartcardLogin", smartCardLogon},
		{"any", asn1.ObjectIdentifier{2, 5, 29, 37, 0}},
		{"anyExtendedKeyUsage", asn1.ObjectIdentifier{2, 5, 29, 37, 0}},
		{"ipsecEndSystem", pkix(5)},
		{"ipsecTunnel", pkix(6)},
		{"ipsecUser", pkix(7)},
		{"ipsecIKE", pkix(17)},
		{"secureShellClient", pkix(21)},
		{"secureShellServer", pkix(22)},
		{"documentSigning", pkix(36)},
		{"pkInitClientAuth", asn1.ObjectIdentifier{1, 3, 6, 1, 5, 2, 3, 4}},
		{"pkInitKDC", asn1.ObjectIdentifier{1, 3, 6, 1, 5, 2, 3, 5}},
		{"msCodeInd", microsoft(2, 1, 21)},
		{"msCodeCom", microsoft(2, 1, 22)},
		{"msEFS", microsoft(10, 3, 4)},
		{"msDocumentSigning", microsoft(10, 3, 12)},
	}
}

// extKeyUsage makes the extension, nil without names. It is critical where
// "critical" is one of them (RFC 5280, 4.2.1.12, leaves it to the issuer).
func extKeyUsage(names []string) (*pkix.Extension, error) {
	extension := &pkix.Extension{Id: oidExtKeyUsage()}
	var oids []asn1.ObjectIdentifier
	seen := map[string]bool{}
	for _, name := range names {
		if strings.EqualFold(name, critical) {
			extension.Critical = true
			continue
		}
		oid, err := purposeOID(name)
		if err != nil {
			return nil, err
		}
		if !seen[oid.String()] {
			seen[oid.String()] = true
			oids = append(oids, oid)
		}
	}
	if len(names) == 0 {
		return nil, nil
	}
	if len(oids) == 0 {
		return nil, problem.New(problem.Usage, "the list of extended key usages is empty").
			Because("%q is a property of the extension, not a usage.", critical).
			Advise(advice.Repeat().Without(advice.ExtKeyUsage))
	}
	var err error
	extension.Value, err = asn1.Marshal(oids)
	return extension, err
}

func purposeOID(name string) (asn1.ObjectIdentifier, error) {
	if oid, isOID, err := parseDotted(name); isOID {
		if err != nil {
			return nil, problem.New(problem.Usage, "the extended key usage is not valid: %v", err)
		}
		return oid, nil
	}
	var names []string
	for _, p := range purposes() {
		if SameUsage(p.name, name) {
			return p.oid, nil
		}
		names = append(names, p.name)
	}
	return nil, problem.New(problem.Usage, "unknown extended key usage: %q", name).
		Because("Valid names: %s. Any other usage is written as an OID with dots.", strings.Join(names, ", "))
}
