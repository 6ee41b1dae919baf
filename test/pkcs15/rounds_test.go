//go:build stack

package pkcs15

import (
	"testing"

	"github.com/cardctl/cardctl/internal/key"
	"github.com/cardctl/cardctl/test/stack"
)

func TestRoundTripsOfTheWholeWay(t *testing.T) {
	const limit = 170
	b := newBench(t)
	total, before := stack.Count{}, b.wire.Count()
	step := func(name string) {
		now := b.wire.Count()
		spent := now.Sub(before)
		t.Logf("%-12s %d APDUs", name, spent.APDUs)
		total, before = total.Add(spent), now
	}
	b.mustInit()
	step("init")
	b.generate("PKCS15.45", key.Spec{Label: "vpn"})
	step("gen-key")
	b.request("PKCS15.45", "desk.csr")
	step("gen-csr")
	b.desk.VerifyRequest(string(b.desk.Read("desk.csr")))
	certificate := stack.ParseCertificate(t, b.desk.Read(b.desk.Authority().Sign("desk.csr")))
	before = b.wire.Count()
	if _, err := b.importCertificate("PKCS15.45", certificate); err != nil {
		t.Fatal(err)
	}
	step("import-cert")
	if total.APDUs > limit {
		t.Errorf("%d APDUs, want at most %d", total.APDUs, limit)
	}
	t.Logf("%d bytes of certificate, %d APDUs together", len(certificate.Raw), total.APDUs)
}
