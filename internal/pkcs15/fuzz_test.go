package pkcs15

import (
	"bytes"
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/cardctl/cardctl/internal/secret"
)

// FuzzToolOutput reads what OpenSC's programs print, other than a listing: the
// version, and the last line of what went wrong, which may not show a secret
// nor move the cursor.
func FuzzToolOutput(f *testing.F) {
	for _, seed := range []string{
		"OpenSC 0.23.0, rev: x", "OpenSC-0.26.1 [gcc]", "OpenSC 99999.1",
		"Using reader with a card: x\nFailed to verify PIN\n", "pin 426719 \x1b[2J\xff", strings.Repeat("ä", 200), "",
	} {
		f.Add([]byte(seed))
	}
	pin := []handover{{"--pin", secret.New([]byte("426719"))}}
	f.Fuzz(func(t *testing.T, output []byte) {
		if v, ok := parseVersion(output); ok && !bytes.HasPrefix(output, []byte("OpenSC")) {
			t.Errorf("%q is version %v", output, v)
		}
		line := lastLine(output, pin)
		if strings.Contains(line, "426719") || len(line) > 200 || !utf8.ValidString(line) || strings.ContainsAny(line, "\n\r\x1b") {
			t.Errorf("%q gives %q", output, line)
		}
		_, _ = derOf(output)
	})
}
