package openpgp

import (
	"strings"
	"testing"
	"time"

	"github.com/cardctl/cardctl/test/certs"
)

// statement is one of this application, by the last arcs of Yubico's extensions.
func statement(t testing.TB, subject string, values map[int]string) []byte {
	t.Helper()
	return certs.Statement(t, subject, 5, values)
}

// full are the values that Yubico documents.
func full() map[int]string {
	return map[int]string{
		1: "\x0C\x0CHead<<Floppy", 2: "\x02\x01\x01", 3: "\x04\x03\x05\x04\x03", 4: "\x04\x14" + strings.Repeat("\xAB", 20),
		5: "\x04\x04\x65\x00\x00\x00", 6: "\x02\x02\x01\x00", 7: "\x02\x04\x00\xBC\x61\x4E", 8: "\x04\x01\x03", 9: "\x04\x01\x03",
	}
}

func TestParseStatement(t *testing.T) {
	for subject, slot := range map[string]Slot{"SIG": Signature, "DEC": Decryption, "AUT": Authentication, "": 0, "SIG ": 0} {
		s, err := ParseStatement(statement(t, "YubiKey OPGP Attestation "+subject, full()))
		if err != nil {
			t.Fatal(err)
		}
		if s.Slot != slot || s.Cardholder != "Head<<Floppy" || s.Source != KeyGenerated || s.Firmware != "5.4.3" || s.Fingerprint[19] != 0xAB ||
			!s.Created.Equal(time.Unix(0x65000000, 0)) || !s.Counted || s.SignatureCount != 256 || !s.Numbered || s.Serial != 12345678 ||
			s.Interaction.Flag != InteractionCached || s.FormFactor != 3 {
			t.Errorf("%+v", s)
		}
	}
	s, err := ParseStatement(statement(t, "x", map[int]string{
		1: "\x04\x01A", 2: "\x02\x01\x00", 3: "5.", 4: "\x04\x13" + strings.Repeat("\xAB", 19), 5: "\x04\x04\x00\x00\x00\x00", 6: "\x02\x01\xFF", 7: "\x02\x05\x01\x00\x00\x00\x00", 8: "",
	}))
	if err != nil {
		t.Fatal(err)
	}
	if s.Cardholder != "" || s.Source != KeyImported || s.Firmware != "" || s.Fingerprint != [20]byte{} || !s.Created.IsZero() || s.Counted || s.Numbered || s.Interaction != nil {
		t.Errorf("%+v", s)
	}
	if _, err := ParseStatement([]byte{0x30, 0x00}); err == nil {
		t.Error("nothing is a statement")
	}
}

// A YubiKey has its serial in decimal digits in the application identifier.
func TestNumber(t *testing.T) {
	for serial, want := range map[[4]byte]uint32{
		{0x12, 0x34, 0x56, 0x78}: 12345678, {}: 0, {0x00, 0x00, 0x00, 0x0A}: 10, {0xA0, 0, 0, 1}: 0xA0000001, {0x99, 0x99, 0x99, 0x99}: 99999999,
	} {
		var id ApplicationID
		copy(id[10:], serial[:])
		if n := id.Number(); n != want {
			t.Errorf("%X is %d, not %d", serial, n, want)
		}
	}
}

func FuzzParseStatement(f *testing.F) {
	f.Add(statement(f, "YubiKey OPGP Attestation SIG", full()))
	f.Add([]byte{0x30, 0x00})
	f.Fuzz(func(t *testing.T, der []byte) {
		s, err := ParseStatement(der)
		if err != nil {
			return
		}
		for _, x := range s.Extensions {
			if _, ok := ExtensionName(x); !ok && s.Numbered && len(s.Extensions) == 1 {
				t.Errorf("%+v has a serial", x)
			}
		}
	})
}
