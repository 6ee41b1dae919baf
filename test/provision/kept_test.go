//go:build stack

package provision

import (
	"strings"
	"testing"

	"github.com/cardctl/cardctl/test/stack"
)

const givenPINs = `
card: {application: openpgp, init: always}
pins: {user: "env:CARDCTL_PIN", admin: "env:CARDCTL_ADMIN_PIN"}
keys: [{ref: OPENPGP.3, algorithm: p256, certificate: ` + certificate + `}]`

// TestCardsThatAreKept works in all readers, with a plan that erases. In three of them are
// the card of the CA that issues, that of the log's signature and that of a recipient: they
// are left out, and keep their keys, while the cards in the fourth are worked on.
func TestCardsThatAreKept(t *testing.T) {
	d := newDesk(t, 1)
	d.write("kept", givenPINs)
	d.people("kept", 1)
	first := d.Card("first", 3)
	if done := d.provision(t, "kept", nil, "--readers", stack.ReaderName(3)); done.exit != 0 { // the log has something to sign
		t.Fatalf("exit status %d\n%s", done.exit, done.stderr)
	}
	first.Pull()
	authority, signer, recipient := stack.ReaderName(0), stack.ReaderName(1), stack.ReaderName(2)
	for reader, name := range []string{"authority", "signer"} {
		d.Card(name, reader, "--serial", "0A00000"+string(rune('1'+reader))).Initialise()
		d.Run("cardctl", "gen-key", "--key", "OPENPGP.1", "--reader", stack.ReaderName(reader))
	}
	d.Card("recipient", 2, "--applications", "openpgp,piv", "--profile", "piv-yubikey-5.7", "--serial", "0A000003")
	d.Run("cardctl", "gen-key", "--key", "PIV.82", "--management-key", "default", "--reader", recipient)
	d.Run("cardctl", "ca", "init", "card-ca", "--subject", "CN=Card CA", "--key", "OPENPGP.1", "--reader", authority)
	d.Run("cardctl", "ledger", "sign", "--key", "OPENPGP.1", "--reader", signer)
	d.Write("kept.yaml", strings.NewReplacer(
		`"ca:ca?profile=client", secret: "env:CA_PASSWORD"`, `"ca:card-ca?profile=client", reader: "`+authority+`", pin: "env:CARDCTL_PIN"`,
		d.recipient, d.recipient+", "+d.recipientOf(t, "PIV.82", recipient),
	).Replace(string(d.Read("kept.yaml"))), 0o600)
	d.Write("kept.csv", "mail,name\none@example.com,One\ntwo@example.com,Two\n", 0o600)

	keys := d.keysIn(authority, signer, recipient)
	states := map[string]string{}
	for _, name := range []string{"signer", "recipient"} { // a signature changes the CA's
		states[name] = string(d.Read("state/cardctl/sim/" + name + ".json"))
	}
	next := d.Card("next", 3)
	next.Pull()
	blank := d.Card("blank", 3)
	done := d.provision(t, "kept", func(e event, _ func()) {
		if e.Reader == stack.ReaderName(3) && e.Step == "remove the card" && e.Left > 0 {
			blank.Pull()
			next.Insert()
		}
	}, "--readers", "all")
	if done.exit != 0 || done.passed() != 2 || len(done.Rows) != 2 {
		t.Fatalf("exit status %d\n%s\n%+v", done.exit, done.stderr, done.Rows)
	}
	why := map[string]string{}
	for _, out := range done.LeftOut {
		why[out.Reader] += out.Reason
	}
	for reader, says := range map[string]string{authority: "the key of the issuer", signer: "signs the log", recipient: "the key of a recipient"} {
		if !strings.Contains(why[reader], says) {
			t.Errorf("%s: %q, want %s", reader, why[reader], says)
		}
	}
	if len(done.LeftOut) != 3 {
		t.Errorf("left out: %+v", done.LeftOut)
	}
	if now := d.keysIn(authority, signer, recipient); now != keys {
		t.Errorf("the keys were %s, and are %s", keys, now)
	}
	for name, before := range states {
		if string(d.Read("state/cardctl/sim/"+name+".json")) != before {
			t.Errorf("the card %s was changed", name)
		}
	}
	for reader, what := range map[string]string{authority: "the key of the issuer", signer: "signs the log", recipient: "the key of a recipient"} {
		alone := d.provision(t, "kept", nil, "--reader", reader)
		if alone.exit != 9 || !strings.Contains(alone.stderr, what) {
			t.Errorf("%s alone: exit status %d\n%s", reader, alone.exit, alone.stderr)
		}
	}
}

// keysIn are the keys of the cards in readers.
func (d *desk) keysIn(readers ...string) string {
	var keys []string
	for _, reader := range readers {
		for _, k := range d.Info("--reader", reader).Keys {
			keys = append(keys, k.Ref+" "+k.Fingerprint)
		}
	}
	return strings.Join(keys, ", ")
}

// recipientOf is a key of a card as age's plugin for YubiKeys names it.
func (d *desk) recipientOf(t *testing.T, ref, reader string) string {
	t.Helper()
	return stack.Recipient(t, d.Run("cardctl", "export-key", "--key", ref, "--reader", reader))
}
