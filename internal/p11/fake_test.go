package p11

import (
	"bytes"
	"context"
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"encoding/asn1"
	"encoding/binary"
	"math/big"
	"math/bits"
	"sync"
	"testing"
	"time"

	policy "github.com/cardctl/cardctl/internal/pin"
	"github.com/cardctl/cardctl/internal/secret"
	"github.com/miekg/pkcs11"
)

// fake is a module for what no software token does: PINs that block, tokens
// that are parts of one card, keys that want the PIN every time.
type fake struct {
	zeros  int // in front of both halves of an ECDSA signature
	writer     // what the fake of its own cannot do

	mu          sync.Mutex
	initialized Code // what C_Initialize answers
	// empty are the descriptions of slots without a token; repeats lists slots
	// twice.
	empty   []string
	repeats bool

	tokens []*fakeToken
	calls  []string
	hang   map[string]chan struct{} // closed to let the call of that name go on
	// at are what happens when a call of that name begins, once, and atCall when
	// that many calls were made.
	at     map[string]func()
	atCall map[int]func()
	// pulled is the card taken out: calls fail as OpenSC lets them.
	pulled bool

	sessions map[session]*fakeSession
	// ends are the calls before which the token ends all sessions, one after
	// the other, and with them the login, unless keepsLogin.
	ends       []string
	keepsLogin bool
	keptLogin  bool
}

// live is the session, unless the token has ended it or does so now.
func (f *fake) live(call string, s session) (*fakeSession, error) {
	if len(f.ends) > 0 && f.ends[0] == call {
		for _, open := range f.sessions {
			f.keptLogin = f.keptLogin || f.keepsLogin && open.loggedIn
			open.ended = true
		}
		f.ends = f.ends[1:]
	}
	open := f.sessions[s]
	if open == nil || open.ended {
		return nil, &CallError{call, pkcs11.CKR_SESSION_HANDLE_INVALID}
	}
	return open, nil
}

func (f *fake) sessionState(s session) (uint, error) {
	open, err := f.live("C_GetSessionInfo", s)
	if err != nil || !open.loggedIn {
		return 0, err
	}
	return pkcs11.CKS_RO_USER_FUNCTIONS, nil
}

// swap puts another token into a slot. The sessions of the one that was there end.
func (f *fake) swap(slot uint, other *fakeToken) {
	for _, open := range f.sessions {
		open.ended = open.ended || open.token == f.tokens[slot]
	}
	f.tokens[slot] = other
}

type fakeToken struct {
	info       tokenInfo
	place      string                  // the description of its slot, "reader" if empty
	mechanisms map[MechanismID]uint    // with the flags of CK_MECHANISM_INFO
	lengths    map[MechanismID][2]uint // the least and the greatest
	objects    []fakeObject

	pin      string
	tries    int
	accepted int  // PINs
	touched  int  // PINs and changes that it was sent
	wrong    Code // what a wrong PIN is answered with
}

type fakeObject struct {
	private    crypto.Signer // nil for a public object
	attributes map[uint][]byte
}

type fakeSession struct {
	token    *fakeToken
	loggedIn bool
	officer  bool // it is the SO who is logged in
	ended    bool
	// pending is the key and mechanism between C_SignInit and C_Sign, and
	// authenticated whether C_Login came in between.
	pending       fakeObject
	mechanism     mechanism
	authenticated bool
}

func (f *fake) called(name string) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.calls = append(f.calls, name)
	for _, happens := range []func(){f.at[name], f.atCall[len(f.calls)]} {
		if happens != nil {
			delete(f.at, name)
			happens()
		}
	}
	if wait := f.hang[name]; wait != nil {
		f.mu.Unlock()
		<-wait
		f.mu.Lock()
	}
}

func (f *fake) count(name string) int {
	f.mu.Lock()
	defer f.mu.Unlock()
	n := 0
	for _, c := range f.calls {
		if c == name {
			n++
		}
	}
	return n
}

func (f *fake) initialize() error {
	if f.called("C_Initialize"); f.initialized != pkcs11.CKR_OK {
		return &CallError{"C_Initialize", f.initialized}
	}
	return nil
}

func (f *fake) finalize() error { f.called("C_Finalize"); return nil }
func (f *fake) info() (libraryInfo, error) {
	return libraryInfo{manufacturer: "Snake Oil", description: "fake", major: 2, minor: 1}, nil
}

