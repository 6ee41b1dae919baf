//go:build stack

package enrolment

import (
	"os"
	"strings"
	"testing"

	"github.com/cardctl/cardctl/test/stack"
)

// documented are the commands of a section of docs/enrol.md, one after the other.
func documented(t *testing.T, section string) string {
	t.Helper()
	text, err := os.ReadFile("../../docs/enrol.md")
	if err != nil {
		t.Fatal(err)
	}
	_, after, found := strings.Cut(string(text), "\n## "+section+"\n")
	after, _, _ = strings.Cut(after, "\n## ")
	var commands strings.Builder
	for i, block := range strings.Split(after, "\n```") {
		if command, is := strings.CutPrefix(block, "console\n"); is && i%2 == 1 {
			commands.WriteString(strings.ReplaceAll("\n"+command, "\n$ ", "\n") + "\n")
		}
	}
	if !found || commands.Len() == 0 {
		t.Fatalf("no commands in the section %s", section)
	}
	return commands.String()
}

// TestDocumentedCommands types what the document says about step-ca.
func TestDocumentedCommands(t *testing.T) {
	d := stack.NewDesk(t)
	pivCard(t, d, "PIV.9A", "p256")
	desk := jwk()
	desk["name"] = "desk"
	d.Authority()
	port := stepCA(t, d, desk, provisioner{"type": "X5C", "name": "officers", "roots": d.Read("ca.pem")}, attesting(d))

	officer(t, d)
	d.Setenv("CARDCTL_ISSUER_PIN", stack.UserPIN)
	d.Setenv("PASSWORD", joePassword)
	d.Setenv("TOKEN", tokenOf(t, "desk", port, mail))
	words := strings.NewReplacer("ca.example.com", "localhost:"+port, "FINGERPRINT", fingerprint(t, d, "ca.pem"), "SERIAL", pivSerial, "root_ca.crt", "ca.pem")
	for _, section := range []string{"step-ca", "ACME"} {
		t.Log(d.Run("bash", "-euxc", words.Replace(documented(t, section))))
	}
}
