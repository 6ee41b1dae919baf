package p11kit

import (
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/cardctl/cardctl/internal/agent"
	"github.com/cardctl/cardctl/test/softtoken"
)

func TestInfo(t *testing.T) {
	cards, _, _ := newCards(Options{Version: "v3.14.15"})
	r := start(t, cards).ok("C_GetInfo")
	r.take(2)
	if maker := string(r.bytes()); maker != "cardctl"+strings.Repeat(" ", 25) {
		t.Errorf("manufacturer %q", maker)
	}
	r.ulong()
	r.bytes()
	equal(t, "version", r.take(2), []byte{3, 14})
}

func TestTokenInfo(t *testing.T) {
	for needsLogin, want := range map[bool]uint64{false: 0x50B, true: 0x50F} {
		cards, _, _ := newCards(Options{NeedsLogin: needsLogin})
		p := start(t, cards)
		p.open()
		r := p.ok("C_GetTokenInfo", 1)
		if label := string(r.bytes()); strings.TrimRight(label, " ") != "A card" || len(label) != 32 {
			t.Errorf("label %q", label)
		}
		r.bytes()
		r.bytes()
		if serial := string(r.bytes()); serial != "23456789ABCDEF42" {
			t.Errorf("serial number %q", serial)
		}
		if flags := r.ulong(); flags != want {
			t.Errorf("flags 0x%X, want 0x%X", flags, want)
		}
		r.ulong()
		if sessions := r.ulong(); sessions != 1 {
			t.Errorf("%d sessions", sessions)
		}
	}
	cards, _, _ := newCards(Options{})
	p := start(t, cards)
	p.fails(ckrTokenNotPresent, "C_GetTokenInfo", 2)
	p.fails(ckrSlotIDInvalid, "C_GetTokenInfo", 3)
	p.fails(ckrSlotIDInvalid, "C_GetTokenInfo", 0)
	p.fails(ckrTokenNotPresent, "C_OpenSession", 2, ckfSerialSession)
}

// A text is cut at the end of a character.
func TestPaddedText(t *testing.T) {
	for text, want := range map[string]string{"": "    ", "abcdef": "abcd", "äöü": "äö", "aäöü": "aä "} {
		w := &writer{}
		w.padded(text, 4)
		if got := string(w.body[4:]); got != want {
			t.Errorf("%q became %q, want %q", text, got, want)
		}
	}
}

func TestSlotList(t *testing.T) {
	cards, desk, token := newCards(Options{})
	p := start(t, cards)
	slots := func(withToken byte) []uint64 {
		t.Helper()
		return p.ok("C_GetSlotList", withToken, room(10)).list()
	}
	want := func(withToken byte, want ...uint64) {
		t.Helper()
		if got := slots(withToken); !slices.Equal(got, want) {
			t.Errorf("slots %v, want %v", got, want)
		}
	}
	want(0, 1, 2)
	want(1, 1)
	if valid, n := p.ok("C_GetSlotList", byte(0), room(0)).output(); valid != nil || n != 2 {
		t.Errorf("%d slots without room", n)
	}
	other := &softtoken.Token{What: agent.About{Number: 2, Kind: "card", Serial: "2"}}
	desk.Insert(other)
	want(1, 1, 2)
	want(0, 1, 2, 3)
	desk.Remove(token)
	want(1, 2)
	want(0, 1, 2, 3)
	// A third card gets a free slot; the first gets another one then, and its own if it is free.
	third := &softtoken.Token{What: agent.About{Number: 3, Kind: "card", Serial: "3"}}
	desk.Insert(third)
	want(1, 1, 2)
	desk.Remove(third)
	desk.Insert(newToken(4))
	want(1, 1, 2)
	desk.Remove(other)
	desk.Insert(&softtoken.Token{What: agent.About{Number: 5, Kind: "card", Serial: "2"}})
	want(1, 1, 2)
}

func TestMechanisms(t *testing.T) {
	cards, _, _ := newCards(Options{})
	p := start(t, cards)
	list := p.ok("C_GetMechanismList", 1, room(100)).list()
	for kind, flags := range map[uint64]uint64{
		ckmRSAPKCS: ckfHW | ckfSign | ckfVerify | ckfEncrypt | ckfDecrypt, ckmSHA256RSAPKCSPSS: ckfHW | ckfSign | ckfVerify,
		ckmECDSA: ckfHW | ckfSign | ckfVerify | ckfECAllKinds, ckmSHA384: ckfDigest, ckmEDDSA: ckfHW | ckfSign | ckfVerify | ckfECNamed,
		ckmECDH1Derive: ckfHW | ckfDerive | ckfECAllKinds,
	} {
		if !slices.Contains(list, kind) {
			t.Errorf("no mechanism 0x%X", kind)
		}
		r := p.ok("C_GetMechanismInfo", 1, kind)
		if smallest, largest, got := r.ulong(), r.ulong(), r.ulong(); got != flags {
			t.Errorf("0x%X: flags 0x%X, want 0x%X", kind, got, flags)
		} else if kind == ckmECDSA && (smallest != 256 || largest != 521) {
			t.Errorf("keys of %d to %d bits", smallest, largest)
		}
	}
	p.fails(ckrMechanismInvalid, "C_GetMechanismInfo", 1, 0x1234)

	signs := NewCards(softtoken.New((&softtoken.Token{What: agent.About{Number: 1}}).With(
		&softtoken.Key{What: agent.KeyAbout{Public: keysOfTests()[0].What.Public, Signs: true}})), Options{})
	list = start(t, signs).ok("C_GetMechanismList", 1, room(100)).list()
	if slices.Contains(list, ckmRSAPKCSPSS) || slices.Contains(list, ckmRSAPKCSOAEP) || slices.Contains(list, ckmECDSA) {
		t.Errorf("mechanisms %X of a key that signs with PKCS #1 v1.5 only", list)
	}
}

// Clients share cards that come and go.
func TestManyClients(t *testing.T) {
	cards, desk, _ := newCards(Options{})
	for i := range 16 {
		t.Run(strconv.Itoa(i), func(t *testing.T) {
			t.Parallel()
			p := start(t, cards)
			for range 20 {
				session := p.open()
				p.ok("C_SignInit", session, mechanism{kind: ckmECDSA}, p.one(session, ckoPrivateKey, idEC))
				p.ok("C_Sign", session, make([]byte, 32), room(64))
				p.ok("C_CloseSession", session)
				other := &softtoken.Token{What: agent.About{Number: uint64(i) + 2}}
				desk.Insert(other)
				p.ok("C_GetSlotList", byte(0), room(99))
				desk.Remove(other)
			}
		})
	}
}
