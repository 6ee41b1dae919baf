//go:build stack

package judges

import (
	"encoding/json"
	"maps"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/cardctl/cardctl/test/softhsm"
	"github.com/cardctl/cardctl/test/stack"
)

const softHSM = "/usr/lib/softhsm/libsofthsm2.so"

// tokenDesk is a desk with a SoftHSM2 token that cardctl initialised.
func tokenDesk(t *testing.T) *stack.Desk {
	t.Helper()
	d := stack.NewDesk(t)
	config, err := softhsm.Configure(filepath.Dir(d.Write("hsm/.keep", "", 0o600)))
	if err != nil {
		t.Fatal(err)
	}
	d.Setenv(softhsm.Variable, config)
	d.Setenv("CARDCTL_MODULE", "softhsm2")
	d.Setenv("CARDCTL_PIN", "canary-736451")
	d.Setenv("CARDCTL_SO_PIN", "officer-2846")
	d.Run("cardctl", "init", "--app", "pkcs11", "--label", "desk", "--yes")
	return d
}

// issueOnToken makes a key on the token and has it certified.
func issueOnToken(t *testing.T, d *stack.Desk, key string, genKey ...string) (certificate string) {
	t.Helper()
	d.Run("cardctl", append([]string{"gen-key", "--key", key}, genKey...)...)
	request := d.Run("cardctl", "gen-csr", "--key", key, "--subject", name)
	d.VerifyRequest(request)
	certificate = d.Authority().Sign(d.Write("token.csr", request, 0o600))
	d.Run("cardctl", "import-cert", "--key", key, certificate)
	return certificate
}

func TestSoftHSMHoldsWhatWasMade(t *testing.T) {
	for _, algorithm := range []string{"p256", "p384", "p521", "rsa2048", "rsa3072", "rsa4096", "ed25519"} {
		t.Run(algorithm, func(t *testing.T) {
			d := tokenDesk(t)
			const key = "pkcs11:token=desk;object=vpn"
			issueOnToken(t, d, key, "--algorithm", algorithm)

			if shown := d.Run("softhsm2-util", "--show-slots"); !strings.Contains(shown, "desk") {
				t.Errorf("softhsm2-util does not show the token:\n%s", shown)
			}
			objects := d.Run("pkcs11-tool", "--module", softHSM, "--login", "--pin", "canary-736451", "-O")
			for _, want := range []string{"Private Key Object", "Public Key Object", "Certificate Object", "label:      vpn", "never extractable"} {
				if !strings.Contains(objects, want) {
					t.Errorf("pkcs11-tool does not show %q:\n%s", want, objects)
				}
			}
			if listed := d.Run("p11tool", "--provider", softHSM, "--list-all", "pkcs11:token=desk"); !strings.Contains(listed, "object=vpn") {
				t.Errorf("p11tool does not show the certificate:\n%s", listed)
			}
			d.Run("cardctl", "smoke-test", "--key", key, "--as", map[bool]string{true: "gnutls", false: "openssl"}[algorithm == "ed25519"])
		})
	}
}

func TestOpenSSLEngineUsesTheURIThatIsPrinted(t *testing.T) {
	d := tokenDesk(t)
	const key = "pkcs11:token=desk;object=vpn"
	issueOnToken(t, d, key, "--algorithm", "rsa2048")
	d.Setenv("PKCS11_MODULE_PATH", softHSM)
	request := d.Run("openssl", "req", "-new", "-engine", "pkcs11", "-keyform", "engine",
		"-key", key+";type=private;pin-value=canary-736451", "-subj", "/CN=engine")
	if subject := d.VerifyRequest(request); subject.Subject != "CN=engine" {
		t.Errorf("another request: %v", subject)
	}
}

