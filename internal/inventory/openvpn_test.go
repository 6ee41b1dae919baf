package inventory

import (
	"testing"

	"github.com/cardctl/cardctl/internal/key"
	"github.com/cardctl/cardctl/internal/p11"
)

func TestTheTokenOfACertificate(t *testing.T) {
	token := func(reader, serial, label string) p11.Token {
		return p11.Token{SlotDescription: reader, Serial: serial, Label: label}
	}
	other := token("Beta", "0a1b", "desk")
	for name, test := range map[string]struct {
		tokens []p11.Token
		holder key.Holder
		want   string // empty where it is not certain
	}{
		"the only one":           {[]p11.Token{other, token("Alpha", "0a1b", "desk")}, key.Holder{}, "desk"},
		"with a PIN in its name": {[]p11.Token{token("Alpha", "0a1b", "desk (User PIN)")}, key.Holder{}, "desk (User PIN)"},
		"another card":           {[]p11.Token{token("Alpha", "0a1c", "desk")}, key.Holder{}, ""},
		"another reader":         {[]p11.Token{other}, key.Holder{}, ""},
		"of no PIN that is known": {
			[]p11.Token{token("Alpha", "0a1b", "desk (one)"), token("Alpha", "0a1b", "desk (two)")}, key.Holder{SeveralPINs: true}, "",
		},
		"of the PIN of the key, and a colon": {
			[]p11.Token{token("Alpha", "0a1b", "a. b (one)"), token("Alpha", "0a1b", "a. b (two)")},
			key.Holder{SeveralPINs: true, Token: "a: b (two)"}, "a. b (two)",
		},
	} {
		test.holder.Serial, test.holder.CertificateID = "0A1B", []byte{0x45}
		info := Info{Place: "Alpha"}
		got := ""
		if found := info.tokenOf(&Certificate{holder: test.holder}, test.tokens); found != nil {
			got = found.Label
		}
		if got != test.want {
			t.Errorf("%s: %q, want %q", name, got, test.want)
		}
	}
}
