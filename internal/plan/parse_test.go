package plan

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/cardctl/cardctl/internal/problem"
	"github.com/cardctl/cardctl/internal/secret"
)

const (
	head      = "schema: cardctl/v1\nkind: Plan\n" // two lines
	recipient = "age1ql3z7hjy54pw3hyww5ayyfg7zqgvc7w3j2elw8zmrj2kg5sfn9aqmcac8p"
	seal      = "seal: [" + recipient + "]\n"
	canary    = "73918264"
)

func parsed(t testing.TB, text string) *Plan {
	t.Helper()
	p, err := Parse([]byte(text))
	if err != nil {
		t.Fatalf("%v of\n%s", err, text)
	}
	return p
}

func TestParseReadsEachKindOfValue(t *testing.T) {
	p := parsed(t, staff)
	if p.Person != (Person{"{{.mail}}", "{{.name}}"}) || p.Card.Application != "openpgp" || p.Card.Init != InitIfBlank || p.Card.KDF != nil {
		t.Errorf("%+v, %+v", p.Person, p.Card)
	}
	if u := p.PINs.User; *u.Generate != (Generate{Digits, 8}) || !u.Letter() || u.Ledger() || !u.Source.IsZero() {
		t.Errorf("%+v", u)
	}
	if a := p.PINs.Admin; *a.Generate != (Generate{Digits, 10}) || a.Letter() || !a.Ledger() {
		t.Errorf("%+v", a)
	}
	if r := p.PINs.ResetCode; r.Source.String() != "env:RESET" || r.Generate != nil {
		t.Errorf("%+v", r)
	}
	k := p.Keys[0]
	if k.Ref != "OPENPGP.3" || k.Algorithm != "p256" || k.Certificate.RenewBefore != 30*24*time.Hour || !slices.Equal(k.Certificate.ExtKeyUsage, []string{"clientAuth"}) {
		t.Errorf("%+v, %+v", k, k.Certificate)
	}
	if p.Issuers["desk"].URL != "ca:./ca?profile=client" || !slices.Equal(p.Seal, []string{recipient}) || !slices.Equal(p.SmokeTest.As, []string{"openssl", "nss"}) {
		t.Errorf("%+v", p)
	}
	if got := p.Used(); !slices.Equal(got, []string{"mail", "name", "unit"}) {
		t.Errorf("columns %v", got)
	}
	if got := p.Place("keys[0].algorithm"); got != (Place{11, 16}) {
		t.Errorf("algorithm is at %v", got)
	}

	java := parsed(t, javaCard)
	if java.Card.KDF == nil || *java.Card.KDF || java.Card.PINTries != 5 || *java.Holder.Sex != "" || java.Holder.Login != nil {
		t.Errorf("%+v, %+v", java.Card, java.Holder)
	}
	if a := java.Applet; a.CardKeys.Word != secret.FactoryValue || a.NewCardKeys.Generate.Of != CardKeyBytes || a.NewCardKeys.Version != 1 {
		t.Errorf("%+v", java.Applet)
	}
	if m := java.ManagementKey; !m.Protect || m.Current.Word != secret.FactoryValue || m.Generate != nil {
		t.Errorf("%+v", m)
	}
}

