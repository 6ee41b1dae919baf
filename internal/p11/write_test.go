package p11

import (
	"bytes"
	"context"
	"crypto/ecdh"
	"crypto/rand"
	"crypto/x509"
	"errors"
	"math/big"
	"reflect"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/cardctl/cardctl/internal/advice"
	"github.com/cardctl/cardctl/internal/problem"
	"github.com/cardctl/cardctl/internal/pubkey"
	"github.com/cardctl/cardctl/internal/secret"
	"github.com/cardctl/cardctl/test/certs"
	"github.com/miekg/pkcs11"
)

func pin(t *testing.T, s string) *secret.Bytes {
	t.Helper()
	p := secret.New([]byte(s))
	t.Cleanup(p.Wipe)
	return p
}

// newWritableToken is a token that makes P-256 keys.
func newWritableToken() *fakeToken {
	token := newFakeToken("desk", "1")
	token.mechanisms[pkcs11.CKM_EC_KEY_PAIR_GEN] = pkcs11.CKF_GENERATE_KEY_PAIR
	return token
}

// atWork is a session with the user logged in.
func atWork(t *testing.T, m *Module) *Session {
	t.Helper()
	s, err := m.Open(t.Context(), URI{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = s.Close() })
	if err := logIn(t.Context(), s, login{Ask: answer("246813")}); err != nil {
		t.Fatal(err)
	}
	if makes, err := s.Makes(t.Context(), "p256"); err != nil || !makes {
		t.Fatal(makes, err)
	}
	return s
}

func certificate(t *testing.T) *x509.Certificate {
	t.Helper()
	template := &x509.Certificate{SerialNumber: big.NewInt(1), NotAfter: time.Now().Add(time.Hour)}
	der, err := x509.CreateCertificate(rand.Reader, template, template, fakeP256().Public(), fakeP256())
	if err != nil {
		t.Fatal(err)
	}
	parsed, err := x509.ParseCertificate(der)
	if err != nil {
		t.Fatal(err)
	}
	return parsed
}

// works are the ways to change a token.
var works = map[string]struct {
	function string
	work     func(ctx context.Context, t *testing.T, m *Module, s *Session) error
}{
	"generate": {"C_GenerateKeyPair", func(ctx context.Context, _ *testing.T, _ *Module, s *Session) error {
		_, err := s.GenerateKeyPair(ctx, "p256", NewKey{Sign: true})
		return err
	}},
	"import": {"C_CreateObject", func(ctx context.Context, _ *testing.T, _ *Module, s *Session) error {
		_, err := s.ImportKey(ctx, fakeP256(), NewKey{Sign: true})
		return err
	}},
	"certificate": {"C_CreateObject", func(ctx context.Context, t *testing.T, _ *Module, s *Session) error {
		_, err := s.WriteCertificate(ctx, certs.One(t, certificate(t)), []byte{1}, "")
		return err
	}},
	"delete": {"C_DestroyObject", func(ctx context.Context, _ *testing.T, _ *Module, s *Session) error {
		return s.DeleteKey(ctx, StoredKey{privates: []object{0}})
	}},
}

