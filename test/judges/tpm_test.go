//go:build stack

package judges

import (
	"encoding/json"
	"strings"
	"testing"

	"github.com/cardctl/cardctl/test/stack"
	"github.com/cardctl/cardctl/test/tpm"
)

const tpmModule = "/usr/lib/x86_64-linux-gnu/pkcs11/libtpm2_pkcs11.so"

// tpmDesk is a desk with a TPM, on which cardctl made a token.
func tpmDesk(t *testing.T) *stack.Desk {
	t.Helper()
	started, err := tpm.Start()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(started.Stop)
	d := stack.NewDesk(t)
	for variable, value := range started.Environment() {
		d.Setenv(variable, value)
	}
	d.Setenv("CARDCTL_MODULE", "tpm2")
	d.Setenv("CARDCTL_PIN", "canary-736451")
	d.Setenv("CARDCTL_SO_PIN", "officer-2846")
	d.Run("cardctl", "init", "--app", "pkcs11", "--label", "desk", "--yes")
	return d
}

// TestTPM goes the whole way with a key of each kind, which the TPM's own module serves.
func TestTPM(t *testing.T) {
	d := tpmDesk(t)
	for _, algorithm := range []string{"p256", "p384", "rsa2048", "rsa3072"} {
		key := "pkcs11:token=desk;object=" + algorithm
		certificate := issueOnToken(t, d, key, "--algorithm", algorithm)
		if exported := d.Run("cardctl", "export-cert", "--key", key); exported != string(d.Read(relative(d, certificate))) {
			t.Errorf("%s: another certificate:\n%s", algorithm, exported)
		}
		d.Write("public.pem", d.Run("cardctl", "export-key", "--key", key), 0o600)
		d.Run("sh", "-ec", `openssl x509 -in "$1" -noout -pubkey | cmp - public.pem`, "sh", certificate)
		d.Run("cardctl", "smoke-test", "--key", key, "--as", "go")
		d.Run("sh", "-ec", `
			echo text >text
			pkcs11-tool --module "$1" --token-label desk --login --pin env:CARDCTL_PIN --label "$2" --sign --mechanism "$3" --signature-format openssl -i text -o signature
			openssl dgst -sha256 -verify public.pem -signature signature text`, "sh", tpmModule, algorithm,
			map[bool]string{true: "SHA256-RSA-PKCS", false: "ECDSA-SHA256"}[strings.HasPrefix(algorithm, "rsa")])
		fingerprint := fingerprintOn(t, d, algorithm)
		d.Run("cardctl", "delete-cert", "--key", key, "--yes")
		d.Run("cardctl", "delete-key", "--key", key, "--fingerprint", fingerprint, "--yes")
	}
	if left := d.Run("pkcs11-tool", "--module", tpmModule, "--token-label", "desk", "--login", "--pin", "env:CARDCTL_PIN", "-O"); strings.Contains(left, "Object") {
		t.Errorf("left over:\n%s", left)
	}
}

// relative is the name of a file of the desk.
func relative(d *stack.Desk, path string) string { return strings.TrimPrefix(path, d.Path("")+"/") }

// fingerprintOn is that of the key with a label.
func fingerprintOn(t *testing.T, d *stack.Desk, label string) string {
	t.Helper()
	var shown struct {
		Keys []struct{ Label, Fingerprint string }
	}
	if err := json.Unmarshal([]byte(d.Run("cardctl", "info", "--app", "pkcs11", "--token", "desk", "-o", "json")), &shown); err != nil {
		t.Fatal(err)
	}
	for _, key := range shown.Keys {
		if key.Label == label {
			return key.Fingerprint
		}
	}
	t.Fatalf("no key %s: %+v", label, shown)
	return ""
}