// TestParseNamesWhatIsWrong holds line, column and the word that was probably meant.
func TestParseNamesWhatIsWrong(t *testing.T) {
	for _, test := range []struct {
		name, text string
		at         Place // from the first line after head
		want       []string
	}{
		{"an unknown field", "pinz: {}\n", Place{1, 1}, []string{`unknown field "pinz" in the plan`, "Is it pins?"}},
		{"an unknown field in a list", "keys:\n  - ref: A\n    algoritm: p256\n", Place{3, 5}, []string{`"algoritm" in keys[0]`, "Is it algorithm?"}},
		{"a field of another case", "managementkey: prompt\n", Place{1, 1}, []string{"Is it managementKey?"}},
		{"a flag as it is typed", "card: {factory-pins: true}\n", Place{1, 8}, []string{"Is it factoryPins?"}},
		{"a wrong word", "card:\n  init: allways\n", Place{2, 9}, []string{`card.init cannot be "allways"`, "Is it always?", "never, if-blank, always"}},
		{"a wrong type", "card:\n  label: 5\n", Place{2, 10}, []string{"card.label is not a text", "in quotes"}},
		{"a list that is a text", "seal: age1x\n", Place{1, 7}, []string{"seal is not a list"}},
		{"a mapping that is a list", "card: [a]\n", Place{1, 7}, []string{"card is not a mapping"}},
		{"a number out of range", "card: {pinTries: 256}\n", Place{1, 18}, []string{"a number from 1 to 255"}},
		{"a text for true or false", "card: {kdf: yes}\n", Place{1, 13}, []string{"true or false"}},
		{"no value", "person:\n  id:\n", Place{2, 7}, []string{"person.id has no value"}},
		{"an empty value", "person: {id: ''}\n", Place{1, 14}, []string{"person.id is empty"}},
		{"an empty list", "keys: []\n", Place{1, 7}, []string{"keys is empty"}},
		{"a missing field", "keys:\n  - algorithm: p256\n", Place{2, 5}, []string{"keys[0] has no field ref"}},
		{"a field twice", "card: {label: a}\nseal: [age1x]\ncard: {label: b}\n", Place{3, 1}, []string{"a second time"}},
		{"a time", "keys:\n  - {ref: A, certificate: {issuer: a, renewBefore: 30 days}}\n", Place{2, 52}, []string{"is not a time", "30d"}},
		{"a column where none can stand", "card:\n  module: '{{.x}}'\n", Place{2, 11}, []string{"cannot stand in card.module"}},
		{"more than a column", "person: {id: '{{.a | html}}'}\n", Place{1, 14}, []string{"only a column can stand in braces"}},
		{"trimmed braces", "person: {id: 'a {{- .a}}'}\n", Place{1, 14}, []string{"only a column"}},
		{"braces that do not end", "person: {id: '{{.a'}\n", Place{1, 14}, []string{"do not end"}},
		{"a name that is none", "person: {id: '{{.a}}'}\nkeys:\n  - {ref: A, certificate: {subject: Bob, selfSigned: true, days: 1}}\n", Place{3, 37}, []string{"not a distinguished name", "equals sign"}},
		{"a column as the type of an attribute", "person: {id: '{{.a}}'}\nkeys:\n  - {ref: A, certificate: {subject: '{{.a}}=Bob', selfSigned: true, days: 1}}\n", Place{3, 37}, []string{"not a distinguished name with columns"}},
		{"a cycle of names", "person: {id: '{{.a}}'}\ncolumns: {a: b, b: a}\n", Place{2, 0}, []string{"a cycle of names:"}},
		{"a name that is its own", "columns: {a: a}\n", Place{1, 14}, []string{"a cycle of names: a is a"}},
		{"two names of a column", "columns: {a: X, b: X}\n", Place{1, 20}, []string{"a and b are the same column"}},
		{"a name that is no column's", "columns: {a-b: x}\n", Place{1, 11}, []string{"letters, digits and _"}},
		{"the same person in each row", "person: {id: bob, name: '{{.a}}'}\n", Place{1, 14}, []string{"person.id has no column"}},
		{"nobody in each row", "card: {label: '{{.a}}'}\n", Place{}, []string{"person.id has no column"}},
		{"a person without an ID", "person: {name: Bob}\n", Place{1, 9}, []string{"no field id"}},
		{"a secret that is kept nowhere", seal + "pins:\n  admin: {generate: 8 digits}\n", Place{3, 10}, []string{"pins.admin is generated, but kept nowhere"}},
		{"a secret that nobody can read", "pins:\n  user: {generate: 8 digits, keep: letter}\n", Place{2, 9}, []string{"nobody could read pins.user", "seal"}},
		{"a secret that is not generated", "pins:\n  user: {source: env:A, keep: letter}\n", Place{2, 31}, []string{"only a generated"}},
		{"a secret of two sources", seal + "pins:\n  user: {source: env:A, generate: 8 digits, keep: letter}\n", Place{3, 9}, []string{"more than one source"}},
		{"a secret of none", "pins:\n  user: {}\n", Place{2, 9}, []string{"has no source"}},
		{"too few digits", "pins: {user: {generate: 3 digits, keep: letter}}\n", Place{1, 25}, []string{"from 4 to 64"}},
		{"too many letters", "pins: {user: {generate: 65 letters, keep: letter}}\n", Place{1, 25}, []string{"from 4 to 64"}},
		{"another kind of secret", "pins: {user: {generate: management-key, keep: letter}}\n", Place{1, 25}, []string{"N digits or N letters"}},
		{"digits for a key", "managementKey: {generate: 8 digits, keep: ledger}\n", Place{1, 27}, []string{"management-key"}},
		{"a source with a column", "person: {id: '{{.a}}'}\npins:\n  user: 'command:pass {{.a}}'\n", Place{3, 9}, []string{"cannot stand in pins.user", "$CARDCTL_ROW_MAIL"}},
		{"a file with a column", "person: {id: '{{.a}}'}\npins:\n  user: {current: 'file:pins/{{.a}}', source: env:A}\n", Place{3, 19}, []string{"cannot stand in pins.user.current"}},
		{"a command of an issuer with a column", "person: {id: '{{.a}}'}\nissuers: {a: {url: 'command:sign {{.a}}'}}\n", Place{2, 20}, []string{"cannot stand in issuers.a.url", "$CARDCTL_ROW_MAIL"}},
		{"a directory with a column", "person: {id: '{{.a}}'}\nissuers: {a: {url: 'ca:ca?profile={{.a}}'}}\n", Place{2, 20}, []string{"cannot stand in"}},
		{"a host with a column", "person: {id: '{{.a}}'}\nissuers: {a: {url: 'est+https://{{.a}}/'}}\n", Place{2, 20}, []string{"value of a parameter"}},
		{"a host with a column behind a user", "person: {id: '{{.a}}'}\nissuers: {a: {url: 'est+https://{{.a}}@{{.a}}/'}}\n", Place{2, 20}, []string{"in the user"}},
		{"a path with a column that looks like a user", "person: {id: '{{.a}}'}\nissuers: {a: {url: 'est+https://b/{{.a}}@c'}}\n", Place{2, 20}, []string{"in the user"}},
		{"a password with a column", "person: {id: '{{.a}}'}\nissuers: {a: {url: 'est+https://{{.a}}:{{.a}}@b/'}}\n", Place{2, 20}, []string{"a password in it"}},
		{"a parameter's name with a column", "person: {id: '{{.a}}'}\nissuers: {a: {url: 'ejbca+https://a/?{{.a}}=b'}}\n", Place{2, 20}, []string{"not in its name"}},
		{"an issuer that is not defined", "issuers: {desk: {url: ca:ca}}\nkeys:\n  - {ref: A, certificate: {subject: CN=a, issuer: dsk}}\n", Place{3, 51}, []string{`the issuer "dsk" is not defined`, "Is it desk?"}},
		{"no issuer", "keys:\n  - {ref: A, certificate: {subject: CN=a}}\n", Place{2, 27}, []string{"no field issuer"}},
		{"an address that is none", "issuers: {desk: {url: desk}}\n", Place{1, 23}, []string{"not the address of an issuer"}},
		{"a key twice", "keys: [{ref: A}, {ref: a}]\n", Place{1, 24}, []string{"a stands in keys twice"}},
		{"a test of another key", "keys: [{ref: A}]\nsmokeTest: {key: [B]}\n", Place{2, 19}, []string{"B is not a key of the plan"}},
		{"factory PINs and others", "card: {factoryPins: true}\npins: {user: env:A}\n", Place{1, 21}, []string{"contradict"}},
		{"an applet from nowhere", "applet: {cardKeys: default}\n", Place{1, 9}, []string{"no field file"}},
		{"a mail address that is none", "issuers: {a: {url: ca:b}}\nkeys: [{ref: A, certificate: {issuer: a, email: [bob]}}]\n", Place{2, 30}, []string{"cannot be asked for", "bob"}},
		{"a usage that is none", "issuers: {a: {url: ca:b}}\nkeys: [{ref: A, certificate: {issuer: a, subject: CN=a, keyUsage: [sing]}}]\n", Place{2, 30}, []string{"sing"}},
		{"a file and a package", "applet: {file: a, package: A0}\n", Place{1, 28}, []string{"contradict"}},
		{"parameters twice", "applet: {file: a, parameters: A0, rawParameters: A0}\n", Place{1, 50}, []string{"contradict"}},
		{"an issuer of its own certificate", "issuers: {a: {url: ca:b}}\nkeys: [{ref: A, certificate: {issuer: a, subject: CN=a, selfSigned: true, days: 1}}]\n", Place{2, 69}, []string{"contradict"}},
		{"an issuer of none", "keys: [{ref: A, certificate: {issuer: web, subject: CN=a}}]\n", Place{1, 39}, []string{"not defined", "the address of each issuer"}},
		{"no days", "keys: [{ref: A, certificate: {subject: CN=a, selfSigned: true}}]\n", Place{1, 30}, []string{"needs the field days"}},
		{"a challenge of nobody", "keys: [{ref: A, certificate: {subject: CN=a, selfSigned: true, days: 1, challengePassword: prompt}}]\n", Place{1, 92}, []string{"no challenge password"}},
		{"two ways with a CHUID", "issuers: {a: {url: ca:b}}\nkeys: [{ref: A, certificate: {issuer: a, subject: CN=a, keepChuid: true, newChuid: true}}]\n", Place{2, 84}, []string{"contradict"}},
		{"a renewal that never comes", "issuers: {a: {url: ca:b}}\nkeys: [{ref: A, certificate: {issuer: a, subject: CN=a, newKey: true}}]\n", Place{2, 30}, []string{"no field renewBefore"}},
		{"a recipient twice", "seal: [age1x, age1x]\n", Place{1, 7}, []string{"twice"}},
		{"a number as a name", "columns: {1: a}\n", Place{1, 11}, []string{"not a text"}},
		{"an alias before its anchor", "card: *a\n", Place{1, 7}, []string{"not defined before"}},
		{"an alias of itself", "columns: &a {x: *a}\n", Place{1, 17}, []string{"not defined before"}},
		{"a tag", "card: !!map {}\n", Place{1, 7}, []string{"tag"}},
		{"a merge key", "card: {<<: {label: a}}\n", Place{1, 8}, []string{"cannot stand in a plan"}},
		{"too deep", "card: " + strings.Repeat("[", 40) + "\n", Place{1, 22}, []string{"too deeply"}},
		{"not YAML", "card: {label: a\n", Place{}, []string{"not YAML"}},
		{"a second plan", "---\n" + head, Place{}, []string{"a second document"}},
	} {
		t.Run(test.name, func(t *testing.T) {
			_, err := Parse([]byte(head + test.text))
			if !problem.Is(err, problem.Usage) {
				t.Fatal(err)
			}
			for _, want := range test.want {
				if !strings.Contains(strings.ToLower(err.Error()), strings.ToLower(want)) {
					t.Errorf("no %q in %q", want, err)
				}
			}
			at := fmt.Sprintf("line %d, column %d: ", test.at.Line+2, test.at.Column)
			if test.at.Column == 0 {
				at = fmt.Sprintf("line %d, ", test.at.Line+2)
			}
			if test.at.Line > 0 && !strings.HasPrefix(err.Error(), at) {
				t.Errorf("no %q in %q", at, err)
			}
		})
	}
}

