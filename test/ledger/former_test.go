package ledger_test

import (
	"testing"
	"time"

	"github.com/cardctl/cardctl/internal/ledger"
)

// formerCertificates holds that a card that is lost loses all certificates of its keys,
// also those that were renewed.
func formerCertificates(t *testing.T, p place) {
	l, ctx := p.open(t, ledger.Options{}), t.Context()
	issue(t, l, "A1", alice)
	e := begin(t, l, ledger.Change{Serial: "A1"})
	later, before := time.Now().Add(time.Hour), time.Now().Add(-time.Hour)
	for _, k := range []ledger.Credential{
		{SerialNumber: "01", SPKI: "AA", NotAfter: later},
		{SerialNumber: "02", SPKI: "BB", NotAfter: before},
		{SerialNumber: "03", SPKI: "BB", NotAfter: later},
		{SerialNumber: "04", SPKI: "BB", NotAfter: later},
		{SerialNumber: "03", SPKI: "BB", NotAfter: later},
		{SerialNumber: "05", SPKI: "BB", NotAfter: later},
	} {
		k.Ref, k.Issuer = "K", "ca:ca"
		must(t, e.Certified(ctx, k))
	}
	must(t, e.End(ctx, nil))
	c := card(t, l, "A1")
	if len(c.Credentials) != 1 || c.Credentials[0].SerialNumber != "05" {
		t.Errorf("%+v", c.Credentials)
	}
	list, _ := c.Revocations(ledger.Lost)
	got := ""
	for _, k := range list {
		got += k.SerialNumber + " "
	}
	if got != "05 03 04 " {
		t.Errorf("%q", got)
	}
	must(t, e.Revoked(ctx, "03", "keyCompromise"))
	c = card(t, l, "A1")
	if list, _ = c.Revocations(ledger.Lost); len(list) != 2 {
		t.Errorf("%+v", list)
	}
	begin(t, l, ledger.Change{Serial: "A2"})
	if len(card(t, l, "A2").Former) != 0 {
		t.Error("another card has them")
	}
}
