package plan

import (
	"strings"
	"testing"
	gotemplate "text/template"
	"time"
	"unicode/utf8"

	"github.com/cardctl/cardctl/internal/csr"
	"github.com/cardctl/cardctl/internal/problem"
)

// soon fails for what takes too long for its length.
func soon(t *testing.T, what string, f func()) {
	t.Helper()
	begin := time.Now()
	f()
	if took := time.Since(begin); took > 10*time.Second {
		t.Fatalf("%v for %.100q", took, what)
	}
}

func FuzzParse(f *testing.F) {
	for _, seed := range []string{
		staff, javaCard, "schema: cardctl/v1\nkind: Plan\nkeys: [&k {ref: PIV.9A}, *k]\n", "a: &a [*a]", "{{.x}}", "---\n...\n---\n",
		"schema: cardctl/v1\nkind: Plan\nperson: {id: \"{{.a}}{{.b}}\"}\ncolumns: {a: b, b: a}\n", "- - - - a", "? a\n: b", "a: |\n  b\n", "\xEF\xBB\xBFkind: Plan",
	} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, text string) {
		var p *Plan
		var err error
		soon(t, text, func() { p, err = Parse([]byte(text)) })
		if err != nil {
			if !problem.Is(err, problem.Usage) {
				t.Fatalf("%q: %v", text, err)
			}
			return
		}
		again, err := Parse([]byte(text))
		if err != nil || again.Hash() != p.Hash() {
			t.Fatalf("%q: %v, %s and %s", text, err, p.Hash(), again.Hash())
		}
		for _, k := range p.Keys {
			if k.Ref == "" {
				t.Fatalf("%q: a key without a reference", text)
			}
		}
	})
}

func FuzzReadRows(f *testing.F) {
	p, err := Parse([]byte(staff))
	if err != nil {
		f.Fatal(err)
	}
	for _, seed := range []string{
		"mail,name,unit\nbob@example.com,\"Bob, \"\"B\"\"\",IT\n", "mail;name;unit\na@b;c;d", "sep=;\nmail;name;unit\n", "\xFF\xFEm\x00",
		`{"mail":"a@b","name":"c","unit":1e3}` + "\n", `{"mail":"a","mail":"b"}`, "mail\tname\tunit\n\n\na@b\tc\td\n;;\n", "\"mail\nx\",name,unit\n",
	} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		rows, err := p.ReadRows(data, "rows")
		if err != nil {
			if !problem.Is(err, problem.Usage) {
				t.Fatalf("%q: %v", data, err)
			}
			return
		}
		persons := map[string]bool{}
		for i, r := range rows {
			filled, err := p.For(r)
			if err != nil || r.Number != i+1 || r.Line < r.Number || filled.Person.ID == "" || persons[filled.Person.ID] {
				t.Fatalf("%q: row %+v, %v", data, r, err)
			}
			persons[filled.Person.ID] = true
		}
	})
}

// FuzzFor puts any values into names that are written in all ways: each keeps its parts,
// and has the value as it is.
func FuzzFor(f *testing.F) {
	for _, seed := range [][2]string{
		{"CN={{.a}},O=x", "Bob,OU=Admins"}, {"/O=x/CN={{.a}}", "Bob/OU=Admins"}, {`CN="{{.a}}",O=x`, `a"+b`}, {`CN=\{{.a}}`, "2C"}, {`/CN=a\{{.a}}/O=x`, "/"},
		{"CN={{.a}}+UID={{.a}}", "x+y"}, {"{{.a}}", "CN=a"}, {"CN=#{{.a}}", "0C0161"}, {"CN=x {{.a}},C={{.a}}", " # "}, {"{{.a}}=b", "CN"}, {"CN={{.a", "}}"},
	} {
		f.Add(seed[0], seed[1])
	}
	f.Fuzz(func(t *testing.T, text, value string) {
		filling, err := parseTemplate(text)
		if err != nil || len(filling.columns()) == 0 || !utf8.ValidString(text) {
			return
		}
		values := map[string]string{}
		for _, name := range filling.columns() {
			values[name] = value
		}
		if parsed, err := gotemplate.New("").Option("missingkey=zero").Parse(text); err != nil {
			t.Fatalf("%q is no template: %v", text, err)
		} else {
			var b strings.Builder
			if err := parsed.Execute(&b, values); err != nil || b.String() != filling.fill(values, nil) {
				t.Fatalf("%q with %q is %q, not %q: %v", text, value, b.String(), filling.fill(values, nil), err)
			}
		}
		shape, err := nameShape(filling)
		if err != nil || filling.unclean(values) != "" || !utf8.ValidString(value) {
			return
		}
		name, err := fillName(filling, shape, values)
		if err != nil {
			return
		}
		parsed, err := csr.ParseName(name)
		if err != nil {
			t.Fatalf("%q with %q is %q: %v", text, value, name, err)
		}
		if got, err := attributesOf(parsed); err != nil || strings.Join(got, ",") != strings.Join(shape, ",") {
			t.Fatalf("%q with %q is %q: %v, not %v: %v", text, value, name, got, shape, err)
		}
	})
}