// TestASecretInAPlanIsRefusedAndNotRepeated puts one where people might.
func TestASecretInAPlanIsRefusedAndNotRepeated(t *testing.T) {
	for _, text := range []string{
		"pins: {user: " + canary + "}\n",
		"pins: {user: '" + canary + "'}\n",
		"pins: {user: {source: " + canary + "}}\n",
		"pins: {user: {source: 'env:" + canary + "'}}\n",
		"pins: {user: {generate: " + canary + ", keep: letter}}\n",
		"pins: {user: {generate: '" + canary + "'}}\n",
		"pins: {user: {generate: 8 digits, keep: 'a" + canary + "'}}\n",
		"pins: {user: {'" + canary + "': }}\n",
		"pins: {user: [" + canary + "]}\n",
		"pins: {user: {current: pass" + canary + "}}\n",
		"pins:\n  user: *" + canary + "\n",
		"pins:\n  user: !" + canary + "\n",
		"pins:\n  user: \"" + canary + "\n",
		"pins:\n  user: @" + canary + "\n",
		"pins:\n  user: " + canary + "\n   x\n",
		"managementKey: {source: 0102030405060708" + canary + "}\n",
		"managementKey: 0102030405060708" + canary + "\n",
		"applet: {file: a, cardKeys: 4041" + canary + "}\n",
		"issuers: {a: {url: ca:b, secret: s" + canary + "}}\n",
		"issuers: {a: {url: 'est+https://bob:" + canary + "@example.com/'}}\n",
		"seal: [AGE-SECRET-KEY-1" + canary + "]\n",
		"keys: [{ref: A, certificate: {issuer: a, challengePassword: c" + canary + "}}]\n",
	} {
		_, err := Parse([]byte(head + text))
		if !problem.Is(err, problem.Usage) {
			t.Errorf("%s: %v", text, err)
			continue
		}
		if strings.Contains(err.Error(), canary) {
			t.Errorf("%s: the secret is in %q", text, err)
		}
	}
}

