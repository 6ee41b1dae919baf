package lend

import (
	"testing"

	"github.com/cardctl/cardctl/internal/advice"
	"github.com/cardctl/cardctl/internal/key"
	"github.com/cardctl/cardctl/internal/p11"
	"github.com/cardctl/cardctl/internal/pin"
	"github.com/cardctl/cardctl/internal/problem"
)

// TestTokensThatAProgramCannotLogInTo get no PIN.
func TestTokensThatAProgramCannotLogInTo(t *testing.T) {
	for name, c := range map[string]struct {
		key   Key
		token p11.Token
		code  problem.Code
		next  advice.Action
	}{
		"a PIN pad":          {Key{}, p11.Token{PINPad: true}, problem.NotSupported, advice.ListTokens},
		"a derived PIN":      {Key{pin: pin.PIN{Derived: true}}, p11.Token{}, problem.NotSupported, advice.ShowCard},
		"which of some PINs": {Key{Holder: key.Holder{SeveralPINs: true, Token: "one"}}, p11.Token{Label: "other"}, problem.TriesUnknown, advice.ListTokens},
	} {
		t.Run(name, func(t *testing.T) {
			p, is := c.key.mayLogIn(c.token).(*problem.Error)
			if !is || p.Code != c.code || p.Next.Action != c.next {
				t.Errorf("%+v", p)
			}
		})
	}
	if err := (&Key{}).mayLogIn(p11.Token{}); err != nil {
		t.Error(err)
	}
}

// An ID on a token is certain only where that is the token of the PIN of the key.
func TestAKeyIsWantedByAnIDThatIsCertain(t *testing.T) {
	for what, test := range map[string]struct {
		holder  key.Holder
		certain bool
	}{
		"one PIN":                       {key.Holder{CertificateID: []byte("E")}, true},
		"of several PINs, the right":    {key.Holder{CertificateID: []byte("E"), SeveralPINs: true, Token: "desk (two)"}, true},
		"of several PINs, it is unsure": {key.Holder{CertificateID: []byte("E"), SeveralPINs: true}, false},
		"no ID that is known":           {key.Holder{}, false},
	} {
		if _, id := Wanted("reader", test.holder, nil); (id != nil) != test.certain {
			t.Errorf("%s: %X", what, id)
		}
	}
}
