package p11

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"slices"
	"testing"

	"github.com/miekg/pkcs11"
)

// writable is a fake whose tokens can be changed.
type writable struct {
	*fake
	// faults are what functions answer, by their names.
	faults map[string]Code
	// refusesFalse is the answer to attributes that say what a key is not for; 0 where
	// they are taken.
	refusesFalse Code
	// makesAndRefuses has such a key made all the same.
	makesAndRefuses bool
	// givesAway: keys are made that can be read.
	givesAway bool
	// hidesPublic: the public half of a key that is made cannot be read.
	hidesPublic bool

	soPIN   string
	soTries int
}

func startWritable(t *testing.T, token *fakeToken) (*Module, *writable) {
	t.Helper()
	f := &writable{
		fake:   &fake{tokens: []*fakeToken{token}, hang: make(map[string]chan struct{}), at: make(map[string]func())},
		faults: make(map[string]Code), soPIN: "87654321", soTries: 3,
	}
	m, err := start(t.Context(), "/usr/lib/fake.so", func(string) (library, error) { return f, nil })
	if err != nil {
		t.Fatal(err)
	}
	return m, f
}

func (f *writable) fails(function string) error {
	f.called(function)
	if code, ok := f.faults[function]; ok {
		return &CallError{function, code}
	}
	return nil
}

func (f *writable) tokenInfo(slot uint) (tokenInfo, error) {
	info, err := f.fake.tokenInfo(slot)
	if code, ok := f.faults["C_GetTokenInfo"]; ok {
		return tokenInfo{}, &CallError{"C_GetTokenInfo", code}
	}
	switch f.soTries {
	case 0:
		info.flags |= pkcs11.CKF_SO_PIN_LOCKED
	case 1:
		info.flags |= pkcs11.CKF_SO_PIN_FINAL_TRY
	}
	return info, err
}

func (f *writable) slots() ([]uint, error) {
	slots, err := f.fake.slots()
	if code, ok := f.faults["C_GetSlotList"]; ok {
		return nil, &CallError{"C_GetSlotList", code}
	}
	return slots, err
}

func (f *writable) login(s session, user uint, pin []byte) error {
	if code, ok := f.faults["C_Login"]; ok {
		f.called("C_Login")
		return &CallError{"C_Login", code}
	}
	if user != pkcs11.CKU_SO {
		return f.fake.login(s, user, pin)
	}
	f.called("C_Login")
	open, err := f.live("C_Login", s)
	if err != nil {
		return err
	}
	open.token.touched++
	err = f.checkSO("C_Login", pin)
	open.officer = err == nil
	return err
}

func (f *writable) checkSO(function string, pin []byte) error {
	if string(pin) == f.soPIN {
		f.soTries = 3
		return nil
	}
	if f.soTries--; f.soTries <= 0 {
		return &CallError{function, pkcs11.CKR_PIN_LOCKED}
	}
	return &CallError{function, pkcs11.CKR_PIN_INCORRECT}
}

// change is the token that a session changes.
func (f *writable) change(function string, s session) (*fakeToken, error) {
	open, err := f.live(function, s)
	if err != nil {
		return nil, err
	}
	open.token.touched++
	return open.token, nil
}

func (f *writable) destroyObject(s session, o object) error {
	if err := f.fails("C_DestroyObject"); err != nil {
		return err
	}
	open, err := f.change("C_DestroyObject", s)
	if err != nil {
		return err
	}
	open.objects[o] = fakeObject{attributes: map[uint][]byte{}}
	return nil
}

func (f *writable) initToken(slot uint, pin []byte, label string) error {
	if err := f.fails("C_InitToken"); err != nil {
		return err
	}
	t := f.tokens[slot]
	t.touched++
	if t.info.flags&pkcs11.CKF_TOKEN_INITIALIZED != 0 {
		if err := f.checkSO("C_InitToken", pin); err != nil {
			return err
		}
	}
	f.soPIN, t.info.label, t.objects = string(pin), label, nil
	t.info.flags |= pkcs11.CKF_TOKEN_INITIALIZED
	t.info.flags &^= pkcs11.CKF_USER_PIN_INITIALIZED
	return nil
}

