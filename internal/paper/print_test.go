package paper

import (
	"context"
	"errors"
	"strings"
	"testing"

	"filippo.io/age"

	"github.com/cardctl/cardctl/internal/ledger"
	"github.com/cardctl/cardctl/internal/secret"
)

// books notes what is recorded, among what else is done.
type books struct {
	did  []string
	full bool
}

func (b *books) Printing(context.Context, string, ...int64) error {
	b.did = append(b.did, "printing")
	if b.full {
		return errors.New("full")
	}
	return nil
}

func (b *books) MarkPrinted(context.Context, string, ...int64) error {
	b.did = append(b.did, "printed")
	return nil
}

// due is a letter with a PIN that is sealed to an identity.
func due(t *testing.T) (*ledger.Due, ledger.Keys) {
	t.Helper()
	identity, err := age.GenerateX25519Identity()
	if err != nil {
		t.Fatal(err)
	}
	l, err := ledger.Open(t.Context(), "sqlite:"+t.TempDir()+"/l.db", ledger.Options{Create: true})
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = l.Close() }()
	e, err := l.Begin(t.Context(), ledger.Change{Command: "provision", Serial: "A1", State: ledger.Issuing, Person: &ledger.Person{ID: "floppy@example.com", Name: "Floppy"}})
	if err != nil {
		t.Fatal(err)
	}
	for kind, keep := range map[secret.Name]string{secret.PIN: ledger.KeepLetter, secret.PUK: ledger.KeepLedger} {
		id, err := e.Seal(t.Context(), kind, keep, secret.New([]byte("canary-"+string(kind))), []string{identity.Recipient().String()})
		if err == nil {
			err = e.Has(t.Context(), id)
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	list, err := l.Due(t.Context(), nil)
	if err != nil || len(list) != 1 || len(list[0].Cards) != 1 || len(list[0].Cards[0].Secrets) != 1 {
		t.Fatalf("%+v, %v", list, err)
	}
	return &list[0], ledger.Keys{identity}
}

func TestLettersAreRecordedBeforeAndAfter(t *testing.T) {
	tmpl, err := BuiltIn("text")
	if err != nil {
		t.Fatal(err)
	}
	for name, c := range map[string]struct {
		full   bool
		failed error
		want   string
	}{
		"printed":       {false, nil, "printing deliver printed"},
		"not recorded":  {true, nil, "printing"},
		"not delivered": {false, errors.New("no paper"), "printing deliver"},
	} {
		letter, keys := due(t)
		b := &books{full: c.full}
		var kept *secret.Bytes
		err := Print(t.Context(), b, tmpl, letter, keys, now, func(_ context.Context, file string, page *secret.Bytes) error {
			b.did, kept = append(b.did, "deliver"), page
			text := string(page.Reveal())
			if file != "floppy@example.com" || !strings.Contains(text, "user PIN:  canary-pin\n") || strings.Contains(text, "canary-puk") {
				t.Errorf("%s:\n%s", file, text)
			}
			return c.failed
		})
		if got := strings.Join(b.did, " "); got != c.want || (err != nil) != (c.full || c.failed != nil) {
			t.Errorf("%s: %s, %v", name, got, err)
		}
		if kept.Len() != 0 {
			t.Errorf("%s: the letter was not wiped", name)
		}
	}
}

func TestLettersNeedTheIdentity(t *testing.T) {
	tmpl, err := BuiltIn("text")
	if err != nil {
		t.Fatal(err)
	}
	letter, _ := due(t)
	other, err := age.GenerateX25519Identity()
	if err != nil {
		t.Fatal(err)
	}
	err = Print(t.Context(), &books{}, tmpl, letter, ledger.Keys{other}, now, func(context.Context, string, *secret.Bytes) error {
		t.Error("delivered")
		return nil
	})
	if err == nil {
		t.Error("no error")
	}
}

func TestFileNames(t *testing.T) {
	seen := map[string]string{}
	for _, id := range []string{
		"floppy@example.com", "../../etc/passwd", "..", ".", "", "a/b", "a_b", "a b", "a\x00b", "-rf", "Ä", "Ö", strings.Repeat("x", 300), strings.Repeat("x", 301),
	} {
		name := FileName(id)
		if strings.ContainsAny(name, "/\\\x00 ") || strings.HasPrefix(name, ".") || len(name) > 130 || name == "" || seen[name] != "" && seen[name] != id {
			t.Errorf("%q: %q", id, name)
		}
		seen[name] = id
	}
	if FileName("floppy@example.com") != "floppy@example.com" {
		t.Error("a good name was changed")
	}
}
