package openpgp

import (
	"context"
	"errors"
	"reflect"
	"strings"
	"testing"

	"github.com/cardctl/cardctl/internal/card"
	"github.com/cardctl/cardctl/internal/iso7816"
	"github.com/cardctl/cardctl/internal/problem"
	"github.com/cardctl/cardctl/internal/secret"
)

func text(value string) *string { return &value }

func (d *table) setHolder(wish card.HolderWish) (told card.Holder, err error) {
	d.t.Helper()
	err = d.on(func(ctx context.Context, s session) error {
		told, err = s.card.SetHolder(ctx, wish)
		return err
	})
	return told, err
}

// holder is what info shows.
func (d *table) holder() (told card.Holder) {
	d.t.Helper()
	err := d.on(func(ctx context.Context, s session) error {
		facts, err := s.card.Facts(ctx)
		if len(facts) > 1 {
			told = facts[0].Value.(card.Holder)
		}
		return err
	})
	if err != nil {
		d.t.Fatal(err)
	}
	return told
}

// What is named is written, the rest stays, and what is empty is removed.
func TestSetHolder(t *testing.T) {
	for _, profile := range []string{"", "openpgp-2.0", "short-apdus", "exact-le-6cxx", "t0", "kdf"} {
		d := newTable(t, profile)
		whole := card.Holder{Name: "Jörg van Head", Login: "floppy ü", URL: "https://example.com/a?b=c", Language: "de,en", Sex: "female"}
		told, err := d.setHolder(card.HolderWish{Name: text("van Head<<Jörg"), Login: &whole.Login, URL: &whole.URL, Language: text("de,en"), Sex: &whole.Sex})
		if err != nil || told != whole || d.holder() != whole {
			t.Errorf("%s: %+v, %v, then %+v", profile, told, err, d.holder())
		}
		told, err = d.setHolder(card.HolderWish{Login: text(""), Sex: text("")})
		whole.Login, whole.Sex = "", ""
		if err != nil || told != (card.Holder{}) || d.holder() != whole {
			t.Errorf("%s: %+v, %v, then %+v", profile, told, err, d.holder())
		}
	}
}

// The objects are as they are on the card. They take a command each, those of DO 65 one
// together, and the flags of a card that announces them none.
func TestObjects(t *testing.T) {
	d := newTable(t, "")
	if _, err := d.setHolder(card.HolderWish{Name: text("van Head<<Jörg"), URL: text("https://example.com/"), Language: text("de,en"), Sex: text("female")}); err != nil {
		t.Fatal(err)
	}
	before := d.card.Traffic().APDUs
	var got map[uint32][]byte
	err := d.on(func(ctx context.Context, s session) (err error) {
		got, err = s.card.Objects(ctx)
		return err
	})
	want := map[uint32][]byte{
		0x5B: []byte("van<Head<<J\xF6rg"), 0x5F2D: []byte("deen"), 0x5F35: []byte("2"), 0x5F50: []byte("https://example.com/"),
		0x93: {0, 0, 0}, 0xD6: {0, 0x20}, 0xD7: {0, 0x20}, 0xD8: {0, 0x20}, 0xF9: {0x81, 1, 0},
	}
	if err != nil || !reflect.DeepEqual(got, want) {
		t.Errorf("%X, %v", got, err)
	}
	if n := d.card.Traffic().APDUs - before; n > 7 { // with SELECT and DO 6E
		t.Errorf("%d APDUs", n)
	}
}

// SELECT, DO 6E, the KDF, VERIFY, one PUT DATA for each field, and what is read back.
func TestSetHolderIsShort(t *testing.T) {
	name, url := text("Floppy Head"), text("https://example.com/")
	for _, c := range []struct {
		profile string
		wish    card.HolderWish
		most    int
	}{
		{"", card.HolderWish{Name: name}, 6},
		{"", card.HolderWish{Name: name, Language: text("en"), Sex: text("male")}, 8},
		{"", card.HolderWish{Name: name, Language: text("en"), Sex: text("male"), URL: url, Login: text("floppy")}, 12},
		{"openpgp-2.0", card.HolderWish{Name: name}, 5},
	} {
		d := newTable(t, c.profile)
		if _, err := d.setHolder(c.wish); err != nil {
			t.Fatal(err)
		}
		if n := d.card.Traffic().APDUs; n > c.most {
			t.Errorf("%s %+v: %d APDUs, %d are enough", c.profile, c.wish, n, c.most)
		}
	}
}

// Languages and sex are taken as people write them.
func TestHolderWords(t *testing.T) {
	for language, want := range map[string]string{"DE, En": "de,en", "deen": "de,en", "de,en,fr,it": "de,en,fr,it", "fr": "fr", "": ""} {
		d := newTable(t, "")
		if told, err := d.setHolder(card.HolderWish{Language: &language, Sex: text("Male")}); err != nil || told.Language != want || told.Sex != "male" {
			t.Errorf("%q: %+v, %v", language, told, err)
		}
	}
}

