//go:build cgo && unix

package main

import (
	"encoding/json"
	"maps"
	"os"
	"strings"
	"testing"
)

// TestTokensOfAnotherTable has tokens in a table that grew, and another token named for
// somebody who has one.
func TestTokensOfAnotherTable(t *testing.T) {
	d := newTokenDesk(t)
	plan := `schema: cardctl/v1
kind: Plan
person: {id: "{{.mail}}"}
card: {application: pkcs11, label: "{{.label}}"}
pins: {user: "env:TOKEN_PIN", so: "env:TOKEN_PIN"}
keys: [{ref: "pkcs11:id=%01", algorithm: p256, certificate: {subject: "CN={{.mail}}", selfSigned: true, days: 20}}]
`
	if err := os.WriteFile(d.path("plan.yaml"), []byte(plan), 0o600); err != nil {
		t.Fatal(err)
	}
	provision := func(exit int, rows ...string) result {
		t.Helper()
		if err := os.WriteFile(d.path("rows.csv"), []byte("mail,label\n"+strings.Join(rows, "\n")+"\n"), 0o600); err != nil {
			t.Fatal(err)
		}
		r := d.run("cardctl", strings.Fields("provision "+d.path("plan.yaml")+" --rows "+d.path("rows.csv")+" --yes -o json --progress none")...)
		if r.exit != exit {
			t.Fatalf("exit status %d, want %d\n%s%s", r.exit, exit, r.stdout, r.stderr)
		}
		return r
	}
	provision(0, "ann,one")
	r := provision(0, "ann,one", "bob,two")
	for row, want := range map[int]string{1: "already", 2: "done"} {
		if steps := stepsOf(t, r, row); steps["init"] != want || steps["key pkcs11:id=%01"] != want {
			t.Errorf("row %d: %v", row, steps)
		}
	}
	r = provision(9, "ann,three", "cy,four")
	if steps := stepsOf(t, r, 2); !strings.Contains(r.stderr, `the token is called \"one\"`) || steps["init"] != "done" {
		t.Errorf("%s%s", r.stdout, r.stderr)
	}
	if r := provision(9, "dee,one"); !strings.Contains(r.stderr, "another person") {
		t.Errorf("%s", r.stderr)
	}
}

// TestTokenLabelChanges has the table call a token otherwise than before: the token is still
// the person's, nothing on it is changed, and no other one is begun. It gets the new name
// when it came back, and may be erased. A row that no token was begun for may be put right.
func TestTokenLabelChanges(t *testing.T) {
	for _, init := range []string{"if-blank", "always"} {
		t.Run(init, func(t *testing.T) {
			t.Parallel()
			d := newTokenDesk(t)
			write := func(name, text string) {
				if err := os.WriteFile(d.path(name), []byte(text), 0o600); err != nil {
					t.Fatal(err)
				}
			}
			write("plan.yaml", `schema: cardctl/v1
kind: Plan
person: {id: "{{.mail}}"}
card: {application: pkcs11, label: "{{.label}}", init: `+init+`}
pins: {user: "env:TOKEN_PIN", so: "env:TOKEN_PIN"}
keys: [{ref: "pkcs11:id=%01", algorithm: p256, certificate: {subject: "CN={{.mail}}", selfSigned: true, days: 20}}]
`)
			provision := func(exit int, says string, rows string, more ...string) result {
				t.Helper()
				write("rows.csv", "mail,label\n"+rows)
				r := d.run("cardctl", append([]string{"provision", d.path("plan.yaml"), "--rows", d.path("rows.csv"), "--yes", "-o", "json", "--progress", "none"}, more...)...)
				if r.exit != exit || !strings.Contains(r.stderr, says) {
					t.Fatalf("%s: exit status %d, want %d and %s\n%s%s", rows, r.exit, exit, says, r.stdout, r.stderr)
				}
				return r
			}
			provision(0, "", "ann,one\n")
			before, cards := d.files(), d.cards()
			for _, more := range [][]string{{"--dry-run"}, nil, nil} {
				r := provision(9, `The plan says label: three`, "ann,three\n", more...)
				if steps := stepsOf(t, r, 1); !strings.Contains(r.stderr, `the token is called \"one\"`) || steps["init"] != "failed" || strings.Contains(r.stderr, "no row is left") {
					t.Errorf("%s%s", r.stdout, r.stderr)
				}
			}
			if now := d.files(); !maps.Equal(now, before) || !maps.Equal(d.cards(), cards) {
				t.Errorf("a token was changed: %v, %v", d.cards(), cards)
			}
			provision(0, "", "ann,one\n")

			provision(9, "another person", "cy,one\n") // of ann
			provision(0, "", "cy,four\n")

			var serial string
			for of, who := range d.cards() {
				if who == "active ann" {
					serial = of
				}
			}
			d.must("cardctl", "ledger", "mark", serial, "returned")
			r := provision(0, "", "ann,three\n")
			if steps := stepsOf(t, r, 1); steps["init"] != "done" || steps["key pkcs11:id=%01"] != "done" {
				t.Errorf("%v", steps)
			}
			tokens := d.run("cardctl", "list-tokens", "-o", "json").stdout
			if gone := !strings.Contains(tokens, `"one"`); gone != (init == "always") || !strings.Contains(tokens, `"three"`) {
				t.Errorf("%s", tokens)
			}
			provision(0, "", "ann,three\n")
		})
	}
}

// cards are those that the ledger has: their states and persons, by their serials.
func (d *tokenDesk) cards() map[string]string {
	d.t.Helper()
	var list struct {
		Cards []struct{ Serial, State, Person string }
	}
	if err := json.Unmarshal([]byte(d.run("cardctl", "ledger", "list", "-o", "json").stdout), &list); err != nil {
		d.t.Fatal(err)
	}
	cards := map[string]string{}
	for _, c := range list.Cards {
		cards[c.Serial] = c.State + " " + c.Person
	}
	return cards
}
