package p11

import (
	"context"
	"crypto"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"crypto/x509"
	"crypto/x509/pkix"
	"errors"
	"math/big"
	"reflect"
	"slices"
	"testing"
	"time"

	"github.com/cardctl/cardctl/internal/cert"
	"github.com/cardctl/cardctl/internal/problem"
	"github.com/cardctl/cardctl/internal/secret"
	"github.com/miekg/pkcs11"
)

func find(t *testing.T, m *Module, w Wanted) *Session {
	t.Helper()
	s, err := m.Find(t.Context(), w)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = s.Close() })
	return s
}

func TestLoginLooksAtTheTriesFirst(t *testing.T) {
	const unread = -1
	tests := []struct {
		name      string
		tries     int // on the card
		told      int // by Login.Tries
		allowLast bool
		pin       string
		wrong     Code
		code      problem.Code
		sent      int // PINs
		left      int // in the error, unread for none
	}{
		{"right", 3, 3, false, "246813", pkcs11.CKR_PIN_INCORRECT, "", 1, unread},
		{"wrong", 3, 3, false, "000000", pkcs11.CKR_PIN_INCORRECT, problem.PINIncorrect, 1, 2},
		{"wrong, and the module does not say so", 3, 3, false, "000000", pkcs11.CKR_USER_NOT_LOGGED_IN, problem.PINIncorrect, 1, 2},
		{"wrong, and the module fails", 3, 3, false, "000000", pkcs11.CKR_FUNCTION_FAILED, problem.PINIncorrect, 1, 2},
		{"wrong, card not asked", 3, unread, false, "000000", pkcs11.CKR_USER_NOT_LOGGED_IN, problem.PINIncorrect, 1, unread},
		{"fails, card not asked", 3, unread, false, "000000", pkcs11.CKR_FUNCTION_FAILED, problem.Failed, 1, unread},
		{"last try", 1, 1, false, "246813", pkcs11.CKR_PIN_INCORRECT, problem.PINBlocked, 0, 1},
		{"last try by the flags", 1, unread, false, "246813", pkcs11.CKR_PIN_INCORRECT, problem.PINBlocked, 0, 1},
		{"last try allowed", 1, 1, true, "246813", pkcs11.CKR_PIN_INCORRECT, "", 1, unread},
		{"last try wrong", 1, 1, true, "000000", pkcs11.CKR_USER_NOT_LOGGED_IN, problem.PINBlocked, 1, 0},
		{"blocked", 0, 0, true, "246813", pkcs11.CKR_PIN_LOCKED, problem.PINBlocked, 0, 0},
		{"blocked by the flags", 0, unread, true, "246813", pkcs11.CKR_PIN_LOCKED, problem.PINBlocked, 0, 0},
		{"too short", 3, 3, false, "12345", pkcs11.CKR_PIN_INCORRECT, problem.Usage, 0, unread},
		{"too long", 3, 3, false, "123456789", pkcs11.CKR_PIN_INCORRECT, problem.Usage, 0, unread},
		{"empty", 3, 3, false, "", pkcs11.CKR_PIN_INCORRECT, problem.Usage, 0, unread},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			token := newFakeToken("card", "1")
			token.tries, token.wrong = test.tries, test.wrong
			m, f := startFake(t, token)
			s := find(t, m, Wanted{Serial: "1"})
			pin, asked := secret.New([]byte(test.pin)), false
			l := login{AllowLastTry: test.allowLast, Ask: func(context.Context, secret.Request) (*secret.Bytes, error) {
				asked = true
				return pin, nil
			}}
			if test.told != unread {
				l.Tries = func(context.Context) (int, error) { return token.tries, nil }
			}
			err := logIn(t.Context(), s, l)
			if test.code == "" && err != nil || test.code != "" && !problem.Is(err, test.code) {
				t.Errorf("got %v", err)
			}
			if got := f.count("C_Login"); got != test.sent {
				t.Errorf("the PIN was sent %d times", got)
			}
			var p *problem.Error
			if errors.As(err, &p) {
				if test.left == unread && p.TriesLeft != nil || test.left != unread && (p.TriesLeft == nil || *p.TriesLeft != test.left) {
					t.Errorf("tries left: got %v, want %d", p.TriesLeft, test.left)
				}
			}
			_ = s.Close()
			if asked && pin.Len() != 0 || s.pin.Len() != 0 {
				t.Error("the PIN was not wiped")
			}
			if want := f.count("C_Login"); test.code == "" && f.count("C_Logout") != want {
				t.Error("the card keeps a verified PIN")
			}
		})
	}
}

