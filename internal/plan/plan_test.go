package plan

import (
	"testing"
)

const staff = `schema: cardctl/v1
kind: Plan
person: {id: "{{.mail}}", name: "{{.name}}"}
card: {application: openpgp, init: if-blank}
pins:
  user:  {generate: 8 digits, keep: letter}
  admin: {generate: 10 digits, keep: ledger}
  resetCode: env:RESET
keys:
  - ref: OPENPGP.3
    algorithm: p256
    certificate: {subject: "CN={{.name}},OU={{.unit}},O=Example", email: ["{{.mail}}"], extKeyUsage: [clientAuth], issuer: desk, renewBefore: 30d}
issuers:
  desk: {url: "ca:./ca?profile=client"}
seal: [age1ql3z7hjy54pw3hyww5ayyfg7zqgvc7w3j2elw8zmrj2kg5sfn9aqmcac8p]
smokeTest: {module: opensc, tls: true, as: [openssl, nss]}
`

func TestParse(t *testing.T) {
	p, err := Parse([]byte(staff))
	if err != nil {
		t.Fatal(err)
	}
	rows, err := p.ReadRows([]byte("mail;name;unit\nbob@example.com;\"Bob,OU=Admins\";IT\n"), "staff.csv")
	if err != nil {
		t.Fatal(err)
	}
	bob, err := p.For(rows[0])
	if err != nil {
		t.Fatal(err)
	}
	if got, want := bob.Keys[0].Certificate.Subject, `CN=Bob\,OU=Admins,OU=IT,O=Example`; got != want {
		t.Errorf("%s, want %s", got, want)
	}
}