func TestAliasesAreBounded(t *testing.T) {
	laughs := head + "columns:\n  a: &a " + strings.Repeat("x", 100) + "\nkeys:\n"
	p := parsed(t, head+"keys: [&k {ref: A, usage: &u [sign]}, {ref: B, usage: *u}]\n")
	if !slices.Equal(p.Keys[1].Usage, []string{"sign"}) {
		t.Errorf("%+v", p.Keys)
	}
	// Each list has the one before it several times.
	text := head + "keys:\n"
	for i := range 12 {
		text += fmt.Sprintf("- &a%d {ref: A%d, usage: &b%d [", i, i, i)
		if i > 0 {
			text += strings.TrimSuffix(strings.Repeat(fmt.Sprintf("*b%d, ", i-1), 9), ", ")
		} else {
			text += "sign"
		}
		text += "]}\n"
	}
	if _, err := Parse([]byte(text)); !problem.Is(err, problem.Usage) {
		t.Error(err)
	}
	// One long text, which many fields repeat.
	laughs += "- {ref: A, certificate: {email: [&l " + strings.Repeat("y", MaxPlan/2) + strings.Repeat(", *l", 200) + "]}}\n"
	if _, err := Parse([]byte(laughs)); !problem.Is(err, problem.Usage) || !strings.Contains(err.Error(), "repeat too much") {
		t.Error(err)
	}
}