func (f *fake) slots() ([]uint, error) {
	f.called("C_GetSlotList")
	if f.pulled {
		return nil, nil
	}
	slots := make([]uint, len(f.tokens))
	for i := range slots {
		slots[i] = uint(i)
	}
	if f.repeats {
		slots = append(slots, slots...)
	}
	return slots, nil
}

func (f *fake) knownSlots() ([]uint, error) { return f.slots() }

func (f *fake) allSlots() ([]uint, error) {
	slots, err := f.slots()
	for i := range f.empty {
		slots = append(slots, uint(len(f.tokens)+i))
	}
	return slots, err
}

func (f *fake) slotInfo(slot uint) (slotInfo, error) {
	switch i := int(slot) - len(f.tokens); {
	case i >= len(f.empty):
		return slotInfo{}, &CallError{"C_GetSlotInfo", pkcs11.CKR_SLOT_ID_INVALID}
	case i >= 0:
		return slotInfo{description: f.empty[i]}, nil
	}
	if place := f.tokens[slot].place; place != "" {
		return slotInfo{description: place}, nil
	}
	return slotInfo{description: "reader"}, nil
}

func (f *fake) tokenInfo(slot uint) (tokenInfo, error) {
	f.called("C_GetTokenInfo")
	t := f.tokens[slot]
	info := t.info
	if t.tries == 1 {
		info.flags |= pkcs11.CKF_USER_PIN_FINAL_TRY
	}
	if t.tries == 0 {
		info.flags |= pkcs11.CKF_USER_PIN_LOCKED
	}
	return info, nil
}

func (f *fake) mechanisms(slot uint) ([]MechanismID, error) {
	f.called("C_GetMechanismList")
	var ids []MechanismID
	for id := range f.tokens[slot].mechanisms {
		ids = append(ids, id)
	}
	return ids, nil
}

func (f *fake) mechanismInfo(slot uint, id MechanismID) (mechanismInfo, error) {
	token := f.tokens[slot]
	return mechanismInfo{token.lengths[id][0], token.lengths[id][1], token.mechanisms[id]}, nil
}

func (f *fake) openSession(slot uint) (session, error) {
	f.called("C_OpenSession")
	if f.sessions == nil {
		f.sessions = make(map[session]*fakeSession)
	}
	s := session(len(f.sessions) + 1)
	f.sessions[s] = &fakeSession{token: f.tokens[slot], loggedIn: f.keptLogin}
	return s, nil
}

func (f *fake) closeSession(s session) error {
	f.called("C_CloseSession")
	_, err := f.live("C_CloseSession", s)
	return err
}

func (f *fake) login(s session, user uint, pin []byte) error {
	f.called("C_Login")
	if f.pulled {
		return &CallError{"C_Login", pkcs11.CKR_GENERAL_ERROR}
	}
	open, err := f.live("C_Login", s)
	if err != nil {
		return err
	}
	t := open.token
	t.touched++
	if open.loggedIn && user == pkcs11.CKU_USER {
		return &CallError{"C_Login", pkcs11.CKR_USER_ALREADY_LOGGED_IN}
	}
	if t.tries == 0 {
		return &CallError{"C_Login", t.wrong}
	}
	if string(pin) != t.pin {
		t.tries--
		return &CallError{"C_Login", t.wrong}
	}
	t.tries, t.accepted = 3, t.accepted+1
	if user == pkcs11.CKU_USER {
		open.loggedIn = true
	} else {
		open.authenticated = true
	}
	return nil
}

func (f *fake) logout(s session) error {
	f.called("C_Logout")
	if f.pulled {
		return &CallError{"C_Logout", pkcs11.CKR_GENERAL_ERROR}
	}
	open, err := f.live("C_Logout", s)
	if err == nil {
		open.loggedIn = false
	}
	return err
}

func (f *fake) findObjects(s session, template []objectAttribute) ([]object, error) {
	open, err := f.live("C_FindObjects", s)
	if err != nil {
		return nil, err
	}
	var found []object
	for i, o := range open.token.objects {
		if o.private != nil && !open.loggedIn && open.token.info.flags&pkcs11.CKF_LOGIN_REQUIRED != 0 {
			continue
		}
		if o.matches(template) {
			found = append(found, object(i))
		}
	}
	return found, nil
}

func (o fakeObject) matches(template []objectAttribute) bool {
	for _, a := range template {
		want, isBytes := a.value.([]byte)
		if !isBytes {
			want = number(a.value.(uint))
		}
		if !bytes.Equal(o.attributes[a.kind], want) {
			return false
		}
	}
	return true
}

