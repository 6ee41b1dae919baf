package plan

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"
	"time"
	"unicode/utf16"

	"github.com/cardctl/cardctl/internal/csr"
	"github.com/cardctl/cardctl/internal/problem"
)

const threeColumns = head + "person: {id: '{{.mail}}', name: '{{.name}}'}\ncard: {serial: '{{.serial}}'}\n"

func TestReadRowsTakesEachKindOfTable(t *testing.T) {
	want := []map[string]string{
		{"mail": "bob@example.com", "name": `Bob "B", Admin`, "serial": ""},
		{"mail": "eve@example.com", "name": "Ève", "serial": "0001"},
	}
	for name, table := range map[string]struct {
		text  string
		lines []int
	}{
		"commas":         {"mail,name,serial\nbob@example.com,\"Bob \"\"B\"\", Admin\",\neve@example.com,Ève,0001\n", []int{2, 3}},
		"semicolons":     {"mail;name;serial\r\nbob@example.com;\"Bob \"\"B\"\", Admin\";\r\neve@example.com;Ève;0001", []int{2, 3}},
		"tabs":           {"mail\tname\tserial\nbob@example.com\t\"Bob \"\"B\"\", Admin\"\t\neve@example.com\tÈve\t0001\n", []int{2, 3}},
		"a mark":         {"\uFEFFmail,name,serial\nbob@example.com,\"Bob \"\"B\"\", Admin\",\neve@example.com,Ève,0001\n", []int{2, 3}},
		"sep":            {"sep=;\r\nmail;name;serial\nbob@example.com;\"Bob \"\"B\"\", Admin\";\neve@example.com;Ève;0001\n", []int{3, 4}},
		"empty lines":    {"mail,name,serial\n\nbob@example.com,\"Bob \"\"B\"\", Admin\",\n,,\neve@example.com,Ève,0001\n,,\n", []int{3, 5}},
		"a row before":   {"\n,,\nmail,name,serial\nbob@example.com,\"Bob \"\"B\"\", Admin\",\neve@example.com,Ève,0001\n", []int{4, 5}},
		"a line before":  {"\r\nmail;name;serial\r\nbob@example.com;\"Bob \"\"B\"\", Admin\";\r\neve@example.com;Ève;0001", []int{3, 4}},
		"others":         {"cost centre,mail,name,serial,,\n1,bob@example.com,\"Bob \"\"B\"\", Admin\",,,\n2,eve@example.com,Ève,0001,,\n", []int{2, 3}},
		"blanks":         {" mail , name,serial\n bob@example.com ,\"Bob \"\"B\"\", Admin\" ,  \neve@example.com,\u00A0Ève,0001\n", nil},
		"quoted header":  {"\"mail\",\"name\",\"serial\"\nbob@example.com,\"Bob \"\"B\"\", Admin\",\neve@example.com,Ève,0001\n", []int{2, 3}},
		"objects":        {`{"mail":"bob@example.com","name":"Bob \"B\", Admin","serial":""}` + "\n\n" + `{"serial":"0001","name":"\u00c8ve","mail":"eve@example.com"}`, []int{1, 3}},
		"marked objects": {"\uFEFF" + `{"mail":"bob@example.com","name":"Bob \"B\", Admin","serial":""}` + "\r\n" + `{"serial":"0001","name":"Ève","mail":"eve@example.com"}` + "\r\n", []int{1, 2}},
	} {
		t.Run(name, func(t *testing.T) {
			text := table.text
			if name == "blanks" { // RFC 4180 has none around quotes
				text = strings.ReplaceAll(text, "\" ,", "\",")
			}
			rows, err := parsed(t, threeColumns).ReadRows([]byte(text), "staff")
			if err != nil {
				t.Fatal(err)
			}
			for i, r := range rows {
				if r.Number != i+1 || !maps.Equal(r.Values, want[i]) || table.lines != nil && r.Line != table.lines[i] {
					t.Errorf("%+v", r)
				}
			}
			if len(rows) != 2 {
				t.Errorf("%d rows", len(rows))
			}
		})
	}
}

func TestNumbersOfObjectsStayAsTheyAreWritten(t *testing.T) {
	rows, err := parsed(t, threeColumns).ReadRows([]byte(`{"mail":1e3,"name":12345678901234567890,"serial":-0.50}`), "staff")
	if err != nil || !maps.Equal(rows[0].Values, map[string]string{"mail": "1e3", "name": "12345678901234567890", "serial": "-0.50"}) {
		t.Errorf("%v, %v", rows, err)
	}
}

