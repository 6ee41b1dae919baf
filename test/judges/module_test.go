//go:build stack

package judges

import (
	"encoding/json"
	"regexp"
	"strings"
	"testing"

	"github.com/cardctl/cardctl/test/stack"
)

// A card that is reached through OpenSC's module is a token as any other: what
// the card's own commands made is used by URI.
func TestOpenPGPCardAsATokenOfOpenSC(t *testing.T) {
	d := stack.NewDesk(t)
	d.Card("token", 0).Initialise()
	issue(t, d, "OPENPGP.3", "rsa2048")
	d.Run("cardctl", "gen-key", "--key", "OPENPGP.1", "--algorithm", "p256")
	const (
		authentication = "pkcs11:token=OpenPGP%20card%20%28User%20PIN%29;id=%03"
		signature      = "pkcs11:token=OpenPGP%20card%20%28User%20PIN%20%28sig%29%29;id=%01"
	)
	d.Setenv("CARDCTL_MODULE", "opensc")

	var list struct {
		Tokens []struct{ Label string }
	}
	if err := json.Unmarshal([]byte(d.Run("cardctl", "list-tokens", "-o", "json")), &list); err != nil {
		t.Fatal(err)
	}
	if len(list.Tokens) != 2 || list.Tokens[0].Label != "OpenPGP card (User PIN)" {
		t.Errorf("listed %+v", list)
	}
	info := d.Info("--app", "pkcs11", "--token", "OpenPGP card (User PIN)")
	if len(info.Keys) == 0 || len(info.Certificates) != 1 || !info.Certificates[0].MatchesKey {
		t.Errorf("info: %+v", info)
	}
	for _, key := range []string{authentication, signature} {
		own := map[string]string{authentication: "OPENPGP.3", signature: "OPENPGP.1"}[key]
		if got, want := d.Run("cardctl", "export-key", "--key", key), d.Run("cardctl", "export-key", "--key", own); got != want {
			t.Errorf("%s is not %s:\n%s", key, own, got)
		}
		d.VerifyRequest(d.Run("cardctl", "gen-csr", "--key", key, "--subject", name))
		d.Run("cardctl", "smoke-test", "--key", key)
	}
	// OpenSSL signs with RSA-PSS in TLS 1.2, too, which OpenSC does not make on the card.
	if refused := d.Refused("smoke-test", "--key", authentication, "--tls"); refused.Exit != 7 || !strings.Contains(refused.Message, "openssl") {
		t.Errorf("RSA on a card without PSS: %+v", refused)
	}
	// Keys of both tokens, each with its login.
	d.Run("cardctl", "smoke-test", "--key", authentication, "--key", signature)
	d.Run("cardctl", "smoke-test", "--key", "OPENPGP.3", "--key", "OPENPGP.1")

	wrong := d.Write("wrong", "000000", 0o600)
	if refused := d.Refused("gen-csr", "--key", authentication, "--subject", name, "--pin", "file:"+wrong); refused.Code != "pin-incorrect" {
		t.Errorf("a wrong PIN: %+v", refused)
	}
	if refused := d.Refused("gen-key", "--key", "pkcs11:token=OpenPGP%20card%20%28User%20PIN%29;object=new"); refused.Code == "failed" || refused.Hint == "" {
		t.Errorf("a key that OpenSC does not make: %+v", refused)
	}
}

// Scute takes the card through GnuPG. Since 1.7 it shows a key if gpgsm has its
// certificate, and denies every use of it, but it signs.
func TestOpenPGPCardAsATokenOfScute(t *testing.T) {
	d := stack.NewDesk(t)
	key := scute(t, d, "rsa2048")
	listed := d.Run("cardctl", "list-tokens", "--module", "scute")
	if !strings.Contains(listed, "user PIN") {
		t.Errorf("listed\n%s", listed)
	}
	// Scute 1.5 drops a zero byte at the beginning of one signature in some two hundred.
	repeated := func(args ...string) string {
		if first := d.Try("cardctl", args...); first.Exit == 0 {
			return first.Stdout
		}
		return d.Run("cardctl", args...)
	}
	repeated("smoke-test", "--module", "scute", "--key", key)
	public := d.Run("cardctl", "export-key", "--module", "scute", "--key", key)
	if got := d.VerifyRequest(repeated("gen-csr", "--module", "scute", "--key", key, "--subject", name)); got.PublicKey != public {
		t.Errorf("the request is for another key:\n%s", got.PublicKey)
	}
}

