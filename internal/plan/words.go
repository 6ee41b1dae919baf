package plan

import (
	"strings"

	"github.com/cardctl/cardctl/internal/key"
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

// nearest is the word that a wrong one was probably meant to be; empty if none is near.
func nearest(word string, words []string) string {
	const longest = 64 // letters: the comparison takes their square
	found, least := "", min(3, (len(word)+5)/3)
	if len(word) > longest {
		return ""
	}
	for _, w := range words {
		if strings.EqualFold(w, word) {
			return w
		}
		if d := distance(strings.ToLower(w), strings.ToLower(word)); d < least {
			found, least = w, d
		}
	}
	return found
}

// distance is how many letters have to be changed, added or left out to make b of a
// (Levenshtein).
func distance(a, b string) int {
	row := make([]int, len(b)+1)
	for j := range row {
		row[j] = j
	}
	for i := range len(a) {
		diagonal := row[0]
		row[0] = i + 1
		for j := range len(b) {
			cost := diagonal
			if a[i] != b[j] {
				cost++
			}
			diagonal = row[j+1]
			row[j+1] = min(cost, row[j]+1, row[j+1]+1)
		}
	}
	return row[len(b)]
}