func TestPINPadGetsNoPIN(t *testing.T) {
	token := newFakeToken("card", "1")
	token.info.flags |= pkcs11.CKF_PROTECTED_AUTHENTICATION_PATH
	token.pin = ""
	m, _ := startFake(t, token)
	s := find(t, m, Wanted{Serial: "1"})
	told := ""
	err := logIn(t.Context(), s, login{
		Ask: func(context.Context, secret.Request) (*secret.Bytes, error) {
			t.Error("a PIN was asked for")
			return nil, errors.New("nobody there")
		},
		Notify: func(message string) { told = message },
	})
	if err != nil || told == "" {
		t.Errorf("%v, told %q", err, told)
	}
}

func TestTokenWithoutLogin(t *testing.T) {
	token := newFakeToken("card", "1")
	token.info.flags &^= pkcs11.CKF_LOGIN_REQUIRED
	token.objects = []fakeObject{publicHalf(t, fakeP256(), "1"), privateHalf(fakeP256(), "1", nil)}
	m, f := startFake(t, token)
	s := find(t, m, Wanted{Public: fakeP256().Public()})
	if err := logIn(t.Context(), s, login{}); err != nil {
		t.Error(err)
	}
	if _, err := s.Key(t.Context()); err != nil || f.count("C_Login") != 0 {
		t.Errorf("%v, %d logins", err, f.count("C_Login"))
	}
}

// openPGPCard is what OpenSC makes of one: a token for each number of PW1, the
// public key on both, the private key on the second.
func openPGPCard(t *testing.T) []*fakeToken {
	key := fakeP256()
	user, signature := newFakeToken("OpenPGP card (User PIN)", "fffe12345678"), newFakeToken("OpenPGP card (User PIN (sig))", "fffe12345678")
	user.objects = []fakeObject{publicHalf(t, key, "1")}
	signature.objects = []fakeObject{publicHalf(t, key, "1"), privateHalf(key, "1", nil)}
	return []*fakeToken{user, signature}
}

func TestOneCardIsSeveralTokens(t *testing.T) {
	for _, shared := range []bool{true, false} {
		m, f := startFake(t, openPGPCard(t)...)
		s := find(t, m, Wanted{Serial: "FFFE12345678", Public: fakeP256().Public()})
		if err := logIn(t.Context(), s, login{Ask: answer("246813"), SharedPIN: shared}); err != nil {
			t.Fatal(err)
		}
		key, err := s.Key(t.Context())
		if !shared {
			if !problem.Is(err, problem.NotFound) || f.count("C_Login") != 1 {
				t.Errorf("a PIN was taken to a token it may not be for: %v, %d logins", err, f.count("C_Login"))
			}
			continue
		}
		if err != nil || s.Token().Label != "OpenPGP card (User PIN (sig))" {
			t.Fatalf("on %q: %v", s.Token().Label, err)
		}
		digest := sha256.Sum256([]byte("message"))
		if _, err := key.Signer(t.Context()).Sign(nil, digest[:], crypto.SHA256); err != nil {
			t.Error(err)
		}
		if err := s.Close(); err != nil || f.count("C_Logout") != 2 || f.count("C_OpenSession") != f.count("C_CloseSession") {
			t.Errorf("%v, calls %q", err, f.calls)
		}
	}
}

// The token that has the PIN of the key is taken where it is known, and shows the
// key too.
func TestTheTokenOfTheKeysPIN(t *testing.T) {
	for label, want := range map[string]string{
		"": "card (PIN 01)", "card (PIN 01)": "card (PIN 01)", "card (PIN 02)": "card (PIN 02)", "a label of another module": "card (PIN 01)",
	} {
		one, two := newFakeToken("card (PIN 01)", "1"), newFakeToken("card (PIN 02)", "1")
		one.objects = []fakeObject{publicHalf(t, fakeP256(), "1")}
		two.objects = []fakeObject{publicHalf(t, fakeP256(), "1"), privateHalf(fakeP256(), "1", nil)}
		m, _ := startFake(t, one, two)
		if s := find(t, m, Wanted{Serial: "1", Token: label, Public: fakeP256().Public()}); s.Token().Label != want {
			t.Errorf("%q: found %q", label, s.Token().Label)
		}
	}
}

