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

const javaCard = `schema: cardctl/v1
kind: Plan
person: {id: "{{.id}}"}
columns: {id: Personal number}
card: {application: openpgp, init: always, serial: "{{.card}}", kdf: false, pinTries: 5}
applet:
  file: SmartPGP.cap
  instance: ["D276000124010304AFAF{{.aid}}0000"]
  cardKeys: default
  newCardKeys: {generate: card-keys, keep: ledger, newKeyVersion: 1}
managementKey: {protect: true, current: default}
holder: {name: "{{.id}}", sex: ""}
seal: [age1ql3z7hjy54pw3hyww5ayyfg7zqgvc7w3j2elw8zmrj2kg5sfn9aqmcac8p]
issuers:
  web: {url: "ejbca+https://{{.id}}@ra.example.com?profile=ENDUSER&entity=Staff&ca=Staff+CA", key: PIV.9A, serial: "20220195", secret: "command:pass ra"}
`
