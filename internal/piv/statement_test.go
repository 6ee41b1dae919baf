package piv

import (
	"slices"
	"testing"

	"github.com/cardctl/cardctl/test/certs"
)

// statement is one of this application, by the last arcs of Yubico's extensions.
func statement(t testing.TB, subject string, values map[int]string) []byte {
	t.Helper()
	return certs.Statement(t, subject, 3, values)
}

func TestParseStatement(t *testing.T) {
	const subject = "YubiKey PIV Attestation 9a"
	for name, test := range map[string]struct {
		subject string
		values  map[int]string
		want    Statement
	}{
		"as Yubico documents it": {
			subject, map[int]string{3: "\x05\x04\x03", 7: "\x02\x04\x00\xBC\x61\x4E", 8: "\x02\x01", 9: "\x03", 10: "\x01", 11: "\x01"},
			Statement{
				Slot: Authentication, Firmware: Firmware{5, 4, 3}, Numbered: true, Serial: 12345678, PIN: PINOnce, Touch: TouchNever, FormFactor: 3,
				Certified: []string{"FIPS", "CSPN"},
			},
		},
		"bytes in OCTET STRING, and a plain serial": {
			subject, map[int]string{3: "\x04\x03\x05\x04\x03", 7: "\xFF\xBC\x61\x4E", 8: "\x04\x02\x03\x02", 9: "\x04\x01\x01"},
			Statement{Slot: Authentication, Firmware: Firmware{5, 4, 3}, Numbered: true, Serial: 0xFFBC614E, PIN: PINAlways, Touch: TouchAlways, FormFactor: 1},
		},
		"a version that looks like an OCTET STRING": {
			"YubiKey PIV Attestation 82", map[int]string{3: "\x04\x01\x03"}, Statement{Slot: 0x82, Firmware: Firmware{4, 1, 3}},
		},
		"nothing of Yubico":  {"CN=9a", nil, Statement{}},
		"values that do not": {"Attestation zz", map[int]string{3: "\x05", 7: "\x02\x05\x01\x00\x00\x00\x00", 8: "", 9: "\x04\x02\x01\x01"}, Statement{}},
		"a negative serial":  {"", map[int]string{7: "\x02\x01\xFF"}, Statement{}},
	} {
		got, err := ParseStatement(statement(t, test.subject, test.values))
		if err != nil {
			t.Errorf("%s: %v", name, err)
			continue
		}
		test.want.Certificate = got.Certificate
		slices.Sort(got.Certified)
		slices.Sort(test.want.Certified)
		if got.Slot != test.want.Slot || got.Firmware != test.want.Firmware || got.Numbered != test.want.Numbered || got.Serial != test.want.Serial ||
			got.PIN != test.want.PIN || got.Touch != test.want.Touch || got.FormFactor != test.want.FormFactor || !slices.Equal(got.Certified, test.want.Certified) {
			t.Errorf("%s: %+v", name, got)
		}
	}
	if _, err := ParseStatement([]byte{0x30, 0x00}); err == nil {
		t.Error("nothing is a statement")
	}
}

func FuzzParseStatement(f *testing.F) {
	f.Add(statement(f, "YubiKey PIV Attestation 9a", map[int]string{3: "\x05\x04\x03", 7: "\x02\x04\x00\xBC\x61\x4E", 8: "\x02\x01", 9: "\x03"}))
	f.Add(statement(f, "YubiKey PIV Attestation f9", map[int]string{3: "\x04\x03\x05\x04\x03", 7: "\xFF\xBC\x61\x4E", 8: "\x04\x02\x03\x02"}))
	f.Fuzz(func(t *testing.T, der []byte) {
		s, err := ParseStatement(der)
		if err == nil && s.PublicKey == nil {
			t.Error("no public key")
		}
	})
}
