package p11

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/cardctl/cardctl/internal/problem"
	"github.com/cardctl/cardctl/internal/secret"
	"github.com/cardctl/cardctl/test/certs"
	"github.com/miekg/pkcs11"
)

// uses are everything that changes a token or carries a PIN. Chosen is the token
// as it was chosen, s a session on it where the use has one.
var uses = []struct {
	name  string
	blank bool // the token
	user  bool // is logged in
	use   func(ctx context.Context, t *testing.T, m *Module, chosen Token, s *Session) error
}{
	{"C_InitToken, of a blank token", true, false, func(ctx context.Context, t *testing.T, m *Module, chosen Token, _ *Session) error {
		_, err := m.InitToken(ctx, chosen, pin(t, "87654321"), "new", false)
		return err
	}},
	{"C_InitToken", false, false, func(ctx context.Context, t *testing.T, m *Module, chosen Token, _ *Session) error {
		_, err := m.InitToken(ctx, chosen, pin(t, "87654321"), "new", true)
		return err
	}},
	{"C_InitPIN", false, false, func(ctx context.Context, t *testing.T, m *Module, chosen Token, _ *Session) error {
		_, err := m.InitPIN(ctx, chosen, pin(t, "87654321"), pin(t, "135790"))
		return err
	}},
	{"C_SetPIN, user", false, false, func(ctx context.Context, t *testing.T, m *Module, chosen Token, _ *Session) error {
		_, err := m.SetPIN(ctx, chosen, User, pin(t, "246813"), pin(t, "135790"))
		return err
	}},
	{"C_SetPIN, SO", false, false, func(ctx context.Context, t *testing.T, m *Module, chosen Token, _ *Session) error {
		_, err := m.SetPIN(ctx, chosen, SecurityOfficer, pin(t, "87654321"), pin(t, "135790"))
		return err
	}},
	{"C_Login", false, false, func(ctx context.Context, t *testing.T, _ *Module, _ Token, s *Session) error {
		time.Sleep(time.Minute) // somebody looks for it
		return s.LoginWith(ctx, User, pin(t, "246813"))
	}},
	{"C_GenerateKeyPair", false, true, func(ctx context.Context, _ *testing.T, _ *Module, _ Token, s *Session) error {
		_, err := s.GenerateKeyPair(ctx, "p256", NewKey{Sign: true})
		return err
	}},
	{"C_CreateObject, of a key", false, true, func(ctx context.Context, _ *testing.T, _ *Module, _ Token, s *Session) error {
		_, err := s.ImportKey(ctx, fakeP256(), NewKey{Sign: true})
		return err
	}},
	{"C_CreateObject, of a certificate", false, true, func(ctx context.Context, t *testing.T, _ *Module, _ Token, s *Session) error {
		_, err := s.WriteCertificate(ctx, certs.One(t, certificate(t)), nil, "")
		return err
	}},
	{"C_DestroyObject, of a key", false, true, func(ctx context.Context, _ *testing.T, _ *Module, _ Token, s *Session) error {
		return s.DeleteKey(ctx, StoredKey{privates: []object{1}, publics: []object{0}})
	}},
	{"C_DestroyObject, of a certificate", false, true, func(ctx context.Context, _ *testing.T, _ *Module, _ Token, s *Session) error {
		return s.DeleteCertificate(ctx, StoredCertificate{handle: 0})
	}},
	{"C_SetAttributeValue", false, true, func(ctx context.Context, _ *testing.T, _ *Module, _ Token, s *Session) error {
		return s.SetID(ctx, StoredKey{privates: []object{1}, publics: []object{0}}, []byte{9})
	}},
	{"C_Login, of one use of a key", false, true, func(ctx context.Context, t *testing.T, _ *Module, _ Token, s *Session) error {
		key := &Key{session: s, public: fakeP256().Public(), always: true, sign: true}
		time.Sleep(time.Minute)
		_, err := key.operation(ctx, "C_Sign", func() error { return s.module.library.signInit(s.handle, mechanism{}, 1) },
			func() ([]byte, error) { return nil, nil })
		return s.Explain(ctx, err)
	}},
}

// others are tokens that come into the slot of the one that was chosen.
var others = map[string]func(*fakeToken){
	"another serial":         func(t *fakeToken) { t.info.serial = "2" },
	"no serial":              func(t *fakeToken) { t.info.serial = "" },
	"another label":          func(t *fakeToken) { t.info.label = "other" },
	"another maker":          func(t *fakeToken) { t.info.manufacturer = "Oil Snake" },
	"in another reader":      func(t *fakeToken) { t.place = "reader 2" },
	"blank, or not any more": func(t *fakeToken) { t.info.flags ^= pkcs11.CKF_TOKEN_INITIALIZED },
}

