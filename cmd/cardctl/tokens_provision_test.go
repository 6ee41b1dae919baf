//go:build cgo && unix

package main

import (
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
	provision(9, "ann,three")
	r = provision(9, "ann,three", "cy,four")
	if steps := stepsOf(t, r, 2); !strings.Contains(r.stderr, "ann has card") || steps["init"] != "done" {
		t.Errorf("%s%s", r.stdout, r.stderr)
	}
	if r := provision(9, "dee,one"); !strings.Contains(r.stderr, "another person") {
		t.Errorf("%s", r.stderr)
	}
}
