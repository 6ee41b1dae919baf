package record

import (
	"context"
	"errors"
	"testing"
	"time"

	"github.com/cardctl/cardctl/internal/ledger"
	"github.com/cardctl/cardctl/internal/problem"
)

// aLedger has a card of somebody, with two certificates.
func aLedger(t *testing.T) *ledger.Ledger {
	t.Helper()
	l, err := ledger.Open(t.Context(), "sqlite:"+t.TempDir()+"/l.db", ledger.Options{Create: true})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = l.Close() })
	e, err := l.Begin(t.Context(), ledger.Change{Command: "provision", Serial: "A1", State: ledger.Issuing, Person: &ledger.Person{ID: "a"}})
	if err != nil {
		t.Fatal(err)
	}
	for _, number := range []string{"01", "02"} {
		if err := e.Certified(t.Context(), ledger.Credential{Ref: "K" + number, SerialNumber: number, Issuer: "ca:ca", NotAfter: time.Unix(2e9, 0)}); err != nil {
			t.Fatal(err)
		}
	}
	if err := errors.Join(e.State(t.Context(), ledger.Active), e.End(t.Context(), nil)); err != nil {
		t.Fatal(err)
	}
	return l
}

func card(t *testing.T, l *ledger.Ledger, serial string) *ledger.Card {
	t.Helper()
	c, err := l.Card(t.Context(), serial)
	if err != nil || c == nil {
		t.Fatal(err)
	}
	return c
}

// A card gets its state, whatever its issuers say; what was not revoked is revoked by the
// same command again.
func TestMarkAndRevoke(t *testing.T) {
	l := aLedger(t)
	m, err := Mark(t.Context(), l, card(t, l, "A1"), ledger.Suspended, nil, nil)
	if err != nil || len(m.Certificates) != 2 || m.Certificates[0].Done || m.Certificates[0].Reason != "certificateHold" {
		t.Fatalf("%+v, %v", m, err)
	}
	down := errors.New("no answer")
	var asked []string
	revoke := func(_ context.Context, k *ledger.Credential, reason string) error {
		asked = append(asked, k.SerialNumber+" "+reason)
		if k.SerialNumber == "02" {
			return down
		}
		return nil
	}
	m, err = Mark(t.Context(), l, card(t, l, "A1"), ledger.Lost, nil, revoke)
	if !errors.Is(err, down) || len(asked) != 2 || asked[0] != "01 keyCompromise" || !m.Certificates[0].Done || m.Certificates[1].Done {
		t.Errorf("%+v %v, %v", m, asked, err)
	}
	c := card(t, l, "A1")
	if c.State != ledger.Lost || c.Credentials[0].Revoked != "keyCompromise" || c.Credentials[1].Revoked != "" {
		t.Errorf("%+v", c)
	}
	down, asked = nil, nil
	if _, err = Mark(t.Context(), l, c, ledger.Lost, nil, revoke); err != nil || len(asked) != 1 || asked[0] != "02 keyCompromise" {
		t.Errorf("%v, %v", asked, err)
	}
}

// The end of a suspension is the end of the holds.
func TestEndOfASuspension(t *testing.T) {
	l := aLedger(t)
	var asked []string
	revoke := func(_ context.Context, k *ledger.Credential, reason string) error {
		asked = append(asked, k.SerialNumber+" "+reason)
		return nil
	}
	for _, state := range []ledger.State{ledger.Suspended, ledger.Active} {
		if _, err := Mark(t.Context(), l, card(t, l, "A1"), state, nil, revoke); err != nil {
			t.Fatal(err)
		}
	}
	if len(asked) != 4 || asked[1] != "02 certificateHold" || asked[2] != "01 removeFromCRL" {
		t.Errorf("%v", asked)
	}
	if c := card(t, l, "A1"); c.Credentials[0].Revoked != "" || c.State != ledger.Active {
		t.Errorf("%+v", c)
	}
}

// A card in stock is handed out to a person; nobody can say that a card is stock.
func TestHandedOut(t *testing.T) {
	l := aLedger(t)
	e, err := l.Begin(t.Context(), ledger.Change{Command: "init", Serial: "B2"})
	if err != nil {
		t.Fatal(err)
	}
	if err := e.End(t.Context(), nil); err != nil {
		t.Fatal(err)
	}
	m, err := Mark(t.Context(), l, card(t, l, "B2"), ledger.Active, &ledger.Person{ID: "b", Name: "B"}, nil)
	if err != nil || m.Person != "b" {
		t.Errorf("%+v, %v", m, err)
	}
	if c := card(t, l, "B2"); c.State != ledger.Active || c.Person == nil || c.Person.Name != "B" {
		t.Errorf("%+v", c)
	}
	for _, state := range []ledger.State{ledger.Stock, ledger.Issuing} {
		if _, err := Mark(t.Context(), l, card(t, l, "B2"), state, nil, nil); !problem.Is(err, problem.Refused) {
			t.Errorf("%s: %v", state, err)
		}
	}
	other := &ledger.Person{ID: "c"}
	if _, err := Mark(t.Context(), l, card(t, l, "B2"), ledger.Lost, other, nil); !problem.Is(err, problem.Refused) {
		t.Error(err)
	}
}

func TestChoose(t *testing.T) {
	active, lost, stock := ledger.Card{Serial: "1", State: ledger.Active}, ledger.Card{Serial: "2", State: ledger.Lost}, ledger.Card{Serial: "3", State: ledger.Stock}
	pending := ledger.Card{Serial: "4", State: ledger.Lost, Credentials: []ledger.Credential{{SerialNumber: "01"}}}
	for name, c := range map[string]struct {
		cards  []ledger.Card
		to     ledger.State
		serial string
		code   problem.Code
	}{
		"the only one":         {[]ledger.Card{lost}, ledger.Active, "2", ""},
		"the one that can":     {[]ledger.Card{active, lost}, ledger.Returned, "", problem.NotFound},
		"the one that is lost": {[]ledger.Card{active, lost}, ledger.Lost, "1", ""},
		"none that can":        {[]ledger.Card{stock, lost}, ledger.Suspended, "", problem.Refused},
		// The same command again, after an issuer that did not answer: not another card.
		"the one that is pending":  {[]ledger.Card{active, pending}, ledger.Lost, "", problem.NotFound},
		"only one that is pending": {[]ledger.Card{lost, pending}, ledger.Lost, "4", ""},
		"one in stock":             {[]ledger.Card{stock, lost}, ledger.Active, "3", ""},
	} {
		got, err := Choose(c.cards, c.to)
		if c.code != "" && !problem.Is(err, c.code) || c.code == "" && (err != nil || got.Serial != c.serial) {
			t.Errorf("%s: %+v, %v", name, got, err)
		}
	}
}