func TestTwoCardsWithTheSameKey(t *testing.T) {
	one, two := newFakeToken("one", "1"), newFakeToken("two", "2")
	for _, token := range []*fakeToken{one, two} {
		token.objects = []fakeObject{publicHalf(t, fakeP256(), "1"), privateHalf(fakeP256(), "1", nil)}
	}
	m, f := startFake(t, one, two)
	if _, err := m.Find(t.Context(), Wanted{Public: fakeP256().Public()}); !problem.Is(err, problem.NotFound) {
		t.Errorf("one of two was guessed: %v", err)
	}
	if f.count("C_OpenSession") != f.count("C_CloseSession") {
		t.Errorf("sessions stay open: %q", f.calls)
	}
	if s := find(t, m, Wanted{Public: fakeP256().Public(), Serial: "2"}); s.Token().Label != "two" {
		t.Errorf("found %q", s.Token().Label)
	}
}

func TestKeyThatIsNotItsID(t *testing.T) {
	rsaID := map[uint][]byte{pkcs11.CKA_MODULUS: fakeRSA().N.Bytes(), pkcs11.CKA_PUBLIC_EXPONENT: []byte{1, 0, 1}}
	tests := []struct {
		name    string
		objects []fakeObject
		found   bool
	}{
		{"by its own modulus, whatever its ID", []fakeObject{publicHalf(t, fakeRSA(), "1"), privateHalf(fakeRSA(), "2", rsaID)}, true},
		{"the same ID and another kind of key", []fakeObject{publicHalf(t, fakeRSA(), "1"), privateHalf(fakeP256(), "1", nil)}, false},
		{"another ID", []fakeObject{publicHalf(t, fakeRSA(), "1"), privateHalf(fakeRSA(), "2", nil)}, false},
		{"two with the ID", []fakeObject{publicHalf(t, fakeRSA(), "1"), privateHalf(fakeRSA(), "1", nil), privateHalf(fakeRSA(), "1", nil)}, false},
		{"two with the ID, one of which tells", []fakeObject{publicHalf(t, fakeRSA(), "1"), privateHalf(fakeRSA(), "1", rsaID),
			privateHalf(fakeRSA(), "1", map[uint][]byte{pkcs11.CKA_MODULUS: {0xC1}, pkcs11.CKA_PUBLIC_EXPONENT: {3}})}, true},
		{"nothing public, the private key tells", []fakeObject{privateHalf(fakeRSA(), "1", rsaID)}, true},
		{"nothing public at all", []fakeObject{privateHalf(fakeRSA(), "1", nil)}, false},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			token := newFakeToken("card", "1")
			token.objects = test.objects
			m, _ := startFake(t, token)
			s := find(t, m, Wanted{Public: fakeRSA().Public()})
			if err := logIn(t.Context(), s, login{Ask: answer("246813")}); err != nil {
				t.Fatal(err)
			}
			_, err := s.Key(t.Context())
			if test.found && err != nil || !test.found && !problem.Is(err, problem.NotFound) {
				t.Errorf("got %v", err)
			}
		})
	}
}