// What the card has no room for, and what other programs could not read, is refused
// before a PIN is sent.
func TestSetHolderRefuses(t *testing.T) {
	long := strings.Repeat("x", 256)
	for _, c := range []struct {
		wish card.HolderWish
		why  string
	}{
		{card.HolderWish{Name: text("Łukasz Żak")}, "8859-1"},
		{card.HolderWish{Name: text("山田太郎")}, "8859-1"},
		{card.HolderWish{Name: text("a<b")}, "<<"},
		{card.HolderWish{Name: text("a<<b<<c")}, "<<"},
		{card.HolderWish{Name: text(strings.Repeat("x", 40))}, "39 bytes"},
		{card.HolderWish{Name: text("a\x1b[2Jb")}, "printed"},
		{card.HolderWish{Name: text("a\nb")}, "printed"},
		{card.HolderWish{Name: text("J\xF6rg")}, "printed"},
		{card.HolderWish{Login: &long}, "255 bytes"},
		{card.HolderWish{Login: text("a\x00")}, "printed"},
		{card.HolderWish{URL: text("example.com")}, "URL"},
		{card.HolderWish{URL: text("https://exämple.com")}, "URL"},
		{card.HolderWish{URL: text("https://a b")}, "URL"},
		{card.HolderWish{Language: text("d")}, "two letters"},
		{card.HolderWish{Language: text("de-AT")}, "two letters"},
		{card.HolderWish{Language: text("dç")}, "two letters"},
		{card.HolderWish{Language: text("de,en,fr,it,rm")}, "8 bytes"},
		{card.HolderWish{Language: text("d,een")}, "two letters"},
		{card.HolderWish{Language: text("en,engl")}, "two letters"},
		{card.HolderWish{Language: text(",,")}, "two letters"},
		{card.HolderWish{Language: text(" ")}, "two letters"},
		{card.HolderWish{Name: text("<<")}, "no letters"},
		{card.HolderWish{Name: text("  ")}, "no letters"},
		{card.HolderWish{Sex: text("f")}, "female, male, unknown, unspecified"},
	} {
		d := newTable(t, "")
		_, err := d.setHolder(c.wish)
		var p *problem.Error
		if !errors.As(err, &p) || p.Code != problem.Usage || !strings.Contains(p.Why, c.why) || len(d.asked) > 0 {
			t.Errorf("%+v: %v", c.wish, err)
		}
	}
}

// A card that refuses one field says which others it has; one that stored another value
// than it confirmed is told from one that did not.
func TestSetHolderIsReadBack(t *testing.T) {
	wish := card.HolderWish{Name: text("Floppy Head"), Login: text("floppy"), Sex: text("male")}
	d := newTable(t, "")
	d.answers(func(cmd iso7816.Command) []byte {
		if cmd.INS == iso7816.InsPutData && cmd.P2 == 0x5E {
			return []byte{0x69, 0x85}
		}
		return nil
	})
	var p *problem.Error
	if _, err := d.setHolder(wish); !errors.As(err, &p) || !strings.Contains(p.What, "writing the login") || !strings.Contains(p.Why, "Written: name.") {
		t.Errorf("%v", err)
	}
	d = newTable(t, "")
	d.answers(func(cmd iso7816.Command) []byte {
		if cmd.INS == iso7816.InsPutData && cmd.P2 == 0x5B {
			return []byte{0x90, 0x00}
		}
		return nil
	})
	if _, err := d.setHolder(wish); !errors.As(err, &p) || !strings.Contains(p.What, "did not store the name") {
		t.Errorf("%v", err)
	}
	// The template is refused, its parts are not.
	d = newTable(t, "objects-refused")
	d.answers(func(cmd iso7816.Command) []byte {
		if cmd.INS == iso7816.InsGetData && cmd.P2 == 0x5E {
			return []byte("floppy\x90\x00")
		}
		return nil
	})
	if told, err := d.setHolder(wish); err != nil || told != (card.Holder{Name: "Floppy Head", Login: "floppy", Sex: "male"}) {
		t.Errorf("%+v, %v", told, err)
	}
	d = newTable(t, "objects-refused")
	if _, err := d.setHolder(wish); !errors.As(err, &p) || !strings.Contains(p.Why, "The card confirmed the data.") {
		t.Errorf("%v", err)
	}
	d = newTable(t, "")
	d.pins[secret.AdminPIN] = "wrong-pin"
	if _, err := d.setHolder(wish); !problem.Is(err, problem.PINIncorrect) || d.tries()[2] != 2 {
		t.Errorf("%v, %v", err, d.tries())
	}
}