// chosenFor is a module whose token was chosen for a use.
func chosenFor(t *testing.T, blank, user bool) (*Module, *writable, Token, *Session) {
	t.Helper()
	token := newWritableToken()
	token.objects = []fakeObject{publicHalf(t, fakeP256(), "1"), privateHalf(fakeP256(), "1", nil)}
	if blank {
		token.info.flags &^= pkcs11.CKF_TOKEN_INITIALIZED
	}
	m, f := startWritable(t, token)
	chosen, err := m.FindToken(t.Context(), URI{})
	if err != nil {
		t.Fatal(err)
	}
	if blank {
		return m, f, chosen, nil
	}
	if user {
		return m, f, chosen, atWork(t, m)
	}
	s, err := m.Open(t.Context(), URI{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = s.Close() })
	return m, f, chosen, s
}

// Whatever comes into the slot before the use: it is sent nothing.
func TestOnlyTheChosenTokenIsSentAnything(t *testing.T) {
	for _, u := range uses {
		for name, make := range others {
			if u.blank && name == "another label" {
				continue // it has none
			}
			t.Run(u.name+", "+name, func(t *testing.T) {
				synctest.Test(t, func(t *testing.T) {
					m, f, chosen, s := chosenFor(t, u.blank, u.user)
					other := newWritableToken()
					other.objects = slices.Clone(f.tokens[0].objects)
					if u.blank {
						other.info.flags &^= pkcs11.CKF_TOKEN_INITIALIZED
					}
					make(other)
					f.tokens[0] = other // and a module that does not end the sessions
					for _, open := range f.sessions {
						open.token = other
					}
					if err := u.use(t.Context(), t, m, chosen, s); !problem.Is(err, problem.CardChanged) || other.touched > 0 {
						t.Errorf("sent %d: %v", other.touched, err)
					}
				})
			})
		}
	}
}

// The same at every moment of the use, with sessions that end as PKCS#11 has it.
func TestTokenIsSwappedAtEveryMoment(t *testing.T) {
	for _, u := range uses {
		t.Run(u.name, func(t *testing.T) {
			var clean int
			for moment := 0; moment <= clean; moment++ {
				synctest.Test(t, func(t *testing.T) {
					m, f, chosen, s := chosenFor(t, u.blank, u.user)
					other, before := newWritableToken(), len(f.calls)
					other.info.serial = "2"
					at := ""
					if moment > 0 { // 0 is the run without
						f.atCall = map[int]func(){before + moment: func() {
							at = f.calls[len(f.calls)-1]
							f.swap(0, other)
						}}
					}
					err := u.use(t.Context(), t, m, chosen, s)
					if moment == 0 {
						if clean = len(f.calls) - before; err != nil {
							t.Fatal(err)
						}
						return
					}
					// Between its look and C_InitToken, which has no session, nobody sees.
					if at == "C_InitToken" || at == "C_GetTokenInfo" && f.count("C_InitToken") > 0 {
						return
					}
					if other.touched > 0 || err != nil && !problem.Is(err, problem.CardChanged) {
						t.Errorf("swapped at %s: sent %d, %v\n%q", at, other.touched, err, f.calls[before:])
					}
				})
			}
		})
	}
}

// A token that moved to another slot is not what is in its slot now.
func TestTokenThatMoved(t *testing.T) {
	m, f := startWritable(t, newWritableToken())
	second := newWritableToken()
	second.info.serial = "2"
	f.tokens = append(f.tokens, second)
	chosen, err := m.FindToken(t.Context(), URI{Path: []Attribute{{AttrSerial, "2"}}})
	if err != nil {
		t.Fatal(err)
	}
	slices.Reverse(f.tokens)
	_, err = m.InitToken(t.Context(), chosen, pin(t, "87654321"), "new", true)
	if !problem.Is(err, problem.CardChanged) || f.count("C_InitToken") > 0 {
		t.Errorf("got %v", err)
	}
	f.tokens = f.tokens[:1]
	_, err = m.InitToken(t.Context(), chosen, pin(t, "87654321"), "new", true)
	if !problem.Is(err, problem.CardRemoved) || f.count("C_InitToken") > 0 {
		t.Errorf("a slot that is not there: %v", err)
	}
}

