package javacard

import (
	"encoding/json"
	"errors"
	"strings"
	"testing"

	"github.com/cardctl/cardctl/internal/card"
	"github.com/cardctl/cardctl/internal/cardsim"
	"github.com/cardctl/cardctl/internal/iso7816"
	"github.com/cardctl/cardctl/internal/problem"
)

// facts opens the security domain and reads what info shows of it.
func facts(t *testing.T, c iso7816.Transmitter) ([]card.Fact, error) {
	t.Helper()
	domain, err := opened(t, (&slot{c}).open(t, t.TempDir()), "gp")
	if err != nil {
		return nil, err
	}
	return domain.Facts(t.Context())
}

func TestFacts(t *testing.T) {
	list, err := facts(t, javaCard(t, "12345678"))
	if err != nil || len(list) != 2 || list[0].Field != "cardKeys" || list[0].Value != KeysOfFactory || list[1].Field != "javaCard" {
		t.Fatalf("%+v, %v", list, err)
	}
	if brief := list[0].Brief; len(brief) != 1 || !strings.Contains(brief[0].Value, "replace them") || len(list[0].Lines) != 0 {
		t.Errorf("%+v", list[0])
	}
	info := list[1].Value.(*DomainInfo)
	if info.GlobalPlatform == "" || len(info.Protocols) != 1 || len(info.Keys) == 0 || info.Memory == nil || len(info.Production) != 18 {
		t.Errorf("%+v", info)
	}
	document, err := json.Marshal(info)
	for _, field := range []string{`"globalPlatform"`, `"protocols"`, `"keys":[{"version":255,"id":1,"kind":`, `"memory":{"nonVolatile":`, `"production":[{"name":"IC fabricator"`} {
		if err != nil || !strings.Contains(string(document), field) {
			t.Errorf("no %s in %s, %v", field, document, err)
		}
	}
	headings := ""
	for _, line := range list[1].Lines {
		if line.Value == "" {
			headings += line.Label + ";"
		}
	}
	if headings != "Security domain;Production;" || len(list[1].Brief) != 0 {
		t.Errorf("%q, %+v", headings, list[1])
	}
}

func TestFactsOfACardThatTellsNothing(t *testing.T) {
	list, err := facts(t, &silent{javaCard(t, "12345678"), iso7816.InsGetData, 0x6A, 0x88})
	if err != nil || len(list) != 1 || list[0].Field != "javaCard" {
		t.Fatalf("%+v, %v", list, err)
	}
	if info := list[0].Value.(*DomainInfo); info.KnownKeys != KeysNotKnown || info.Memory != nil || info.Production != nil || info.Keys == nil || info.Protocols == nil {
		t.Errorf("%+v", info)
	}
}

func TestFactsOfACardThatIsPulled(t *testing.T) {
	for n := 1; n <= 4; n++ {
		if _, err := facts(t, javaCard(t, "12345678", cardsim.RemoveBefore(n))); !errors.Is(err, iso7816.ErrCardRemoved) || !problem.Is(err, problem.CardRemoved) {
			t.Errorf("pulled before %d: %v", n, err)
		}
	}
}

// A card that is let go has to be the same when it is taken again.
func TestAnotherJavaCard(t *testing.T) {
	for name, test := range map[string]struct {
		other string
		same  bool
	}{"itself": {"12345678", true}, "another": {"87654321", false}} {
		s := &slot{javaCard(t, "12345678")}
		line := s.open(t, t.TempDir())
		domain, err := opened(t, line, "gp")
		if err == nil {
			_, err = domain.Facts(t.Context())
		}
		if err == nil {
			err = line.Release()
		}
		if err != nil {
			t.Fatal(err)
		}
		s.card = javaCard(t, test.other)
		if _, err = line.Channel(t.Context()); test.same != (err == nil) || !test.same && !problem.Is(err, problem.CardChanged) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestNoSecurityDomain(t *testing.T) {
	none := &silent{javaCard(t, "12345678"), iso7816.InsSelect, 0x6A, 0x82}
	_, err := opened(t, (&slot{none}).open(t, ""), "gp")
	if !problem.Is(err, problem.NotFound) || !errors.Is(err, card.ErrLacks) {
		t.Error(err)
	}
}

// The serial is that of the chip, unless an application has one of its own.
func TestDescribe(t *testing.T) {
	app := func(names ...string) *card.Identity {
		found := &card.Identity{}
		for _, name := range names {
			found.Applications = append(found.Applications, card.Application{Name: name})
		}
		return found
	}
	for name, test := range map[string]struct {
		found *card.Identity
		told  bool
	}{
		"a Java card":           {app("gp"), true},
		"with a MUSCLE applet":  {app("muscle", "gp"), true},
		"a MUSCLE applet alone": {app("muscle"), false},
		"another application":   {app("openpgp", "gp"), false},
		"no application at all": {app(), false},
	} {
		counting := &recorder{card: javaCard(t, "12345678")}
		if err := Family().Describe(t.Context(), (&slot{counting}).open(t, ""), test.found); err != nil {
			t.Fatal(err)
		}
		if told := test.found.Serial != ""; told != test.told || len(counting.sent) > 2 || !told && len(counting.sent) > 0 {
			t.Errorf("%s: %q after %d commands", name, test.found.Serial, len(counting.sent))
		}
	}
}
