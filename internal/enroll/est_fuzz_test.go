package enroll

import (
	"bytes"
	"encoding/asn1"
	"testing"
	"time"

	"github.com/cardctl/cardctl/internal/cert"
	"github.com/cardctl/cardctl/internal/csr"
)

// FuzzCSRAttributes reads what a server of EST may ask for. Whatever it is, it adds no name
// to a request, and makes no CA of it.
func FuzzCSRAttributes(f *testing.F) {
	f.Add(csrAttrs(f))
	f.Add(csrAttrs(f, challengePassword, attributeWithValues{ecPublicKey, []any{secp384r1}}, ecdsaWithSHA384, sha512OID))
	f.Add(csrAttrs(f, attributeWithValues{rsaEncryption, []any{4096}}, rsassaPSS, attributeWithValues{extensionReq, []any{macAddress}}))
	f.Add(csrAttrs(f, attributeWithValues{extensionReq, []any{[]struct {
		ID    asn1.ObjectIdentifier
		Value []byte
	}{{cert.OIDSubjectAltName, []byte{0x30, 0x00}}, {cert.OIDBasicConstraints, []byte{0x30, 0x03, 1, 1, 0xFF}}, {cert.OIDExtKeyUsage, []byte{0x30, 0x00}}}}}))
	f.Fuzz(func(t *testing.T, data []byte) {
		a, err := parseCSRAttributes(data)
		if err != nil {
			return
		}
		r := csr.Request{}
		if _, err := a.apply(&r); err != nil {
			return
		}
		for _, x := range r.Extensions {
			if !mayBeAsked(x.Id) {
				t.Errorf("it adds %s", x.Id)
			}
		}
		if a.keysInWords() == "" && len(a.algorithms) > 0 {
			t.Errorf("%q has no words", a.algorithms)
		}
	})
}

// FuzzBase64OfEST reads base64 with white space in it.
func FuzzBase64OfEST(f *testing.F) {
	for _, seed := range []string{"", "TU  lJ\r\n", "MIIB\n", "====", "M", "\xff"} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, text []byte) {
		data, err := decodeBase64(text)
		if err != nil {
			return
		}
		again, err := decodeBase64(encodeBase64(data))
		if err != nil || !bytes.Equal(again, data) {
			t.Errorf("%q is %x, and that is %x, %v", text, data, again, err)
		}
	})
}

// FuzzRetryAfter reads Retry-After, which is never long, and never in the past.
func FuzzRetryAfter(f *testing.F) {
	for _, seed := range []string{"", "120", "-1", "99999999999999999999", "Fri, 31 Dec 2049 23:59:59 GMT", "Fri, 31 Dec 1999 23:59:59 GMT", "x"} {
		f.Add(seed)
	}
	now := time.Date(2026, 11, 30, 0, 0, 0, 0, time.UTC)
	f.Fuzz(func(t *testing.T, value string) {
		if d := retryAfter(value, now); d < 0 || d > mostRetry {
			t.Errorf("%q is %s", value, d)
		}
	})
}
