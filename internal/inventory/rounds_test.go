package inventory

import (
	"errors"
	"testing"

	"github.com/cardctl/cardctl/internal/cardsim"
)

// TestRoundsOfPIV has the number of commands that a PIV card takes to be recognised, and
// both of a card with two applications.
func TestRoundsOfPIV(t *testing.T) {
	for _, test := range []struct {
		applications []string
		most         int
	}{{[]string{"piv"}, 8}, {[]string{"openpgp", "piv"}, 9}} {
		card, err := cardsim.NewCard(cardsim.Options{Profile: "piv-yubikey-5", Serial: "00BC614E", Applications: test.applications})
		if err != nil {
			t.Fatal(err)
		}
		line, err := deskWith(card).Open(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		found, err := Identify(t.Context(), line)
		if err := errors.Join(err, line.Close()); err != nil || !found.Has("piv") || found.Serial == "" {
			t.Errorf("%+v, %v", found, err)
		}
		if n := card.Traffic().APDUs; n > test.most {
			t.Errorf("%v: %d APDUs, %d are enough", test.applications, n, test.most)
		}
		if test.most == 8 && found.Serial != "12345678" {
			t.Errorf("serial %s", found.Serial)
		}
	}
}

// TestInspectAPIVCard has one command for each retired slot of an empty card, and 22
// for everything else.
func TestInspectAPIVCard(t *testing.T) {
	card, err := cardsim.NewCard(cardsim.Options{Profile: "piv-short-apdus", Applications: []string{"piv"}})
	if err != nil {
		t.Fatal(err)
	}
	info, err := Inspect(t.Context(), deskWith(card), access())
	if err != nil || len(info.Keys) != 1 || info.Keys[0].Ref != "PIV.F9" || len(info.PINs) != 2 || len(info.Facts) != 1 {
		t.Errorf("%+v, %v", info, err)
	}
	if c := info.Certificates[0]; !c.KeyUnknown || c.Public != nil {
		t.Errorf("%+v", c)
	}
	const retired = 20
	if n := card.Traffic().APDUs; n > retired+22 {
		t.Errorf("%d APDUs", n)
	}
}