// TestWhatATPMCannot is refused with the reason, and leaves the token as it was.
func TestWhatATPMCannot(t *testing.T) {
	d := tpmDesk(t)
	d.Write("ec.pem", d.Run("openssl", "genpkey", "-algorithm", "EC", "-pkeyopt", "ec_paramgen_curve:P-256"), 0o600)
	d.Write("rsa.pem", d.Run("openssl", "genpkey", "-algorithm", "RSA"), 0o600)
	const key = "pkcs11:token=desk;object=vpn"
	for _, test := range []struct {
		args []string
		says string
	}{
		{[]string{"import-key", "--key", key, "ec.pem"}, "use only keys that they generated"},
		{[]string{"import-key", "--key", key, "rsa.pem"}, "use only keys that they generated"},
		{[]string{"gen-key", "--key", key, "--algorithm", "rsa4096"}, "can generate rsa2048, rsa3072, p256, p384, p521."},
		{[]string{"gen-key", "--key", key, "--algorithm", "ed25519"}, "can generate rsa2048, rsa3072, p256, p384, p521."},
		{[]string{"init", "--app", "pkcs11", "--token", "desk", "--yes"}, "tpm2_ptool rmtoken --label desk"},
	} {
		result := d.Try("cardctl", test.args...)
		if result.Exit != 7 || !strings.Contains(result.Stderr, test.says) || !strings.Contains(result.Stderr, "Nothing on the token was changed.") {
			t.Error(result)
		}
	}
	d.Run("cardctl", "gen-key", "--key", key, "--algorithm", "rsa2048")
	switch result := d.Try("cardctl", "gen-csr", "--key", key, "--subject", name, "--pss"); result.Exit {
	case 0:
		d.VerifyRequest(result.Stdout)
	case 7:
	default:
		t.Error(result)
	}
}

// TestNewPINInATPM: the module says of a wrong PIN that it changed it.
func TestNewPINInATPM(t *testing.T) {
	d := tpmDesk(t)
	const key = "pkcs11:token=desk;object=vpn"
	d.Run("cardctl", "gen-key", "--key", key)
	d.Setenv("WRONG", "canary-000000")
	d.Setenv("NEW", "canary-111111")
	if result := d.Try("cardctl", "set-pin", "user", "--app", "pkcs11", "--pin", "env:WRONG", "--new-pin", "env:NEW"); result.Exit != 4 {
		t.Error(result)
	}
	d.Run("cardctl", "gen-csr", "--key", key, "--subject", name)
	d.Run("cardctl", "set-pin", "user", "--app", "pkcs11", "--new-pin", "env:NEW")
	d.Run("cardctl", "gen-csr", "--key", key, "--subject", name, "--pin", "env:NEW")
	if result := d.Try("cardctl", "gen-csr", "--key", key, "--subject", name); result.Exit != 4 {
		t.Error(result)
	}
}

// TestATPMGivesAKeyMoreUses has a key that may do more than was asked for, which is said.
func TestATPMGivesAKeyMoreUses(t *testing.T) {
	d := tpmDesk(t)
	const key = "pkcs11:token=desk;object=vpn"
	shown := d.Run("cardctl", "gen-key", "--key", key, "--algorithm", "rsa2048", "--usage", "sign")
	if !strings.Contains(shown, "also for     decrypt") {
		t.Error(shown)
	}
	shown = d.Run("cardctl", "gen-key", "--key", key+"2", "--algorithm", "rsa2048")
	if strings.Contains(shown, "also for") {
		t.Error(shown)
	}
}

// TestATPMCountsForAllPINs has the tries of the TPM in every answer.
func TestATPMCountsForAllPINs(t *testing.T) {
	d := tpmDesk(t)
	const key = "pkcs11:token=desk;object=vpn"
	d.Run("cardctl", "gen-key", "--key", key)
	d.Setenv("WRONG", "canary-000000")
	for left := tpm.Tries - 1; left > 0; left-- {
		result := d.Try("cardctl", "gen-csr", "--key", key, "--subject", name, "--pin", "env:WRONG", "-o", "json")
		var told struct{ TriesLeft int }
		document := result.Stderr[strings.Index(result.Stderr, "{"):]
		if err := json.Unmarshal([]byte(document), &told); err != nil || result.Exit != 4 || told.TriesLeft != left {
			t.Fatal(err, result)
		}
	}
	for _, args := range [][]string{
		{"gen-csr", "--key", key, "--subject", name}, {"set-pin", "so", "--app", "pkcs11", "--new-pin", "env:WRONG"},
		{"unblock-pin", "user", "--app", "pkcs11", "--new-pin", "env:WRONG"},
	} {
		if result := d.Try("cardctl", args...); result.Exit != 5 {
			t.Error(result)
		}
	}
	result := d.Try("cardctl", "gen-csr", "--key", key, "--subject", name, "--pin", "env:WRONG", "--allow-last-try")
	if result.Exit != 5 || !strings.Contains(result.Stderr, "Try: tpm2_dictionarylockout --clear-lockout") {
		t.Error(result)
	}
	d.Run("tpm2_dictionarylockout", "--clear-lockout")
	d.Run("cardctl", "gen-csr", "--key", key, "--subject", name)
}
