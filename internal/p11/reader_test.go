package p11

import (
	"strings"
	"testing"

	"github.com/cardctl/cardctl/internal/problem"
)

func TestReadersOfSlots(t *testing.T) {
	long := "A Maker of Readers With a Very Long Name, Model 9000 [CCID Interface] (0123456789) 00 00"
	for _, test := range []struct {
		slot, reader string
		same         bool
	}{
		{"Virtual PCD 00 00", "Virtual PCD 00 00", true},
		{"Virtual PCD 00 00   ", "Virtual PCD 00 00", true},
		{"Virtual PCD 00 01", "Virtual PCD 00 00", false},
		{"Virtual PCD 00 0", "Virtual PCD 00 00", false},
		{long[:64], long, true},
		{long[:63], long, false},
		{long, long, false},                                             // which no slot has room for
		{strings.Repeat("x", 63), strings.Repeat("x", 63) + " y", true}, // cut at a blank, which is trimmed
		{strings.Repeat("x", 63), strings.Repeat("x", 64), false},
		{"", "", false},
		{"", "reader", false},
		{"   ", "  ", false},
	} {
		if got := (Token{SlotDescription: test.slot}).InReader(test.reader); got != test.same {
			t.Errorf("%q in %q: %v", test.slot, test.reader, got)
		}
	}
}

// Of two cards with one serial number it is that in the reader that was looked at.
func TestCardIsTheOneInItsReader(t *testing.T) {
	card := func(place string) *fakeToken {
		token := newFakeToken("card", "1")
		token.place = place
		token.objects = []fakeObject{publicHalf(t, fakeP256(), "1"), privateHalf(fakeP256(), "1", nil)}
		return token
	}
	one, two := card("reader 1"), card("reader 2")
	for _, test := range []struct {
		name    string
		tokens  []*fakeToken
		empty   []string // slots without a token
		reader  string
		chosen  string
		problem problem.Code
	}{
		{"the first", []*fakeToken{one, two}, nil, "reader 1", "reader 1", ""},
		{"the second", []*fakeToken{one, two}, nil, "reader 2", "reader 2", ""},
		{"nobody says", []*fakeToken{one, two}, nil, "", "", problem.NotFound},
		{"the module does not see it there", []*fakeToken{two}, []string{"reader 1"}, "reader 1", "", problem.NotFound},
		{"the module does not name readers", []*fakeToken{card("a slot")}, nil, "reader 1", "a slot", ""},
		{"nor with two", []*fakeToken{card("slot A"), card("slot B")}, nil, "reader 1", "", problem.NotFound},
	} {
		t.Run(test.name, func(t *testing.T) {
			m, f := startFake(t, test.tokens...)
			f.empty = test.empty
			s, err := m.Find(t.Context(), Wanted{Serial: "1", Reader: test.reader, Public: fakeP256().Public()})
			if test.problem != "" {
				if !problem.Is(err, test.problem) || f.count("C_OpenSession") != f.count("C_CloseSession") {
					t.Errorf("got %v", err)
				}
				return
			}
			if err != nil || s.Token().SlotDescription != test.chosen {
				t.Fatalf("got %v", err)
			}
			if err := s.Close(); err != nil {
				t.Error(err)
			}
		})
	}
}

// Modules that list a token twice, or two that cannot be told apart.
func TestTokensThatLookTheSame(t *testing.T) {
	m, f := startFake(t, newFakeToken("card", "1"), newFakeToken("card", "1"))
	_, err := m.FindToken(t.Context(), URI{})
	if !problem.Is(err, problem.NotFound) || !problemSays(err, ";slot-id=0") || !problemSays(err, ";slot-id=1") {
		t.Errorf("two slots: %v", err)
	}
	if chosen, err := m.FindToken(t.Context(), URI{Path: []Attribute{{AttrSlotID, "1"}}}); err != nil || chosen.Slot != 1 {
		t.Errorf("named by its slot: %+v, %v", chosen, err)
	}
	f.tokens, f.repeats = f.tokens[:1], true
	if _, err := m.FindToken(t.Context(), URI{}); err != nil {
		t.Errorf("one slot, listed twice: %v", err)
	}
}
