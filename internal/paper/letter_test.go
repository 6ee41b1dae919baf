package paper

import (
	"strings"
	"testing"
	"time"

	"github.com/cardctl/cardctl/internal/ledger"
	"github.com/cardctl/cardctl/internal/problem"
)

func aLetter() *Letter {
	l := NewLetter(ledger.Person{ID: "m", Name: hostile}, now)
	l.Add(&ledger.Card{Serial: "FFFE00000001", Credentials: []ledger.Credential{
		{Ref: "OPENPGP.3", Subject: "CN=a", NotAfter: now.Add(time.Hour)},
		{Ref: "OPENPGP.1", Subject: "CN=revoked", Revoked: "superseded"},
	}}, []LetterSecret{{"user PIN", "<12345678>"}})
	return l
}

func filled(t *testing.T, tmpl *Template, err error) string {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
	letter, err := tmpl.Fill(aLetter())
	if err != nil {
		t.Fatal(err)
	}
	return string(letter.Reveal())
}

func TestLettersOfBothFormats(t *testing.T) {
	tmpl, err := BuiltIn("html")
	page := filled(t, tmpl, err)
	if strings.Contains(page, "<script") || strings.Contains(page, "<12345678>") || !strings.Contains(page, "&lt;12345678&gt;") {
		t.Errorf("not escaped:\n%s", page)
	}
	tmpl, err = BuiltIn("text")
	text := filled(t, tmpl, err)
	for _, want := range []string{"user PIN:  <12345678>\n", "Card FFFE00000001\n", "Certificate: CN=a\n", "valid until  2026-11-30T13:00:00Z\n", "2026-11-30\n"} {
		if !strings.Contains(text, want) || strings.Contains(text, "revoked") {
			t.Errorf("no %q in\n%s", want, text)
		}
	}
	if _, err := BuiltIn("pdf"); !problem.Is(err, problem.Usage) {
		t.Error(err)
	}
}

// HTML is escaped by the name of the file, whatever its case.
func TestOwnTemplates(t *testing.T) {
	for name, want := range map[string]string{"a.html": "&lt;12345678&gt;", "a.HTM": "&lt;12345678&gt;", "a.txt": "<12345678>", "a": "<12345678>"} {
		tmpl, err := ParseTemplate(name, []byte("{{range .Cards}}{{range .Secrets}}{{.Value}}{{end}}{{end}}"))
		if got := filled(t, tmpl, err); got != want {
			t.Errorf("%s: %s", name, got)
		}
	}
}

// What a template names wrongly is found before a secret is read.
func TestTemplatesAreTried(t *testing.T) {
	for _, text := range []string{"{{.Nobody}}", "{{range .Cards}}{{range .Secrets}}{{.Val}}{{end}}{{end}}", "{{if}}", "{{template \"x\"}}"} {
		for _, name := range []string{"a.html", "a.txt"} {
			if _, err := ParseTemplate(name, []byte(text)); !problem.Is(err, problem.Usage) {
				t.Errorf("%s %s: %v", name, text, err)
			}
		}
	}
}