func TestWhatAFailedWriteMeans(t *testing.T) {
	tests := []struct {
		name  string
		code  Code
		state func(*writable) // what the token says afterwards
		want  problem.Code
	}{
		{"full", pkcs11.CKR_DEVICE_MEMORY, nil, problem.Failed},
		{"write-protected", pkcs11.CKR_TOKEN_WRITE_PROTECTED, nil, problem.NotSupported},
		{"read only", pkcs11.CKR_SESSION_READ_ONLY, nil, problem.NotSupported},
		{"in use by another program", pkcs11.CKR_SESSION_EXISTS, nil, problem.CardBusy},
		{"removed", pkcs11.CKR_DEVICE_REMOVED, nil, problem.CardRemoved},
		{"removed, the module says nothing of it", pkcs11.CKR_GENERAL_ERROR, func(f *writable) {
			f.faults["C_GetTokenInfo"] = pkcs11.CKR_TOKEN_NOT_PRESENT
		}, problem.CardRemoved},
		{"not recognised, and still there", pkcs11.CKR_TOKEN_NOT_RECOGNIZED, nil, problem.Failed},
		{"another token instead", pkcs11.CKR_SESSION_HANDLE_INVALID, func(f *writable) { f.tokens[0].info.serial = "2" }, problem.CardChanged},
		{"removed, seen in the list of slots only", pkcs11.CKR_GENERAL_ERROR, func(f *writable) { f.tokens = nil }, problem.CardRemoved},
		{"erased by another program", pkcs11.CKR_DEVICE_ERROR, func(f *writable) {
			f.tokens[0].info.flags &^= pkcs11.CKF_TOKEN_INITIALIZED
		}, problem.CardChanged},
		{"blocked by another program", pkcs11.CKR_USER_NOT_LOGGED_IN, func(f *writable) { f.tokens[0].tries = 0 }, problem.PINBlocked},
		{"write-protected, the module says nothing of it", pkcs11.CKR_FUNCTION_FAILED, func(f *writable) {
			f.tokens[0].info.flags |= pkcs11.CKF_WRITE_PROTECTED
		}, problem.NotSupported},
		{"a refused attribute", pkcs11.CKR_TEMPLATE_INCOMPLETE, nil, problem.NotSupported},
		{"a curve that it does not know", ckrCurveNotSupported, nil, problem.NotSupported},
	}
	for _, test := range tests {
		for name, w := range works {
			t.Run(test.name+", "+name, func(t *testing.T) {
				synctest.Test(t, func(t *testing.T) {
					m, f := startWritable(t, newWritableToken())
					s := atWork(t, m)
					if err := s.writable(t.Context()); err != nil {
						t.Fatal(err)
					}
					f.faults[w.function] = test.code
					f.at[w.function] = func() {
						if test.name == "removed, seen in the list of slots only" {
							f.faults["C_GetTokenInfo"] = pkcs11.CKR_GENERAL_ERROR
						}
						if test.state != nil {
							test.state(f)
						}
					}
					if err := w.work(t.Context(), t, m, s); !problem.Is(err, test.want) || CodeOf(err) != test.code {
						t.Errorf("got %v", err)
					}
				})
			})
		}
	}
}

// TestModuleThatDoesNotWriteToItsCards: OpenSC offers keys of every kind, and refuses
// them for cards that it only reads.
func TestModuleThatDoesNotWriteToItsCards(t *testing.T) {
	m, f := startWritable(t, newWritableToken())
	s := atWork(t, m)
	f.faults["C_GenerateKeyPair"] = pkcs11.CKR_ARGUMENTS_BAD
	_, err := s.GenerateKeyPair(t.Context(), "p256", NewKey{Sign: true})
	var p *problem.Error
	if !errors.As(err, &p) || p.Code != problem.NotSupported || p.Next.Action != advice.ListReaders {
		t.Errorf("%v, %+v", err, p)
	}
}

func TestWriteProtectedTokenIsNotTouched(t *testing.T) {
	token := newWritableToken()
	token.info.flags |= pkcs11.CKF_WRITE_PROTECTED
	m, f := startWritable(t, token)
	s := atWork(t, m)
	for name, w := range works {
		if err := w.work(t.Context(), t, m, s); !problem.Is(err, problem.NotSupported) || f.count(w.function) > 0 {
			t.Errorf("%s: %v", name, err)
		}
	}
	if _, err := m.InitToken(t.Context(), s.Token(), pin(t, "87654321"), "x", true); !problem.Is(err, problem.NotSupported) {
		t.Errorf("C_InitToken: %v", err)
	}
}