// A slot that answers with an error does not hold the token any more, as SoftHSM has
// it of one that was deleted.
func TestSlotThatDoesNotTellOfItsToken(t *testing.T) {
	m, f, chosen, _ := chosenFor(t, false, false)
	f.faults["C_GetTokenInfo"] = pkcs11.CKR_GENERAL_ERROR
	_, err := m.InitToken(t.Context(), chosen, pin(t, "87654321"), "new", true)
	if !problem.Is(err, problem.CardRemoved) || f.count("C_InitToken") > 0 {
		t.Error(err)
	}
}

// What a module says of a blank token's label changes nothing.
func TestLabelOfABlankToken(t *testing.T) {
	m, f, chosen, _ := chosenFor(t, true, false)
	f.tokens[0].info.label = "\x00\x01"
	if _, err := m.InitToken(t.Context(), chosen, pin(t, "87654321"), "new", false); err != nil {
		t.Error(err)
	}
}

// OpenSC keeps its answer to C_GetTokenInfo until it is asked for the slots.
func TestLookAsksForTheSlotsFirst(t *testing.T) {
	m, f, chosen, _ := chosenFor(t, false, false)
	before := len(f.calls)
	if _, err := m.Look(t.Context(), chosen); err != nil || !slices.Equal(f.calls[before:], []string{"C_GetSlotList", "C_GetTokenInfo"}) {
		t.Errorf("%v: %q", err, f.calls[before:])
	}
	f.pulled = true
	if _, err := m.Look(t.Context(), chosen); !problem.Is(err, problem.CardRemoved) {
		t.Errorf("its answer of before was taken: %v", err)
	}
	f.faults["C_GetSlotList"] = pkcs11.CKR_GENERAL_ERROR
	if _, err := m.InitToken(t.Context(), chosen, pin(t, "87654321"), "new", true); err == nil || f.count("C_InitToken") > 0 {
		t.Errorf("nobody knows what is in the slot: %v", err)
	}
}

// Where no time passed since the look when the session was opened, a login costs no
// further one: that is a command of the card.
func TestLoginLooksOnceWithoutWaiting(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		for wait, looks := range map[time.Duration]int{0: 0, time.Minute: 1} {
			m, f := startFake(t, newFakeToken("card", "1"))
			s := find(t, m, Wanted{Serial: "1"})
			before := f.count("C_GetTokenInfo")
			ask := func(context.Context, secret.Request) (*secret.Bytes, error) {
				time.Sleep(wait)
				return secret.New([]byte("246813")), nil
			}
			if err := logIn(t.Context(), s, login{Ask: ask}); err != nil || f.count("C_GetTokenInfo")-before != looks {
				t.Errorf("after %v: %d looks, %v", wait, f.count("C_GetTokenInfo")-before, err)
			}
		}
	})
}

// The tries are looked at again after a person has thought for a minute.
func TestTriesThatGoWhileThePINIsTyped(t *testing.T) {
	for left, want := range map[int]problem.Code{0: problem.PINBlocked, 1: problem.PINBlocked, 2: ""} {
		for _, counted := range []bool{true, false} {
			t.Run(fmt.Sprint(left, counted), func(t *testing.T) {
				synctest.Test(t, func(t *testing.T) {
					token := newFakeToken("card", "1")
					m, f := startFake(t, token)
					l := login{Ask: func(_ context.Context, r secret.Request) (*secret.Bytes, error) {
						passes(r)
						token.tries = left
						return secret.New([]byte("246813")), nil
					}}
					if counted {
						l.Tries = func(context.Context) (int, error) { return token.tries, nil }
					}
					err := logIn(t.Context(), find(t, m, Wanted{Serial: "1"}), l)
					if sent := f.count("C_Login"); (want == "") != (sent == 1) || want != "" && !problem.Is(err, want) {
						t.Errorf("sent %d times: %v", sent, err)
					}
				})
			})
		}
	}
}

func TestUnknownTriesAreRefused(t *testing.T) {
	for _, allow := range []bool{false, true} {
		m, f := startFake(t, newFakeToken("card", "1"))
		err := logIn(t.Context(), find(t, m, Wanted{Serial: "1"}), login{
			Ask: answer("246813"), AllowUnknownTries: allow,
			Tries: func(context.Context) (int, error) { return -1, nil },
		})
		if sent := f.count("C_Login"); allow && (err != nil || sent != 1) || !allow && (!problem.Is(err, problem.TriesUnknown) || sent != 0) {
			t.Errorf("allowed %v, sent %d times: %v", allow, sent, err)
		}
	}
}

