//go:build stack

package judges

import (
	"os"
	"strings"
	"testing"

	"github.com/cardctl/cardctl/test/stack"
)

const softHSM = "/usr/lib/softhsm/libsofthsm2.so"

// tokenDesk is a desk with a SoftHSM2 token that cardctl initialised.
func tokenDesk(t *testing.T) *stack.Desk {
	t.Helper()
	d := stack.NewDesk(t)
	if err := os.MkdirAll(d.Path("tokens"), 0o700); err != nil {
		t.Fatal(err)
	}
	d.Setenv("SOFTHSM2_CONF", d.Write("softhsm2.conf", "directories.tokendir = "+d.Path("tokens")+"\nlog.level = ERROR\n", 0o600))
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
	for _, algorithm := range []string{"p256", "p384", "rsa2048", "ed25519"} {
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
			d.Run("cardctl", "smoke-test", "--key", key, "--tls")
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

func TestTokenMistakes(t *testing.T) {
	d := tokenDesk(t)
	d.Run("cardctl", "gen-key", "--key", "pkcs11:token=desk;object=one")
	d.Run("cardctl", "gen-key", "--key", "pkcs11:token=desk;object=two")
	wrong := d.Write("wrong", "not-the-pin", 0o600)
	for name, test := range map[string]struct {
		code string
		args []string
	}{
		"several keys":          {"not-found", []string{"gen-csr", "--key", "pkcs11:token=desk", "--subject", "CN=x"}},
		"no such token":         {"not-found", []string{"gen-csr", "--key", "pkcs11:token=door", "--subject", "CN=x"}},
		"a PIN in the URI":      {"usage", []string{"gen-csr", "--key", "pkcs11:token=desk?pin-value=1234", "--subject", "CN=x"}},
		"an attribute twice":    {"usage", []string{"gen-csr", "--key", "pkcs11:token=desk;token=desk", "--subject", "CN=x"}},
		"an ID that is not hex": {"usage", []string{"gen-key", "--key", "pkcs11:token=desk", "--id", "4X"}},
		"a wrong PIN":           {"pin-incorrect", []string{"gen-csr", "--key", "pkcs11:token=desk;object=one", "--subject", "CN=x", "--pin", "file:" + wrong}},
		"a wrong SO PIN":        {"pin-incorrect", []string{"unblock-pin", "--app", "pkcs11", "--token", "desk", "--so-pin", "file:" + wrong, "--new-pin", "file:" + wrong}},
		"a used token, unasked": {"refused", []string{"init", "--app", "pkcs11", "--token", "desk", "--no-input"}},
		"a key it cannot name":  {"refused", []string{"delete-key", "--key", "pkcs11:token=desk;object=one", "--fingerprint", "00", "--yes"}},
		"an algorithm it lacks": {"not-supported", []string{"gen-key", "--key", "pkcs11:token=desk;object=x", "--algorithm", "x25519"}},
	} {
		t.Run(name, func(t *testing.T) {
			if got := d.Refused(test.args...); got.Code != test.code {
				t.Errorf("%+v, want %s", got, test.code)
			}
		})
	}
	d.VerifyRequest(d.Run("cardctl", "gen-csr", "--key", "pkcs11:token=desk;object=two", "--subject", "CN=x"))
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
