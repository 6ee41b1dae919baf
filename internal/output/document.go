// Package output is how results look: versioned JSON documents for programs,
// text of 80 columns for people, files that are written atomically, and
// progress on a terminal. What is shown, and on which stream, is left to the
// commands.
package output

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"unicode/utf16"
)

// Schema is the version of every JSON document. Within it a field once
// published stays.
const Schema = "cardctl/v1"

// WriteDocument writes v, which must marshal to a JSON object, as one line: a
// document of this kind whose fields are those of v.
func WriteDocument(w io.Writer, kind string, v any) error {
	fields, err := marshal(v)
	if err != nil {
		return err
	}
	if len(fields) < 2 || fields[0] != '{' {
		return fmt.Errorf("a %s is not a JSON object", kind)
	}
	head, err := marshal(struct {
		Schema string `json:"schema"`
		Kind   string `json:"kind"`
	}{Schema, kind})
	if err != nil {
		return err
	}
	line := head[:len(head)-1]
	if string(fields) != "{}" {
		line = append(line, ',')
	}
	line = append(line, fields[1:]...)
	_, err = w.Write(append(line, '\n'))
	return err
}

// marshal leaves <, > and & as they are: distinguished names hold them. What does
// not print is escaped, for documents are shown on terminals too.
func marshal(v any) ([]byte, error) {
	var b bytes.Buffer
	e := json.NewEncoder(&b)
	e.SetEscapeHTML(false)
	if err := e.Encode(v); err != nil {
		return nil, err
	}
	return escaped(bytes.TrimSpace(b.Bytes())), nil
}

// escaped writes as \uXXXX what does not print. Outside of strings, JSON is ASCII.
func escaped(document []byte) []byte {
	if bytes.IndexFunc(document, unprintable) < 0 {
		return document
	}
	var b bytes.Buffer
	for _, r := range string(document) {
		switch {
		case !unprintable(r):
			b.WriteRune(r)
		case r > 0xFFFF:
			high, low := utf16.EncodeRune(r)
			fmt.Fprintf(&b, `\u%04x\u%04x`, high, low)
		default:
			fmt.Fprintf(&b, `\u%04x`, r)
		}
	}
	return b.Bytes()
}
