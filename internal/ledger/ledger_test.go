package ledger

import (
	"path/filepath"
	"testing"
	"time"

	"filippo.io/age"

	"github.com/cardctl/cardctl/internal/problem"
	"github.com/cardctl/cardctl/internal/secret"
)

// opened is a new ledger in a file.
func opened(t *testing.T) *Ledger {
	t.Helper()
	return at(t, filepath.Join(t.TempDir(), "ledger.db"), Options{Create: true, Station: "desk"})
}

func at(t *testing.T, path string, o Options) *Ledger {
	t.Helper()
	l, err := Open(t.Context(), "sqlite:"+path, o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = l.Close() })
	return l
}

func TestARowFromBlankToActive(t *testing.T) {
	l := opened(t)
	ctx := t.Context()
	identity, err := age.GenerateX25519Identity()
	if err != nil {
		t.Fatal(err)
	}
	alice := Person{ID: "alice@example.com", Name: "Alice"}
	rows := []Row{{Key: "1", Person: alice}, {Key: "2", Person: Person{ID: "bob@example.com"}}}
	for range 2 {
		if err := l.Offer(ctx, "plan", rows); err != nil {
			t.Fatal(err)
		}
	}
	lease, err := l.Claim(ctx, "plan", "aa01")
	if err != nil || lease == nil || lease.Row.Key != "1" {
		t.Fatalf("%+v, %v", lease, err)
	}
	e, err := l.Begin(ctx, Change{Command: "provision", Serial: "AA01", Family: "f", Person: &alice, State: Issuing, Lease: lease})
	if err != nil {
		t.Fatal(err)
	}
	id, err := e.Seal(ctx, secret.PUK, KeepLedger, secret.New([]byte("12345678")), []string{identity.Recipient().String()})
	if err != nil {
		t.Fatal(err)
	}
	for i, err := range []error{
		e.Has(ctx, id),
		e.Certified(ctx, Credential{Ref: "K", SPKI: "AB", Subject: "CN=Alice", NotAfter: time.Unix(2e9, 0)}),
		e.State(ctx, Active),
		e.End(ctx, nil),
		lease.Done(ctx, true, ""),
	} {
		if err != nil {
			t.Errorf("step %d: %v", i, err)
		}
	}
	card, err := l.Card(ctx, "aa01")
	if err != nil || card == nil || card.State != Active || card.Person == nil || card.Person.Name != "Alice" || len(card.Credentials) != 1 || len(card.Secrets) != 1 || !card.Secrets[0].Set {
		t.Fatalf("%+v, %v", card, err)
	}
	puk, err := l.Reveal(ctx, "aa01", secret.PUK, identity)
	if err != nil || string(puk.Reveal()) != "12345678" {
		t.Fatal(err)
	}
	bob := Person{ID: "bob@example.com"}
	if _, err := l.Begin(ctx, Change{Command: "provision", Serial: "AA01", Person: &bob}); !problem.Is(err, problem.Refused) {
		t.Error(err)
	}
	again, err := l.Claim(ctx, "plan", "AA01")
	if err != nil || again == nil || again.Row.Key != "1" || again.Progress != Done {
		t.Fatalf("%+v, %v", again, err)
	}
	if err := again.Free(ctx); err != nil {
		t.Error(err)
	}
	if other, err := l.Claim(ctx, "other", "AA01"); other != nil || !problem.Is(err, problem.Refused) {
		t.Errorf("%v, %v", other, err)
	}
}