func TestOpenVPNShowsTheIDThatInfoShows(t *testing.T) {
	d := tokenDesk(t)
	d.Run("cardctl", "init", "--app", "pkcs11", "--token", "desk", "--label", "a/b - c; d=ü", "--yes")
	issueOnToken(t, d, "pkcs11:object=vpn;token=a%2Fb%20-%20c%3B%20d=%C3%BC", "--algorithm", "rsa2048")
	shown := strings.TrimSpace(d.Run("sh", "-c", "cardctl info --app pkcs11 --token 'a/b - c; d=ü' -o json | jq -r '.certificates[0].serializedId'"))
	if listed := d.Run("openvpn", "--show-pkcs11-ids", softHSM); shown == "" || !strings.Contains(listed, "Serialized id:  "+shown+"\n") {
		t.Errorf("info says %s, openvpn\n%s", shown, listed)
	}
}

func TestCardctlUsesKeysThatPkcs11ToolMade(t *testing.T) {
	d := tokenDesk(t)
	d.Run("pkcs11-tool", "--module", softHSM, "--login", "--pin", "canary-736451",
		"--keypairgen", "--key-type", "EC:prime256v1", "--label", "theirs", "--id", "45")
	for _, key := range []string{"pkcs11:token=desk;object=theirs", "pkcs11:token=desk;id=%45", "pkcs11:id=%45"} {
		d.VerifyRequest(d.Run("cardctl", "gen-csr", "--key", key, "--subject", name))
	}
	refused := d.Refused("gen-key", "--key", "pkcs11:token=desk;id=%45")
	if refused.Code != "refused" {
		t.Errorf("a second key with the ID of the first: %+v", refused)
	}
}

// hangs is a module that never comes back from C_Initialize.
const hangs = `
#include <unistd.h>
static unsigned long hang() { for (;;) sleep(60); }
static struct { unsigned char version[2]; unsigned long (*function[68])(); } list;
unsigned long C_GetFunctionList(void **out) {
	for (int i = 0; i < 68; i++) list.function[i] = hang;
	*out = &list;
	return 0;
}`

