package iso7816

import (
	"bytes"
	"encoding/hex"
	"errors"
	"strings"
	"testing"
)

func unhex(t *testing.T, s string) []byte {
	t.Helper()
	b, err := hex.DecodeString(strings.ReplaceAll(s, " ", ""))
	if err != nil {
		t.Fatal(err)
	}
	return b
}

func TestFindTLV(t *testing.T) {
	data := unhex(t, "6E 0E 4F 02 D276 73 08 C4 01 FF 5F52 02 AABB 00 FF C1 00")
	for _, test := range []struct {
		path  []Tag
		want  string
		found bool
	}{
		{[]Tag{0x6E, 0x4F}, "D276", true},
		{[]Tag{0x6E, 0x73, 0x5F52}, "AABB", true},
		{[]Tag{0xC1}, "", true},
		{[]Tag{0x6E, 0x74}, "", false},
		{[]Tag{0x6E, 0x4F, 0x01}, "", false},
	} {
		value, found := FindTLV(data, test.path...)
		if found != test.found || found && !bytes.Equal(value, unhex(t, test.want)) {
			t.Errorf("%X = %X, %v", test.path, value, found)
		}
	}
}

func TestParseTLVsRefuses(t *testing.T) {
	for _, s := range []string{"6E", "6E 05 00", "5F", "6E 80 0000", "6E 84 00000001 00", "6E 82 01", "5F8181 81 00", "6E 83 FFFFFF 00"} {
		if list, err := ParseTLVs(unhex(t, s)); !errors.Is(err, ErrTLV) {
			t.Errorf("%s = %v, %v", s, list, err)
		}
	}
}

func TestAppendTLVUsesTheShortestLength(t *testing.T) {
	for n, header := range map[int]string{0: "7F49 00", 127: "7F49 7F", 128: "7F49 8180", 256: "7F49 820100", 1 << 16: "7F49 83010000"} {
		b := AppendTLV(nil, 0x7F49, make([]byte, n))
		if want := unhex(t, header); !bytes.Equal(b[:len(want)], want) || len(b) != len(want)+n {
			t.Errorf("%d bytes: % X", n, b[:6])
		}
	}
}

func TestConstructed(t *testing.T) {
	for tag, want := range map[Tag]bool{0x4F: false, 0x6E: true, 0x5F52: false, 0x7F21: true, 0x7F8101: true} {
		if tag.Constructed() != want {
			t.Errorf("%X: %v", tag, !want)
		}
	}
}

func FuzzParseTLVs(f *testing.F) {
	f.Add([]byte{0x6E, 0x03, 0x4F, 0x01, 0xD2})
	f.Add([]byte{0x7F, 0x49, 0x81, 0x80})
	f.Fuzz(func(t *testing.T, data []byte) {
		list, err := ParseTLVs(data)
		if err != nil {
			return
		}
		var again []byte
		for _, object := range list {
			again = AppendTLV(again, object.Tag, object.Value)
		}
		if back, err := ParseTLVs(again); err != nil || len(back) != len(list) {
			t.Fatalf("%X: %d objects became %d, %v", data, len(list), len(back), err)
		}
	})
}
