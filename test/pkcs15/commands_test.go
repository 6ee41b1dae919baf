//go:build stack

package pkcs15

import (
	"encoding/json"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/cardctl/cardctl/test/stack"
)

// cardctlDesk is a desk at which cardctl is typed, with an IsoApplet in the
// reader.
func cardctlDesk(t *testing.T) *stack.Desk {
	t.Helper()
	d := stack.NewDesk(t)
	d.Card("desk", reader, "--applications", "pkcs15")
	for name, value := range map[string]string{"CARDCTL_PUK": puk, "CARDCTL_NEW_PIN": newPIN, "PIN": userPIN, "OPENSC_DRIVER": "isoApplet"} {
		d.Setenv(name, value)
	}
	return d
}

// TestEveryCommand types every command for a key of a PKCS#15 card.
func TestEveryCommand(t *testing.T) {
	d := cardctlDesk(t)
	cardctl := func(args ...string) string { t.Helper(); return d.Run("cardctl", args...) }
	const key = "PKCS15.45"
	ca := d.Authority()

	cardctl("init", "--app", "pkcs15", "--yes", "--label", "desk")
	cardctl("gen-key", "--key", key, "--algorithm", "rsa2048", "--label", "vpn")
	cardctl("gen-csr", "--key", key, "--subject", "CN=vpn", "--out", d.Path("desk.csr"))
	cardctl("import-cert", "--key", key, "--ca", "ca.pem", ca.Sign("desk.csr"))
	cardctl("smoke-test", "--key", key)
	if refused := d.Refused("smoke-test", "--key", key, "--tls"); refused.Exit != 7 {
		t.Errorf("RSA in TLS on a card without PSS: %+v", refused)
	}

	exported := stack.ParseCertificate(t, []byte(cardctl("export-cert", "--key", key)))
	if read := stack.ParseCertificate(t, []byte(d.Run("pkcs15-tool", "--read-certificate", "45"))); !read.Equal(exported) {
		t.Error("export-cert and pkcs15-tool differ")
	}
	public := d.Write("exported.pem", cardctl("export-key", "--key", key), 0o600)
	theirs := d.Write("theirs.pem", d.Run("pkcs15-tool", "--read-public-key", "45"), 0o600)
	text := func(file string) string { return d.Run("openssl", "pkey", "-pubin", "-in", file, "-outform", "PEM") }
	if text(public) != text(theirs) {
		t.Error("export-key and pkcs15-tool differ")
	}
	d.Write("id.pub", cardctl("export-key", "--key", key, "--format", "ssh"), 0o600)
	d.Run("openssl", "pkey", "-pubin", "-in", public, "-noout")
	if !strings.HasPrefix(string(d.Read("id.pub")), "ssh-rsa ") {
		t.Error("export-key --format ssh")
	}

	d.Run("openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-keyout", "own.key", "-out", "own.pem", "-days", "2", "-subj", "/CN=brought")
	d.Run("openssl", "pkcs12", "-export", "-inkey", "own.key", "-in", "own.pem", "-out", "own.p12", "-passout", "env:PIN")
	cardctl("import-key", "--key", "PKCS15.46", "--password", "env:PIN", "own.p12")
	info := d.Info()
	if len(info.Keys) != 2 || len(info.Certificates) != 2 || !info.Certificates[0].MatchesKey || !info.Certificates[1].MatchesKey {
		t.Errorf("after import-key: %+v", info)
	}
	cardctl("smoke-test", "--key", "PKCS15.46")

	cardctl("set-pin", "user")
	d.Setenv("CARDCTL_PIN", newPIN)
	d.Setenv("CARDCTL_NEW_PIN", userPIN)
	if refused := d.Refused("unblock-pin", "user"); refused.Exit != 5 || refused.Code != "tries-unknown" {
		t.Errorf("an IsoApplet does not tell the tries of its PUK: %+v", refused)
	}
	cardctl("unblock-pin", "user", "--allow-unknown-tries")
	d.Setenv("CARDCTL_PIN", userPIN)

	cardctl("delete-cert", "--key", key, "--yes")
	fingerprint := d.Info().Keys[0].Fingerprint
	cardctl("delete-key", "--key", key, "--fingerprint", fingerprint, "--yes")
	if info := d.Info(); len(info.Keys) != 1 || len(info.Certificates) != 1 || info.Keys[0].Ref != "PKCS15.46" {
		t.Errorf("after delete-key: %+v", info)
	}
	if listing := d.Run("pkcs15-tool", "--list-keys", "--list-certificates", "--list-public-keys"); strings.Contains(listing, ": 45\n") {
		t.Errorf("something is left:\n%s", listing)
	}
}

