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
// has its name. PC/SC lite 2 has two names for one code.
func TestEveryCodeHasItsNames(t *testing.T) {
	defined := regexp.MustCompile(`(?m)^[/* ]*#\s*define\s+(SCARD_[EFWP]_\w+)\s+\S*\(0x(80100[0-9A-F]{3})\)`)
	alias := regexp.MustCompile(`(?m)^#\s*define\s+(SCARD_[EFWP]_\w+)\s+(SCARD_[EFWP]_\w+)\s*$`)
	for header, least := range map[string]int{"/usr/include/PCSC/pcsclite.h": 60, "/usr/share/mingw-w64/include/winerror.h": 60} {
		content, err := os.ReadFile(header)
		if err != nil {
			t.Fatal(err)
		}
		found := defined.FindAllStringSubmatch(strings.ReplaceAll(string(content), "((LONG)", "("), -1)
		if len(found) < least {
			t.Errorf("%s: %d codes, want at least %d", header, len(found), least)
		}
		names := map[string][]string{}
		for _, line := range found {
			names[line[2]] = append(names[line[2]], line[1])
			for _, other := range alias.FindAllStringSubmatch(string(content), -1) {
				if other[2] == line[1] {
					names[line[2]] = append(names[line[2]], other[1])
				}
			}
		}
		for value, names := range names {
			number, err := strconv.ParseUint(value, 16, 32)
			if err != nil {
				t.Fatal(err)
			}
			words := strings.Fields(code(number).Error())
			if !slices.ContainsFunc(names, func(name string) bool { return slices.Contains(words, name) }) {
				t.Errorf("%s: %s %s is %q", header, value, names, words)
			}
		}
	}
}
