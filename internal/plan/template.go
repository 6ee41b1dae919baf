package plan

import (
	"slices"
	"strings"

	"github.com/cardctl/cardctl/internal/problem"
	"github.com/cardctl/cardctl/internal/secret"
)

// The kinds of columns, as the tag row of a field names them. A field without that tag
// has none.
const (
	rowText      = "text"      // part of a text; the columns are not empty
	rowOptional  = "optional"  // part of a text, which may be empty
	rowItem      = "item"      // an item of a list, left out if it is one column that is empty
	rowHex       = "hex"       // part of a number in hex
	rowName      = "name"      // part of the value of an attribute of a distinguished name
	rowParameter = "parameter" // part of the user of a URL, or of the value of a parameter
)

const (
	opening = "{{"
	closing = "}}"
)

// part is a text of a template, or a column of the row.
type part struct{ text, column string }

// template is a value with columns.
type template []part

// errTemplate is what is wrong with a template, and where: in bytes from its begin.
type errTemplate struct {
	at  int
	why string
}

func (e *errTemplate) Error() string { return e.why }

// parseTemplate reads a value. What stands in braces is one column, {{.mail}}, as in
// text/template: nothing else of that language.
func parseTemplate(text string) (t template, err error) {
	for at := 0; at < len(text); {
		begin := strings.Index(text[at:], opening)
		if begin < 0 {
			return append(t, part{text: text[at:]}), nil
		}
		if begin > 0 {
			t = append(t, part{text: text[at : at+begin]})
		}
		at += begin
		end := strings.Index(text[at:], closing)
		if end < 0 {
			return nil, &errTemplate{at, "the braces that begin here do not end"}
		}
		name, dotted := strings.CutPrefix(strings.Trim(text[at+len(opening):at+end], " \t\r\n"), ".")
		if !dotted || !isColumn(name) {
			return nil, &errTemplate{at, "only a column can stand in braces, such as {{.mail}}"}
		}
		t = append(t, part{column: name})
		at += end + len(closing)
	}
	return t, nil
}

// isColumn reports whether a name is one of letters, digits and _, and begins with no
// digit.
func isColumn(name string) bool {
	for i, c := range name {
		switch {
		case c == '_', c >= 'A' && c <= 'Z', c >= 'a' && c <= 'z', i > 0 && c >= '0' && c <= '9':
		default:
			return false
		}
	}
	return name != ""
}

// columns are those of the template.
func (t template) columns() (names []string) {
	for _, p := range t {
		if p.column != "" && !slices.Contains(names, p.column) {
			names = append(names, p.column)
		}
	}
	return names
}

// fill puts values in, each through escape; nil takes them as they are.
func (t template) fill(values map[string]string, escape func(string) string) string {
	var b strings.Builder
	for _, p := range t {
		switch {
		case p.column == "":
			b.WriteString(p.text)
		case escape == nil:
			b.WriteString(values[p.column])
		default:
			b.WriteString(escape(values[p.column]))
		}
	}
	return b.String()
}

// empty is a column of the template that is empty in a row.
func (t template) empty(values map[string]string) string {
	for _, name := range t.columns() {
		if values[name] == "" {
			return name
		}
	}
	return ""
}

// unclean is a column with characters that cannot have been meant: control characters, those
// that are not seen, and what stands for one that was lost.
func (t template) unclean(values map[string]string) string {
	for _, name := range t.columns() {
		if strings.ContainsFunc(values[name], secret.Unmeant) {
			return name
		}
	}
	return ""
}

// one is the only column of a template that has nothing else; empty if there is more.
func (t template) one() string {
	if len(t) == 1 {
		return t[0].column
	}
	return ""
}

// misplaced is for a value with something in braces where no column can stand.
func misplaced(at Place, path string) *problem.Error {
	return mistake(at, "a column cannot stand in %s", path)
}