// The HOWTO's split key: one key for each purpose, through OpenSC's module.
func TestOneKeyForEachPurpose(t *testing.T) {
	d := cardctlDesk(t)
	d.Run("cardctl", "init", "--app", "pkcs15", "--yes")
	for key, usage := range map[string]string{"PKCS15.01": "sign", "PKCS15.02": "decrypt"} {
		d.Run("cardctl", "gen-key", "--key", key, "--usage", usage, "--label", usage)
		d.Run("cardctl", "smoke-test", "--key", key)
	}
	message := d.Write("message", "from the desk\n", 0o600)
	pkcs11 := func(args ...string) stack.Result {
		return d.Try("pkcs11-tool", append([]string{"--module", module, "--login", "--pin", "env:PIN", "--input-file"}, args...)...)
	}
	public := func(key string) string {
		return d.Write("public.pem", d.Run("cardctl", "export-key", "--key", key), 0o600)
	}
	if r := pkcs11(message, "--sign", "--mechanism", "SHA256-RSA-PKCS", "--id", "01", "--output-file", d.Path("signature")); r.Exit != 0 {
		t.Fatal(r)
	}
	d.Run("openssl", "dgst", "-sha256", "-verify", public("PKCS15.01"), "-signature", "signature", message)
	d.Run("openssl", "pkeyutl", "-encrypt", "-pubin", "-inkey", public("PKCS15.02"), "-in", message, "-out", "encrypted")
	if r := pkcs11(d.Path("encrypted"), "--decrypt", "--mechanism", "RSA-PKCS", "--id", "02", "--output-file", d.Path("plain")); r.Exit != 0 {
		t.Fatal(r)
	}
	if string(d.Read("plain")) != "from the desk\n" {
		t.Errorf("decrypted %q", d.Read("plain"))
	}
	refused := d.Refused("gen-csr", "--key", "PKCS15.02", "--subject", "CN=x")
	if refused.Code != "not-supported" || !strings.Contains(refused.Hint, "cardctl export-key --key PKCS15.02") {
		t.Errorf("a key for decryption signs: %+v", refused)
	}
}

// TestRefusals holds the exit codes of what does not work.
func TestRefusals(t *testing.T) {
	d := cardctlDesk(t)
	const key = "PKCS15.45"
	refused := func(exit int, try string, args ...string) {
		t.Helper()
		got := d.Refused(args...)
		if got.Exit != exit || !strings.Contains(got.Message+" "+got.Hint, try) {
			t.Errorf("%v: exit %d, hint %q (%s), want %d, %q", args, got.Exit, got.Hint, got.Message, exit, try)
		}
	}
	refused(3, "cardctl init --app pkcs15", "gen-key", "--key", key)
	d.Run("cardctl", "init", "--app", "pkcs15", "--yes")
	refused(3, "gen-key", "gen-csr", "--key", key, "--subject", "CN=x")
	refused(3, "", "export-cert", "--key", key)
	refused(3, "", "delete-cert", "--key", key, "--yes")
	refused(2, "", "export-key", "--key", "PKCS15.4Z")
	refused(7, "", "gen-key", "--key", key, "--algorithm", "ed25519")
	refused(7, "", "gen-key", "--key", key, "--algorithm", "rsa4096")
	refused(7, "", "set-pin", "so")
	refused(7, "", "set-pin", "puk")
	refused(7, "", "unblock-pin", "user", "--so-pin", "env:PIN")
	d.Run("cardctl", "gen-key", "--key", key)
	refused(9, "--replace", "gen-key", "--key", key)
	d.Run("openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-keyout", "own.key", "-out", "own.pem", "-days", "2", "-subj", "/CN=foreign")
	refused(8, "", "import-cert", "--key", key, "own.pem")
	refused(9, "--replace", "import-key", "--key", key, "own.key")
	refused(9, "", "delete-key", "--key", key, "--fingerprint", "00", "--yes")
	refused(7, "cardctl gen-csr", "gen-csr", "--key", key, "--subject", "CN=x", "--pss")
	d.Setenv("CARDCTL_PIN", "999999")
	if wrong := d.Refused("gen-csr", "--key", key, "--subject", "CN=x"); wrong.Exit != 4 || wrong.TriesLeft == nil || *wrong.TriesLeft != 2 {
		t.Errorf("a wrong PIN: %+v", wrong)
	}
	d.Setenv("CARDCTL_PIN", userPIN)

	// The program finds OpenSC by the search path: none, and one that is too old.
	program, err := exec.LookPath("cardctl")
	if err != nil {
		t.Fatal(err)
	}
	d.Setenv("PATH", filepath.Dir(program))
	refused(3, "opensc", "init", "--app", "pkcs15", "--yes")
	refused(3, "opensc", "gen-key", "--key", "PKCS15.46")
	d.Write("old/opensc-tool", "#!/bin/sh\necho 'OpenSC 0.21.0 [gcc  10.2.1]'\n", 0o700)
	d.Setenv("PATH", strings.Join([]string{filepath.Dir(program), d.Path("old")}, string(os.PathListSeparator)))
	refused(7, "opensc", "init", "--app", "pkcs15", "--yes")
	refused(7, "opensc", "gen-key", "--key", "PKCS15.46")
	d.Run("cardctl", "gen-csr", "--key", key, "--subject", "CN=x") // which takes no OpenSC
	d.Setenv("PATH", os.Getenv("PATH"))
	var info struct{ Keys []json.RawMessage }
	if err := json.Unmarshal([]byte(d.Run("cardctl", "info", "-o", "json")), &info); err != nil || len(info.Keys) != 1 {
		t.Errorf("the card was changed: %v, %v", info, err)
	}
}
