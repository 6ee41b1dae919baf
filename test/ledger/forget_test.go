package ledger_test

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/cardctl/cardctl/internal/ledger"
)

// ofAlice is a certificate that she issued for herself.
var ofAlice = ledger.Credential{Ref: "K", Subject: "CN=Alice Adler", Issuer: "CN=Alice Adler", Certificate: []byte("Alice Adler"), SerialNumber: "05"}

// namesInTheLog holds that the log names nobody, also where a certificate does.
func namesInTheLog(t *testing.T, p place) {
	l, ctx := p.open(t, ledger.Options{}), t.Context()
	issue(t, l, "A1", alice)
	e := begin(t, l, ledger.Change{Serial: "A1"})
	ca := ofAlice
	ca.Ref, ca.Issuer = "L", "est+https://alice@ca.example.com"
	must(t, e.Certified(ctx, ofAlice), e.Certified(ctx, ca), e.End(ctx, nil))
	for _, data := range logged(t, l, ledger.EventFilter{}) {
		if strings.Contains(strings.ToLower(data), "alice") {
			t.Errorf("a name in the log: %s", data)
		}
	}
}

// forgottenLater holds that nothing is left of somebody on cards that others have now, and
// that nothing comes in again.
func forgottenLater(t *testing.T, p place) {
	l, ctx := p.open(t, ledger.Options{}), t.Context()
	e := begin(t, l, ledger.Change{Serial: "A1"})
	before := ofAlice
	before.Ref = "B" // on the card before it is hers
	must(t, e.Certified(ctx, before), e.End(ctx, nil))
	issue(t, l, "A1", alice)
	e = begin(t, l, ledger.Change{Serial: "A1"})
	must(t, e.Certified(ctx, ofAlice), e.State(ctx, ledger.Returned), e.End(ctx, nil))
	e = begin(t, l, ledger.Change{Serial: "A1", Init: true})
	must(t, e.End(ctx, nil))
	issue(t, l, "A1", bob)
	e = begin(t, l, ledger.Change{Serial: "A1"})
	must(t, e.Certified(ctx, ledger.Credential{Ref: "K", Subject: "CN=Bob"}), e.End(ctx, nil))
	issue(t, l, "A2", alice)
	must(t, l.Forget(ctx, alice.ID))
	e = begin(t, l, ledger.Change{Serial: "A2"})
	must(t, e.Certified(ctx, ofAlice), e.End(ctx, nil))
	all, err := l.Cards(ctx, ledger.Filter{All: true})
	must(t, err)
	found := 0
	for i := range all {
		for _, k := range all[i].Credentials {
			found++
			if strings.Contains(k.Subject+k.Issuer+string(k.Certificate), "Alice") {
				t.Errorf("%s has %+v", all[i].Serial, k)
			}
			if all[i].Serial == "A1" && k.Ref == "K" && k.SerialNumber == "" && k.Subject != "CN=Bob" {
				t.Errorf("another person lost %+v", k)
			}
		}
	}
	if found != 4 {
		t.Errorf("%d certificates", found)
	}
	whole(t, l)
}

// What is forgotten is not in the file either, nor beside it.
func TestForgottenBytes(t *testing.T) {
	path := filepath.Join(t.TempDir(), "ledger.db")
	l, err := ledger.Open(t.Context(), "sqlite:"+path, ledger.Options{Create: true})
	must(t, err)
	defer func() { _ = l.Close() }()
	must(t, l.Offer(t.Context(), "plan", []ledger.Row{{Key: alice.ID, Person: alice}}))
	issue(t, l, "A1", alice)
	e := begin(t, l, ledger.Change{Serial: "A1"})
	must(t, e.Certified(t.Context(), ofAlice), e.End(t.Context(), nil))
	if there(t, path) == 0 {
		t.Fatal("the test finds nothing")
	}
	must(t, l.Forget(t.Context(), alice.ID))
	if n := there(t, path); n != 0 {
		t.Errorf("the name is there %d times", n)
	}
}

// there is how often Alice is in the files of a database.
func there(t *testing.T, path string) (n int) {
	t.Helper()
	for _, file := range []string{path, path + "-wal"} {
		data, err := os.ReadFile(file)
		must(t, err)
		n += strings.Count(string(data), "Alice") + strings.Count(string(data), "alice@")
	}
	return n
}
