package pkcs15

import (
	"context"
	"errors"
	"strings"
	"testing"

	"github.com/cardctl/cardctl/internal/iso7816"
	"github.com/cardctl/cardctl/internal/problem"
	"github.com/cardctl/cardctl/internal/runner"
	"github.com/cardctl/cardctl/internal/secret"
)

// reader is a line whose card is another one each time that it is put in.
type reader struct {
	card *scripted
	ch   *iso7816.Channel
	err  error // of Channel
}

func (r *reader) Channel(context.Context) (*iso7816.Channel, error) {
	if r.err != nil {
		return nil, r.err
	}
	if r.ch == nil {
		r.ch = iso7816.NewChannel(r.card, iso7816.Capabilities{})
	}
	return r.ch, nil
}

func (r *reader) Release() error { r.ch = nil; return nil }
func (r *reader) Reader() string { return "reader" }

// put has another card in the reader.
func (r *reader) put(card *scripted) { r.card, r.ch = card, nil }

// appletWith is an IsoApplet whose EF.TokenInfo is this one.
func appletWith(token string) *scripted {
	answers := map[string]string{"00A404000CF2": "0006009000", "00200001": "63C3", "00A4080C025015": "9000"}
	if token != "" {
		answers["00B09200"] = token + "9000"
	}
	return &scripted{answers: answers}
}

func myEIDWith(serial string) *scripted {
	return &scripted{answers: map[string]string{selectsPKCS15: "9000", asksApplet: "1C02000000040505" + serial + "00009000"}}
}

const (
	tokenOfCard1 = tokenOfApplet
	tokenOfCard2 = "3033020100040801020304050607090C07756E6B6E6F776E80046465736B03020410A511180F32303236313132303139333734345A"
)

// kindsOfCards are pairs of cards of a kind that can be told apart.
func kindsOfCards() map[string][2]func() *scripted {
	return map[string][2]func() *scripted{
		"IsoApplet":                         {func() *scripted { return appletWith(tokenOfCard1) }, func() *scripted { return appletWith(tokenOfCard2) }},
		"an IsoApplet, then a blank one":    {func() *scripted { return appletWith(tokenOfCard1) }, func() *scripted { return appletWith("") }},
		"a blank IsoApplet, then another":   {func() *scripted { return appletWith("") }, func() *scripted { return appletWith(tokenOfCard2) }},
		"MyEID":                             {func() *scripted { return myEIDWith("00000000000000000001") }, func() *scripted { return myEIDWith("00000000000000000002") }},
		"a MyEID card, then something else": {func() *scripted { return myEIDWith("00000000000000000001") }, func() *scripted { return &scripted{} }},
		"through OpenSC":                    {func() *scripted { return otherWith(tokenOfCard1) }, func() *scripted { return otherWith(tokenOfCard2) }},
	}
}

// otherWith is a card that only OpenSC knows.
func otherWith(token string) *scripted {
	return &scripted{answers: map[string]string{selectsPKCS15: "9000", asksApplet: "6A88", "00A4080C0450155032": "9000", "00B00000": token + "9000"}}
}

// programs counts what is run, and has it do something meanwhile.
func programs(ran *int, meanwhile func(p runner.Program)) Tools {
	return Tools{Run: func(_ context.Context, p runner.Program) (runner.Result, error) {
		if p.Name == "opensc-tool" {
			return runner.Result{Stdout: []byte("OpenSC 0.26.0 [gcc]")}, nil
		}
		*ran++
		meanwhile(p)
		return runner.Result{}, nil
	}}
}

func TestAnotherCardBeforeAProgramRuns(t *testing.T) {
	for name, cards := range kindsOfCards() {
		ran := 0
		r := &reader{card: cards[0]()}
		c, err := Open(t.Context(), r, programs(&ran, func(runner.Program) {}))
		if err != nil {
			t.Fatal(err)
		}
		if err := c.Remember(t.Context()); err != nil {
			t.Fatal(err)
		}
		other := cards[1]()
		r.put(other)
		_, err = c.tool(t.Context(), call{program: "pkcs15-init", args: []string{"--generate-key"}, secrets: []handover{{"--pin", secret.New([]byte("246813"))}}})
		if !problem.Is(err, problem.CardChanged) || ran != 0 || Unsettled(err) {
			t.Errorf("%s: %v, %d runs", name, err, ran)
		}
		looked := len(other.sent)
		err = c.ChangePIN(t.Context(), PIN{ID: "FF", Reference: 1}, secret.New([]byte("246813")), secret.New([]byte("135790")))
		if !problem.Is(err, problem.CardChanged) || len(other.sent) != looked || ran != 0 {
			t.Errorf("%s: afterwards %v, %d commands, %d runs", name, err, len(other.sent)-looked, ran)
		}
	}
}

