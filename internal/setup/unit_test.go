package setup

import (
	"slices"
	"strings"
	"testing"

	"github.com/cardctl/cardctl/internal/opensslconf"
)

// TestAServiceGetsItsOwnOpenSSL, and what whoever sets it up has named, in the quotes of
// systemd.
func TestAServiceGetsItsOwnOpenSSL(t *testing.T) {
	root := t.TempDir()
	j := &job{Options: Options{Root: root, System: true, Environ: []string{`OPENSC_CONF=/etc/50%/"opensc".conf`, "OPENSSL_CONF=/home/me/openssl.cnf"}}, target: target{name: "vpn"}}
	p := j.opensslForUnit("vpn@.service", opensslconf.Additions{TLS12: true})
	places := []string{root + "/etc/cardctl/vpn.cnf", root + "/etc/systemd/system/vpn@.service.d/cardctl.conf"}
	if len(p.entries) != 2 || p.entries[0].place() != places[0] || p.entries[1].place() != places[1] {
		t.Fatalf("%+v", p.entries)
	}
	if text := p.entries[0].text(); !strings.Contains(text, "MaxProtocol = TLSv1.2\n") || strings.Contains(text, "engine") || strings.Contains(text, "/home/me") {
		t.Error(text)
	}
	want := "# Written by cardctl setup vpn.\n[Service]\nEnvironment=\"OPENSC_CONF=/etc/50%%/\\\"opensc\\\".conf\"\nEnvironment=\"OPENSSL_CONF=" + places[0] + "\"\n"
	if text := p.entries[1].text(); text != want {
		t.Errorf("%s\nnot\n%s", text, want)
	}
	if reload := []string{"systemctl daemon-reload"}; !slices.Equal(p.next, reload) || !slices.Equal(p.undone, reload) || len(p.notes) != 1 {
		t.Errorf("%+v", p)
	}
	p = j.opensslForUnit("vpn@.service", opensslconf.Additions{Module: "/lib/module.so", Started: true})
	if text := p.entries[0].text(); !strings.Contains(text, "MODULE_PATH = /lib/module.so\ninit = 1\n") || strings.Contains(text, "TLSv1.2") || len(p.notes) > 0 {
		t.Errorf("%s %v", text, p.notes)
	}
	j.Environ = nil
	if p := j.opensslForUnit("vpn@.service", opensslconf.Additions{}); len(p.entries) > 0 || len(p.next) > 0 || len(p.notes) > 0 {
		t.Errorf("nothing is needed: %+v", p)
	}
}
