package openpgp

import "testing"

// FuzzParseAttributes reads algorithm attributes and application identifiers,
// and asks all that they can tell.
func FuzzParseAttributes(f *testing.F) {
	for _, seed := range []string{"\x01\x08\x00\x00\x20\x00", "\x01\x08\x00\x00\x11", "\x13\x2a\x86\x48\xce\x3d\x03\x01\x07", "\x16\x2b\x06\x01\x04\x01\xda\x47\x0f\x01\xff",
		"\xd2\x76\x00\x01\x24\x01\x03\x04\xff\xfe\x00\x00\x00\x01\x00\x00", "\x01"} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, raw []byte) {
		if id, err := ParseApplicationID(raw); err == nil && len(raw) < 14 {
			t.Errorf("%X is %+v", raw, id)
		}
		a, err := ParseAttributes(raw)
		if err != nil {
			return
		}
		_, isCurve := a.Curve()
		if a.Algorithm() == AlgorithmRSA && (isCurve || a.ExponentBits() < 0) || a.Algorithm() != AlgorithmRSA && a.RSABits() != 0 {
			t.Errorf("%X: %+v", raw, a)
		}
		a.ImportFormat()
	})
}