// Scute 1.5 has no elliptic curves. The signatures of 1.7 are not those of PKCS#11: its
// CKM_ECDSA_SHA256 takes a hash for the message. Where one works, documents have to say so.
func TestScuteDoesNotSignWithEllipticCurves(t *testing.T) {
	d := stack.NewDesk(t)
	key := scute(t, d, "p256")
	if key == "" {
		return
	}
	if refused := d.Try("cardctl", "smoke-test", "--module", "scute", "--key", key); refused.Exit != 7 || !strings.Contains(refused.Stderr, "RSA keys only") {
		t.Errorf("%v", refused)
	}
	if made := d.Try("cardctl", "gen-csr", "--module", "scute", "--key", key, "--subject", name); made.Exit == 0 {
		t.Error("it signs, which the documents and smoke-test deny")
	}
}

// scute puts a key with a certificate on a card that GnuPG has, and returns what the
// key is called in Scute; nothing if Scute does not show it.
func scute(t *testing.T, d *stack.Desk, algorithm string) string {
	t.Helper()
	d.Card("scute", 0).Initialise()
	certificate := issue(t, d, "OPENPGP.3", algorithm)
	gnupg := d.GnuPG(0, stack.UserPIN, stack.AdminPIN)
	gnupg.CardStatus()
	d.Run("gpgsm", "--batch", "--disable-dirmngr", "--import", "ca.pem")
	d.RunInput(string(certificate), "gpgsm", "--batch", "--disable-dirmngr", "--import")
	t.Cleanup(gnupg.Release)
	if result := d.Try("cardctl", "info", "--module", "scute"); result.Exit != 0 {
		return ""
	}
	// The IDs of Scute 1.5 are other ones in each process.
	return regexp.MustCompile(`;id=[^;]*`).ReplaceAllString(d.Info("--module", "scute").Keys[0].Ref, "")
}

// Both ways lead to the same keys of a PKCS#15 card: its own, and PKCS#11's.
func TestPKCS15CardAsATokenOfOpenSC(t *testing.T) {
	d := stack.NewDesk(t)
	d.Card("iso", 0, "--applications", "pkcs15")
	d.Setenv("CARDCTL_PUK", "7391582473915824")
	d.Run("cardctl", "init", "--app", "pkcs15", "--yes", "--label", "desk")
	issue(t, d, "PKCS15.45", "rsa2048")
	d.Setenv("CARDCTL_MODULE", "opensc")
	listed := d.Run("cardctl", "list-tokens")
	const key = "pkcs11:id=%45"
	if !strings.Contains(listed, "token=desk") {
		t.Errorf("listed\n%s", listed)
	}
	if got, want := d.Run("cardctl", "export-cert", "--key", key), d.Run("cardctl", "export-cert", "--key", "PKCS15.45"); got != want {
		t.Errorf("another certificate:\n%s", got)
	}
	// OpenSC 0.23 does not ask an IsoApplet for its tries, and nobody else can while
	// its module has the card.
	const allowed = "--allow-unknown-tries"
	if refused := d.Refused("gen-csr", "--key", key, "--subject", name); refused.Exit != 5 || refused.Code != "tries-unknown" || !strings.Contains(refused.Hint, allowed) {
		t.Errorf("nothing tells the tries left: %+v", refused)
	}
	d.VerifyRequest(d.Run("cardctl", "gen-csr", "--key", key, "--subject", name, allowed))
	// OpenSSL signs with RSA-PSS in TLS 1.2, too, which the card does not know.
	if refused := d.Refused("smoke-test", "--key", key, "--tls", allowed); refused.Exit != 7 || !strings.Contains(refused.Message, "openssl") {
		t.Errorf("RSA on a card without PSS: %+v", refused)
	}
	d.Run("cardctl", "smoke-test", "--key", key, "--key", "PKCS15.45", allowed)
	if refused := d.Refused("gen-key", "--key", key); refused.Code != "refused" {
		t.Errorf("a key with the ID of the first: %+v", refused)
	}
}
