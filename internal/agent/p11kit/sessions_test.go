package p11kit

import (
	"context"
	"testing"

	"github.com/cardctl/cardctl/internal/problem"
	"github.com/cardctl/cardctl/internal/secret"
)

func TestSessions(t *testing.T) {
	cards, _, token := newCards(Options{})
	p := start(t, cards)
	p.fails(ckrSessionParallelUnsupported, "C_OpenSession", 1, 0)
	session := p.open()
	state := func(session, want uint64) {
		t.Helper()
		r := p.ok("C_GetSessionInfo", session)
		if slot, got := r.ulong(), r.ulong(); slot != 1 || got != want {
			t.Errorf("slot %d, state %d, want %d", slot, got, want)
		}
	}
	state(session, cksROPublicSession)
	write := p.ok("C_OpenSession", 1, ckfSerialSession|ckfRWSession).ulong()
	state(write, cksRWPublicSession)
	p.fails(ckrUserNotLoggedIn, "C_Logout", session)
	p.ok("C_Login", session, ckuUser, none{})
	state(session, cksROUserFunctions)
	state(write, cksRWUserFunctions)
	p.fails(ckrUserAlreadyLoggedIn, "C_Login", write, ckuUser, none{})

	// Another application has not logged in.
	other := start(t, cards)
	if r := other.ok("C_GetSessionInfo", other.open()); r.ulong() != 1 || r.ulong() != cksROPublicSession {
		t.Error("another application is logged in")
	}
	p.ok("C_Logout", session)
	state(write, cksRWPublicSession)
	if !token.Ready() {
		t.Error("the agent forgot the PIN")
	}
	p.ok("C_Login", session, ckuUser, []byte{})
	p.ok("C_CloseSession", session)
	p.fails(ckrSessionHandleInvalid, "C_GetSessionInfo", session)
	state(write, cksRWUserFunctions)
	p.ok("C_CloseAllSessions", 1)
	state(p.open(), cksROPublicSession)
	p.ok("C_Finalize")
	p.fails(ckrCryptokiNotInitialized, "C_GetInfo")
}

func TestLogin(t *testing.T) {
	cards, _, token := newCards(Options{})
	p := start(t, cards)
	session := p.open()
	p.fails(ckrArgumentsBad, "C_Login", session, ckuUser, []byte("123456"))
	p.fails(ckrUserTypeInvalid, "C_Login", session, 4711, none{})
	p.fails(ckrSessionReadOnlyExists, "C_Login", session, ckuSO, []byte("12345678"))
	p.fails(ckrOperationNotInitialized, "C_Login", session, ckuContextSpecific, none{})
	p.ok("C_SignInit", session, mechanism{kind: ckmECDSA}, p.one(session, ckoPrivateKey, idEC))
	p.ok("C_Login", session, ckuContextSpecific, none{})
	p.fails(ckrArgumentsBad, "C_Login", session, ckuContextSpecific, []byte("123456"))
	if logins, uses, _ := token.Counts(); logins+uses != 0 {
		t.Errorf("%d logins, %d uses", logins, uses)
	}
	p.ok("C_Login", session, ckuUser, none{})
	if _, _, by := token.Counts(); len(by) != 1 || by[0] != someone {
		t.Errorf("logins by %v", by)
	}
}

// What went wrong with the card has a value that programs know.
func TestFailures(t *testing.T) {
	for _, test := range []struct {
		err  error
		want rv
	}{
		{problem.New(problem.PINIncorrect, "wrong"), ckrPINIncorrect},
		{problem.New(problem.PINBlocked, "blocked"), ckrPINLocked},
		{problem.New(problem.Interrupted, "cancelled"), ckrFunctionCanceled},
		{problem.Wrap(problem.Usage, secret.ErrCancelled, "user PIN from pinentry"), ckrFunctionCanceled},
		{context.Canceled, ckrFunctionCanceled},
		{problem.New(problem.Refused, "not confirmed"), ckrFunctionRejected},
		{problem.New(problem.NotSupported, "cannot"), ckrMechanismInvalid},
		{problem.New(problem.CardBusy, "busy"), ckrDeviceError},
		{problem.New(problem.Failed, "no idea"), ckrFunctionFailed},
		{context.DeadlineExceeded, ckrFunctionCanceled},
	} {
		cards, _, token := newCards(Options{})
		token.Answer = test.err
		p := start(t, cards)
		session := p.open()
		p.fails(test.want, "C_Login", session, ckuUser, none{})
		p.ok("C_SignInit", session, mechanism{kind: ckmECDSA}, p.one(session, ckoPrivateKey, idEC))
		p.fails(test.want, "C_Sign", session, make([]byte, 32), room(64))
		p.fails(ckrOperationNotInitialized, "C_Sign", session, make([]byte, 32), room(64))
	}
}

// The sessions with a token end with it, and what comes into its slot is another token.
func TestRemoval(t *testing.T) {
	cards, desk, token := newCards(Options{})
	p := start(t, cards)
	session, second := p.open(), p.open()
	key := p.one(session, ckoPrivateKey, idEC)
	p.ok("C_SignInit", session, mechanism{kind: ckmECDSA}, key)
	desk.Remove(token)
	p.fails(ckrDeviceRemoved, "C_Sign", session, make([]byte, 32), room(64))
	p.fails(ckrSessionHandleInvalid, "C_Sign", session, make([]byte, 32), room(64))
	p.fails(ckrSessionHandleInvalid, "C_GetSessionInfo", second)
	p.fails(ckrTokenNotPresent, "C_OpenSession", 1, ckfSerialSession)

	again := newToken(2)
	desk.Insert(again)
	session = p.open()
	p.ok("C_Login", session, ckuUser, none{})
	desk.Remove(again)
	desk.Insert(newToken(3))
	fresh := p.open()
	if r := p.ok("C_GetSessionInfo", fresh); r.ulong() != 1 || r.ulong() != cksROPublicSession {
		t.Error("the login is for the token that was removed")
	}
	p.fails(ckrSessionHandleInvalid, "C_GetSessionInfo", session)
}

// A card that is found to be gone when it is used ends its sessions too.
func TestRemovalSeenByAKey(t *testing.T) {
	cards, _, token := newCards(Options{})
	token.Answer = problem.New(problem.CardChanged, "another card")
	p := start(t, cards)
	session := p.open()
	p.ok("C_SignInit", session, mechanism{kind: ckmECDSA}, p.one(session, ckoPrivateKey, idEC))
	p.fails(ckrDeviceRemoved, "C_Sign", session, make([]byte, 32), room(64))
	p.fails(ckrSessionHandleInvalid, "C_GetSessionInfo", session)
}

func TestLimitOfSessions(t *testing.T) {
	cards, _, _ := newCards(Options{})
	p := start(t, cards)
	for range maxSessions {
		p.open()
	}
	p.fails(ckrSessionCount, "C_OpenSession", 1, ckfSerialSession)
}