func TestReadRowsNamesWhatIsWrong(t *testing.T) {
	var wide []byte
	for _, unit := range utf16.Encode([]rune("mail,name\nbob,Bob\n")) {
		wide = binary.LittleEndian.AppendUint16(wide, unit)
	}
	for _, test := range []struct {
		name, text string
		want       []string
	}{
		{"UTF-16", "\xFF\xFE" + string(wide), []string{"UTF-16", "Save it as UTF-8"}},
		{"UTF-16 without a mark", string(wide), []string{"NUL", "UTF-16"}},
		{"Latin-1", "mail,name,serial\nbob,J\xF6rg,\n", []string{"line 2, column 6: not UTF-8"}},
		{"nothing", "", []string{"no row"}},
		{"a header alone", "mail,name,serial\n", []string{"no row"}},
		{"a missing column", "mail,nmae,serial\na,b,c\n", []string{"no column name", "Is it nmae?"}},
		{"no header", "bob@example.com,Bob,\neve@example.com,Eve,\n", []string{"no column mail", `"bob@example.com", "Bob"`}},
		{"a value without a name", "mail,name,serial,\na,b,c,\nd,e,f,g\n", []string{"line 3: a value in column 4"}},
		{"a name of another form", "mail,na me,serial\na,b,c\n", []string{"no column name", `If it is "na me", give that column another name`}},
		{"a column twice", "mail,name,serial,name\na,b,c,d\n", []string{`line 1: there are two columns "name"`}},
		{"two of one name", "mail,name,serial,Name\na,b,c,d\n", []string{"two columns have the same name", `"name" and "Name"`}},
		{"too few values", "mail,name,serial\na,b,c\nd,e\n", []string{"line 3: more or fewer values", "has 3"}},
		{"a quotation mark", "mail,name,serial\na,b \"c\",d\n", []string{"line 2: not CSV", "in quotes"}},
		{"open quotes", "mail,name,serial\na,\"b,c\n", []string{"not CSV", "does not end"}},
		{"an empty ID", "mail,name,serial\na,b,c\n,e,f\n", []string{"row 2, line 3: the column mail is empty", "person.id needs it"}},
		{"an empty name", "mail,name,serial\na, ,c\n", []string{"row 1, line 2: the column name is empty"}},
		{"a line break", "mail,name,serial\na,\"b\nc\",d\n", []string{"row 1, line 2: the column name has a line break"}},
		{"a lost character", "mail,name,serial\na,J\uFFFDrg,d\n", []string{"the column name has"}},
		{"a character that is not seen", "mail,name,serial\na,b,\na\u200B,e,\n", []string{"row 2, line 3: the column mail has", "not seen", "person.id uses it"}},
		{"a name that runs backwards", "mail,name,serial\na,b\u202Ec,\n", []string{"the column name has", "not seen"}},
		{"a person twice", "mail,name,serial\na,b,\nc,d,\na,e,\n", []string{`row 3, line 4: "a" has line 2 too`}},
		{"a card twice", "mail,name,serial\na,b,0a\nc,d,0A\n", []string{"row 2, line 3: the card 0A has line 2 too"}},
		{"an absent name", `{"mail":"a","name":"b","serial":""}` + "\n" + `{"mail":"c","name":"d"}`, []string{"row 2, line 2: there is no column serial"}},
		{"a name twice", `{"mail":"a","mail":"b"}`, []string{"line 1: not a row", "twice"}},
		{"null", `{"mail":null}`, []string{"line 1: not a row", "strings and numbers"}},
		{"an object in it", `{"mail":{}}`, []string{"strings and numbers"}},
		{"two in a line", `{"mail":"a"} {"mail":"b"}`, []string{"one JSON object"}},
		{"an open object", `{"mail":"a"`, []string{"one JSON object"}},
		{"an open value", `{"mail":`, []string{"one JSON object"}},
		{"a word in JSON", `{"mail":"a"} x`, []string{"one JSON object"}},
		{"many columns", strings.Repeat("a,", 1000) + "b\n", []string{"two columns"}},
		{"too many columns", manyColumns(), []string{"too many columns"}},
		{"too many names", `{"` + strings.ReplaceAll(manyColumns(), ",", `":1,"`) + `":1}`, []string{"too many names"}},
		{"a long header", strings.Repeat("x", 50) + ",b\n1,2\n", []string{strings.Repeat("x", 40) + "…"}},
		{"not JSON", "{mail}\n", []string{"line 1: not a row", "one JSON object"}},
	} {
		t.Run(test.name, func(t *testing.T) {
			_, err := parsed(t, threeColumns).ReadRows([]byte(test.text), "staff.csv")
			if !problem.Is(err, problem.Usage) || !strings.HasPrefix(err.Error(), "staff.csv: ") {
				t.Fatal(err)
			}
			for _, want := range test.want {
				if !strings.Contains(err.Error(), want) {
					t.Errorf("no %q in %q", want, err)
				}
			}
		})
	}
	if _, err := parsed(t, head).ReadRows([]byte("a\nb\n"), "staff.csv"); !problem.Is(err, problem.Usage) || !strings.Contains(err.Error(), "names no person") {
		t.Error(err)
	}
}