// Every mistake has its code, a reason, and something to do next.
func TestTokenMistakes(t *testing.T) {
	d := tokenDesk(t)
	d.Run("cardctl", "gen-key", "--key", "pkcs11:token=desk;object=one")
	d.Run("cardctl", "gen-key", "--key", "pkcs11:token=desk;object=two")
	wrong := d.Write("wrong", "not-the-pin", 0o600)
	text := d.Write("text.so", "no module\n", 0o700)
	d.Write("hangs.c", hangs, 0o600)
	d.Run("gcc", "-shared", "-fPIC", "-o", "hangs.so", "hangs.c")
	d.Run("openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-keyout", "file.key", "-out", "file.pem", "-subj", "/CN=file")
	p12 := func(name string, options ...string) string {
		d.Run("openssl", append([]string{"pkcs12", "-export", "-in", "file.pem", "-passout", "pass:another", "-out", name}, options...)...)
		return name
	}
	whole, without := p12("whole.p12", "-inkey", "file.key"), p12("without.p12", "-nokeys")
	another := d.Write("another", "another", 0o600)
	key := func(attributes string) string { return "pkcs11:token=desk;" + attributes }
	csr := func(key string, more ...string) []string {
		return append([]string{"gen-csr", "--key", key, "--subject", "CN=x"}, more...)
	}
	for name, test := range map[string]struct {
		code string
		args []string
	}{
		"several keys":              {"not-found", csr("pkcs11:token=desk")},
		"no such key":               {"not-found", csr(key("object=three"))},
		"no such token":             {"not-found", csr("pkcs11:token=door")},
		"a token not initialised":   {"not-found", csr("pkcs11:token=;object=one")},
		"a PIN in the URI":          {"usage", csr("pkcs11:token=desk?pin-value=1234")},
		"an attribute twice":        {"usage", csr(key("token=desk"))},
		"an unknown attribute":      {"usage", csr(key("colour=red"))},
		"a URI cut off":             {"usage", csr(key("id=%4"))},
		"an ID that is not hex":     {"usage", []string{"gen-key", "--key", "pkcs11:token=desk", "--id", "4X"}},
		"a wrong PIN":               {"pin-incorrect", csr(key("object=one"), "--pin", "file:"+wrong)},
		"a wrong SO PIN":            {"pin-incorrect", []string{"unblock-pin", "--app", "pkcs11", "--token", "desk", "--so-pin", "file:" + wrong, "--new-pin", "file:" + wrong}},
		"a wrong SO PIN to erase":   {"pin-incorrect", []string{"init", "--app", "pkcs11", "--token", "desk", "--so-pin", "file:" + wrong, "--yes"}},
		"a used token, unasked":     {"refused", []string{"init", "--app", "pkcs11", "--token", "desk", "--no-input"}},
		"a label that is taken":     {"refused", []string{"gen-key", "--key", key("object=one"), "--replace", "00"}},
		"a key it cannot name":      {"refused", []string{"delete-key", "--key", key("object=one"), "--fingerprint", "00", "--yes"}},
		"an algorithm it lacks":     {"not-supported", []string{"gen-key", "--key", key("object=x"), "--algorithm", "x25519"}},
		"a usage it cannot have":    {"not-supported", []string{"gen-key", "--key", key("object=x"), "--algorithm", "p256", "--usage", "decrypt"}},
		"no such module":            {"not-found", csr(key("object=one"), "--module", "/nowhere/module.so")},
		"a text file for a module":  {"mismatch", csr(key("object=one"), "--module", text)},
		"another library":           {"mismatch", csr(key("object=one"), "--module", "libpcsclite.so.1")},
		"a module that hangs":       {"failed", csr(key("object=one"), "--module", d.Path("hangs.so"), "--timeout", "300ms")},
		"a file, wrong password":    {"mismatch", []string{"import-key", "--key", key("object=file"), "--password", "file:" + wrong, whole}},
		"a file without a key":      {"mismatch", []string{"import-key", "--key", key("object=file"), "--password", "file:" + another, without}},
		"a key that is there":       {"refused", []string{"import-key", "--key", key("object=one"), "--password", "file:" + another, whole}},
		"a certificate for another": {"mismatch", []string{"import-cert", "--key", key("object=one"), "file.pem"}},
	} {
		t.Run(name, func(t *testing.T) {
			got := d.Refused(test.args...)
			if got.Code != test.code {
				t.Errorf("%+v, want %s", got, test.code)
			}
			if got.Hint == "" || !strings.Contains(got.Message, ": ") {
				t.Errorf("no reason, or nothing to do next: %+v", got)
			}
		})
	}
	for _, key := range []string{"one", "two"} {
		d.VerifyRequest(d.Run("cardctl", "gen-csr", "--key", "pkcs11:token=desk;object="+key, "--subject", "CN=x"))
	}
}

// One module that p11-kit knows and that does not work keeps nobody from the
// tokens of the others.
func TestBrokenModulesAreNamed(t *testing.T) {
	d := tokenDesk(t)
	d.Setenv("CARDCTL_MODULE", "")
	d.Write("hangs.c", hangs, 0o600)
	d.Run("gcc", "-shared", "-fPIC", "-o", "hangs.so", "hangs.c")
	for name, module := range map[string]string{
		"gone": "/nowhere/gone.so", "text": d.Write("text.so", "no module\n", 0o700), "hangs": d.Path("hangs.so"),
	} {
		d.Write("config/pkcs11/modules/"+name+".module", "module: "+module+"\n", 0o600)
	}
	var list struct {
		Modules []struct {
			Name    string
			Problem *struct{ Code, Message, Hint string }
		}
		Tokens []struct{ Label string }
	}
	if err := json.Unmarshal([]byte(d.Run("cardctl", "list-tokens", "-o", "json", "--timeout", "20s")), &list); err != nil {
		t.Fatal(err)
	}
	found := make(map[string]string)
	for _, m := range list.Modules {
		if m.Problem != nil {
			found[strings.TrimSuffix(filepath.Base(m.Name), ".so")] = m.Problem.Code
			if m.Problem.Message == "" || m.Problem.Hint == "" {
				t.Errorf("no reason, or nothing to do next: %+v", m)
			}
		}
	}
	delete(found, "libtpm2_pkcs11") // where it is installed, it finds no TPM
	if want := map[string]string{"gone": "not-found", "text": "mismatch", "hangs": "failed"}; !maps.Equal(found, want) {
		t.Errorf("broken: %v, want %v", found, want)
	}
	if !slices.ContainsFunc(list.Tokens, func(token struct{ Label string }) bool { return token.Label == "desk" }) {
		t.Errorf("the token is not there: %+v", list.Tokens)
	}
}

