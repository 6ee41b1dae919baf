package openpgp

import (
	"testing"

	"github.com/cardctl/cardctl/internal/iso7816"
)

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

// FuzzAlgorithmInformation reads DO FA (4.4.3.11): what is understood has attributes, what
// is not changes nothing of it.
func FuzzAlgorithmInformation(f *testing.F) {
	f.Add([]byte("\xFA\x12\xC1\x06\x01\x08\x00\x00\x20\x00\xC2\x06\x12\x2A\x86\x48\xCE\x3D"))
	f.Add([]byte("\xC1\x06\x01\x08\x00\x00\x20\x00\xC3\x00\xC9\x80\xFF"))
	f.Add([]byte{})
	f.Fuzz(func(t *testing.T, raw []byte) {
		if len(raw) > iso7816.MaxShortData {
			return
		}
		answer := append(raw[:len(raw):len(raw)], 0x90, 0x00)
		card := &Card{ch: iso7816.NewChannel(&liar{answers: [][]byte{answer}}, iso7816.Capabilities{})}
		able, err := card.AlgorithmInformation(t.Context())
		if err != nil {
			return
		}
		for slot, list := range able {
			for _, a := range list {
				if len(a) == 0 {
					t.Errorf("slot %d has attributes without a byte", slot)
				}
				_ = a.Name()
			}
		}
	})
}

// FuzzName encodes names, which stay the same however often.
func FuzzName(f *testing.F) {
	for _, seed := range []string{"Floppy Head", "van Head<<Jörg", "Prince", "", "<<", "a  b", "Ã¼ x"} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, name string) {
		value, err := EncodeName(name)
		if err != nil {
			return
		}
		again, err := EncodeName(DecodeName(value))
		if err != nil || DecodeName(again) != DecodeName(value) {
			t.Errorf("%q is %X, then %q and %X, %v", name, value, DecodeName(value), again, err)
		}
	})
}