// What no variable of a command can hold is refused before the first card, and only if the
// plan has a command: other columns are nobody's.
func TestColumnsThatNoCommandGets(t *testing.T) {
	const issued = head + "person: {id: '{{.mail}}'}\nkeys: [{ref: A, certificate: {subject: CN=a, issuer: desk}}]\nissuers: {desk: {url: '%s'}}\n"
	row := func(note string) []byte { return []byte(`{"mail":"a"}` + "\n" + `{"mail":"b","note":"` + note + `"}`) }
	for plan, runs := range map[string]bool{
		fmt.Sprintf(issued, "command:sign"): true, fmt.Sprintf(issued, "ca:desk"): false,
		head + "person: {id: '{{.mail}}'}\npins: {user: 'command:pass pin'}\n": true,
	} {
		for note, says := range map[string]string{
			`\u0000`: "row 2, line 2: the column for CARDCTL_ROW_NOTE has a NUL character", strings.Repeat("x", mostEnviron): "row 2, line 2: the columns are too long",
		} {
			if _, err := parsed(t, plan).ReadRows(row(note), "staff"); runs != problem.Is(err, problem.Usage) || runs && !strings.Contains(err.Error(), says) {
				t.Errorf("%s: %v", plan, err)
			}
		}
		if _, err := parsed(t, plan).ReadRows(row(strings.Repeat("x", mostEnviron-100)), "staff"); err != nil {
			t.Error(err)
		}
	}
}

// manyColumns are more than a table can have.
func manyColumns() string {
	var names []string
	for i := range maxColumns + 1 {
		names = append(names, fmt.Sprintf("c%d", i))
	}
	return strings.Join(names, ",")
}

func TestColumnsCanHaveOtherNames(t *testing.T) {
	p := parsed(t, head+"person: {id: '{{.id}}'}\ncolumns: {id: Personal number, centre: 'Cost centre (€)'}\n")
	rows, err := p.ReadRows([]byte("Personal number;Cost centre (€);x\n17;4;y\n"), "staff.csv")
	if err != nil || !maps.Equal(rows[0].Values, map[string]string{"id": "17", "centre": "4", "x": "y"}) {
		t.Fatalf("%v, %v", rows, err)
	}
	env := rows[0].Environ()
	if want := []string{"CARDCTL_ROW_CENTRE=4", "CARDCTL_ROW_ID=17", "CARDCTL_ROW_X=y"}; !slices.Equal(env, want) {
		t.Errorf("%q", env)
	}
	if _, err := p.ReadRows([]byte("id;Cost centre (€)\n17;4\n"), "staff.csv"); !problem.Is(err, problem.Usage) || !strings.Contains(err.Error(), `no column "Personal number"`) {
		t.Error(err)
	}
}