// Files as programs of all ages write them.
func TestImportFromPKCS12(t *testing.T) {
	for name, options := range map[string][]string{
		"AES-256 and SHA-256": nil,
		"triple DES and RC2":  {"-legacy"},
	} {
		t.Run(name, func(t *testing.T) {
			d := tokenDesk(t)
			d.Setenv("CARDCTL_PASSWORD", "another")
			d.Run("openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-keyout", "file.key", "-out", "file.pem", "-subj", "/CN=file")
			d.Run("openssl", append([]string{"pkcs12", "-export", "-inkey", "file.key", "-in", "file.pem", "-passout", "pass:another", "-out", "file.p12"}, options...)...)
			d.Run("cardctl", "import-key", "--key", "pkcs11:token=desk;object=file;id=%45", "file.p12")
			objects := d.Run("pkcs11-tool", "--module", softHSM, "--login", "--pin", "canary-736451", "-O")
			for _, want := range []string{"Private Key Object; RSA", "Public Key Object; RSA", "Certificate Object"} {
				if !strings.Contains(objects, want) {
					t.Errorf("pkcs11-tool does not show %q:\n%s", want, objects)
				}
			}
			if strings.Count(objects, "ID:         45") != 3 || strings.Contains(objects, "Access:     extractable") {
				t.Errorf("not what was asked for:\n%s", objects)
			}
			if got := d.Run("cardctl", "export-cert", "--key", "pkcs11:id=%45"); got != string(d.Read("file.pem")) {
				t.Errorf("another certificate:\n%s", got)
			}
			d.Run("cardctl", "smoke-test", "--key", "pkcs11:token=desk;object=file", "--tls")
		})
	}
}

// What a key is for, as other programs see it.
func TestUsages(t *testing.T) {
	d := tokenDesk(t)
	for i, test := range []struct{ algorithm, usage, shown string }{
		{"rsa2048", "sign", "Usage:      sign\n"},
		{"rsa2048", "decrypt", "Usage:      decrypt\n"},
		{"rsa2048", "sign,decrypt", "Usage:      decrypt, sign\n"},
		{"p256", "sign", "Usage:      sign\n"},
		{"p384", "derive", "Usage:      derive\n"},
		{"p521", "sign,derive", "Usage:      sign, derive\n"},
		{"ed25519", "sign", "Usage:      sign\n"},
	} {
		label := string(rune('a' + i))
		d.Run("cardctl", "gen-key", "--key", "pkcs11:token=desk;object="+label, "--algorithm", test.algorithm, "--usage", test.usage)
		shown := d.Run("pkcs11-tool", "--module", softHSM, "--login", "--pin", "canary-736451", "-O", "--type", "privkey", "--label", label)
		at := strings.Index(shown, "label:      "+label+"\n")
		if at < 0 || !strings.Contains(strings.SplitAfter(shown[at:], "Access:")[0], test.shown) {
			t.Errorf("%s for %s:\n%s", test.algorithm, test.usage, shown)
		}
		d.Run("cardctl", "smoke-test", "--key", "pkcs11:token=desk;object="+label)
	}
}

