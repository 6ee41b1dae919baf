package simulate

import (
	"context"
	"errors"
	"net"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/cardctl/cardctl/internal/advice"
	"github.com/cardctl/cardctl/internal/cardsim"
	"github.com/cardctl/cardctl/internal/desk"
	"github.com/cardctl/cardctl/internal/problem"
	"github.com/cardctl/cardctl/internal/secret"
)

func newStore(t *testing.T) *desk.SimulatedStore {
	dir := t.TempDir()
	return &desk.SimulatedStore{Dir: func() (string, error) { return dir, nil }}
}

// keys is somebody who has card keys.
func keys(text string) desk.Access {
	return desk.Access{Ask: func(_ context.Context, r secret.Request) (*secret.Bytes, error) {
		if r.Name != secret.CardKeys || !r.New {
			return nil, problem.New(problem.Usage, "asked for %s", r.Name)
		}
		return secret.New([]byte(text)), nil
	}}
}

func javaCard() Options { return Options{Options: cardsim.Options{Applications: []string{"gp"}}} }

func TestCreate(t *testing.T) {
	store := newStore(t)
	c, err := Create(t.Context(), store, "desk", javaCard(), desk.Access{})
	if err != nil || c.Name != "desk" || c.Reader != "sim:desk" || len(c.Serial) != 8 || c.Profile != DefaultProfile || len(c.Applications) != 1 || c.Busy {
		t.Fatalf("%+v, %v", c, err)
	}
	if list, err := List(store); err != nil || len(list) != 1 || list[0].Name != "desk" || list[0].Serial != c.Serial {
		t.Errorf("%+v, %v", list, err)
	}
	if _, err := Create(t.Context(), store, "desk", javaCard(), desk.Access{}); !problem.Is(err, problem.Refused) {
		t.Errorf("the same again: %v", err)
	}
	for _, latency := range []time.Duration{-1, time.Hour} {
		o := javaCard()
		o.Latency = latency
		if _, err := Create(t.Context(), store, "slow", o, desk.Access{}); !problem.Is(err, problem.Usage) {
			t.Errorf("%s: %v", latency, err)
		}
	}
}

// What was given for keys is not repeated, and no card is made.
func TestCreateWithOwnKeys(t *testing.T) {
	store, o := newStore(t), javaCard()
	o.OwnKeys = true
	_, err := Create(t.Context(), store, "desk", o, keys("secretsecret"))
	if !problem.Is(err, problem.Usage) || !strings.Contains(err.Error(), "card keys cannot be used") || strings.Contains(err.Error(), "secretsecret") {
		t.Error(err)
	}
	if list, err := List(store); err != nil || len(list) != 0 {
		t.Errorf("%+v, %v", list, err)
	}
	if _, err := Create(t.Context(), store, "desk", o, keys(strings.Repeat("5A", 16))); err != nil {
		t.Error(err)
	}
}

// A name that a card has gets the next one that is free.
func TestTakenName(t *testing.T) {
	store := newStore(t)
	for _, name := range []string{"desk", "desk-2"} {
		if _, err := Create(t.Context(), store, name, javaCard(), desk.Access{}); err != nil {
			t.Fatal(err)
		}
	}
	_, err := Create(t.Context(), store, "desk", javaCard(), desk.Access{})
	var p *problem.Error
	if !errors.As(err, &p) || p.Code != problem.Refused || !reflect.DeepEqual(p.Next, advice.Repeat().On("desk-3")) {
		t.Errorf("%+v", p)
	}
}

func TestDeleteIsConfirmed(t *testing.T) {
	store := newStore(t)
	if _, err := Create(t.Context(), store, "desk", javaCard(), desk.Access{}); err != nil {
		t.Fatal(err)
	}
	asked := ""
	no := func(_ context.Context, q desk.Question) error {
		asked = q.Asked().String()
		return problem.New(problem.Refused, "no")
	}
	if _, err := Delete(t.Context(), store, "desk", no); !problem.Is(err, problem.Refused) || !strings.Contains(asked, "desk? Its keys") {
		t.Errorf("%q, %v", asked, err)
	}
	if list, err := List(store); err != nil || len(list) != 1 {
		t.Errorf("%+v, %v", list, err)
	}
	yes := func(context.Context, desk.Question) error { return nil }
	if _, err := Delete(t.Context(), store, "none", yes); !problem.Is(err, problem.NotFound) {
		t.Error(err)
	}
	if c, err := Delete(t.Context(), store, "desk", yes); err != nil || c.Name != "desk" {
		t.Errorf("%+v, %v", c, err)
	}
	if list, err := List(store); err != nil || len(list) != 0 {
		t.Errorf("%+v, %v", list, err)
	}
}

// A card that somebody has is neither deleted nor put into a reader.
func TestBusyCard(t *testing.T) {
	store := newStore(t)
	if _, err := Create(t.Context(), store, "desk", javaCard(), desk.Access{}); err != nil {
		t.Fatal(err)
	}
	held, err := store.Connect(t.Context(), "desk")
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = held.Close(false) }()
	if _, err := Delete(t.Context(), store, "desk", func(context.Context, desk.Question) error { return nil }); !problem.Is(err, problem.CardBusy) {
		t.Error(err)
	}
	if err := Attach(t.Context(), store, Attachment{Name: "desk", Address: DefaultAddress}); !problem.Is(err, problem.CardBusy) {
		t.Error(err)
	}
}

// TestAttachToAReaderThatIsTaken: the other of the two virtual readers is offered.
func TestAttachToAReaderThatIsTaken(t *testing.T) {
	t.Parallel()
	store := newStore(t)
	if _, err := Create(t.Context(), store, "desk", javaCard(), desk.Access{}); err != nil {
		t.Fatal(err)
	}
	silent, err := net.Listen("tcp", "localhost:0")
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = silent.Close() }()
	err = Attach(t.Context(), store, Attachment{Name: "desk", Address: silent.Addr().String(), Attached: func(Card) error { return nil }})
	var p *problem.Error
	if !errors.As(err, &p) || p.Code != problem.CardBusy || !reflect.DeepEqual(p.Next, advice.Repeat(advice.Set(advice.Address, secondAddress))) {
		t.Errorf("%v, %+v", err, p)
	}
	if other := (&Attachment{Address: secondAddress}).otherAddress(); other != DefaultAddress {
		t.Errorf("instead of the second: %s", other)
	}
}

func TestAttachWithoutAReader(t *testing.T) {
	store := newStore(t)
	if _, err := Create(t.Context(), store, "desk", javaCard(), desk.Access{}); err != nil {
		t.Fatal(err)
	}
	err := Attach(t.Context(), store, Attachment{Name: "desk", Address: "localhost:1", Attached: func(Card) error { return nil }})
	if !problem.Is(err, problem.NotFound) || !strings.Contains(err.Error(), "localhost:1") {
		t.Error(err)
	}
}

// The CA of the card's maker has its root first; a card that attests nothing has none.
func TestAttestationCA(t *testing.T) {
	store := newStore(t)
	for profile, want := range map[string]int{"piv-yubikey-5": 1, "piv-yubikey-5.7": 2, "piv-nist": 0} {
		if _, err := Create(t.Context(), store, profile, Options{Options: cardsim.Options{Profile: profile}}, desk.Access{}); err != nil {
			t.Fatal(err)
		}
		text, err := AttestationCA(store, profile)
		if n := strings.Count(string(text), "BEGIN CERTIFICATE"); n != want || (err == nil) != (want > 0) || err != nil && !problem.Is(err, problem.NotSupported) {
			t.Errorf("%s: %d certificates, %v", profile, n, err)
		}
	}
}
