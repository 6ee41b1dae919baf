package ber

import (
	"bytes"
	"encoding/hex"
	"errors"
	"strings"
	"testing"
	"time"
)

func unhex(t testing.TB, text string) []byte {
	t.Helper()
	data, err := hex.DecodeString(strings.ReplaceAll(text, " ", ""))
	if err != nil {
		t.Fatal(err)
	}
	return data
}

func TestRead(t *testing.T) {
	for name, test := range map[string]struct {
		data, content, rest string
		notDER              bool
	}{
		"DER":                   {"04 02 0102 FF", "0102", "FF", false},
		"long length":           {"04 81 02 0102", "0102", "", true},
		"leading zero":          {"04 82 0002 0102", "0102", "", true},
		"open length":           {"30 80 0401AA 0000 05", "0401AA", "05", true},
		"open in open":          {"30 80 30 80 0401AA 0000 0401BB 0000", "3080 0401AA 0000 0401BB", "", true},
		"zeros in definite":     {"30 80 0402 0000 0000", "04020000", "", true},
		"open length, empty":    {"30 80 0000", "", "", true},
		"tag of several octets": {"9F 8101 01 AA", "AA", "", false},
	} {
		t.Run(name, func(t *testing.T) {
			e, rest, err := Read(unhex(t, test.data))
			if err != nil {
				t.Fatal(err)
			}
			if !bytes.Equal(e.Content, unhex(t, test.content)) || !bytes.Equal(rest, unhex(t, test.rest)) || e.NotDER != test.notDER {
				t.Errorf("content %X, rest %X, not DER %t", e.Content, rest, e.NotDER)
			}
			if len(e.Raw)+len(rest) != len(unhex(t, test.data)) {
				t.Errorf("raw %X", e.Raw)
			}
		})
	}
}

func TestReadRefuses(t *testing.T) {
	for name, test := range map[string]struct {
		data string
		want error
	}{
		"nothing":                {"", ErrTruncated},
		"no length":              {"30", ErrTruncated},
		"too short":              {"04 03 0102", ErrTruncated},
		"length of 127 octets":   {"04 FF", ErrMalformed},
		"no end":                 {"30 80 0401AA", ErrTruncated},
		"open primitive":         {"04 80 0000", ErrMalformed},
		"length beyond any file": {"04 88 FFFFFFFFFFFFFFFF", ErrTruncated},
		"endless tag":            {"1F FFFFFFFFFFFF7F 00", ErrMalformed},
	} {
		t.Run(name, func(t *testing.T) {
			if _, _, err := Read(unhex(t, test.data)); !errors.Is(err, test.want) {
				t.Errorf("%v, want %v", err, test.want)
			}
		})
	}
}

func TestSegmentsAreJoined(t *testing.T) {
	e, _, err := Read(unhex(t, "24 80 0402 0102 2403 0401 03 0000"))
	if err != nil {
		t.Fatal(err)
	}
	value, err := e.Octets()
	if err != nil || !bytes.Equal(value, []byte{1, 2, 3}) {
		t.Errorf("%X, %v", value, err)
	}
}

func TestIntegers(t *testing.T) {
	for data, want := range map[string]string{"0201FF": "-1", "02020080": "128", "020180": "-128", "0203000001": "1"} {
		e, _, err := Read(unhex(t, data))
		if err != nil {
			t.Fatal(err)
		}
		if value, err := e.Int(); err != nil || value.String() != want {
			t.Errorf("%s: %v, %v", data, value, err)
		}
	}
}

// TestHostileNesting holds the time for a mebibyte that is nested as deep as it can be.
func TestHostileNesting(t *testing.T) {
	const size, most = 1 << 20, 500 * time.Millisecond
	start := time.Now()
	if _, _, err := Read(bytes.Repeat([]byte{0x30, 0x80}, size/2)); !errors.Is(err, ErrTooDeep) {
		t.Errorf("open lengths: %v", err)
	}
	segments, _, err := Read(append([]byte{0x24, 0x80}, bytes.Repeat([]byte{0x24, 0x80}, MaxDepth)...))
	if err == nil {
		t.Errorf("segments: %v", segments)
	}
	if took := time.Since(start); took > most {
		t.Errorf("it took %s", took)
	}
}

func FuzzRead(f *testing.F) {
	f.Add(unhex(f, "30 80 30 80 0401AA 0000 0401BB 0000"))
	f.Add(unhex(f, "24 80 0402 0102 2403 0401 03 0000"))
	f.Fuzz(func(t *testing.T, data []byte) {
		e, rest, err := Read(data)
		if err != nil {
			return
		}
		if !bytes.Equal(append(bytes.Clone(e.Raw), rest...), data) {
			t.Fatalf("%X and %X are not the whole", e.Raw, rest)
		}
		const limit = 100
		if list, err := e.Elements(limit); err == nil {
			length := 0
			for _, child := range list {
				length += len(child.Raw)
			}
			if length != len(e.Content) {
				t.Fatalf("the elements have %d bytes, the content %d", length, len(e.Content))
			}
		}
		_, _ = e.Octets()
		_, _ = e.Int()
		_, _ = e.ObjectIdentifier()
	})
}