func (f *fake) attributes(s session, o object, kinds []uint) ([][]byte, error) {
	var list [][]byte
	for _, kind := range kinds {
		value, err := f.attribute(s, o, kind)
		if CodeOf(err).isLost() {
			return nil, err
		}
		list = append(list, value)
	}
	return list, nil
}

func (f *fake) attribute(s session, o object, kind uint) ([]byte, error) {
	open, err := f.live("C_GetAttributeValue", s)
	if err != nil {
		return nil, err
	}
	value, ok := open.token.objects[o].attributes[kind]
	if !ok {
		return nil, &CallError{"C_GetAttributeValue", pkcs11.CKR_ATTRIBUTE_TYPE_INVALID}
	}
	return value, nil
}

func (f *fake) destroyObject(session, object) error { return nil }

func (f *fake) signInit(s session, m mechanism, key object) error {
	f.called("C_SignInit")
	open, err := f.live("C_SignInit", s)
	if err != nil {
		return err
	}
	open.pending, open.mechanism, open.authenticated = open.token.objects[key], m, false
	return nil
}

func (f *fake) sign(s session, data []byte, size int) ([]byte, error) {
	f.called("C_Sign")
	if f.pulled {
		return nil, &CallError{"C_Sign", pkcs11.CKR_GENERAL_ERROR}
	}
	open, err := f.live("C_Sign", s)
	if err != nil {
		return nil, err
	}
	if !open.loggedIn && open.token.info.flags&pkcs11.CKF_LOGIN_REQUIRED != 0 {
		return nil, &CallError{"C_Sign", pkcs11.CKR_USER_NOT_LOGGED_IN}
	}
	always := open.pending.attributes[pkcs11.CKA_ALWAYS_AUTHENTICATE]
	if len(always) == 1 && always[0] == 1 && !open.authenticated {
		return nil, &CallError{"C_Sign", pkcs11.CKR_USER_NOT_LOGGED_IN}
	}
	switch key := open.pending.private.(type) {
	case *ecdsa.PrivateKey:
		der, err := key.Sign(rand.Reader, data, crypto.SHA256)
		if err != nil {
			return nil, err
		}
		var pair struct{ R, S *big.Int }
		if _, err := asn1.Unmarshal(der, &pair); err != nil {
			return nil, err
		}
		half := (key.Params().BitSize+7)/8 + f.zeros
		raw := make([]byte, 2*half)
		pair.R.FillBytes(raw[:half])
		pair.S.FillBytes(raw[half:])
		return raw[:min(len(raw), size)], nil // what has no room is cut
	case *rsa.PrivateKey:
		if open.mechanism.id == pkcs11.CKM_SHA256_RSA_PKCS {
			h := crypto.SHA256.New()
			h.Write(data)
			return key.Sign(rand.Reader, h.Sum(nil), crypto.SHA256)
		}
		return key.Sign(rand.Reader, data, crypto.Hash(0))
	}
	return nil, &CallError{"C_Sign", pkcs11.CKR_KEY_TYPE_INCONSISTENT}
}

func (f *fake) decryptInit(session, mechanism, object) error { return nil }
func (f *fake) decrypt(session, []byte, int) ([]byte, error) { return nil, nil }
func (f *fake) deriveKey(session, mechanism, object, []objectAttribute) (object, error) {
	return 0, &CallError{"C_DeriveKey", pkcs11.CKR_FUNCTION_NOT_SUPPORTED}
}

// number is a CK_ULONG as memory has it.
func number(n uint) []byte {
	if bits.UintSize == 32 {
		return binary.NativeEndian.AppendUint32(nil, uint32(n))
	}
	return binary.NativeEndian.AppendUint64(nil, uint64(n))
}

// newFakeToken is a token that wants a login.
func newFakeToken(label, serial string) *fakeToken {
	return &fakeToken{
		info: tokenInfo{
			label: label, serial: serial, manufacturer: "Snake Oil", minPINLength: 6, maxPINLength: 8,
			flags: pkcs11.CKF_TOKEN_INITIALIZED | pkcs11.CKF_USER_PIN_INITIALIZED | pkcs11.CKF_LOGIN_REQUIRED,
		},
		mechanisms: map[MechanismID]uint{
			pkcs11.CKM_ECDSA:    pkcs11.CKF_SIGN,
			pkcs11.CKM_RSA_PKCS: pkcs11.CKF_SIGN,
		},
		pin: "246813", tries: 3, wrong: pkcs11.CKR_PIN_INCORRECT,
	}
}

