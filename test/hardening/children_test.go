//go:build cgo && linux && stack

package hardening

import (
	"fmt"
	"os"
	"os/exec"
	"regexp"
	"strings"
	"testing"

	"github.com/cardctl/cardctl/test/stack"
)

// witness stands in the place of a program: it writes down with what arguments
// and environment it was run, and becomes the program.
const witness = `#!/bin/sh
{ printf '%%s\n' "program $0" "$@"; tr '\0' '\n' </proc/$$/environ; } >>'%[1]s/witness.log'
exec '%[2]s' "$@"
`

// handedOver is how a child gets a secret, in the one variable for it.
var handedOver = regexp.MustCompile(`^PKCS15_SECRET_\d=`)

// TestSecretsOfChildren runs every command that runs another program, to success
// and to failure, with secrets in the environment, and looks at what these
// programs got: no secret in an argument, and in the environment none but in the
// variable that hands it over. Nor is one in the output, a trace or a file.
func TestSecretsOfChildren(t *testing.T) {
	d := stack.NewDesk(t)
	const pin, puk, wrong = "736451", "9517534862048137", "804127"
	for _, name := range []string{"opensc-tool", "pkcs15-init", "pkcs15-tool", "gpgconf", "sh", "cat"} {
		path, err := exec.LookPath(name)
		if err != nil {
			t.Fatal(err)
		}
		d.Write("bin/"+name, fmt.Sprintf(witness, d.Path(""), path), 0o700)
	}
	d.Card("children", 1, "--applications", "pkcs15")
	d.Setenv("PATH", d.Path("bin")+":"+os.Getenv("PATH"))
	d.Setenv("CARDCTL_PIN", pin)
	d.Setenv("CARDCTL_PUK", puk)
	d.Write("secret-pin", pin+"\n", 0o600)
	d.Run("openssl", "genpkey", "-algorithm", "rsa", "-pkeyopt", "rsa_keygen_bits:2048", "-out", "secret-key.pem")
	private := strings.Split(string(d.Read("secret-key.pem")), "\n")[5] // a line of its middle

	children := 0
	for _, line := range []string{
		"list-readers", "doctor",
		"init --app pkcs15 --yes --label desk",
		"info", "info -o json",
		"gen-key -k PKCS15.45",
		"gen-key -k PKCS15.46 --pin env:OTHER_PIN",
		"gen-key -k PKCS15.46 --pin command:cat§secret-pin",
		"import-key -k PKCS15.47 secret-key.pem",
		"gen-csr -k PKCS15.45 --subject CN=a --self-signed --days 2 --out a.pem",
		"gen-csr -k PKCS15.45 --subject CN=a --pin env:OTHER_PIN",
		"import-cert -k PKCS15.45 a.pem",
		"export-cert -k PKCS15.45",
		"smoke-test -k PKCS15.45 -m opensc",
		"smoke-test -k PKCS15.45 -m opensc --pin env:OTHER_PIN",
		"delete-cert -k PKCS15.45 --yes",
		"set-pin user --new-pin env:CARDCTL_PIN",
		"unblock-pin --puk env:CARDCTL_PUK --new-pin env:CARDCTL_PIN --allow-unknown-tries",
		"init --app pkcs15 --yes --label desk --allow-unknown-tries",
	} {
		args := strings.Fields(line)
		for i, arg := range args {
			args[i] = strings.ReplaceAll(arg, "§", " ")
		}
		// A variable that no flag names is nobody's secret.
		d.Setenv("OTHER_PIN", map[bool]string{true: wrong}[strings.Contains(line, "OTHER_PIN")])
		r := d.Try("cardctl", append(args, "-v", "--trace", "trace")...)
		if strings.Contains(line, "OTHER_PIN") == (r.Exit == 0) && args[0] != "doctor" {
			t.Errorf("%v", r)
		}
		seen := map[string]string{"the output": r.Stdout + r.Stderr}
		for _, name := range []string{"trace", "a.pem"} {
			if content, err := os.ReadFile(d.Path(name)); err == nil {
				seen[name] = string(content)
			}
		}
		log, err := os.ReadFile(d.Path("witness.log"))
		if err == nil {
			children += strings.Count(string(log), "program ")
			for got := range strings.Lines(string(log)) {
				if !handedOver.MatchString(got) {
					seen["what "+args[0]+" gave a child"] += got
				}
			}
			if err := os.Remove(d.Path("witness.log")); err != nil {
				t.Fatal(err)
			}
		}
		for where, content := range seen {
			for _, canary := range []string{pin, puk, wrong, private} {
				hex := fmt.Sprintf("%X", canary)
				if strings.Contains(content, canary) || strings.Contains(strings.ToUpper(content), hex) {
					t.Errorf("%s: %s is in %s", line, canary, where)
				}
			}
		}
	}
	if children < 12 {
		t.Errorf("only %d programs were run", children)
	}
}
