package p11

import (
	"bytes"
	"encoding/hex"
	"os"
	"regexp"
	"strings"
	"testing"
)

var escapedByte = regexp.MustCompile(`\\x([0-9A-F]{2})`)

// FuzzSerializedID writes tokens as OpenVPN names them: five parts, which give
// back what was put in.
func FuzzSerializedID(f *testing.F) {
	f.Add("Snake Oil, Ltd", "PKCS#15", "0001/2", `a\x41`, []byte{0x45})
	f.Add("", "\xff\n", "%41", "ä", []byte{})
	f.Fuzz(func(t *testing.T, manufacturer, model, serial, label string, id []byte) {
		want := []string{manufacturer, model, serial, label}
		text := Token{Manufacturer: manufacturer, Model: model, Serial: serial, Label: label}.SerializedID(id)
		parts := strings.Split(text, "/")
		if len(parts) != 5 || strings.ContainsFunc(text, func(r rune) bool { return r <= ' ' || r > '~' }) {
			t.Fatalf("%q", text)
		}
		for i, part := range want {
			got := escapedByte.ReplaceAllStringFunc(parts[i], func(code string) string {
				b, _ := hex.DecodeString(code[2:])
				return string(b)
			})
			if got != part {
				t.Errorf("%q is written as %q", part, parts[i])
			}
		}
		if got, err := hex.DecodeString(parts[4]); err != nil || !bytes.Equal(got, id) {
			t.Errorf("%X is written as %q", id, parts[4])
		}
	})
}

// FuzzInspect looks at arbitrary files that pretend to be modules.
func FuzzInspect(f *testing.F) {
	self, err := os.ReadFile("/proc/self/exe")
	if err != nil {
		f.Fatal(err)
	}
	f.Add(self[:4096])
	f.Add([]byte("\x7fELF\x02\x01\x01"))
	f.Add([]byte("MZ"))
	f.Add([]byte("\xca\xfe\xba\xbe\x00\x00\x00\x01"))
	f.Fuzz(func(_ *testing.T, content []byte) {
		for _, inspect := range []func(*bytes.Reader) error{
			func(r *bytes.Reader) error { return inspectELF(r) },
			func(r *bytes.Reader) error { return inspectPE(r) },
			func(r *bytes.Reader) error { return inspectMachO(r) },
		} {
			_ = inspect(bytes.NewReader(content))
		}
	})
}
