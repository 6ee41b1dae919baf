package openpgp

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"unicode"
	"unicode/utf8"

	"github.com/cardctl/cardctl/internal/card"
	app "github.com/cardctl/cardctl/internal/openpgp"
)

// privateObject is a data object for private use in documents. The card shows what has no
// Needs: as text where it can be printed, else in hex.
type privateObject struct {
	Tag    string `json:"tag"`
	Length *int   `json:"length,omitempty"` // bytes
	Text   string `json:"text,omitempty"`
	Hex    string `json:"hex,omitempty"`   // upper-case
	Needs  string `json:"needs,omitempty"` // the PIN without which the card does not show it, or "unknown"
}

// Details are the data objects for private use.
func (c *onCard) Details(ctx context.Context) ([]card.Fact, error) {
	if c.seen.terminated {
		return nil, nil
	}
	selected, err := c.application(ctx)
	if err != nil {
		return nil, err
	}
	found, err := selected.PrivateObjects(ctx)
	if len(found) == 0 {
		return nil, explain(err, "reading the private data", "")
	}
	lines := []card.Line{{Label: "Private data"}}
	var objects []privateObject
	for _, o := range found {
		object, words := c.describePrivate(&o)
		objects, lines = append(objects, object), append(lines, card.Line{Label: object.Tag, Value: words})
	}
	return []card.Fact{{Field: "privateData", Value: objects, Lines: lines}}, explain(err, "reading the private data", "")
}

// describePrivate describes a data object for documents, and in words.
func (c *onCard) describePrivate(o *app.PrivateObject) (object privateObject, words string) {
	object.Tag = fmt.Sprintf("%04X", uint32(o.Tag))
	switch by := passwords[o.By]; {
	case o.Protected && o.By != 0:
		object.Needs = string(by.role)
		return object, "readable with the " + by.role.Name() + " only"
	case o.Protected:
		object.Needs = "unknown"
		return object, "readable with a PIN only"
	}
	length := len(o.Value)
	object.Length = &length
	switch {
	case length == 0:
		return object, "empty"
	case printable(o.Value):
		object.Text, words = string(o.Value), string(o.Value)
	default:
		object.Hex = fmt.Sprintf("%X", o.Value)
		words = inLines(o.Value)
	}
	if length == 1 {
		return object, "1 byte: " + words
	}
	return object, fmt.Sprintf("%d bytes: %s", length, words)
}

// printable reports whether bytes are text, of one line or more.
func printable(value []byte) bool {
	return utf8.Valid(value) && !strings.ContainsFunc(string(value), func(r rune) bool {
		return !unicode.IsPrint(r) && !strings.ContainsRune("\n\r\t", r)
	})
}

// inLines is hex that can be broken into lines.
func inLines(value []byte) string {
	const perLine = 32
	var parts []string
	for part := range slices.Chunk(value, perLine) {
		parts = append(parts, fmt.Sprintf("%X", part))
	}
	return strings.Join(parts, " ")
}
