package provision

import (
	"bytes"
	"strings"
	"testing"

	"github.com/cardctl/cardctl/internal/plan"
)

// A generated secret has the length and the characters that the plan says, is another one
// each time, and never one that people guess.
func TestGenerate(t *testing.T) {
	for of, alphabet := range map[string]string{plan.Digits: digits, plan.Letters: letters} {
		seen, again := map[string]bool{}, 0
		for range 500 {
			value, err := generate(&plan.Generate{Of: of, Count: 8}, nil)
			if err != nil {
				t.Fatal(err)
			}
			text := string(value.Reveal())
			if len(text) != 8 || strings.Trim(text, alphabet) != "" {
				t.Fatalf("%s: %q", of, text)
			}
			if seen[text] {
				again++
			}
			seen[text] = true
		}
		if again > 2 { // of 500 in a hundred million, two may be the same
			t.Errorf("%s: %d were there before", of, again)
		}
	}
	for _, text := range []string{"00000000", "12345678", "87654321", "AAAA", "ACEG"} {
		if !guessable([]byte(text)) {
			t.Errorf("%s is not guessable", text)
		}
	}
	for _, text := range []string{"12345679", "0101", "AABC"} {
		if guessable([]byte(text)) {
			t.Errorf("%s is guessable", text)
		}
	}
}

// Of a short alphabet most values are guessable; those are made again.
func TestGuessableValuesAreMadeAgain(t *testing.T) {
	for range 200 {
		value, err := random("01", 4)
		if err != nil {
			t.Fatal(err)
		}
		if guessable(value.Reveal()) {
			t.Fatalf("%s", value.Reveal())
		}
	}
}

func TestLengthOfAManagementKey(t *testing.T) {
	for algorithm, length := range map[string]int{"": 48, "3des": 48, "aes192": 48, "aes128": 32, "aes256": 64} {
		value, err := generate(&plan.Generate{Of: plan.ManagementKeyBytes}, &plan.ManagementKey{Algorithm: algorithm})
		if err != nil {
			t.Fatal(err)
		}
		if text := value.Reveal(); len(text) != length || len(bytes.Trim(text, "0123456789abcdef")) != 0 {
			t.Errorf("%s: %d digits", algorithm, len(text))
		}
	}
}
