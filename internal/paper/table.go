package paper

import (
	"cmp"
	"fmt"
	"time"
	"unicode/utf8"

	"github.com/cardctl/cardctl/internal/ledger"
	"github.com/cardctl/cardctl/internal/output"
)

// Table shows cards in a table that fits the width of a terminal.
func Table(s *output.Sheet, cards []ledger.Card) {
	rows := [][]string{{"SERIAL", "STATE", "UNTIL", "PERSON"}}
	left := output.Width - 2 // what is left of a line for the person
	serial := len(rows[0][0])
	for i := range cards {
		serial = max(serial, utf8.RuneCountInString(cards[i].Serial))
	}
	left -= serial + 2 + len("suspended") + 2 + len(time.DateOnly) + 2 + 2
	for i := range cards {
		c := &cards[i]
		until := ""
		if end := firstEnd(c); !end.IsZero() {
			until = end.UTC().Format(time.DateOnly)
		}
		rows = append(rows, []string{c.Serial, string(c.State), until, cut(named(c.Person), max(left, 8))})
	}
	s.Table(rows...)
}

// cut shortens a text to a number of characters.
func cut(text string, most int) string {
	if utf8.RuneCountInString(text) <= most {
		return text
	}
	return string([]rune(text)[:most-1]) + "…"
}

// Called is a person by name and ID.
func Called(name, id string) string {
	if name == "" || id == "" || name == id {
		return cmp.Or(name, id)
	}
	return name + " (" + id + ")"
}

// Card shows one card.
func Card(s *output.Sheet, c *ledger.CardDocument) {
	s.Heading("Card " + c.Serial)
	s.Field("kind", c.Family)
	s.Field("state", string(c.State)+" since "+output.Time(c.Since))
	s.Field("person", Called(c.Name, c.Person))
	for i := range c.Certificates {
		certificateText(s, &c.Certificates[i])
	}
	for i := range c.Secrets {
		s.Field("sealed", c.Secrets[i].Secret+secretState(&c.Secrets[i]))
	}
}

func certificateText(s *output.Sheet, k *ledger.CertificateDocument) {
	until := ""
	if !k.NotAfter.IsZero() {
		until = ", until " + k.NotAfter.UTC().Format(time.DateOnly)
	}
	if k.Revoked != "" {
		until += ", revoked: " + k.Revoked
	}
	s.Field(k.Ref, fmt.Sprintf("%s%s", k.Subject, until))
}

func secretState(k *ledger.SecretDocument) string {
	text := ""
	if !k.Set {
		text += ", perhaps not on the card"
	}
	if k.Revealed {
		text += ", revealed"
	}
	if k.Printed {
		text += ", printed"
	}
	return text
}
