package main

import (
	"strings"
	"testing"
)

// The key of a CA is on one card. Another one with a key in the same place gets no PIN.
func TestTheCAKnowsItsCard(t *testing.T) {
	d := newDesk(t, "FACTORY=123456", "FACTORY_ADMIN=12345678", "WRONG=000000")
	d.must("sim", "create", "twin")
	for _, reader := range []string{"sim:desk", "sim:twin"} {
		d.must("gen-key", "--key", "OPENPGP.1", "--algorithm", "p256", "-r", reader, "--admin-pin", "env:FACTORY_ADMIN")
	}
	d.must(d.words("ca init $W/ca --subject CN=CA --key OPENPGP.1 --pin env:FACTORY")...)
	r := d.run(t.Context(), d.words("ca crl $W/ca -r sim:twin --pin env:WRONG"))
	if r.exit != 8 || !strings.Contains(r.stderr, "this is not the card of the CA") {
		t.Errorf("%+v", r)
	}
	if r := d.run(t.Context(), d.words("info -r sim:twin -o json")); !strings.Contains(r.stdout, `"triesLeft":3`) {
		t.Errorf("%+v", r)
	}
	again := "gen-key --key OPENPGP.1 --algorithm p256 --admin-pin env:FACTORY_ADMIN --replace "
	_, key, _ := strings.Cut(d.run(t.Context(), d.words(again+"00")).stderr, "p256 key ")
	d.must(d.words(again + key[:strings.Index(key, ",")])...)
	if r := d.run(t.Context(), d.words("ca crl $W/ca --pin env:FACTORY")); r.exit != 8 {
		t.Errorf("the key was replaced: %+v", r)
	}
}