// Ten keys of one token are tested with one login.
func TestSmokeTestOfSeveralKeys(t *testing.T) {
	d := tokenDesk(t)
	args := []string{"smoke-test", "-o", "json", "--module", "pkcs11-spy.so"}
	for i := range 10 {
		key := "pkcs11:token=desk;object=" + string(rune('a'+i))
		d.Run("cardctl", "gen-key", "--key", key)
		args = append(args, "--key", key)
	}
	d.Setenv("PKCS11SPY", softHSM)
	d.Setenv("PKCS11SPY_OUTPUT", d.Path("spy"))
	var report struct {
		Kind   string
		Tests  []smoke
		Passed bool
	}
	if err := json.Unmarshal([]byte(d.Run("cardctl", args...)), &report); err != nil {
		t.Fatal(err)
	}
	if report.Kind != "SmokeTestList" || len(report.Tests) != 10 || !report.Passed {
		t.Errorf("%+v", report)
	}
	if n := strings.Count(string(d.Read("spy")), ": C_Login\n"); n != 1 {
		t.Errorf("%d logins", n)
	}
}

func TestTokenPINsAndDeletion(t *testing.T) {
	d := tokenDesk(t)
	const key = "pkcs11:token=desk;object=vpn"
	issueOnToken(t, d, key)
	d.Setenv("CARDCTL_NEW_PIN", "another-9217")
	d.Run("cardctl", "set-pin", "user", "--app", "pkcs11", "--token", "desk")
	d.Setenv("CARDCTL_PIN", "another-9217")
	d.VerifyRequest(d.Run("cardctl", "gen-csr", "--key", key, "--subject", name))
	d.Setenv("CARDCTL_NEW_PIN", "officer-7777")
	d.Run("cardctl", "set-pin", "so", "--app", "pkcs11", "--token", "desk")
	d.Setenv("CARDCTL_SO_PIN", "officer-7777")
	d.Setenv("CARDCTL_NEW_PIN", "third-5531")
	d.Run("cardctl", "unblock-pin", "--app", "pkcs11", "--token", "desk")
	d.Setenv("CARDCTL_PIN", "third-5531")

	d.Run("cardctl", "delete-cert", "--key", key, "--yes")
	if gone := d.Refused("export-cert", "--key", key); gone.Code != "not-found" {
		t.Errorf("the certificate is still there: %+v", gone)
	}
	fingerprint := strings.TrimSpace(d.Run("sh", "-c", "cardctl export-key --key '"+key+"' -o json | jq -r .fingerprint"))
	d.Run("cardctl", "delete-key", "--key", key, "--fingerprint", fingerprint, "--yes")
	if objects := d.Run("pkcs11-tool", "--module", softHSM, "--login", "--pin", "third-5531", "-O"); strings.Contains(objects, "Key Object") {
		t.Errorf("a key is still there:\n%s", objects)
	}
}

// Whoever names a module and no reader means its token: with the flag always,
// with the variable where there is no card.
func TestModuleAloneNamesItsToken(t *testing.T) {
	d := tokenDesk(t)
	if shown := d.Run("cardctl", "info"); !strings.Contains(shown, `"desk"`) {
		t.Errorf("with CARDCTL_MODULE and no card:\n%s", shown)
	}
	d.Setenv("CARDCTL_MODULE", "")
	d.Run("cardctl", "sim", "create", "blank")
	d.Setenv("CARDCTL_READER", "sim:blank")
	if shown := d.Run("cardctl", "info", "--module", "softhsm2"); !strings.Contains(shown, `"desk"`) {
		t.Errorf("with --module:\n%s", shown)
	}
	if shown := d.Run("cardctl", "info", "--module", "softhsm2", "--reader", "sim:blank"); strings.Contains(shown, `"desk"`) {
		t.Errorf("with --module and --reader:\n%s", shown)
	}
	d.Setenv("CARDCTL_NEW_PIN", "canary-736452")
	d.Run("cardctl", "set-pin", "user", "--module", "softhsm2")
}
