package p11

import (
	"context"
	"crypto"
	"crypto/sha256"
	"testing"
	"testing/synctest"
	"time"

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
		{"before a signature", nil, []string{"C_SignInit"}, false, nil, nil, "", 2},
		{"in a signature", nil, []string{"C_Sign"}, false, nil, nil, "", 2},
		{"and the login lives on", nil, []string{"C_Sign"}, true, nil, nil, "", 1},
		{"of a key that wants the PIN every time", nil, []string{"C_SignInit"}, false, always, nil, "", 3},
		{"at the PIN for the key", nil, []string{"C_Login"}, false, always, nil, problem.CardBusy, 1},
		{"and has another PIN now, that was wrong once", nil, []string{"C_Sign"}, false, nil, func(token *fakeToken) {
			token.pin, token.info.flags = "changed!", token.info.flags|pkcs11.CKF_USER_PIN_COUNT_LOW
		}, problem.CardBusy, 1},
		{"and has one try left", nil, []string{"C_Sign"}, false, nil, func(token *fakeToken) { token.tries = 1 }, problem.CardBusy, 1},
		{"and is another one", nil, []string{"C_Sign"}, false, nil, func(token *fakeToken) { token.info.serial = "2" }, problem.CardChanged, 1},
		{"and again", nil, []string{"C_SignInit", "C_Sign"}, false, nil, nil, problem.CardBusy, 2},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
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
				if err := logIn(t.Context(), s, login{Ask: answer("246813")}); err != nil {
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
		})
	}
}

// A session that ends while a person looks for the PIN is opened again first.
func TestSessionThatEndsWhileThePINIsTyped(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m, f := startFake(t, newFakeToken("card", "1"))
		s := find(t, m, Wanted{Serial: "1"})
		ask := func(context.Context, secret.Request) (*secret.Bytes, error) {
			time.Sleep(time.Minute)
			f.ends = []string{"C_GetSessionInfo"}
			return secret.New([]byte("246813")), nil
		}
		if err := logIn(t.Context(), s, login{Ask: ask}); err != nil || f.count("C_Login") != 1 {
			t.Errorf("%v: %q", err, f.calls)
		}
	})
}

// A PIN that the token has not accepted is sent once, whatever the answer is.
func TestPINIsSentOnce(t *testing.T) {
	for _, code := range []Code{
		pkcs11.CKR_SESSION_HANDLE_INVALID, pkcs11.CKR_SESSION_CLOSED, pkcs11.CKR_GENERAL_ERROR, pkcs11.CKR_FUNCTION_FAILED,
		pkcs11.CKR_DEVICE_ERROR, pkcs11.CKR_DEVICE_REMOVED, pkcs11.CKR_PIN_INCORRECT, pkcs11.CKR_PIN_LEN_RANGE, pkcs11.CKR_PIN_LOCKED,
		pkcs11.CKR_USER_NOT_LOGGED_IN, pkcs11.CKR_CRYPTOKI_NOT_INITIALIZED, pkcs11.CKR_OK + 0x12345,
	} {
		t.Run(code.Name(), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				m, f := startWritable(t, newWritableToken())
				s := find(t, m, Wanted{Serial: "1"})
				f.faults["C_Login"] = code
				pin := secret.New([]byte("246813"))
				for range 3 {
					if err := s.LoginWith(t.Context(), User, pin); CodeOf(err) != code {
						t.Errorf("got %v", err)
					}
				}
				if err := logIn(t.Context(), s, login{Ask: answer("246813")}); CodeOf(err) != code {
					t.Errorf("got %v", err)
				}
				if f.count("C_Login") != 1 {
					t.Errorf("the PIN was sent %d times", f.count("C_Login"))
				}
			})
		})
	}
}
