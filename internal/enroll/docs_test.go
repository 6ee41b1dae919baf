package enroll

import (
	"os"
	"regexp"
	"strings"
	"testing"
)

// TestDocumentedAddresses are addresses of issuers: every kind has its section.
func TestDocumentedAddresses(t *testing.T) {
	text, err := os.ReadFile("../../docs/enrol.md")
	check(t, err)
	seen := map[string]bool{}
	for _, found := range regexp.MustCompile(`--issuer '?([a-z]+[+:][^\s']+)`).FindAllStringSubmatch(string(text), -1) {
		address := strings.ReplaceAll(found[1], "FINGERPRINT", strings.Repeat("a5", 32))
		if _, err := Open(address); err != nil {
			t.Errorf("%s: %v", address, err)
		}
		scheme, _, _ := strings.Cut(address, ":")
		kind, _, _ := strings.Cut(scheme, "+")
		seen[kind] = true
	}
	for _, k := range kinds() {
		if !seen[k.scheme] {
			t.Errorf("no command with %s", k.scheme)
		}
	}
}
