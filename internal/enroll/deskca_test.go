package enroll

import (
	"encoding/json"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/cardctl/cardctl/internal/ca"
	"github.com/cardctl/cardctl/internal/secret"
)

// TestKilledWhenTheCAHadIssued has a command killed after the CA of the desk stored the
// certificate, and before it was remembered: the next one takes that certificate, and issues
// no other, in an enrolment and in a renewal, however often it is killed. One that was revoked
// meanwhile is not taken.
func TestKilledWhenTheCAHadIssued(t *testing.T) {
	d := newCard(t, "", "OPENPGP.3", "p256")
	dir := filepath.Join(t.TempDir(), "ca")
	const password = "4815162342"
	d.secrets[secret.Password], d.secrets[secret.IssuerSecret] = password, password
	_, err := ca.Init(t.Context(), nil, d.access(), dir, ca.InitOptions{Subject: "CN=Desk", Algorithm: "p256"}, time.Now())
	check(t, err)
	issuer := "ca:" + dir + "?profile=client"
	issued := func(want int) []ca.Entry {
		t.Helper()
		c, err := ca.Open(t.Context(), dir)
		check(t, err)
		defer func() { check(t, c.Close()) }()
		all, err := c.List(t.Context(), 0, time.Now())
		check(t, err)
		if len(all) != want {
			t.Fatalf("%d certificates, want %d", len(all), want)
		}
		return all
	}
	killed := func(change func(*Options)) {
		t.Helper()
		d.secrets[secret.AdminPIN], d.secrets[secret.IssuerSecret] = "wrong", password
		if err := d.enrolls("OPENPGP.3", issuer, "me", nil, change); err == nil {
			t.Fatal("the certificate is on the card")
		}
		d.forgetsWhatCame()
		delete(d.secrets, secret.AdminPIN)
		delete(d.secrets, secret.IssuerSecret) // which nobody needs for what is issued
	}
	now := time.Now() // the CA counts seconds
	enrol := func(o *Options) {
		now = now.Add(time.Second)
		o.Now = now
	}
	renew := func(o *Options) {
		enrol(o)
		o.Renew = true
	}
	for i, change := range []func(*Options){enrol, renew} {
		killed(change)
		killed(change)
		check(t, d.enrolls("OPENPGP.3", issuer, "me", nil, change))
		issued(1 + i)
	}
	killed(renew)
	c, err := ca.Open(t.Context(), dir)
	check(t, err)
	_, err = c.Revoke(t.Context(), d.access(), issued(3)[2].Serial, "superseded", time.Now())
	check(t, err)
	check(t, c.Close())
	d.secrets[secret.IssuerSecret] = password
	check(t, d.enrolls("OPENPGP.3", issuer, "me", nil, renew))
	issued(4)
}

// forgetsWhatCame leaves what is remembered as it is while the issuer works.
func (d *simulated) forgetsWhatCame() {
	d.t.Helper()
	files, err := filepath.Glob(filepath.Join(d.state, "enrolment", "*.json"))
	check(d.t, err)
	if len(files) != 1 {
		d.t.Fatalf("%q", files)
	}
	text, err := os.ReadFile(files[0])
	check(d.t, err)
	var r record
	check(d.t, json.Unmarshal(text, &r))
	if r.Certificates == nil {
		d.t.Fatal("no certificate came")
	}
	r.Certificates, r.Roots = nil, nil
	text, err = json.Marshal(r)
	check(d.t, err)
	check(d.t, os.WriteFile(files[0], text, 0o600))
}