func TestPINStates(t *testing.T) {
	m, f, chosen, s := chosenFor(t, false, false)
	for left, want := range map[int]int{0: 0, 1: 1, 2: SeveralTries, 3: SeveralTries} {
		f.tokens[0].tries, f.soTries = left, left
		for _, r := range []Role{User, SecurityOfficer} {
			state, err := m.PINState(t.Context(), chosen, r)
			if err != nil || state.Tries() != want {
				t.Errorf("%s, %d left: %+v, %v", r, left, state, err)
			}
			s.looked = time.Time{}
			if state, err = s.PINState(t.Context(), r); err != nil || state.Tries() != want {
				t.Errorf("%s, %d left: %+v, %v", r, left, state, err)
			}
		}
	}
	if !m.CountsTries() {
		t.Error("the flags of the fake are not believed")
	}
	for _, maker := range []string{"OpenSC Project                  ", "tpm2-software.github.io"} {
		if m.about.manufacturer = maker; m.CountsTries() {
			t.Errorf("the flags of %s are believed", maker)
		}
	}
}

// TestModuleThatSaysThatAWrongPINWasChanged has one as tpm2-pkcs11 1.9 is.
func TestModuleThatSaysThatAWrongPINWasChanged(t *testing.T) {
	for wrong, sent := range map[bool]int{false: 1, true: 0} {
		m, f, chosen, s := chosenFor(t, false, false)
		m.about.manufacturer = "tpm2-software.github.io"
		if err := s.Close(); err != nil {
			t.Fatal(err)
		}
		old := "246813"
		if wrong {
			old = "999999"
		}
		_, err := m.SetPIN(t.Context(), chosen, User, pin(t, old), pin(t, "135790"))
		if wrong != problem.Is(err, problem.PINIncorrect) || !wrong && err != nil || f.count("C_SetPIN") != sent {
			t.Errorf("wrong %v: %v, C_SetPIN was called %d times", wrong, err, f.count("C_SetPIN"))
		}
	}
}

// What an answer says of a PIN, and what is said where it says nothing.
func TestAnswersToPINs(t *testing.T) {
	tests := []struct {
		code   Code
		left   int // by the flags, afterwards
		answer PINAnswer
		want   problem.Code
	}{
		{pkcs11.CKR_PIN_INCORRECT, 2, PINRefused, problem.PINIncorrect},
		{pkcs11.CKR_PIN_INCORRECT, 1, PINRefused, problem.PINIncorrect},
		{pkcs11.CKR_PIN_INCORRECT, 0, PINLocked, problem.PINBlocked},
		{pkcs11.CKR_PIN_LOCKED, 2, PINLocked, problem.PINBlocked},
		{pkcs11.CKR_PIN_LEN_RANGE, 3, PINUnfit, problem.Usage},
		{pkcs11.CKR_PIN_INVALID, 3, PINUnfit, problem.Usage},
		{pkcs11.CKR_FUNCTION_NOT_SUPPORTED, 3, PINUnused, problem.NotSupported},
		{pkcs11.CKR_TOKEN_WRITE_PROTECTED, 3, PINUnused, problem.NotSupported},
		{pkcs11.CKR_FUNCTION_FAILED, 3, PINUnknown, problem.Failed},
		{pkcs11.CKR_GENERAL_ERROR, 3, PINUnknown, problem.Failed},
		{pkcs11.CKR_DEVICE_ERROR, 0, PINLocked, problem.PINBlocked},
		{pkcs11.CKR_SESSION_HANDLE_INVALID, 3, PINUnknown, problem.CardBusy},
		{pkcs11.CKR_VENDOR_DEFINED + 1, 3, PINUnknown, problem.Failed},
	}
	functions := map[string]struct {
		role Role
		use  func(m *Module, chosen Token, pin *secret.Bytes) error
	}{
		"C_InitToken": {SecurityOfficer, func(m *Module, chosen Token, pin *secret.Bytes) error {
			_, err := m.InitToken(context.Background(), chosen, pin, "new", true)
			return err
		}},
		"C_Login": {SecurityOfficer, func(m *Module, chosen Token, pin *secret.Bytes) error {
			_, err := m.InitPIN(context.Background(), chosen, pin, pin)
			return err
		}},
		"C_InitPIN": {User, func(m *Module, chosen Token, pin *secret.Bytes) error {
			_, err := m.InitPIN(context.Background(), chosen, pin, pin)
			return err
		}},
		"C_SetPIN": {User, func(m *Module, chosen Token, pin *secret.Bytes) error {
			_, err := m.SetPIN(context.Background(), chosen, User, pin, pin)
			return err
		}},
	}
	for _, test := range tests {
		for function, use := range functions {
			t.Run(test.code.Name()+", "+function, func(t *testing.T) {
				synctest.Test(t, func(t *testing.T) {
					m, f, chosen, _ := chosenFor(t, false, false)
					f.faults[function] = test.code
					f.at[function] = func() { f.tokens[0].tries, f.soTries = test.left, test.left }
					err := use.use(m, chosen, pin(t, "87654321"))
					var sent *PINError
					if !errors.As(err, &sent) || !problem.Is(err, test.want) {
						t.Fatalf("got %v", err)
					}
					if sent.Answer != test.answer || sent.Role != use.role || sent.Function != function || sent.Code != test.code ||
						sent.FinalTry != (test.left == 1) || sent.Locked != (test.answer == PINLocked) {
						t.Errorf("got %+v", sent)
					}
					if unknown := test.answer == PINUnknown; Uncertain(err) != unknown ||
						unknown != problemSays(err, "It is not known whether "+outcome(function)+".") {
						t.Errorf("it says: %v", err)
					}
					if f.count(function) != 1 {
						t.Errorf("sent %d times", f.count(function))
					}
				})
			})
		}
	}
}

