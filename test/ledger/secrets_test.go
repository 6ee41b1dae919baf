package ledger_test

import (
	"strings"
	"testing"

	"github.com/cardctl/cardctl/internal/ledger"
	"github.com/cardctl/cardctl/internal/problem"
	"github.com/cardctl/cardctl/internal/secret"
)

// seal seals a PUK for a card.
func seal(t *testing.T, e *ledger.Entry, value string, to ...string) int64 {
	t.Helper()
	id, err := e.Seal(t.Context(), secret.PUK, ledger.KeepLedger, pin(value), to)
	if err != nil {
		t.Fatal(err)
	}
	return id
}

func secretsOfACard(t *testing.T, p place) {
	l, ctx := p.open(t, ledger.Options{}), t.Context()
	identity, to := owner(t)
	stranger, other := owner(t)
	e := begin(t, l, ledger.Change{Serial: "A1"})
	first := seal(t, e, "11111111", to, other)
	if s := card(t, l, "A1").Secrets; len(s) != 1 || s[0].ID != first || s[0].Set || s[0].Kind != secret.PUK || strings.Contains(string(s[0].Blob), "1111") {
		t.Fatalf("%+v", s)
	}
	must(t, e.Has(ctx), e.Has(ctx, first))
	second := seal(t, e, "22222222", to)
	if s := card(t, l, "A1").Secrets; len(s) != 2 || !s[0].Set || s[0].Ended || s[1].Set {
		t.Fatalf("%+v", s)
	}
	must(t, e.Has(ctx, second))
	s := card(t, l, "A1").Secrets
	if len(s) != 1 || s[0].ID != second || !s[0].Set {
		t.Fatalf("%+v", s)
	}
	value, err := ledger.Unseal(ctx, s[0].Blob, stranger, identity)
	if err != nil || string(value.Reveal()) != "22222222" {
		t.Error(err)
	}
	_, err = ledger.Unseal(ctx, s[0].Blob, stranger)
	refused(t, "a stranger", err, problem.Mismatch)
	_, err = ledger.Unseal(ctx, s[0].Blob)
	refused(t, "nobody", err, problem.Usage)
	_, err = ledger.Unseal(ctx, []byte("rubbish"), identity)
	refused(t, "rubbish", err, problem.Failed)
	another := begin(t, l, ledger.Change{Serial: "A2"})
	refused(t, "the secret of another card", another.Has(ctx, second), problem.Refused)
	_, err = another.Seal(ctx, secret.PUK, ledger.KeepLedger, pin("1"), nil)
	refused(t, "no recipient", err, problem.Usage)
	for _, record := range logged(t, l, ledger.EventFilter{}) {
		if strings.Contains(record, "1111") || strings.Contains(record, "2222") {
			t.Errorf("a secret is in the log: %s", record)
		}
	}
}

// revealIsRecorded holds that a secret is not shown if that cannot be recorded.
func revealIsRecorded(t *testing.T, p place) {
	l, ctx := p.open(t, ledger.Options{}), t.Context()
	identity, to := owner(t)
	stranger, _ := owner(t)
	e := begin(t, l, ledger.Change{Serial: "A1"})
	must(t, e.Has(ctx, seal(t, e, "11111111", to)))
	seal(t, e, "22222222", to) // which the card does not have yet
	records := len(logged(t, l, ledger.EventFilter{}))
	_, err := p.open(t, ledger.Options{ReadOnly: true}).Reveal(ctx, "A1", secret.PUK, identity)
	refused(t, "a ledger that cannot be written", err, problem.Refused)
	_, err = l.Reveal(ctx, "A1", secret.PUK, stranger)
	refused(t, "a stranger", err, problem.Mismatch)
	_, err = l.Reveal(ctx, "A1", secret.AdminPIN, identity)
	refused(t, "another secret", err, problem.NotFound)
	_, err = l.Reveal(ctx, "A2", secret.PUK, identity)
	refused(t, "another card", err, problem.NotFound)
	if s := card(t, l, "A1").Secrets; s[0].Revealed || len(logged(t, l, ledger.EventFilter{})) != records {
		t.Errorf("%+v", s)
	}
	value, err := l.Reveal(ctx, "a1", secret.PUK, identity)
	if err != nil || string(value.Reveal()) != "11111111" {
		t.Fatalf("%s, %v", value.Reveal(), err)
	}
	all := logged(t, l, ledger.EventFilter{})
	if s := card(t, l, "A1").Secrets; !s[0].Revealed || len(all) != records+1 || !strings.Contains(all[records], `"what":"revealed"`) {
		t.Errorf("%+v, %s", s, all[records])
	}
}

