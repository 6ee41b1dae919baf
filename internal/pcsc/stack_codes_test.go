//go:build stack

package pcsc

import (
	"os"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
)

// Every code that the headers of PC/SC lite and of Windows name has a text, and the text
// has all of its names.
func TestEveryCodeHasItsNames(t *testing.T) {
	defined := regexp.MustCompile(`(?m)^[/* ]*#\s*define\s+(SCARD_[EFWP]_\w+)\s+\S*\(0x(80100[0-9A-F]{3})\)`)
	for header, least := range map[string]int{"/usr/include/PCSC/pcsclite.h": 60, "/usr/share/mingw-w64/include/winerror.h": 60} {
		content, err := os.ReadFile(header)
		if err != nil {
			t.Fatal(err)
		}
		found := defined.FindAllStringSubmatch(strings.ReplaceAll(string(content), "((LONG)", "("), -1)
		if len(found) < least {
			t.Errorf("%s: %d codes, want at least %d", header, len(found), least)
		}
		for _, line := range found {
			number, err := strconv.ParseUint(line[2], 16, 32)
			if err != nil {
				t.Fatal(err)
			}
			if words := strings.Fields(code(number).Error()); !slices.Contains(words, line[1]) {
				t.Errorf("%s: %s %s is %q", header, line[2], line[1], words)
			}
		}
	}
}