func TestKeysAreGuarded(t *testing.T) {
	m, f := startWritable(t, newWritableToken())
	s := atWork(t, m)

	made, err := s.GenerateKeyPair(t.Context(), "p256", NewKey{Label: "vpn", Sign: true})
	if err != nil {
		t.Fatal(err)
	}
	private := f.tokens[0].objects[made.privates[0]].attributes
	for kind, want := range map[uint]byte{
		pkcs11.CKA_TOKEN: 1, pkcs11.CKA_PRIVATE: 1, pkcs11.CKA_SENSITIVE: 1, pkcs11.CKA_EXTRACTABLE: 0,
		pkcs11.CKA_SIGN: 1, pkcs11.CKA_DECRYPT: 0, pkcs11.CKA_DERIVE: 0, pkcs11.CKA_UNWRAP: 0,
	} {
		if !bytes.Equal(private[kind], []byte{want}) {
			t.Errorf("attribute 0x%X is %v", kind, private[kind])
		}
	}
	if !bytes.Equal(made.ID, KeyID(made.Public)) || string(private[pkcs11.CKA_LABEL]) != "vpn" {
		t.Errorf("got %+v", made)
	}

	before := len(f.tokens[0].objects)
	f.givesAway = true
	if _, err := s.GenerateKeyPair(t.Context(), "p256", NewKey{}); !problem.Is(err, problem.Failed) {
		t.Errorf("a key that can be read: %v", err)
	}
	f.givesAway, f.hidesPublic = false, true
	_, err = s.GenerateKeyPair(t.Context(), "p256", NewKey{})
	var p *problem.Error
	if !errors.As(err, &p) || p.Code != problem.NotSupported || !reflect.DeepEqual(p.Next, advice.Repeat().Without(advice.Algorithm)) {
		t.Errorf("a key whose public half cannot be read: %v", err)
	}
	for _, o := range f.tokens[0].objects[before:] {
		if len(o.attributes) > 0 {
			t.Error("a key that cannot be used is left on the token")
		}
	}
}

// TestModulesThatTakeFewerAttributes: tpm2-pkcs11 says CKR_GENERAL_ERROR of a template
// that says more than it wants to know.
func TestModulesThatTakeFewerAttributes(t *testing.T) {
	for _, code := range []Code{
		pkcs11.CKR_ATTRIBUTE_TYPE_INVALID, pkcs11.CKR_ATTRIBUTE_VALUE_INVALID, pkcs11.CKR_TEMPLATE_INCONSISTENT,
		pkcs11.CKR_GENERAL_ERROR, pkcs11.CKR_FUNCTION_FAILED,
	} {
		m, f := startWritable(t, newWritableToken())
		f.refusesFalse = code
		s := atWork(t, m)
		made, err := s.GenerateKeyPair(t.Context(), "p256", NewKey{Sign: true})
		if err != nil {
			t.Fatal(code.Name(), err)
		}
		for _, kind := range []uint{pkcs11.CKA_PRIVATE, pkcs11.CKA_SENSITIVE, pkcs11.CKA_EXTRACTABLE} {
			if f.tokens[0].objects[made.privates[0]].attributes[kind] == nil {
				t.Errorf("attribute 0x%X was left out", kind)
			}
		}
		if _, err := s.ImportKey(t.Context(), fakeP256(), NewKey{Sign: true}); err != nil {
			t.Error(code.Name(), err)
		}
	}
}

// TestAKeyThatWasMadeAfterAllIsNotMadeTwice has a module that reports a failure that may
// mean anything, and made the key.
func TestAKeyThatWasMadeAfterAllIsNotMadeTwice(t *testing.T) {
	for _, code := range []Code{pkcs11.CKR_GENERAL_ERROR, pkcs11.CKR_FUNCTION_FAILED, pkcs11.CKR_DEVICE_ERROR} {
		for _, name := range []string{"generate", "import"} {
			synctest.Test(t, func(t *testing.T) {
				m, f := startWritable(t, newWritableToken())
				f.refusesFalse, f.makesAndRefuses = code, true
				s := atWork(t, m)
				err := works[name].work(t.Context(), t, m, s)
				if CodeOf(err) != code || !Uncertain(err) || f.count(works[name].function) != 1 {
					t.Errorf("%s, %s: %v, after %d calls", name, code.Name(), err, f.count(works[name].function))
				}
			})
		}
	}
}

