// Package spreadsheet reads CSV as programs for spreadsheets write it.
package spreadsheet

import (
	"bytes"
	"encoding/csv"
	"strings"
)

// Reader reads CSV (RFC 4180), without a byte-order mark. Values are separated by commas,
// semicolons or tabs, whichever the first line that is not empty has most of. A first line
// sep=; says it, as Excel understands it: skipped is how many lines the reader does not
// count.
func Reader(data []byte) (r *csv.Reader, skipped int) {
	first, after, _ := bytes.Cut(data, []byte("\n"))
	if said, ok := strings.CutPrefix(strings.TrimRight(string(first), "\r"), "sep="); ok && len(said) == 1 && strings.Contains(",;\t", said) {
		r = csv.NewReader(bytes.NewReader(after))
		r.Comma = rune(said[0])
		return r, 1
	}
	r = csv.NewReader(bytes.NewReader(data))
	r.Comma = separatorOf(data)
	return r, 0
}

func separatorOf(data []byte) rune {
	header, _, _ := bytes.Cut(bytes.TrimLeft(data, "\r\n"), []byte("\n"))
	counts := map[rune]int{}
	quoted := false
	for _, c := range string(header) {
		if c == '"' {
			quoted = !quoted
		}
		if !quoted {
			counts[c]++
		}
	}
	separator := ','
	for _, c := range ";\t" {
		if counts[c] > counts[separator] {
			separator = c
		}
	}
	return separator
}

// Emptied reports whether a line has no value, as spreadsheets write a row that was
// emptied.
func Emptied(values []string) bool { return strings.Join(values, "") == "" }
