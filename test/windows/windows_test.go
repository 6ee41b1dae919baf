//go:build stack

package windows

import (
	"reflect"
	"strings"
	"testing"

	"github.com/ebfe/scard"

	"github.com/cardctl/cardctl/test/stack"
)

// TestWindows shares one machine between all tests: it takes long to make.
func TestWindows(t *testing.T) {
	m := newMachine(t)
	for _, test := range []struct {
		name string
		run  func(*testing.T, *machine)
	}{
		{"the rules of the relay", testRelay},
		{"from blank to certificate", testCard},
		{"answers after eight seconds", testSlowAnswers},
		{"a token through PKCS#11", testToken},
		{"OpenVPN", testOpenVPN},
		{"without the smart-card library", testNoLibrary},
		{"without the smart-card service", testNoService},
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
	here.Keys[0].KnownAs, here.Certificates[0].SerializedID = stack.KnownAs{}, "" // Wine has no module for cards
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

// testNoLibrary takes the smart-card library away, as small editions of Windows do. What
// needs no reader works.
func testNoLibrary(t *testing.T, m *machine) {
	d := m.desk(t)
	d.Setenv("WINEDLLOVERRIDES", "winscard=")
	d.windows("version")
	d.windows("help")
	d.windows("sim", "create", "spare")
	d.windows("info", "--reader", "sim:spare")
	d.windows("list-readers", "--help")
	for _, command := range [][]string{{"list-readers"}, {"info"}, {"gen-key", "--key", "OPENPGP.3"}} {
		d.fails(1, "no card readers", "winscard.dll", command...)
	}
	if c := d.doctor()["pcsc-service"]; c.Result != "fail" || !strings.Contains(c.Detail, "winscard.dll") {
		t.Errorf("doctor: %+v", c)
	}
}

// testNoService stops the service. What its absence means depends on whether Windows
// would start it.
func testNoService(t *testing.T, m *machine) {
	d := m.desk(t)
	m.relay.down.Store(uint32(scard.ErrNoService))
	defer m.relay.down.Store(success)
	if m.Succeeds("sc", "query", "SCardSvr") { // Wine 10 comes with it
		m.Run(t, "sc", "delete", "SCardSvr")
	}
	d.fails(3, "SCARD_E_NO_SERVICE", "no smart-card service", "list-readers")
	m.Run(t, "sc", "create", "SCardSvr", "binPath=", `C:\windows\system32\spoolsv.exe`, "start=", "disabled")
	d.fails(3, "The service is disabled", "Try: sc.exe config SCardSvr start= demand", "list-readers")
	m.Run(t, "sc", "delete", "SCardSvr")
	m.Run(t, "sc", "create", "SCardSvr", "binPath=", `C:\windows\system32\spoolsv.exe`, "start=", "demand")
	d.fails(3, "SCARD_E_NO_SERVICE", "when a reader is connected", "list-readers")
	m.relay.down.Store(uint32(scard.ErrServiceStopped))
	d.fails(3, "SCARD_E_SERVICE_STOPPED", "Connect a reader", "info")
	m.Run(t, "sc", "start", "SCardSvr")
	d.fails(3, "not for this session", "remote session", "list-readers")
	m.Run(t, "sc", "stop", "SCardSvr")
	m.relay.down.Store(uint32(scard.ErrInternalError))
	d.fails(1, "SCARD_F_INTERNAL_ERROR", "internal error", "list-readers")
	m.relay.down.Store(109) // ERROR_BROKEN_PIPE, which the service of a remote session returns
	d.fails(1, "109", "operating system", "list-readers")
}

// fails runs a command that has to end with a status, and to report two things.
func (d *desk) fails(status int, says, why string, command ...string) {
	d.t.Helper()
	result := d.tried(command...)
	if result.Exit != status || !strings.Contains(result.Stderr, says) || !strings.Contains(result.Stderr, why) {
		d.t.Errorf("%v\nwant status %d, %q and %q", result, status, says, why)
	}
}
