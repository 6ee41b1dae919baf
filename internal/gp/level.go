package gp

import (
	"fmt"
	"slices"
	"strings"
)

// levelNames are the parts of a security level as a person writes them, each
// with those that it cannot be without.
var levelNames = [...]struct {
	name  string
	level Level
}{
	{"c-mac", LevelMAC},
	{"c-decryption", LevelEncryption},
	{"r-mac", LevelRMAC},
	{"r-encryption", LevelFull},
}

// LevelNames are the names that ParseLevel knows.
func LevelNames() []string {
	names := make([]string, len(levelNames))
	for i, known := range levelNames {
		names[i] = known.name
	}
	return names
}

// ParseLevel reads the parts of a security level separated by commas; "" is
// LevelNone. Whatever is named comes with C-MAC, and R-ENCRYPTION with all.
func ParseLevel(names string) (Level, error) {
	var l Level
	if strings.TrimSpace(names) == "" {
		return LevelNone, nil
	}
	for name := range strings.SplitSeq(names, ",") {
		name = strings.ToLower(strings.TrimSpace(name))
		i := slices.Index(LevelNames(), name)
		if i < 0 {
			return LevelNone, fmt.Errorf("unknown security level %q; valid levels: %s", name, strings.Join(LevelNames(), ", "))
		}
		l |= levelNames[i].level
	}
	return l, nil
}
