package p11

import (
	"fmt"
	"strings"
)

// SerializedID names a certificate on a token as OpenVPN's --pkcs11-id takes it
// and --show-pkcs11-ids prints it: manufacturer, model, serial and label of the
// token and the ID of the certificate in hex, as pkcs11-helper serialises them.
func (t Token) SerializedID(certificateID []byte) string {
	var parts []string
	for _, part := range []string{t.Manufacturer, t.Model, t.Serial, t.Label} {
		parts = append(parts, escapeSerialized(part))
	}
	return strings.Join(append(parts, fmt.Sprintf("%X", certificateID)), "/")
}

// escapeSerialized writes every byte that is not plain as \xHH.
func escapeSerialized(s string) string {
	const special = "\\/\"'%&#@!?$* <>{}[]()`|:;,.+-"
	var b strings.Builder
	for _, c := range []byte(s) {
		if c <= ' ' || c > '~' || strings.IndexByte(special, c) >= 0 {
			fmt.Fprintf(&b, `\x%02X`, c)
		} else {
			b.WriteByte(c)
		}
	}
	return b.String()
}
