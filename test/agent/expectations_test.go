//go:build stack

package agent_test

import (
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/cardctl/cardctl/internal/agent/p11kit"
	"github.com/cardctl/cardctl/test/stack"
)

// TestExpectations has a program in C, with p11-kit's client library, call what programs of
// PKCS #11 call, with right and wrong arguments and in every order.
func TestExpectations(t *testing.T) {
	d := newP11(t, p11kit.Options{Version: "1.2.3"})
	headers, err := exec.Command("go", "list", "-m", "-f", "{{.Dir}}", "github.com/miekg/pkcs11").Output()
	if err != nil {
		t.Fatal(err)
	}
	source, err := filepath.Abs("testdata/expectations.c")
	if err != nil {
		t.Fatal(err)
	}
	d.Run("gcc", "-Wall", "-Werror", "-I", strings.TrimSpace(string(headers)), "-o", d.Path("expectations"), source)
	r := d.Try(d.Path("expectations"), module)
	if r.Exit != 0 {
		t.Error(r)
	}
	checks := regexp.MustCompile(`(\d+) checks\n$`).FindStringSubmatch(r.Stdout)
	if checks == nil {
		t.Fatalf("it did not come to its end: %v", r)
	}
	t.Logf("%s checks", checks[1])
	if logins, uses, _ := d.token.Counts(); logins != 2 || uses != 5 {
		t.Errorf("%d logins, %d uses of keys", logins, uses)
	}
	stack.Judged(t, "a PKCS#11 program in C", everything, "is told what is wrong")
}