// TestTheTokenIsComparedBeforeTheSecondTemplate has another token come while the module
// refuses the first.
func TestTheTokenIsComparedBeforeTheSecondTemplate(t *testing.T) {
	for _, name := range []string{"generate", "import"} {
		m, f := startWritable(t, newWritableToken())
		f.refusesFalse = pkcs11.CKR_TEMPLATE_INCONSISTENT
		s := atWork(t, m)
		f.at[works[name].function] = func() { f.tokens[0].info.serial = "2" }
		err := works[name].work(t.Context(), t, m, s)
		if !problem.Is(err, problem.CardChanged) || f.count(works[name].function) != 1 {
			t.Errorf("%s: %v, after %d calls", name, err, f.count(works[name].function))
		}
	}
}

func TestIDsThatCannotBeChanged(t *testing.T) {
	m, f := startWritable(t, newWritableToken())
	s := atWork(t, m)
	f.faults["C_SetAttributeValue"] = pkcs11.CKR_ATTRIBUTE_READ_ONLY
	made, err := s.GenerateKeyPair(t.Context(), "p256", NewKey{Sign: true})
	if err != nil || len(made.ID) != 20 {
		t.Fatalf("%+v, %v", made, err)
	}
	contents, err := s.Contents(t.Context())
	if err != nil || len(contents.Keys) != 1 || !contents.Keys[0].HasPrivate || !contents.Keys[0].HasPublic {
		t.Errorf("%+v, %v", contents.Keys, err)
	}
	f.faults["C_SetAttributeValue"] = pkcs11.CKR_DEVICE_ERROR
	if _, err := s.GenerateKeyPair(t.Context(), "p256", NewKey{Sign: true}); err == nil {
		t.Error("a failure was not told of")
	}
	if contents, err := s.Contents(t.Context()); err != nil || len(contents.Keys) != 1 {
		t.Errorf("a half-made key is left: %+v, %v", contents.Keys, err)
	}
}

func TestPINsOfATokenThatBlocks(t *testing.T) {
	open := func(t *testing.T) (*Module, *writable, Token) {
		t.Helper()
		m, f := startWritable(t, newWritableToken())
		token, err := m.FindToken(t.Context(), URI{})
		if err != nil {
			t.Fatal(err)
		}
		return m, f, token
	}
	again := func(t *testing.T, m *Module) Token {
		t.Helper()
		token, err := m.FindToken(t.Context(), URI{})
		if err != nil {
			t.Fatal(err)
		}
		return token
	}
	t.Run("SO PIN", func(t *testing.T) {
		m, f, token := open(t)
		wrong, fresh := pin(t, "00000000"), pin(t, "135790")
		if _, err := m.InitPIN(t.Context(), token, wrong, fresh); !problem.Is(err, problem.PINIncorrect) {
			t.Errorf("got %v", err)
		}
		if _, err := m.InitToken(t.Context(), token, wrong, "x", true); !problem.Is(err, problem.PINIncorrect) {
			t.Errorf("got %v", err)
		}
		token = again(t, m)
		if left := token.PIN(SecurityOfficer).Tries(); left != 1 {
			t.Errorf("the last try: %d", left)
		}
		if left := token.PIN(User).Tries(); left != SeveralTries {
			t.Errorf("the other PIN: %d", left)
		}
		if _, err := m.SetPIN(t.Context(), token, SecurityOfficer, wrong, fresh); !problem.Is(err, problem.PINBlocked) || f.soTries != 0 {
			t.Errorf("got %v", err)
		}
		if left := again(t, m).PIN(SecurityOfficer).Tries(); left != 0 {
			t.Errorf("blocked: %d", left)
		}
	})
	t.Run("user PIN", func(t *testing.T) {
		m, f, token := open(t)
		for i, want := range []problem.Code{problem.PINIncorrect, problem.PINIncorrect, problem.PINBlocked} {
			if _, err := m.SetPIN(t.Context(), token, User, pin(t, "000000"), pin(t, "135790")); !problem.Is(err, want) {
				t.Errorf("try %d: %v", i+1, err)
			}
		}
		token = again(t, m)
		if left := token.PIN(User).Tries(); left != 0 {
			t.Errorf("blocked: %d", left)
		}
		if _, err := m.InitPIN(t.Context(), token, pin(t, "87654321"), pin(t, "135790")); err != nil || f.tokens[0].pin != "135790" {
			t.Errorf("unblock: %v", err)
		}
	})
	t.Run("a token that is not initialised", func(t *testing.T) {
		m, f, _ := open(t)
		f.tokens[0].info.flags = pkcs11.CKF_SO_PIN_LOCKED // as SoftHSM says
		blank := again(t, m)
		if left := blank.PIN(SecurityOfficer).Tries(); left == 0 {
			t.Error("a PIN that it does not have is blocked")
		}
		if _, err := m.SetPIN(t.Context(), blank, User, pin(t, "000000"), pin(t, "135790")); !problem.Is(err, problem.NotFound) {
			t.Errorf("got %v", err)
		}
		if _, err := m.Open(t.Context(), URI{}); !problem.Is(err, problem.NotFound) {
			t.Errorf("got %v", err)
		}
	})
	t.Run("a token that cannot be erased", func(t *testing.T) {
		m, f, token := open(t)
		f.faults["C_InitToken"] = pkcs11.CKR_ARGUMENTS_BAD
		for maker, want := range map[string]advice.Advice{
			"another": m.Show(token), tpm2: advice.Run("tpm2_ptool", "rmtoken", "--label", "desk"),
		} {
			m.about.manufacturer = maker
			_, err := m.InitToken(t.Context(), token, pin(t, "87654321"), "x", true)
			var p *problem.Error
			if !errors.As(err, &p) || p.Code != problem.NotSupported || !reflect.DeepEqual(p.Next, want) {
				t.Errorf("%s: %v, %+v", maker, err, p)
			}
		}
	})
	t.Run("a PIN that is not kept", func(t *testing.T) {
		m, f, token := open(t)
		f.tokens[0].info.flags &^= pkcs11.CKF_USER_PIN_INITIALIZED
		if _, err := m.SetPIN(t.Context(), token, User, pin(t, "246813"), pin(t, "135790")); !problem.Is(err, problem.Failed) {
			t.Errorf("got %v", err)
		}
	})
}