// TestAColumnStaysOneValue puts what looks like more into every place that takes columns.
func TestAColumnStaysOneValue(t *testing.T) {
	for _, test := range []struct{ subject, value, want string }{
		{"CN={{.a}},O=Example", "Bob,OU=Admins", `CN=Bob\,OU=Admins,O=Example`},
		{"CN={{.a}},O=Example", "Bob+UID=root", `CN=Bob\+UID=root,O=Example`},
		{"CN={{.a}},O=Example", `\`, `CN=\\,O=Example`},
		{"CN={{.a}},O=Example", "#0C0161", `CN=\#0C0161,O=Example`},
		{"CN={{.a}},O=Example", `"Bob`, `CN=\"Bob,O=Example`},
		{"CN={{.a}};O=Example", "Bob;O=x", `CN=Bob\;O=x,O=Example`},
		{`CN="{{.a}}",O=Example`, `Bob",OU="x`, `CN=Bob\"\,OU=\"x,O=Example`},
		{"/O=Example/CN={{.a}}", "Bob/OU=Admins", "CN=Bob/OU=Admins,O=Example"},
		{"/O=Example/CN={{.a}}", `Bob\`, `CN=Bob\\,O=Example`},
		{"/O=Example/CN={{.a}}+UID=x", "Bob+OU=x", `CN=Bob\+OU=x+UID=x,O=Example`},
		{"CN={{.a}} (x),C={{.a}}", "AT", "CN=AT (x),C=AT"},
		{"CN=č{{.a}},O=Example", "ě", "CN=čě,O=Example"},
	} {
		p := parsed(t, head+fmt.Sprintf("person: {id: '{{.a}}'}\nkeys: [{ref: A, certificate: {subject: '%s', selfSigned: true, days: 1}}]\n", test.subject))
		filled, err := p.For(Row{Values: map[string]string{"a": test.value}})
		if err != nil {
			t.Errorf("%s with %s: %v", test.subject, test.value, err)
			continue
		}
		if got := filled.Keys[0].Certificate.Subject; got != test.want {
			t.Errorf("%s with %s is %s, want %s", test.subject, test.value, got, test.want)
		}
		if p.Keys[0].Certificate.Subject != test.subject {
			t.Errorf("the plan itself is changed: %s", p.Keys[0].Certificate.Subject)
		}
	}
}

// TestANameKeepsItsParts even if a value were not escaped.
func TestANameKeepsItsParts(t *testing.T) {
	for _, subject := range []string{`/CN=a\{{.a}}`, `CN=\{{.a}}`, "{{.a}}=b", "CN=#{{.a}}", "2.5.4.{{.a}}=b", "CN=a,{{.a}}", "/CN=a/{{.a}}", "{{.a}}"} {
		_, err := Parse([]byte(head + fmt.Sprintf("person: {id: '{{.a}}'}\nkeys: [{ref: A, certificate: {subject: '%s', selfSigned: true, days: 1}}]\n", subject)))
		if !problem.Is(err, problem.Usage) || !strings.Contains(err.Error(), "not a distinguished name with columns") {
			t.Errorf("%s: %v", subject, err)
		}
	}
	filling, err := parseTemplate("CN={{.a}}")
	if err != nil {
		t.Fatal(err)
	}
	if name, err := fillName(filling, []string{"2.5.4.10", "2.5.4.3"}, map[string]string{"a": "Bob"}); !problem.Is(err, problem.Usage) {
		t.Errorf("%q has other parts than it had, %v", name, err)
	}
	one, err := csr.ParseName("CN=a,O=b")
	two, other := csr.ParseName("CN=a+OU=c,O=b")
	if err != nil || other != nil {
		t.Fatal(err, other)
	}
	for name, want := range map[*csr.Name]string{&one: "2.5.4.10 2.5.4.3", &two: "2.5.4.10 2.5.4.11+2.5.4.3"} {
		if got, err := attributesOf(*name); err != nil || strings.Join(got, " ") != want {
			t.Errorf("%v, %v, want %s", got, err, want)
		}
	}
}

func TestColumnsOfOtherValues(t *testing.T) {
	p := parsed(t, head+`person: {id: "{{.id}}"}
card: {serial: "{{.card}}", label: "Card of {{.id}}"}
holder: {login: "{{.card}}"}
applet: {file: a.cap, instance: ["D276{{.aid}}"]}
issuers: {ra: {url: "ejbca+https://ra.example.com/x?entity={{.id}}&profile=a"}, user: {url: "cmp+https://a{{.id}}@ra.example.com/x"}, desk: {url: "ca:ca"}}
keys: [{ref: A, certificate: {subject: "CN={{.id}},C={{.country}}", email: ["{{.mail}}", "{{.id}}@example.com"], issuer: ra}}, {ref: B, label: "{{.id}}"}]
`)
	row := Row{Number: 3, Line: 4, Values: map[string]string{"id": "a&b=c", "card": "", "mail": "", "aid": "00fF", "country": "AT", "other": "\n"}}
	filled, err := p.For(row)
	if err != nil {
		t.Fatal(err)
	}
	for got, want := range map[string]string{
		filled.Person.ID: "a&b=c", filled.Card.Label: "Card of a&b=c", *filled.Holder.Login: "", filled.Applet.Instances[0]: "D27600fF",
		filled.Issuers["ra"].URL: "ejbca+https://ra.example.com/x?entity=a%26b%3Dc&profile=a", filled.Issuers["user"].URL: "cmp+https://aa%26b%3Dc@ra.example.com/x", filled.Issuers["desk"].URL: "ca:ca", filled.Keys[0].Certificate.Subject: "CN=a&b=c,C=AT",
		strings.Join(filled.Keys[0].Certificate.Emails, " "): "a&b=c@example.com",
	} {
		if got != want {
			t.Errorf("%q, want %q", got, want)
		}
	}
	if p.Issuers["ra"].URL == filled.Issuers["ra"].URL || *p.Holder.Login != "{{.card}}" || p.Applet.Instances[0] != "D276{{.aid}}" {
		t.Error("the plan itself is changed")
	}
	for column, test := range map[string][2]string{
		"country": {"AUT", "keys[0].certificate.subject cannot be filled"},
		"aid":     {"00 FF", "applet.instance[0] is not hexadecimal"}, "id": {"a b@c", "certificate cannot be asked for"}, "mail": {"bob", "certificate cannot be asked for"},
	} {
		other := row
		other.Values = maps.Clone(row.Values)
		other.Values[column] = test[0]
		if _, err := p.For(other); !problem.Is(err, problem.Usage) || !strings.Contains(err.Error(), "row 3, line 4: ") || !strings.Contains(err.Error(), test[1]) {
			t.Errorf("%s %q: %v", column, test[0], err)
		}
	}
	nobody := parsed(t, head+"person: {id: '{{.id}}'}\nissuers: {a: {url: ca:b}}\nkeys: [{ref: A, certificate: {email: ['{{.mail}}'], issuer: a}}]\n")
	if _, err := nobody.For(row); !problem.Is(err, problem.Usage) || !strings.Contains(err.Error(), "It would name nobody") {
		t.Error(err)
	}
	if _, err := p.For(Row{}); !problem.Is(err, problem.Usage) || err.Error() != "there is no column aid: The plan takes it from the rows of a table." {
		t.Error(err)
	}
	delete(row.Values, "aid")
	if _, err := p.For(row); !problem.Is(err, problem.Usage) || !strings.Contains(err.Error(), "row 3, line 4: there is no column aid") {
		t.Error(err)
	}
}

// TestManyRows reads 100,000.
func TestManyRows(t *testing.T) {
	const rows = 100_000
	var b bytes.Buffer
	b.WriteString("mail;name;serial\n")
	for i := range rows {
		fmt.Fprintf(&b, "p%d@example.com;\"Person, %d\";%012X\n", i, i, i)
	}
	p := parsed(t, threeColumns)
	begin := time.Now()
	read, err := p.ReadRows(b.Bytes(), "staff.csv")
	took := time.Since(begin)
	if err != nil || len(read) != rows || read[rows-1].Line != rows+1 {
		t.Fatalf("%d rows, %v", len(read), err)
	}
	if took > 3*time.Minute {
		t.Errorf("%d rows took %v", rows, took)
	}
	t.Logf("%d rows in %v", rows, took)
}

func TestAPersonTwiceIsFoundFarAway(t *testing.T) {
	const rows = 1000
	var b bytes.Buffer
	b.WriteString("mail;name;unit\n")
	for i := range rows {
		fmt.Fprintf(&b, "p%d@example.com;Person;Unit\n", i)
	}
	b.WriteString("p7@example.com;x;y\n")
	if _, err := parsed(t, staff).ReadRows(b.Bytes(), "staff.csv"); !problem.Is(err, problem.Usage) || !strings.Contains(err.Error(), `line 1002: "p7@example.com" has line 9 too`) {
		t.Error(err)
	}
}
