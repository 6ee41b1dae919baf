//go:build stack

package judges

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/cardctl/cardctl/test/stack"
)

// TestBashCompletes lets bash complete command lines with what is there now. What cannot
// be read within three seconds is not offered: so it asks again, as a person does.
func TestBashCompletes(t *testing.T) {
	d := stack.NewDesk(t)
	d.Card("desk", 0).Initialise()
	d.Run("cardctl", "gen-key", "--key", "OPENPGP.3")
	script := d.Write("complete.sh", `
source /usr/share/bash-completion/bash_completion
source <(cardctl completion bash)
COMP_LINE=$*
COMP_POINT=${#COMP_LINE}
COMP_WORDS=("$@")
COMP_CWORD=$(($# - 1))
COMP_TYPE=9 COMP_KEY=9
__start_cardctl 2>/dev/null
printf '%s\n' "${COMPREPLY[@]}"
`, 0o600)
	for _, test := range []struct {
		line []string
		want string
	}{
		{[]string{"info", "--reader", ""}, stack.ReaderName(0)},
		{[]string{"info", "--reader", ""}, "0"},
		{[]string{"gen-csr", "--key", "O"}, "OPENPGP.3"},
		{[]string{"gen-key", "--key", "OPENPGP.2", "--algorithm", "x"}, "x25519"},
		{[]string{"info", "--module", "op"}, "opensc"},
		{[]string{"smoke-test", "--module", "opensc", "--key", "pkcs11:"}, `object=Authentication%20key`},
		{[]string{"smo"}, "smoke-test"},
	} {
		d.Eventually(fmt.Sprintf("cardctl %q: bash offers %q", test.line, test.want), func() bool {
			offered := strings.Split(d.Run("bash", append([]string{script, "cardctl"}, test.line...)...), "\n")
			return slices.ContainsFunc(offered, func(s string) bool { return strings.HasSuffix(s, test.want) })
		})
	}
}