func TestParseRefusesWhatIsNoText(t *testing.T) {
	for name, test := range map[string]struct{ text, want string }{
		"nothing":    {"", "empty"},
		"a comment":  {"# nothing\n", "empty"},
		"UTF-16":     {"\xFF\xFEs\x00", "UTF-8"},
		"big UTF-16": {"\xFE\xFF\x00s", "UTF-8"},
		"no mark":    {"s\x00c\x00", "NUL"},
		"Latin-1":    {head + "person: {id: J\xF6rg}\n", "line 3, column 15: not UTF-8"},
		"too long":   {strings.Repeat("#", MaxPlan+1), "too long"},
		"a list":     {"- a\n", "the plan is not a mapping"},
		"a word":     {"plan\n", "the plan is not a mapping"},
		"no schema":  {"kind: Plan\n", "no field schema"},
		"another":    {"schema: cardctl/v2\nkind: Plan\n", `schema cannot be "cardctl/v2"`},
	} {
		if _, err := Parse([]byte(test.text)); !problem.Is(err, problem.Usage) || !strings.Contains(err.Error(), test.want) {
			t.Errorf("%s: %v", name, err)
		}
	}
	parsed(t, "\uFEFF"+staff)
}

// TestTheHashIsOfWhatAPlanSays and not of how it is written.
func TestTheHashIsOfWhatAPlanSays(t *testing.T) {
	same := parsed(t, "# staff\n"+strings.Replace(staff, "card: {application: openpgp, init: if-blank}", "card:\n    init: \"if-blank\"\n    application: openpgp", 1))
	p := parsed(t, staff)
	if p.Hash() != same.Hash() || len(p.Hash()) != 64 {
		t.Errorf("%s and %s", p.Hash(), same.Hash())
	}
	for _, change := range [][2]string{{"8 digits", "9 digits"}, {"env:RESET", "env:RESET2"}, {"30d", "31d"}, {"tls: true", "tls: false"}, {"OU={{.unit}}", "OU={{.name}}"}} {
		other := parsed(t, strings.Replace(staff, change[0], change[1], 1))
		if other.Hash() == p.Hash() {
			t.Errorf("%v does not change the hash", change)
		}
	}
	if long := parsed(t, strings.Replace(staff, "resetCode: env:RESET", "resetCode: {source: env:RESET}", 1)); long.Hash() != p.Hash() {
		t.Errorf("%s and %s", p.Hash(), long.Hash())
	}
	row := Row{Number: 1, Line: 2, Values: map[string]string{"mail": "a@example.com", "name": "a", "unit": "b"}}
	if filled, err := p.For(row); err != nil || filled.Hash() != p.Hash() {
		t.Errorf("%v, %v", filled, err)
	}
}

func TestReferencesAreAllThatThePlanNames(t *testing.T) {
	p := parsed(t, head+"issuers: {a: {url: ca:b, key: C}}\nkeys: [{ref: B, certificate: {issuer: a, subject: CN=a, renewBefore: 1d, authKey: D}}, {ref: A}]\nsmokeTest: {key: [A]}\n")
	if got := p.References(); !slices.Equal(got, []string{"A", "B", "C", "D"}) {
		t.Error(got)
	}
}