// letters holds that what is kept for a letter alone is over once it is printed.
func letters(t *testing.T, p place) {
	l, ctx := p.open(t, ledger.Options{}), t.Context()
	identity, to := owner(t)
	e := begin(t, l, ledger.Change{Serial: "A1", Person: &alice})
	var ids []int64
	for kind, keep := range map[secret.Name]string{secret.PIN: ledger.KeepLetter, secret.PUK: ledger.KeepBoth, secret.AdminPIN: ledger.KeepLedger} {
		id, err := e.Seal(ctx, kind, keep, pin("12345678"), []string{to})
		must(t, err)
		ids = append(ids, id)
	}
	must(t, e.Has(ctx, ids...), l.MarkPrinted(ctx, "a1", ids...))
	refused(t, "another card", l.MarkPrinted(ctx, "A2", ids...), problem.NotFound)
	for _, s := range card(t, l, "A1").Secrets {
		if !s.Printed || (len(s.Blob) == 0) != (s.Keep == ledger.KeepLetter) {
			t.Errorf("%+v", s)
		}
	}
	_, err := l.Reveal(ctx, "A1", secret.PIN, identity)
	refused(t, "what was for a letter", err, problem.NotFound)
}

func resealed(t *testing.T, p place) {
	l, ctx := p.open(t, ledger.Options{}), t.Context()
	before, to := owner(t)
	after, next := owner(t)
	e := begin(t, l, ledger.Change{Serial: "A1"})
	must(t, e.Has(ctx, seal(t, e, "11111111", to)), e.Has(ctx, seal(t, e, "22222222", to)))
	if n, err := l.Reseal(ctx, []string{next}, ledger.UI{}, after); n != 2 || !problem.Is(err, problem.Mismatch) || !strings.Contains(err.Error(), "card A1") {
		t.Errorf("%d, %v", n, err)
	}
	if n, err := l.Reseal(ctx, []string{next}, ledger.UI{}, before); n != 2 || err != nil {
		t.Fatalf("%d, %v", n, err)
	}
	if twice, err := ledger.Recipients([]string{next, next}, ledger.UI{}); err != nil || twice.Count() != 1 {
		t.Errorf("one recipient, named twice: %v", err)
	}
	cards, err := l.Cards(ctx, ledger.Filter{All: true})
	if err != nil || len(cards) != 1 || len(cards[0].Secrets) != 2 || !cards[0].Secrets[0].Ended {
		t.Fatalf("%+v, %v", cards, err)
	}
	for _, s := range cards[0].Secrets {
		_, err := ledger.Unseal(ctx, s.Blob, before)
		refused(t, "the former owner", err, problem.Mismatch)
		if value, err := ledger.Unseal(ctx, s.Blob, after); err != nil || value.Len() != 8 {
			t.Error(err)
		}
	}
}

// erased holds that nothing is left of a card that was initialised.
func erased(t *testing.T, p place) {
	l, ctx := p.open(t, ledger.Options{}), t.Context()
	_, to := owner(t)
	fill := func(serial string) *ledger.Entry {
		e := begin(t, l, ledger.Change{Serial: serial, State: ledger.Issuing})
		must(t, e.Certified(ctx, ledger.Credential{Ref: "K"}), e.Has(ctx, seal(t, e, "1", to)))
		return e
	}
	empty := func(serial string) {
		t.Helper()
		if c := card(t, l, serial); len(c.Credentials) != 0 || len(c.Secrets) != 0 {
			t.Errorf("%+v", c)
		}
	}
	must(t, fill("A1").Erased(ctx))
	empty("A1")
	must(t, fill("A2").End(ctx, nil))
	begin(t, l, ledger.Change{Serial: "A2", Init: true})
	empty("A2")
}

func TestRecipients(t *testing.T) {
	_, to := owner(t)
	private, _ := owner(t)
	for name, list := range map[string][]string{
		"nobody": nil, "rubbish": {to, "rubbish"}, "a damaged key": {to + "q"}, "a plugin that is missing": {"age1missing1qqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqq0c39yv"},
		"a private key": {private.String()},
	} {
		_, err := ledger.Recipients(list, ledger.UI{})
		refused(t, name, err, problem.Usage)
		if err != nil && strings.Contains(err.Error(), "SECRET") {
			t.Errorf("a private key is shown: %v", err)
		}
	}
	r, err := ledger.Recipients([]string{to}, ledger.UI{})
	if err != nil || r.Count() != 1 || r.Names()[0] != to {
		t.Errorf("%v, %v", r, err)
	}
	content := "# a comment\n\n" + private.String() + "\n"
	if all, err := ledger.Identities(pin(content), ledger.UI{}); err != nil || len(all) != 1 {
		t.Errorf("%v, %v", all, err)
	}
	for _, text := range []string{"", "# nothing\n", "AGE-SECRET-KEY-1RUBBISH", to} {
		_, err := ledger.Identities(pin(text), ledger.UI{})
		refused(t, text, err, problem.Usage)
	}
}