func (f *writable) openWritable(slot uint) (session, error) {
	if err := f.fails("C_OpenSession"); err != nil {
		return 0, err
	}
	s, err := f.openSession(slot)
	for _, other := range f.sessions { // the login is that of all sessions
		if other.token == f.tokens[slot] && other.loggedIn {
			f.sessions[s].loggedIn = true
		}
	}
	return s, err
}

func (f *writable) initPIN(s session, pin []byte) error {
	if err := f.fails("C_InitPIN"); err != nil {
		return err
	}
	t, err := f.change("C_InitPIN", s)
	if err != nil {
		return err
	}
	t.pin, t.tries = string(pin), 3
	t.info.flags |= pkcs11.CKF_USER_PIN_INITIALIZED
	return nil
}

func (f *writable) setPIN(s session, old, replacement []byte) error {
	if err := f.fails("C_SetPIN"); err != nil {
		return err
	}
	t, err := f.change("C_SetPIN", s)
	if err != nil {
		return err
	}
	if f.sessions[s].officer {
		if err := f.checkSO("C_SetPIN", old); err != nil {
			return err
		}
		f.soPIN = string(replacement)
		return nil
	}
	if string(old) != t.pin {
		t.tries--
		return &CallError{"C_SetPIN", t.wrong}
	}
	t.pin, t.tries = string(replacement), 3
	return nil
}

// store makes an object of a template.
func (t *fakeToken) store(template []objectAttribute) object {
	o := fakeObject{attributes: make(map[uint][]byte)}
	for _, a := range template {
		switch value := a.value.(type) {
		case bool:
			o.attributes[a.kind] = []byte{0}
			if value {
				o.attributes[a.kind] = []byte{1}
			}
		case uint:
			o.attributes[a.kind] = number(value)
		case []byte:
			o.attributes[a.kind] = bytes.Clone(value)
		}
	}
	t.objects = append(t.objects, o)
	return object(len(t.objects) - 1)
}

func (f *writable) createObject(s session, template []objectAttribute) (object, error) {
	if err := f.fails("C_CreateObject"); err != nil {
		return 0, err
	}
	t, err := f.change("C_CreateObject", s)
	if err != nil {
		return 0, err
	}
	refused := f.refusesFalse != 0 && slices.ContainsFunc(template, isFalseUsage)
	if refused && !f.makesAndRefuses {
		return 0, &CallError{"C_CreateObject", f.refusesFalse}
	}
	o := t.store(template)
	if refused {
		return 0, &CallError{"C_CreateObject", f.refusesFalse}
	}
	return o, nil
}

func isFalseUsage(a objectAttribute) bool {
	return a.kind == pkcs11.CKA_SIGN_RECOVER || a.kind == pkcs11.CKA_VERIFY_RECOVER
}

func (f *writable) setAttribute(s session, o object, a objectAttribute) error {
	if err := f.fails("C_SetAttributeValue"); err != nil {
		return err
	}
	t, err := f.change("C_SetAttributeValue", s)
	if err == nil {
		t.objects[o].attributes[a.kind] = a.value.([]byte)
	}
	return err
}

func (f *writable) generateKeyPair(s session, m mechanism, public, private []objectAttribute) (object, object, error) {
	if err := f.fails("C_GenerateKeyPair"); err != nil {
		return 0, 0, err
	}
	refused := f.refusesFalse != 0 && slices.ContainsFunc(private, isFalseUsage)
	if refused && !f.makesAndRefuses {
		return 0, 0, &CallError{"C_GenerateKeyPair", f.refusesFalse}
	}
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return 0, 0, err
	}
	value, err := publicValue(key.Public())
	if err != nil {
		return 0, 0, err
	}
	t, err := f.change("C_GenerateKeyPair", s)
	if err != nil {
		return 0, 0, err
	}
	publicKey := t.store(append(slices.Clone(public), value...))
	if f.hidesPublic {
		delete(t.objects[publicKey].attributes, pkcs11.CKA_EC_POINT)
	}
	privateKey := t.store(private)
	t.objects[privateKey].private = key
	if f.givesAway {
		t.objects[privateKey].attributes[pkcs11.CKA_EXTRACTABLE] = []byte{1}
	}
	if refused {
		return 0, 0, &CallError{"C_GenerateKeyPair", f.refusesFalse}
	}
	return publicKey, privateKey, nil
}
