package plan

import (
	"fmt"
	"slices"
	"testing"
)

// Sources are found wherever a plan may have one.
func TestSources(t *testing.T) {
	p, err := Parse([]byte(`
schema: cardctl/v1
kind: Plan
card: {application: openpgp}
pins: {user: "env:USER_PIN", admin: {generate: 8 digits, keep: ledger, current: "env:ADMIN"}, resetCode: "file:code"}
keys: [{ref: OPENPGP.3, algorithm: p256, certificate: {subject: CN=a, issuer: desk}}]
issuers: {desk: {url: "ca:ca?profile=client", secret: "env:CA_PASSWORD", pin: "command:pass"}}
seal: [age1nvww4at4tzg6ddf3d4ulcmutm0r5k6umy498k2738fmhys8w7pzq69jdfn]
`))
	if err != nil {
		t.Fatal(err)
	}
	var got []string
	for _, source := range p.Sources() {
		got = append(got, fmt.Sprint(source))
	}
	slices.Sort(got)
	if len(got) != 5 {
		t.Errorf("%q", got)
	}
}
