package lend

import (
	"context"
	"crypto"
	"testing"
	"time"

	"github.com/cardctl/cardctl/internal/cardsim"
	"github.com/cardctl/cardctl/internal/desk"
	"github.com/cardctl/cardctl/internal/family"
	"github.com/cardctl/cardctl/internal/iso7816"
	"github.com/cardctl/cardctl/internal/key"
	"github.com/cardctl/cardctl/internal/pcsc"
	"github.com/cardctl/cardctl/internal/problem"
	"github.com/cardctl/cardctl/internal/secret"
)

// reader is a PC/SC daemon with one reader, and a simulated card in it.
type reader struct{ card *cardsim.Card }

func (r *reader) Readers(context.Context) ([]pcsc.Reader, error) {
	return []pcsc.Reader{{Name: "Alpha", CardPresent: true}}, nil
}
func (r *reader) Connect(ctx context.Context, _ string) (iso7816.Connection, error) {
	conn, err := r.card.Connect(ctx)
	return &following{Connection: conn, reader: r}, err
}
func (r *reader) WaitForCard(context.Context, func(pcsc.Reader) bool) (pcsc.Reader, error) {
	return pcsc.Reader{}, nil
}
func (r *reader) Close() error { return nil }

// following is a connection that does not notice that a card is taken out: it
// goes on with the one that is there.
type following struct {
	iso7816.Connection
	reader *reader
}

func (f *following) Resume(ctx context.Context) error {
	if f.Connection.Resume(ctx) == nil && f.reader.card.Serial() == "12345678" {
		return nil
	}
	conn, err := f.reader.card.Connect(ctx)
	f.Connection = conn
	return err
}

func newSim(t *testing.T, serial string) *cardsim.Card {
	t.Helper()
	c, err := cardsim.NewCard(cardsim.Options{Serial: serial})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = c.Close() })
	return c
}

// onCard does work with a key of the card as With does.
func onCard(t *testing.T, r *reader, work func(context.Context, family.At, key.Key) error) error {
	t.Helper()
	d := &desk.Desk{
		OpenReaders: func(context.Context, pcsc.Options) (desk.Readers, error) { return r, nil },
		Detail:      func(string, ...any) {}, Modules: desk.NewModules(),
	}
	access := desk.Access{
		Ask: func(_ context.Context, request secret.Request) (*secret.Bytes, error) {
			return secret.New([]byte("12345678")), nil
		},
		Now: time.Now, Notify: func(string) {},
	}
	return family.WithKey(t.Context(), d, "OPENPGP.3", access, work)
}

// free reports whether others can connect to the card.
func free(t *testing.T, c *cardsim.Card) bool {
	t.Helper()
	conn, err := c.Connect(t.Context())
	if err != nil {
		return false
	}
	return conn.Close(false) == nil
}

// The module needs the card: it is taken for each look at its tries, compared, and
// let go again.
func TestTriesAreReadThroughTheLine(t *testing.T) {
	r := &reader{newSim(t, "12345678")}
	first, another := r.card, newSim(t, "87654321")
	var made crypto.PublicKey
	if err := onCard(t, r, func(ctx context.Context, _ family.At, k key.Key) error {
		generated, err := k.Generate(ctx, key.Spec{Algorithm: key.P256})
		if err == nil {
			made = generated.Public
		}
		return err
	}); err != nil {
		t.Fatal(err)
	}
	err := onCard(t, r, func(ctx context.Context, here family.At, k key.Key) error {
		lent := &Key{Module: "opensc"}
		if err := lent.read(ctx, here, k, noneStored); err != nil {
			return err
		}
		if lent.Reader != "Alpha" || lent.Holder.Serial != "FFFE12345678" || lent.Public == nil || made == nil || lent.Certificate != nil || lent.Policy != here.Keys.Policy {
			t.Errorf("%+v", lent)
		}
		if !free(t, first) {
			t.Error("the card was not let go for the module")
		}
		for _, again := range []bool{false, true} {
			if left, err := lent.Told().Tries(ctx, again); left.Number() != 3 || err != nil {
				t.Errorf("tries %v, %v", left, err)
			}
			if !free(t, first) {
				t.Error("the card was not let go after a look at its tries")
			}
		}
		r.card = another
		if _, err := lent.Told().Tries(ctx, false); !problem.Is(err, problem.CardChanged) {
			t.Errorf("another card: %v", err)
		}
		if !free(t, another) {
			t.Error("the other card was not let go")
		}
		return nil
	})
	if err != nil {
		t.Error(err)
	}
}

// A card in this process is not seen by a module, and is told so before it is
// read.
func TestNoModuleSeesASimulatedCard(t *testing.T) {
	err := With(t.Context(), &desk.Desk{
		Simulated: one{newSim(t, "12345678")}, Meant: desk.Selection{Reader: desk.SimulatedPrefix + "desk"}, Modules: desk.NewModules(),
	}, desk.Access{}, "OPENPGP.3", "", noneStored, func(context.Context, *Key) error {
		t.Error("it is lent")
		return nil
	})
	if !problem.Is(err, problem.NotSupported) {
		t.Errorf("got %v", err)
	}
}

func noneStored(context.Context, key.Key) ([]byte, error) {
	return nil, problem.New(problem.NotFound, "none")
}

// one is the only simulated card.
type one struct{ card *cardsim.Card }

func (o one) Connect(ctx context.Context, _ string) (iso7816.Connection, error) {
	return o.card.Connect(ctx)
}
func (o one) List() ([]cardsim.Info, error) { return nil, nil }
