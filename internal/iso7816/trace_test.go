package iso7816

import (
	"strings"
	"testing"
)

func TestTraceBlanksSecrets(t *testing.T) {
	for name, test := range map[string]struct{ command, answer, want string }{
		"plain":                        {"00CA006E00", "4F01D29000", "> 00CA006E00\n< 4F01D29000\n"},
		"a PIN":                        {"0020008206313233343536", "9000", "> 00200082********\n< 9000\n"},
		"no PIN":                       {"00200082", "63C3", "> 00200082\n< 63C3\n"},
		"a change of PIN":              {"0024008102AABB", "9000", "> 00240081********\n< 9000\n"},
		"an unblocking":                {"002C028102AABB", "9000", "> 002C0281********\n< 9000\n"},
		"a part of a private key":      {"10DB3FFF024D02", "9000", "> 10DB3FFF********\n< 9000\n"},
		"the resetting code":           {"00DA00D302AABB", "9000", "> 00DA00D3********\n< 9000\n"},
		"what was encrypted":           {"002A808602AABB00", "CCDD9000", "> 002A808602AABB00\n< ********9000\n"},
		"a signature":                  {"002A9E9A02AABB00", "CCDD9000", "> 002A9E9A02AABB00\n< CCDD9000\n"},
		"keys of a security domain":    {"80D8018103018010", "9000", "> 80D80181********\n< 9000\n"},
		"keys, protected":              {"84D8018103018010", "9000", "> 84D80181********\n< 9000\n"},
		"keys, in a chain":             {"94D8018103018010", "9000", "> 94D80181********\n< 9000\n"},
		"data for an applet":           {"84E2880002AABB", "9000", "> 84E28800********\n< 9000\n"},
		"the PINs of a MUSCLE card":    {"B02A000002AABB", "9000", "> B02A0000********\n< 9000\n"},
		"PIN and PUK of a MyEID card":  {"00DA0101133132333435363738313233343536373803 0A00", "9000", "> 00DA0101********\n< 9000\n"},
		"a part of a MyEID card's key": {"00DA018702AABB", "9000", "> 00DA0187********\n< 9000\n"},
		"erasing a MyEID card":         {"00DA01E008FFFF113FFF111FFF", "9000", "> 00DA01E008FFFF113FFF111FFF\n< 9000\n"},
		"a PIN that comes back":        {"0020008202AABB", "AABB9000", "> 00200082********\n< ********9000\n"},
		"no APDU, and back":            {"0020008209AABB", "AABB9000", "> 00200082********\n< ********9000\n"},
		"no APDU, which may hide one":  {"0020008209313233", "6700", "> 00200082********\n< 6700\n"},
	} {
		t.Run(name, func(t *testing.T) {
			var b strings.Builder
			tracer := NewTracer(&script{t, []string{test.command + ">" + test.answer}}, &b)
			if _, err := tracer.Transmit(t.Context(), unhex(t, test.command)); err != nil || b.String() != test.want {
				t.Errorf("%v\n%swant\n%s", err, b.String(), test.want)
			}
		})
	}
}

func TestTraceBlanksTheRestOfASecretAnswer(t *testing.T) {
	var b strings.Builder
	tracer := NewTracer(&script{t, []string{"002A808601AA00 > CC6101", "00C0000001 > DD9000", "00CA006E00 > EE9000"}}, &b)
	for _, command := range []string{"002A808601AA00", "00C0000001", "00CA006E00"} {
		if _, err := tracer.Transmit(t.Context(), unhex(t, command)); err != nil {
			t.Fatal(err)
		}
	}
	if out := b.String(); strings.Contains(out, "CC") || strings.Contains(out, "DD") || !strings.Contains(out, "EE") {
		t.Error(out)
	}
}