// unlocked is the key of a module with one token.
func unlocked(t *testing.T, token *fakeToken, public crypto.PublicKey) (*Key, *Session, *fake) {
	t.Helper()
	m, f := startFake(t, token)
	s := find(t, m, Wanted{Public: public})
	if err := logIn(t.Context(), s, login{Ask: answer("246813")}); err != nil {
		t.Fatal(err)
	}
	key, err := s.Key(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	return key, s, f
}

func TestKeyThatWantsThePINEveryTime(t *testing.T) {
	token := newFakeToken("card", "1")
	always := map[uint][]byte{pkcs11.CKA_ALWAYS_AUTHENTICATE: {1}}
	token.objects = []fakeObject{publicHalf(t, fakeP256(), "1"), privateHalf(fakeP256(), "1", always)}
	key, _, f := unlocked(t, token, fakeP256().Public())
	digest := sha256.Sum256([]byte("message"))
	sign := func() error {
		_, err := key.Signer(t.Context()).Sign(nil, digest[:], crypto.SHA256)
		return err
	}
	for range 2 {
		if err := sign(); err != nil {
			t.Fatal(err)
		}
	}
	if want := []string{"C_SignInit", "C_Login", "C_Sign"}; !slices.Equal(f.calls[len(f.calls)-3:], want) {
		t.Errorf("got %q", f.calls)
	}
	token.pin = "changed!" // by somebody else, meanwhile
	logins := f.count("C_Login")
	for range 3 {
		if err := sign(); !problem.Is(err, problem.PINIncorrect) {
			t.Errorf("got %v", err)
		}
	}
	if f.count("C_Login") != logins+1 {
		t.Errorf("a PIN that was wrong was sent %d times", f.count("C_Login")-logins)
	}
}

// Where the program was logged in before, no PIN is known to be right, and none
// and nothing is sent in its place.
func TestKeyThatWantsAPINThatNobodyHas(t *testing.T) {
	token := newFakeToken("card", "1")
	always := map[uint][]byte{pkcs11.CKA_ALWAYS_AUTHENTICATE: {1}}
	token.objects = []fakeObject{publicHalf(t, fakeP256(), "1"), privateHalf(fakeP256(), "1", always)}
	m, f := startFake(t, token)
	f.keptLogin = true
	s := find(t, m, Wanted{Serial: "1", Public: fakeP256().Public()})
	if err := s.LoginWith(t.Context(), User, secret.New([]byte("000000"))); err != nil || !s.LoggedIn() {
		t.Fatal(err)
	}
	key, err := s.Key(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	digest := sha256.Sum256([]byte("message"))
	if _, err := key.Signer(t.Context()).Sign(nil, digest[:], crypto.SHA256); !problem.Is(err, problem.Failed) || f.count("C_Login") != 1 {
		t.Errorf("%v: %q", err, f.calls)
	}
}

func TestTokenThatHashesItself(t *testing.T) {
	token := newFakeToken("card", "1")
	token.mechanisms = map[MechanismID]uint{pkcs11.CKM_SHA256_RSA_PKCS: pkcs11.CKF_SIGN}
	token.objects = []fakeObject{publicHalf(t, fakeRSA(), "1"), privateHalf(fakeRSA(), "1", nil)}
	key, _, _ := unlocked(t, token, fakeRSA().Public())
	signer := key.Signer(t.Context())

	digest := sha256.Sum256([]byte("message"))
	if _, err := signer.Sign(nil, digest[:], crypto.SHA256); !problem.Is(err, problem.NotSupported) {
		t.Errorf("a digest was signed: %v", err)
	}
	signature, err := signer.SignMessage(nil, []byte("message"), crypto.SHA256)
	if err != nil || rsa.VerifyPKCS1v15(&fakeRSA().PublicKey, crypto.SHA256, digest[:], signature) != nil {
		t.Errorf("got %v", err)
	}
	for _, opts := range []crypto.SignerOpts{crypto.SHA384, crypto.Hash(0), &rsa.PSSOptions{Hash: crypto.SHA256}} {
		if _, err := signer.SignMessage(nil, []byte("message"), opts); !problem.Is(err, problem.NotSupported) {
			t.Errorf("%v: something else was made than asked for: %v", opts, err)
		}
	}
}

func TestKeyThatMayNotSign(t *testing.T) {
	token := newFakeToken("card", "1")
	token.objects = []fakeObject{publicHalf(t, fakeP256(), "1"), privateHalf(fakeP256(), "1", map[uint][]byte{pkcs11.CKA_SIGN: {0}})}
	key, _, _ := unlocked(t, token, fakeP256().Public())
	if len(key.Schemes()) != 0 || key.MaySign() || key.Supports(t.Context(), crypto.SHA256) {
		t.Error("it signs")
	}
}

func TestAllowedMechanisms(t *testing.T) {
	token := newFakeToken("card", "1")
	token.mechanisms[pkcs11.CKM_SHA256_RSA_PKCS] = pkcs11.CKF_SIGN
	token.mechanisms[pkcs11.CKM_SHA512_RSA_PKCS] = pkcs11.CKF_VERIFY
	token.objects = []fakeObject{publicHalf(t, fakeRSA(), "1"), privateHalf(fakeRSA(), "1", map[uint][]byte{
		pkcs11.CKA_ALLOWED_MECHANISMS: slices.Concat(number(pkcs11.CKM_SHA256_RSA_PKCS), number(pkcs11.CKM_SHA512_RSA_PKCS)),
	})}
	key, _, _ := unlocked(t, token, fakeRSA().Public())
	if schemes := key.Schemes(); len(schemes) != 2 || schemes[0].Mechanism != pkcs11.CKM_SHA256_RSA_PKCS {
		t.Errorf("got %v", schemes)
	}
	if !key.Supports(t.Context(), crypto.SHA256) || key.Supports(t.Context(), crypto.SHA512) {
		t.Error("a mechanism to verify with signs")
	}
}

func TestCallThatHangs(t *testing.T) {
	token := newFakeToken("card", "1")
	token.objects = []fakeObject{publicHalf(t, fakeP256(), "1"), privateHalf(fakeP256(), "1", nil)}
	key, s, f := unlocked(t, token, fakeP256().Public())
	release := make(chan struct{})
	defer close(release)
	f.hang["C_Sign"] = release

	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Millisecond)
	defer cancel()
	digest := sha256.Sum256([]byte("message"))
	if _, err := key.Signer(ctx).Sign(nil, digest[:], crypto.SHA256); !problem.Is(err, problem.Failed) {
		t.Errorf("got %v", err)
	}
	// The module is of no more use, and nobody waits for it.
	if _, err := key.Signer(t.Context()).Sign(nil, digest[:], crypto.SHA256); !problem.Is(err, problem.Failed) {
		t.Errorf("got %v", err)
	}
	if err := s.Close(); err != nil {
		t.Error(err)
	}
	if err := s.module.Close(); err != nil {
		t.Error(err)
	}
}

func TestCardPulled(t *testing.T) {
	token := newFakeToken("card", "1")
	token.objects = []fakeObject{publicHalf(t, fakeP256(), "1"), privateHalf(fakeP256(), "1", nil)}
	key, s, f := unlocked(t, token, fakeP256().Public())
	f.pulled = true
	digest := sha256.Sum256([]byte("message"))
	if _, err := key.Signer(t.Context()).Sign(nil, digest[:], crypto.SHA256); !problem.Is(err, problem.CardRemoved) {
		t.Errorf("got %v", err)
	}
	if err := s.Close(); err != nil {
		t.Errorf("a card that is gone was to be logged out: %v", err)
	}
}

func TestCardSwapped(t *testing.T) {
	token := newFakeToken("card", "1")
	token.objects = []fakeObject{publicHalf(t, fakeP256(), "1"), privateHalf(fakeP256(), "1", nil)}
	key, s, f := unlocked(t, token, fakeP256().Public())
	f.swap(0, newFakeToken("card", "2"))
	digest := sha256.Sum256([]byte("message"))
	_, err := key.Signer(t.Context()).Sign(nil, digest[:], crypto.SHA256)
	if !problem.Is(err, problem.CardChanged) || !problemSays(err, `The slot now holds the token "card" (serial "2").`) {
		t.Errorf("got %v", err)
	}
	if err := s.Close(); err != nil || f.tokens[0].touched > 0 {
		t.Errorf("%v, the other was sent %d", err, f.tokens[0].touched)
	}
}

func TestCardPulledAtTheLogin(t *testing.T) {
	m, f := startFake(t, newFakeToken("card", "1"))
	s := find(t, m, Wanted{Serial: "1"})
	err := logIn(t.Context(), s, login{
		Ask: func(context.Context, secret.Request) (*secret.Bytes, error) {
			f.pulled = true
			return secret.New([]byte("246813")), nil
		},
		Tries: func(context.Context) (int, error) {
			if f.pulled {
				return 0, errors.New("no card")
			}
			return 3, nil
		},
	})
	if !problem.Is(err, problem.CardRemoved) {
		t.Errorf("got %v", err)
	}
}

// A PIN that is asked for while the user interrupts is not sent any more.
func TestInterruptedLogin(t *testing.T) {
	m, f := startFake(t, newFakeToken("card", "1"))
	s := find(t, m, Wanted{Serial: "1"})
	ctx, cancel := context.WithCancel(t.Context())
	err := logIn(ctx, s, login{Ask: func(context.Context, secret.Request) (*secret.Bytes, error) {
		cancel()
		return secret.New([]byte("246813")), nil
	}})
	if !errors.Is(err, context.Canceled) || f.count("C_Login") != 0 {
		t.Errorf("%v, %d logins", err, f.count("C_Login"))
	}
}

func TestCanceledContextCallsNothing(t *testing.T) {
	m, f := startFake(t, newFakeToken("card", "1"))
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	for range 100 {
		if _, err := m.open(ctx, Token{}); !errors.Is(err, context.Canceled) {
			t.Fatal(err)
		}
	}
	if f.count("C_OpenSession") != 0 {
		t.Errorf("%d calls", f.count("C_OpenSession"))
	}
}

func TestCardSerials(t *testing.T) {
	tests := []struct {
		token Token
		card  string
		same  bool
	}{
		{Token{Serial: "fffe12345678"}, "FFFE12345678", true},
		{Token{Serial: "FFFE 12345678"}, "FFFE12345678", true},
		{Token{Serial: "12345678", Label: "D276000124010304FFFE123456780000"}, "FFFE12345678", true},
		{Token{Serial: "12345678", Label: "D276000124010304000F123456780000"}, "FFFE12345678", false},
		{Token{Serial: "12345678"}, "FFFE12345678", false},
		{Token{Serial: "0123456789ABCDEF"}, "FF0123456789ABCDEF", true},
		{Token{Serial: "23456789ABCDEF"}, "FF0123456789ABCDEF", false},
		{Token{Serial: ""}, "", false},
		{Token{Serial: ""}, "FFFE12345678", false},
	}
	for _, test := range tests {
		if got := test.token.IsCard(test.card); got != test.same {
			t.Errorf("%+v, %s: got %v", test.token, test.card, got)
		}
	}
}

func TestTokenMatchesURI(t *testing.T) {
	m, _ := startFake(t)
	token := Token{Slot: 7, SlotDescription: "reader", Label: "card", Manufacturer: "Snake Oil", Model: "S", Serial: "1"}
	for uri, want := range map[string]bool{
		"pkcs11:": true, "pkcs11:token=card;serial=1;model=S;manufacturer=Snake%20Oil;id=%01;type=cert;object=x": true,
		"pkcs11:token=": false, "pkcs11:token=Card": false, "pkcs11:slot-id=7;slot-description=reader": true, "pkcs11:slot-id=8": false,
		"pkcs11:slot-manufacturer=": true, "pkcs11:library-version=2.1": true, "pkcs11:library-version=2": false,
		"pkcs11:library-version=300.1": false, "pkcs11:library-description=fake;library-manufacturer=Snake%20Oil": true,
	} {
		u, err := ParseURI(uri)
		if err != nil || m.matches(u, token) != want {
			t.Errorf("%s: %v", uri, err)
		}
	}
	if _, err := m.Find(t.Context(), Wanted{URI: URI{Path: []Attribute{{"serail", "1"}}}}); !problem.Is(err, problem.Usage) {
		t.Errorf("a misspelt attribute: %v", err)
	}
}

func TestNames(t *testing.T) {
	for got, want := range map[string]string{
		Code(pkcs11.CKR_PIN_INCORRECT).String():                              "CKR_PIN_INCORRECT the PIN is wrong",
		Code(pkcs11.CKR_VENDOR_DEFINED + 5).String():                         "CKR_VENDOR_DEFINED+0x5",
		Code(0x1234).String():                                                "CKR 0x00001234",
		MechanismID(pkcs11.CKM_ECDSA_SHA384).String():                        "CKM_ECDSA_SHA384",
		MechanismID(ckmEDDSA).String():                                       "CKM_EDDSA",
		MechanismID(0x80000001).String():                                     "CKM_VENDOR_DEFINED+0x1",
		MechanismID(0x7777).String():                                         "CKM 0x00007777",
		PINState{Initialized: true}.String():                                 "ok",
		PINState{}.String():                                                  "not set",
		PINState{Locked: true}.String():                                      "blocked",
		PINState{Initialized: true, FinalTry: true, CountLow: true}.String(): "last try",
	} {
		if got != want {
			t.Errorf("got %q, want %q", got, want)
		}
	}
}

// What a private key may be used for, from CKA_SIGN, CKA_DECRYPT, CKA_DERIVE, CKA_UNWRAP
// and CKA_ALLOWED_MECHANISMS.
func TestUses(t *testing.T) {
	type flags map[uint][]byte
	no, yes := []byte{0}, []byte{1}
	mechanism := number(pkcs11.CKM_RSA_PKCS)
	tests := map[string]struct {
		reported flags
		want     [3]bool
	}{
		"nothing reported":            {flags{}, [3]bool{true, true, true}},
		"signs":                       {flags{pkcs11.CKA_SIGN: yes, pkcs11.CKA_DECRYPT: no, pkcs11.CKA_DERIVE: no}, [3]bool{true, false, false}},
		"no use":                      {flags{pkcs11.CKA_SIGN: no, pkcs11.CKA_DECRYPT: no, pkcs11.CKA_DERIVE: no}, [3]bool{}},
		"no use, but mechanisms":      {flags{pkcs11.CKA_SIGN: no, pkcs11.CKA_DECRYPT: no, pkcs11.CKA_DERIVE: no, pkcs11.CKA_UNWRAP: no, pkcs11.CKA_ALLOWED_MECHANISMS: mechanism}, [3]bool{true, true, true}},
		"unwraps":                     {flags{pkcs11.CKA_SIGN: no, pkcs11.CKA_DECRYPT: no, pkcs11.CKA_DERIVE: no, pkcs11.CKA_UNWRAP: yes, pkcs11.CKA_ALLOWED_MECHANISMS: mechanism}, [3]bool{}},
		"decrypts, and has mechanism": {flags{pkcs11.CKA_SIGN: no, pkcs11.CKA_DECRYPT: yes, pkcs11.CKA_DERIVE: no, pkcs11.CKA_ALLOWED_MECHANISMS: mechanism}, [3]bool{false, true, false}},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			sign, decrypt, derive := values(test.reported).uses()
			if got := [3]bool{sign, decrypt, derive}; got != test.want {
				t.Errorf("sign, decrypt, derive: %v", got)
			}
		})
	}
}

