//go:build stack

package windows

import (
	"reflect"
	"strings"
	"testing"

	"github.com/cardctl/cardctl/test/stack"
)

// TestWindows shares one machine between all tests: it takes long to make.
func TestWindows(t *testing.T) {
	m := newMachine(t)
	for _, test := range []struct {
		name string
		run  func(*testing.T, *machine)
	}{
		{"from blank to certificate", testCard},
	} {
		t.Run(test.name, func(t *testing.T) { test.run(t, m) })
	}
}

// testCard takes a card from blank to certificate. OpenSSL and cardctl for Linux judge.
func testCard(t *testing.T, m *machine) {
	d := m.desk(t)
	d.Card("card", 0)
	reader := stack.ReaderName(0)

	if listed := d.windows("list-readers"); !strings.Contains(listed, reader) || !strings.Contains(listed, "OpenPGP") {
		t.Errorf("list-readers:\n%s", listed)
	}
	d.windows("init", "--yes")
	d.windows("gen-key", "--key", "OPENPGP.3", "--algorithm", "p256")
	d.windows("gen-csr", "--key", "OPENPGP.3", "--subject", "CN=Anna Example,O=Example", "--out", "card.csr")
	d.Run("openssl", "req", "-in", "card.csr", "-noout", "-verify")
	certificate := d.Authority().Sign("card.csr")
	d.windows("import-cert", certificate, "--key", "OPENPGP.3", "--ca", "ca.pem")

	var there stack.Info
	d.decode(d.windows("info", "-o", "json"), &there)
	here := d.Info()
	if !reflect.DeepEqual(there, here) {
		t.Errorf("cardctl for Windows read %+v, and for Linux %+v", there, here)
	}
	if len(there.Certificates) != 1 || !there.Certificates[0].MatchesKey {
		t.Errorf("certificates: %+v", there.Certificates)
	}
	checks := d.doctor()
	for _, name := range []string{"pcsc-service", "readers", "cards"} {
		if checks[name].Result != "pass" {
			t.Errorf("doctor: %s: %+v", name, checks[name])
		}
	}
}

// check is one line of doctor.
type check struct{ Name, Result, Detail, Hint string }

// doctor is what doctor finds, by name.
func (d *desk) doctor() map[string]check {
	var report struct{ Checks []check }
	d.decode(d.tried("doctor", "-o", "json").Stdout, &report)
	checks := map[string]check{}
	for _, c := range report.Checks {
		checks[c.Name] = c
	}
	return checks
}
