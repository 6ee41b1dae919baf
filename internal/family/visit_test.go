package family

import (
	"context"
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/cardctl/cardctl/internal/card"
	"github.com/cardctl/cardctl/internal/cardsim"
	"github.com/cardctl/cardctl/internal/desk"
	"github.com/cardctl/cardctl/internal/iso7816"
	"github.com/cardctl/cardctl/internal/pin"
	"github.com/cardctl/cardctl/internal/problem"
	"github.com/cardctl/cardctl/internal/secret"
)

// deskWith is a desk with a simulated card that is meant.
func deskWith(t *testing.T, applications ...string) *desk.Desk {
	t.Helper()
	dir := t.TempDir()
	if err := cardsim.NewStore(dir).Create("desk", cardsim.Options{Applications: applications, Serial: "12345678"}); err != nil {
		t.Fatal(err)
	}
	return &desk.Desk{
		Simulated: &desk.SimulatedStore{Dir: func() (string, error) { return dir, nil }},
		Meant:     desk.Selection{Reader: "sim:desk"}, Identify: Serials,
		StateDir: func() (string, error) { return dir, nil }, Detail: func(string, ...any) {},
	}
}

// The serial of a Java card is that of its chip, also where its security domain is
// opened; what the card is called is what its first application makes it.
func TestVisitOfAJavaCard(t *testing.T) {
	var seen []string
	found, place, err := Visit(t.Context(), deskWith(t, "gp"), Wanted{Takes: []string{"openpgp"}, Reads: true}, desk.Access{Now: time.Now},
		func(ctx context.Context, c card.Card) error {
			facts, err := c.Facts(ctx)
			for _, f := range facts {
				seen = append(seen, f.Field)
			}
			return err
		})
	if err != nil || place != "sim:desk" || found.Type != "GlobalPlatform card" || !strings.Contains(found.Serial, "12345678") || len(found.Applications) != 1 {
		t.Errorf("%+v in %s, %v", found, place, err)
	}
	if strings.Join(seen, " ") != "cardKeys javaCard" {
		t.Errorf("%q", seen)
	}
}

// A card with several applications answers to the serial of each, and has them in
// the order of the families.
func TestApplicationsAndSerials(t *testing.T) {
	d := deskWith(t, "openpgp", "muscle", "gp")
	line, err := d.Open(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = line.Close() }()
	found, err := Identify(t.Context(), line)
	if err != nil {
		t.Fatal(err)
	}
	names := ""
	for _, a := range found.Applications {
		names += a.Name + " "
	}
	if found.Type != "OpenPGP card" || names != "openpgp muscle gp " || !strings.HasSuffix(found.Serial, "12345678") || len(found.Serial) != 12 {
		t.Errorf("%+v", found)
	}
	d.Meant.Serial = "87654321"
	if _, err := d.Open(t.Context()); !problem.Is(err, problem.CardBusy) && !problem.Is(err, problem.NotFound) {
		t.Errorf("another serial: %v", err)
	}
}

// WithLine opens no application, and closes the line whatever comes of the work.
func TestWithLine(t *testing.T) {
	d := deskWith(t, "gp")
	failed := errors.New("failed")
	for range 2 {
		err := WithLine(t.Context(), d, desk.Access{Now: time.Now}, func(_ context.Context, at At) error {
			if at.Place != "sim:desk" || at.Line == nil || at.Keys.Policy == nil {
				t.Errorf("%+v", at)
			}
			return failed
		})
		if !errors.Is(err, failed) {
			t.Fatal(err)
		}
	}
}

// TestAnAppletBesideAnotherIsNotErasedUnnamed: what a card has several of is named,
// whichever of them the secrets would fit.
func TestAnAppletBesideAnotherIsNotErasedUnnamed(t *testing.T) {
	for _, applications := range [][]string{{"pkcs15", "muscle"}, {"openpgp", "pkcs15"}, {"openpgp", "muscle"}, {"openpgp", "pkcs15", "muscle"}} {
		w := Wanted{Takes: []string{"openpgp", "pkcs15", "muscle", "pkcs11"}}
		err := WithCard(t.Context(), deskWith(t, applications...), w, desk.Access{}, func(context.Context, At, card.Card) error { return nil })
		var p *problem.Error
		if !errors.As(err, &p) || p.Code != problem.NotFound {
			t.Errorf("%v: %v", applications, err)
			continue
		}
		for _, name := range applications {
			if !strings.Contains(p.Why, name) {
				t.Errorf("%s is not named: %v", name, err)
			}
		}
	}
}

// lookalike has the answer to reset of a card with OpenPGP alone.
type lookalike struct {
	desk.Simulated
	atr []byte
}

type disguised struct {
	iso7816.Connection
	atr []byte
}

func (l lookalike) Connect(ctx context.Context, name string) (iso7816.Connection, error) {
	c, err := l.Simulated.Connect(ctx, name)
	return disguised{c, l.atr}, err
}

func (d disguised) ATR() []byte { return d.atr }

// TestAnAppletBesideOthersIsNotHidden: where one applet is found that shares cards, the
// others are looked for on any card.
func TestAnAppletBesideOthersIsNotHidden(t *testing.T) {
	alone, err := cardsim.NewCard(cardsim.Options{})
	if err != nil {
		t.Fatal(err)
	}
	d := deskWith(t, "openpgp", "pkcs15", "muscle")
	d.Simulated = lookalike{d.Simulated, alone.ATR()}
	w := Wanted{Takes: []string{"openpgp", "pkcs15", "muscle", "pkcs11"}}
	err = WithCard(t.Context(), d, w, desk.Access{}, func(context.Context, At, card.Card) error { return nil })
	var p *problem.Error
	if !errors.As(err, &p) || p.Code != problem.NotFound || !strings.Contains(p.Why, "openpgp and pkcs15 and muscle") {
		t.Errorf("%v", err)
	}
}

// TestTwoUserPINs: a kind of PIN that two applications have decides nothing, one that
// only one of them has does, and so does a PIN that is named.
func TestTwoUserPINs(t *testing.T) {
	for _, test := range []struct {
		role  pin.Role
		given []secret.Name
		app   string // that is opened, empty for none
	}{
		{pin.User, nil, ""},
		{pin.Admin, nil, "openpgp"},
		{pin.ResetCode, nil, "openpgp"},
		{pin.PUK, nil, "pkcs15"},
		{pin.User, []secret.Name{secret.PUK}, "pkcs15"},
		{pin.User, []secret.Name{secret.AdminPIN}, "openpgp"},
	} {
		w := Wanted{Takes: []string{"openpgp", "pkcs15", "pkcs11"}, Role: test.role, Given: test.given}
		opened := ""
		err := WithCard(t.Context(), deskWith(t, "openpgp", "pkcs15"), w, desk.Access{}, func(_ context.Context, _ At, c card.Card) error {
			opened = "pkcs15"
			if id := c.Identity(); id.Has("openpgp") {
				opened = "openpgp"
			}
			return nil
		})
		if opened != test.app || (test.app == "") != problem.Is(err, problem.NotFound) {
			t.Errorf("%s %v: %q, %v", test.role, test.given, opened, err)
		}
	}
}
