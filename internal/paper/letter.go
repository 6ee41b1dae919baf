package paper

import (
	"bytes"
	_ "embed" // the letters
	"errors"
	"fmt"
	htmltemplate "html/template"
	"io"
	"path/filepath"
	"strings"
	"text/template"
	"time"

	"github.com/cardctl/cardctl/internal/ledger"
	"github.com/cardctl/cardctl/internal/output"
	"github.com/cardctl/cardctl/internal/problem"
	"github.com/cardctl/cardctl/internal/secret"
)

var (
	//go:embed letter.html
	htmlLetter string
	//go:embed letter.txt
	textLetter string
)

// MaxTemplate is the longest template of a letter, in bytes.
const MaxTemplate = 1 << 20

// Letter is what a template is filled with: everything for one person.
type Letter struct {
	Person string // the name, or the ID
	ID     string
	Day    string // 2026-11-30
	Cards  []LetterCard
}

// LetterCard is one card of the person.
type LetterCard struct {
	Serial, Family string
	Secrets        []LetterSecret
	Certificates   []LetterCertificate
}

// LetterSecret is a secret in plain text.
type LetterSecret struct{ Name, Value string }

// LetterCertificate is a certificate on a card.
type LetterCertificate struct{ Ref, Subject, Until string }

// NewLetter is a letter to somebody, without cards.
func NewLetter(p ledger.Person, now time.Time) *Letter {
	return &Letter{Person: named(&p), ID: p.ID, Day: now.UTC().Format(time.DateOnly)}
}

// Add adds a card with what was generated for it.
func (l *Letter) Add(c *ledger.Card, secrets []LetterSecret) {
	added := LetterCard{Serial: c.Serial, Family: c.Family, Secrets: secrets}
	for _, held := range c.Credentials {
		if held.Revoked == "" && held.Subject != "" {
			added.Certificates = append(added.Certificates, LetterCertificate{held.Ref, held.Subject, output.Time(held.NotAfter)})
		}
	}
	l.Cards = append(l.Cards, added)
}

// CalledSecret is what a person calls a secret: "user PIN".
func CalledSecret(kind secret.Name) string {
	if kind == secret.PIN {
		return "user PIN"
	}
	return kind.Words()
}

// Template is how letters look.
type Template struct {
	page interface {
		Execute(w io.Writer, data any) error
	}
	// Extension is that of its files, with the dot.
	Extension string
}

// BuiltIn is the template for those who have none: html or text.
func BuiltIn(format string) (*Template, error) {
	switch format {
	case "html":
		return ParseTemplate("letter.html", []byte(htmlLetter))
	case "text":
		return ParseTemplate("letter.txt", []byte(textLetter))
	}
	return nil, problem.New(problem.Usage, "unknown format of letters: %q", format).Because("Valid formats: html, text.")
}

// ParseTemplate reads a template of Go: HTML, in which values are escaped, in a file
// whose name ends so, and text in any other. It is tried with a letter, so that what it
// names wrongly is found before a secret is read.
func ParseTemplate(name string, data []byte) (*Template, error) {
	t := &Template{Extension: filepath.Ext(name)}
	var err error
	switch strings.ToLower(t.Extension) {
	case ".html", ".htm":
		t.page, err = htmltemplate.New(filepath.Base(name)).Parse(string(data))
	default:
		t.page, err = template.New(filepath.Base(name)).Parse(string(data))
	}
	if err == nil {
		_, err = t.fill(&Letter{Cards: []LetterCard{{Secrets: []LetterSecret{{}}, Certificates: []LetterCertificate{{}}}}})
	}
	if err != nil {
		return nil, problem.Wrap(problem.Usage, err, "the template "+name+" cannot be used").Because("%s", problem.Sentence(err.Error()))
	}
	return t, nil
}

// Fill writes a letter. The caller wipes it.
func (t *Template) Fill(l *Letter) (*secret.Bytes, error) {
	page, err := t.fill(l)
	if err != nil {
		return nil, problem.Wrap(problem.Failed, errors.New("the template failed"), fmt.Sprintf("the letter to %s was not written", l.Person))
	}
	return secret.New(page), nil
}

func (t *Template) fill(l *Letter) ([]byte, error) {
	var b bytes.Buffer
	err := t.page.Execute(&b, l)
	return b.Bytes(), err
}
