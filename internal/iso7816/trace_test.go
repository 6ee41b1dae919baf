package iso7816

import (
	"strings"
	"testing"
)

func TestTraceBlanksSecrets(t *testing.T) {
	for name, test := range map[string]struct{ command, answer, want string }{
		"plain":                         {"00CA006E00", "4F01D29000", "> 00CA006E00\n< 4F01D29000\n"},
		"a PIN":                         {"0020008206313233343536", "9000", "> 00200082********\n< 9000\n"},
		"no PIN":                        {"00200082", "63C3", "> 00200082\n< 63C3\n"},
		"a change of PIN":               {"0024008102AABB", "9000", "> 00240081********\n< 9000\n"},
		"an unblocking":                 {"002C028102AABB", "9000", "> 002C0281********\n< 9000\n"},
		"a part of a private key":       {"10DB3FFF024D02", "9000", "> 10DB3FFF********\n< 9000\n"},
		"the resetting code":            {"00DA00D302AABB", "9000", "> 00DA00D3********\n< 9000\n"},
		"what was encrypted":            {"002A808602AABB00", "CCDD9000", "> 002A808602AABB00\n< ********9000\n"},
		"a signature":                   {"002A9E9A02AABB00", "CCDD9000", "> 002A9E9A02AABB00\n< CCDD9000\n"},
		"keys of a security domain":     {"80D8018103018010", "9000", "> 80D80181********\n< 9000\n"},
		"keys, protected":               {"84D8018103018010", "9000", "> 84D80181********\n< 9000\n"},
		"keys, in a chain":              {"94D8018103018010", "9000", "> 94D80181********\n< 9000\n"},
		"data for an applet":            {"84E2880002AABB", "9000", "> 84E28800********\n< 9000\n"},
		"the PINs of a MUSCLE card":     {"B02A000002AABB", "9000", "> B02A0000********\n< 9000\n"},
		"PIN and PUK of a MyEID card":   {"00DA0101133132333435363738313233343536373803 0A00", "9000", "> 00DA0101********\n< 9000\n"},
		"a part of a MyEID card's key":  {"00DA018702AABB", "9000", "> 00DA0187********\n< 9000\n"},
		"erasing a MyEID card":          {"00DA01E008FFFF113FFF111FFF", "9000", "> 00DA01E008FFFF113FFF111FFF\n< 9000\n"},
		"an odd VERIFY":                 {"0021008208710680043132333400", "AABB9000", "> 00210082********\n< ********9000\n"},
		"an odd CHANGE":                 {"00250082027100", "9000", "> 00250082********\n< 9000\n"},
		"an odd RESET":                  {"002D0082027100", "9000", "> 002D0082********\n< 9000\n"},
		"a PIN on a channel":            {"0120008206313233343536", "9000", "> 01200082********\n< 9000\n"},
		"a PIN on a further channel":    {"4420008206313233343536", "9000", "> 44200082********\n< 9000\n"},
		"a PIN in a class of its own":   {"A020008206313233343536", "9000", "> A0200082********\n< 9000\n"},
		"a PIN of GlobalPlatform":       {"8020008206313233343536", "9000", "> 80200082********\n< 9000\n"},
		"a PIN in a chain":              {"1020008206313233343536", "9000", "> 10200082********\n< 9000\n"},
		"secure messaging":              {"0CA40400028700", "AABB9000", "> 0CA40400********\n< ********9000\n"},
		"further secure messaging":      {"60A40400028700", "AABB9000", "> 60A40400********\n< ********9000\n"},
		"keys on a channel":             {"01DA00D302AABB", "9000", "> 01DA00D3********\n< 9000\n"},
		"keys on a further channel":     {"41DB3FFF02AABB", "9000", "> 41DB3FFF********\n< 9000\n"},
		"keys on channel 4":             {"C0D8018103018010", "9000", "> C0D80181********\n< 9000\n"},
		"PUT DATA of another class":     {"80DA00D302AABB", "9000", "> 80DA00D3********\n< 9000\n"},
		"a private object":              {"00DA010302AABB", "9000", "> 00DA0103********\n< 9000\n"},
		"a private object that is read": {"00CA010400", "AABB9000", "> 00CA010400\n< ********9000\n"},
		"a public one beside it":        {"00CA010500", "AABB9000", "> 00CA010500\n< AABB9000\n"},
		"a printed management key":      {"00CB3FFF055C035FC10900", "AABB9000", "> 00CB3FFF055C035FC10900\n< ********9000\n"},
		"a PIN of five digits":          {"00DA01010531323334350000", "9000", "> 00DA0101********\n< 9000\n"},
		"a name":                        {"00DA005B02AABB", "9000", "> 00DA005B02AABB\n< 9000\n"},
		"a certificate in a chain":      {"10DA7F2102AABB", "9000", "> 10DA7F2102AABB\n< 9000\n"},
		"a file":                        {"00D6000002AABB", "9000", "> 00D60000********\n< 9000\n"},
		"a record":                      {"00DC010402AABB", "9000", "> 00DC0104********\n< 9000\n"},
		"what is to be encrypted":       {"002A868002AABB00", "CCDD9000", "> 002A8680********\n< ********9000\n"},
		"a general authentication":      {"0087039B047C02800000", "AABB9000", "> 0087039B********\n< ********9000\n"},
		"a management key":              {"00FFFFFF02AABB", "9000", "> 00FFFFFF********\n< 9000\n"},
		"a password to authenticate":    {"0082000002AABB", "9000", "> 00820000********\n< 9000\n"},
		"an unknown question":           {"0001000000", "AABB9000", "> 0001000000\n< ********9000\n"},
		"a selection on a channel":      {"02A4040002AABB", "CC9000", "> 02A4040002AABB\n< CC9000\n"},
		"a challenge":                   {"8050000002AABB00", "CC9000", "> 8050000002AABB00\n< CC9000\n"},
		"a load":                        {"84E8000002AABB", "009000", "> 84E8000002AABB\n< 009000\n"},
		"a list of objects":             {"B058000000", "AA9000", "> B058000000\n< AA9000\n"},
		"a PIN that comes back":         {"0020008202AABB", "AABB9000", "> 00200082********\n< ********9000\n"},
		"no APDU, and back":             {"0020008209AABB", "AABB9000", "> 00200082********\n< ********9000\n"},
		"no APDU, which may hide one":   {"0020008209313233", "6700", "> 00200082********\n< 6700\n"},
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

func TestTraceBlanksWhatIsConfidential(t *testing.T) {
	const signing = "002A9E9A02AABB00"
	var b strings.Builder
	tracer := NewTracer(&script{t, []string{signing + " > CCDD6101", "00C0000001 > EE9000", "00CA006E00 > EE9000"}}, &b)
	for _, command := range []string{signing, "00C0000001"} {
		if _, err := tracer.Transmit(Confidential(t.Context()), unhex(t, command)); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := tracer.Transmit(t.Context(), unhex(t, "00CA006E00")); err != nil {
		t.Fatal(err)
	}
	const want = "> 002A9E9A********\n< ********6101\n> 00C0000001\n< ********9000\n> 00CA006E00\n< EE9000\n"
	if b.String() != want {
		t.Errorf("%swant\n%s", &b, want)
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
