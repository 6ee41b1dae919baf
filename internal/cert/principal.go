package cert

import (
	"encoding/asn1"

	"github.com/cardctl/cardctl/internal/ber"
)

var oidPrincipalName = asn1.ObjectIdentifier{1, 3, 6, 1, 4, 1, 311, 20, 2, 3}

// PrincipalName is Microsoft's user principal name, an OtherName with a string (RFC 5280,
// 4.2.1.6); empty for another name.
func (n GeneralName) PrincipalName() string {
	if n.Kind != OtherName {
		return ""
	}
	kind, rest, err := ber.Read(n.Value)
	if err != nil {
		return ""
	}
	if oid, err := kind.ObjectIdentifier(); err != nil || !oid.Equal(oidPrincipalName) {
		return ""
	}
	value, _, err := ber.Read(rest)
	if err != nil || !value.IsContext(0) {
		return ""
	}
	strings, err := value.Elements(1)
	if err != nil || len(strings) != 1 {
		return ""
	}
	text, _, _ := Text(strings[0])
	return text
}
