package plan

import (
	"slices"
	"strings"

	"github.com/cardctl/cardctl/internal/key"
	"github.com/cardctl/cardctl/internal/spelling"
)

// vocabulary is the words that a field can have, by the name in its tag.
func vocabulary(name string) []string {
	switch name {
	case "schema":
		return []string{"cardctl/v1"}
	case "kind":
		return []string{"Plan"}
	case "init":
		return []string{InitNever, InitIfBlank, InitAlways}
	case "keep":
		return []string{KeepLetter, KeepLedger, KeepBoth}
	case "algorithm":
		return spelled(key.Algorithms())
	case "usage":
		return spelled(key.Usages())
	case "touch":
		return append([]string{"never", "always"}, key.Touches()...)
	}
	return strings.Fields(map[string]string{
		"pinPolicy":              "never once always",
		"digest":                 "sha256 sha384 sha512",
		"managementKeyAlgorithm": "aes256 aes192 aes128 3des",
		"loadHash":               "auto sha1 sha256",
		"diversification":        "emv visa2 kdf3",
		"cardKeyType":            "aes des",
		"library":                "openssl gnutls nss go",
	}[name])
}

func spelled[W ~string](words []W) []string {
	var list []string
	for _, w := range words {
		list = append(list, string(w))
	}
	return list
}

// nearest is the word that a wrong one was probably meant to be, whatever its capitals;
// empty if none is near.
func nearest(word string, words []string) string {
	lower := make([]string, len(words))
	for i, w := range words {
		lower[i] = strings.ToLower(w)
	}
	if at := slices.Index(lower, spelling.Nearest(strings.ToLower(word), lower)); at >= 0 {
		return words[at]
	}
	return ""
}