// A chain that has the ID of its key, as Scute shows it, does not make several keys.
func TestChainWithTheIDOfItsKey(t *testing.T) {
	ca := certificateOf(t, fakeRSA(), fakeRSA(), "CA", "CA")
	leaf := certificateOf(t, fakeP256(), fakeRSA(), "leaf", "CA")
	other := certificateOf(t, fakeP256(), fakeRSA(), "leaf", "another CA")
	for name, test := range map[string]struct{ shown, want []*cert.Certificate }{
		"a chain":                     {[]*cert.Certificate{ca, leaf}, []*cert.Certificate{leaf}},
		"the other way round":         {[]*cert.Certificate{leaf, ca}, []*cert.Certificate{leaf}},
		"a CA that issued none":       {[]*cert.Certificate{ca, other}, []*cert.Certificate{ca, other}},
		"alone, and signed by itself": {[]*cert.Certificate{ca}, []*cert.Certificate{ca}},
	} {
		var shown, want []StoredCertificate
		for _, c := range test.shown {
			shown = append(shown, StoredCertificate{parsed: c})
		}
		for _, c := range test.want {
			want = append(want, StoredCertificate{parsed: c})
		}
		if got := withoutIssuers(shown); !reflect.DeepEqual(got, want) {
			t.Errorf("%s: %d objects, want %d", name, len(got), len(want))
		}
	}
}

// certificateOf is a certificate for a key, signed by a CA with the key of the issuer.
func certificateOf(t *testing.T, key, issuer crypto.Signer, name, issuerName string) *cert.Certificate {
	t.Helper()
	subject := func(name string) *x509.Certificate {
		return &x509.Certificate{SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: name}, BasicConstraintsValid: true, IsCA: true}
	}
	der, err := x509.CreateCertificate(rand.Reader, subject(name), subject(issuerName), key.Public(), issuer)
	if err != nil {
		t.Fatal(err)
	}
	certificate, err := cert.Parse(der)
	if err != nil {
		t.Fatal(err)
	}
	return certificate
}
