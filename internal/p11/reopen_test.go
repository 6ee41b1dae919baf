package p11

import (
	"context"
	"crypto"
	"crypto/sha256"
	"testing"

	"github.com/cardctl/cardctl/internal/problem"
	"github.com/cardctl/cardctl/internal/secret"
	"github.com/miekg/pkcs11"
)

func TestTokenThatEndsSessions(t *testing.T) {
	digest := sha256.Sum256([]byte("message"))
	always := map[uint][]byte{pkcs11.CKA_ALWAYS_AUTHENTICATE: {1}}
	tests := []struct {
		name       string
		early      []string // calls that find the session ended, until the key is found
		late       []string // and after that
		keepsLogin bool
		private    map[uint][]byte
		change     func(*fakeToken) // what happens meanwhile
		code       problem.Code
		logins     int // that the token counted
	}{
		{"never", nil, nil, false, nil, nil, "", 1},
		{"before it is looked at", []string{"C_FindObjects"}, nil, false, nil, nil, "", 1},
		{"while it is looked at", []string{"C_GetAttributeValue"}, nil, false, nil, nil, "", 1},
		{"while the PIN is typed", []string{"C_Login"}, nil, false, nil, nil, "", 1},
		{"before a signature", nil, []string{"C_SignInit"}, false, nil, nil, "", 2},
		{"in a signature", nil, []string{"C_Sign"}, false, nil, nil, "", 2},
		{"and the login lives on", nil, []string{"C_Sign"}, true, nil, nil, "", 1},
		{"of a key that wants the PIN every time", nil, []string{"C_SignInit"}, false, always, nil, "", 3},
		{"at the PIN for the key", nil, []string{"C_Login"}, false, always, nil, "", 3},
		{"and has another PIN now, that was wrong once", nil, []string{"C_Sign"}, false, nil, func(token *fakeToken) {
			token.pin, token.info.flags = "changed!", token.info.flags|pkcs11.CKF_USER_PIN_COUNT_LOW
		}, problem.CardBusy, 1},
		{"and has one try left", nil, []string{"C_Sign"}, false, nil, func(token *fakeToken) { token.tries = 1 }, problem.CardBusy, 1},
		{"and is another one", nil, []string{"C_Sign"}, false, nil, func(token *fakeToken) { token.info.serial = "2" }, problem.CardRemoved, 1},
		{"and again", nil, []string{"C_SignInit", "C_Sign"}, false, nil, nil, problem.CardBusy, 2},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			token := newFakeToken("card", "1")
			token.objects = []fakeObject{publicHalf(t, fakeP256(), "1"), privateHalf(fakeP256(), "1", test.private)}
			m, f := startFake(t, token)
			f.ends, f.keepsLogin = test.early, test.keepsLogin
			s, err := m.Open(t.Context(), URI{})
			if err != nil {
				t.Fatal(err)
			}
			contents, err := s.Contents(t.Context())
			if err != nil {
				t.Fatal(err)
			}
			if err := s.Login(t.Context(), Login{Ask: answer("246813")}); err != nil {
				t.Fatal(err)
			}
			key, err := s.KeyOf(t.Context(), contents.Keys[0])
			if err != nil {
				t.Fatal(err)
			}
			f.ends = test.late
			if test.change != nil {
				test.change(token)
			}
			_, err = key.Signer(t.Context()).Sign(nil, digest[:], crypto.SHA256)
			if err = s.Explain(t.Context(), err); test.code == "" && err != nil || test.code != "" && !problem.Is(err, test.code) {
				t.Errorf("got %v", err)
			}
			if len(f.ends) > 0 {
				t.Errorf("%q did not come: %q", f.ends, f.calls)
			}
			if token.accepted != test.logins || token.tries > 3 {
				t.Errorf("the token counted %d logins: %q", token.accepted, f.calls)
			}
			if err := s.Close(); err != nil {
				t.Errorf("closing: %v", err)
			}
		})
	}
}

// A PIN that was refused is not sent to the next session.
func TestRefusedPINIsNotSentToANewSession(t *testing.T) {
	m, f := startFake(t, newFakeToken("card", "1"))
	s := find(t, m, Wanted{Serial: "1"})
	asked := 0
	ask := func(context.Context, secret.Request) (*secret.Bytes, error) {
		asked++
		return secret.New([]byte("000000")), nil
	}
	f.ends = []string{"C_Login"}
	if err := s.Login(t.Context(), Login{Ask: ask}); !problem.Is(err, problem.PINIncorrect) {
		t.Errorf("got %v", err)
	}
	if asked != 1 || f.tokens[0].tries != 2 {
		t.Errorf("asked %d times, %d tries left", asked, f.tokens[0].tries)
	}
}