func TestAnotherCardWhileAProgramRuns(t *testing.T) {
	for name, cards := range kindsOfCards() {
		ran := 0
		r := &reader{card: cards[0]()}
		c, err := Open(t.Context(), r, programs(&ran, func(runner.Program) { r.put(cards[1]()) }))
		if err != nil {
			t.Fatal(err)
		}
		_, err = c.tool(t.Context(), call{program: "pkcs15-init", args: []string{"--generate-key"}, secrets: []handover{{"--pin", secret.New([]byte("246813"))}}})
		var p *problem.Error
		if !errors.As(err, &p) || !problem.Is(err, problem.CardChanged) || !Unsettled(err) || !strings.Contains(p.What, "pkcs15-init --generate-key") || !strings.Contains(p.Why, "The PIN may") {
			t.Errorf("%s: %v", name, err)
		}
		if _, err = c.tool(t.Context(), call{program: "pkcs15-tool", args: []string{"--dump"}}); !problem.Is(err, problem.CardChanged) || ran != 1 {
			t.Errorf("%s: afterwards %v, %d runs", name, err, ran)
		}
	}
}

// TestTheLineFindsAnotherCard has PC/SC notice that the card was taken out.
func TestTheLineFindsAnotherCard(t *testing.T) {
	ran := 0
	r := &reader{card: appletWith("")}
	c, err := Open(t.Context(), r, programs(&ran, func(runner.Program) { r.ch, r.err = nil, problem.New("card-changed", "a twin is in the reader") }))
	if err != nil {
		t.Fatal(err)
	}
	_, err = c.tool(t.Context(), call{program: "pkcs15-init", args: []string{"--create-pkcs15"}, serial: "0102"})
	if !problem.Is(err, problem.CardChanged) || !Unsettled(err) || !strings.Contains(err.Error(), "pkcs15-init --create-pkcs15") || !strings.Contains(err.Error(), "a twin") {
		t.Error(err)
	}
}

// TestACardThatIsGoneAfterAProgram is said to have been taken out while it ran.
func TestACardThatIsGoneAfterAProgram(t *testing.T) {
	for _, exit := range []int{0, 1} {
		r := &reader{card: appletWith("")}
		c, err := Open(t.Context(), r, Tools{Run: func(_ context.Context, p runner.Program) (runner.Result, error) {
			if p.Name == "opensc-tool" {
				return runner.Result{Stdout: []byte("OpenSC 0.26.0 [gcc]")}, nil
			}
			r.ch, r.err = nil, problem.New(problem.CardRemoved, "nothing is in the reader")
			return runner.Result{Exit: exit}, nil
		}})
		if err != nil {
			t.Fatal(err)
		}
		_, err = c.tool(t.Context(), call{program: "pkcs15-init", args: []string{"--create-pkcs15"}})
		if !problem.Is(err, problem.CardRemoved) || !Unsettled(err) || !strings.Contains(err.Error(), "while pkcs15-init --create-pkcs15 was running") {
			t.Errorf("exit status %d: %v", exit, err)
		}
	}
}

// TestACardGetsAnotherSerial has a program make a structure: with the serial that it
// was told the card is the same, and another one when it has any other.
func TestACardGetsAnotherSerial(t *testing.T) {
	for token, same := range map[string]bool{tokenOfCard1: true, "": true, tokenOfCard2: false} {
		ran := 0
		r := &reader{card: appletWith("")}
		c, err := Open(t.Context(), r, programs(&ran, func(runner.Program) { r.put(appletWith(token)) }))
		if err != nil {
			t.Fatal(err)
		}
		_, err = c.tool(t.Context(), call{program: "pkcs15-init", args: []string{"--create-pkcs15"}, serial: "0102030405060708"})
		if problem.Is(err, problem.CardChanged) == same {
			t.Errorf("%s: %v", token, err)
		}
	}
}

func TestALookCostsLittle(t *testing.T) {
	for name, tt := range map[string]struct {
		card *scripted
		most int
	}{
		"IsoApplet": {appletWith(tokenOfCard1), 1},
		"MyEID":     {myEIDWith("00000000000000000001"), 2}, // one of them is the SELECT that others need, too
	} {
		r := &reader{card: tt.card}
		c, err := Open(t.Context(), r, Tools{})
		if err != nil {
			t.Fatal(err)
		}
		if err := errors.Join(c.Remember(t.Context()), r.Release()); err != nil {
			t.Fatal(err)
		}
		before := len(tt.card.sent)
		if _, err := c.reach(t.Context()); err != nil || len(tt.card.sent)-before > tt.most {
			t.Errorf("%s: %v, %v", name, tt.card.sent[before:], err)
		}
		before = len(tt.card.sent)
		if _, err := c.reach(t.Context()); err != nil || len(tt.card.sent) != before {
			t.Errorf("%s: a card that was held is looked at: %v, %v", name, tt.card.sent[before:], err)
		}
	}
}