var fakeP256 = sync.OnceValue(func() *ecdsa.PrivateKey {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		panic(err)
	}
	return key
})

var fakeRSA = sync.OnceValue(func() *rsa.PrivateKey {
	key, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		panic(err)
	}
	return key
})

// publicHalf is a public key object, privateHalf the private key beside it.
func publicHalf(t *testing.T, key crypto.Signer, id string) fakeObject {
	t.Helper()
	attributes := map[uint][]byte{pkcs11.CKA_CLASS: number(pkcs11.CKO_PUBLIC_KEY), pkcs11.CKA_ID: []byte(id)}
	switch public := key.Public().(type) {
	case *ecdsa.PublicKey:
		point, err := public.Bytes()
		if err != nil {
			t.Fatal(err)
		}
		attributes[pkcs11.CKA_KEY_TYPE] = number(pkcs11.CKK_EC)
		attributes[pkcs11.CKA_EC_PARAMS] = der(t, oidP256)
		attributes[pkcs11.CKA_EC_POINT] = der(t, point)
	case *rsa.PublicKey:
		attributes[pkcs11.CKA_KEY_TYPE] = number(pkcs11.CKK_RSA)
		attributes[pkcs11.CKA_MODULUS] = public.N.Bytes()
		attributes[pkcs11.CKA_PUBLIC_EXPONENT] = []byte{1, 0, 1}
	}
	return fakeObject{attributes: attributes}
}

func privateHalf(key crypto.Signer, id string, more map[uint][]byte) fakeObject {
	attributes := map[uint][]byte{pkcs11.CKA_CLASS: number(pkcs11.CKO_PRIVATE_KEY), pkcs11.CKA_ID: []byte(id)}
	switch key.(type) {
	case *ecdsa.PrivateKey:
		attributes[pkcs11.CKA_KEY_TYPE] = number(pkcs11.CKK_EC)
	case *rsa.PrivateKey:
		attributes[pkcs11.CKA_KEY_TYPE] = number(pkcs11.CKK_RSA)
	}
	for kind, value := range more {
		attributes[kind] = value
	}
	return fakeObject{private: key, attributes: attributes}
}

// startFake loads the fake as a module.
func startFake(t *testing.T, tokens ...*fakeToken) (*Module, *fake) {
	t.Helper()
	f := &fake{tokens: tokens, hang: make(map[string]chan struct{}), at: make(map[string]func())}
	m, err := start(t.Context(), "/usr/lib/fake.so", func(string) (library, error) { return f, nil })
	if err != nil {
		t.Fatal(err)
	}
	return m, f
}

// login is what a login needs from its caller.
type login struct {
	Ask secret.Asker
	// Tries reads them from the card; nil for what the token tells.
	Tries                           func(context.Context) (int, error)
	AllowLastTry, AllowUnknownTries bool
	SharedPIN                       bool
	Notify                          func(message string)
}

// logIn logs in as the user by the policy for PINs, as keys of tokens do.
func logIn(ctx context.Context, s *Session, l login) error {
	if !s.token.LoginRequired {
		return nil
	}
	s.OnPINPad(l.Notify)
	own := policy.PIN{
		Role: policy.User, Secret: secret.PIN, Holder: "token " + s.token.Label,
		Min: int(s.token.MinPINLength), Max: int(s.token.MaxPINLength), Pad: s.token.PINPad,
		Tries: func(ctx context.Context, _ bool) (policy.Tries, error) {
			if l.Tries != nil {
				left, err := l.Tries(ctx)
				if left >= 0 {
					return policy.Left(left), err
				}
				return policy.Unknown(), err
			}
			state, err := s.PINState(ctx, User)
			if left := state.Tries(); left != SeveralTries {
				return policy.Left(left), err
			}
			return policy.Several(), err
		},
	}
	sends := policy.New(l.Ask, policy.Allow{LastTry: l.AllowLastTry, UnknownTries: l.AllowUnknownTries})
	err := sends.Send(ctx, own, func(ctx context.Context, value *secret.Bytes) error { return s.LoginWith(ctx, User, value) })
	if err == nil && l.SharedPIN {
		s.SharePIN()
	}
	return err
}

// passes is told that a person took her time.
func passes(r secret.Request) {
	if r.Waiting != nil {
		_ = r.Waiting()
	}
	time.Sleep(time.Minute)
}

func answer(pin string) secret.Asker {
	return func(context.Context, secret.Request) (*secret.Bytes, error) { return secret.New([]byte(pin)), nil }
}