func problemSays(err error, what string) bool { return strings.Contains(err.Error(), what) }

// A PIN that hangs in a module is one that nobody knows of.
func TestPINThatIsNotAnswered(t *testing.T) {
	for _, interrupted := range []bool{false, true} {
		synctest.Test(t, func(t *testing.T) {
			_, f, _, s := chosenFor(t, false, false)
			release := make(chan struct{})
			defer close(release)
			f.hang["C_Login"] = release
			ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
			defer cancel()
			if interrupted {
				time.AfterFunc(time.Second, cancel)
			}
			err := s.LoginWith(ctx, User, pin(t, "246813"))
			if !Uncertain(err) || errors.Is(err, context.Canceled) != interrupted {
				t.Errorf("interrupted %v: %v", interrupted, err)
			}
			if err := s.LoginWith(t.Context(), User, pin(t, "246813")); !Uncertain(err) || f.count("C_Login") != 1 {
				t.Errorf("and again: %v", err)
			}
		})
	}
}

// A change that nobody knows of is not said not to have happened.
func TestChangesThatAreNotAnswered(t *testing.T) {
	for name, w := range works {
		for code, open := range map[Code]bool{
			pkcs11.CKR_FUNCTION_FAILED: true, pkcs11.CKR_GENERAL_ERROR: true, pkcs11.CKR_DEVICE_ERROR: true,
			pkcs11.CKR_DEVICE_REMOVED: true, pkcs11.CKR_SESSION_HANDLE_INVALID: true, pkcs11.CKR_HOST_MEMORY: true,
			pkcs11.CKR_DEVICE_MEMORY: false, pkcs11.CKR_TEMPLATE_INCOMPLETE: false, pkcs11.CKR_SESSION_READ_ONLY: false,
		} {
			t.Run(name+", "+code.Name(), func(t *testing.T) {
				synctest.Test(t, func(t *testing.T) {
					m, f := startWritable(t, newWritableToken())
					s := atWork(t, m)
					f.faults[w.function] = code
					err := s.Explain(t.Context(), w.work(t.Context(), t, m, s)) // as callers do, who do not know
					if CodeOf(err) != code || Uncertain(err) != open || problemSays(err, "It is not known whether") != open {
						t.Errorf("got %v", err)
					}
				})
			})
		}
	}
}

// Labels do not write on the terminal.
func TestLabelsAtAPrompt(t *testing.T) {
	for label, want := range map[string]string{
		"Müller's card": "Müller's card",
		"a\x1b[2Jb":     `a\x1b[2Jb`,
		"a\u009bb":      `a\u009bb`,
		"a\u202eb":      `a\u202eb`,
		"a\xffb":        `a\xffb`,
		"a\nb":          `a\nb`,
	} {
		token := newFakeToken(label, "1")
		token.info.flags |= pkcs11.CKF_PROTECTED_AUTHENTICATION_PATH
		token.pin = ""
		m, _ := startFake(t, token)
		told := ""
		if err := logIn(t.Context(), find(t, m, Wanted{Serial: "1"}), login{Notify: func(message string) { told = message }}); err != nil {
			t.Error(err)
		}
		if !strings.Contains(told, "token "+want+" on the reader") {
			t.Errorf("got %q, want %q", told, want)
		}
	}
}