// A key for agreement alone, with what PKCS#11 3.0 has for it.
func TestX25519Key(t *testing.T) {
	private, err := ecdh.X25519().GenerateKey(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	m, _ := startWritable(t, newWritableToken())
	s := atWork(t, m)
	made, err := s.ImportKey(t.Context(), private, NewKey{Derive: true})
	if err != nil {
		t.Fatal(err)
	}
	if !pubkey.Same(made.Public, private.PublicKey()) || made.Sign || !made.Derive || !bytes.Equal(made.ID, KeyID(private.PublicKey())) {
		t.Errorf("got %+v", made)
	}
	if _, err := s.GenerateKeyPair(t.Context(), "x25519", NewKey{Derive: true}); !problem.Is(err, problem.NotSupported) || !strings.Contains(err.Error(), "can generate p256") {
		t.Errorf("a token that does not make them: %v", err)
	}
}

// PINs of a token with a PIN pad are typed there: none is handed over.
func TestPINsAtThePINPad(t *testing.T) {
	token := newWritableToken()
	token.info.flags |= pkcs11.CKF_PROTECTED_AUTHENTICATION_PATH
	token.pin = ""
	m, f := startWritable(t, token)
	f.soPIN = ""
	desk, err := m.FindToken(t.Context(), URI{})
	if err != nil || !desk.PINPad {
		t.Fatal(desk, err)
	}
	if _, err := m.SetPIN(t.Context(), desk, User, nil, nil); err != nil {
		t.Errorf("set-pin user: %v", err)
	}
	if _, err := m.InitPIN(t.Context(), desk, nil, nil); err != nil {
		t.Errorf("unblock-pin: %v", err)
	}
	if made, err := m.InitToken(t.Context(), desk, nil, "again", true); err != nil || made.Label != "again" {
		t.Errorf("init: %+v, %v", made, err)
	}
}
