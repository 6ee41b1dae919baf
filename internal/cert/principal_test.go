package cert

import "testing"

func TestPrincipalName(t *testing.T) {
	const upn, other = "\x06\x0A\x2B\x06\x01\x04\x01\x82\x37\x14\x02\x03", "\x06\x01\x2A"
	for value, want := range map[string]string{
		upn + "\xA0\x06\x0C\x04a@b\xC3":        "a@bÃ", // not UTF-8
		upn + "\xA0\x05\x0C\x03a@b":            "a@b",
		upn + "\xA0\x05\x16\x03a@b":            "a@b",
		other + "\xA0\x05\x0C\x03a@b":          "",
		upn + "\xA1\x05\x0C\x03a@b":            "",
		upn + "\xA0\x0A\x0C\x03a@b\x0C\x03a@b": "",
		upn + "\x0C\x03a@b":                    "",
		upn + "\xA0\x05\x02\x03a@b":            "",
		upn:                                    "",
		"\xA0":                                 "",
		"":                                     "",
	} {
		if got := (GeneralName{OtherName, []byte(value)}).PrincipalName(); got != want {
			t.Errorf("%x: %q, not %q", value, got, want)
		}
	}
	if got := (GeneralName{EmailName, []byte(upn + "\xA0\x05\x0C\x03a@b")}).PrincipalName(); got != "" {
		t.Errorf("an address: %q", got)
	}
}
