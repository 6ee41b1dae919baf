package p11kit

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/cardctl/cardctl/internal/agent"
	"github.com/cardctl/cardctl/test/softtoken"
)

// twoPINs is a card of which OpenSC's module makes two tokens.
func twoPINs(number uint64) *softtoken.Token {
	token := &softtoken.Token{What: agent.About{Number: number, Kind: "card", Serial: "01", Label: "A card (PIN)", Reader: "Reader 0"}}
	for i, label := range []string{"A card (sig)", "A card (PIN)", ""} {
		key := *keysOfTests()[i]
		key.What.Token = label
		token.With(&softtoken.Key{What: key.What, Private: key.Private})
	}
	return token
}

// shown are the tokens that a program sees, with their slots and private keys.
func (p *program) shown() (all []string) {
	p.t.Helper()
	for _, slot := range p.ok("C_GetSlotList", byte(1), room(10)).list() {
		label := strings.TrimSpace(string(p.ok("C_GetTokenInfo", int(slot)).bytes()))
		session := p.ok("C_OpenSession", int(slot), ckfSerialSession).ulong()
		all = append(all, fmt.Sprintf("%d %s: %d", slot, label, len(p.find(session, number(ckaClass, ckoPrivateKey)))))
	}
	return all
}

// TestParts has one token for each PIN of a card, as OpenSC's module has, in slots that stay.
func TestParts(t *testing.T) {
	token, other := twoPINs(1), newToken(2)
	desk := softtoken.New(token, other)
	p := start(t, NewCards(desk, Options{}))
	want := []string{"1 A card (PIN): 2", "2 A card (sig): 1", "3 A card: 5"}
	if got := p.shown(); !slices.Equal(got, want) {
		t.Errorf("%q", got)
	}
	desk.Remove(token)
	if got := p.shown(); !slices.Equal(got, want[2:]) {
		t.Errorf("without the card: %q", got)
	}
	desk.Insert(twoPINs(3))
	if got := p.shown(); !slices.Equal(got, want) {
		t.Errorf("with the card again: %q", got)
	}
}

// A login to a part of a card is one with the PIN of its keys, and a token whose keys all want
// their PIN for each use has a login too.
func TestPartLogin(t *testing.T) {
	one := func(token string, always bool) *softtoken.Key {
		return &softtoken.Key{What: agent.KeyAbout{Ref: token, Token: token, ID: []byte{1}, Public: keysOfTests()[0].What.Public, Signs: true, Always: always}}
	}
	keys := []*softtoken.Key{one("Card (PIN)", false), one("Card (Signature PIN)", true), one("Card (Signature PIN)", true)}
	card := (&softtoken.Token{What: agent.About{Number: 1, Label: "Card (PIN)"}}).With(keys...)
	p := start(t, NewCards(softtoken.New(card), Options{}))
	session := p.ok("C_OpenSession", 2, ckfSerialSession).ulong()
	p.ok("C_Login", session, ckuUser, none{})
	if keys[0].LoggedIn || !keys[1].LoggedIn {
		t.Error("the PIN of another part was asked for")
	}
}
