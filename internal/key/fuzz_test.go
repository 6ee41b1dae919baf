package key

import "testing"

// FuzzParseWords reads what may stand after --algorithm and --usage.
func FuzzParseWords(f *testing.F) {
	for _, seed := range []string{"rsa2048", "P256", "x25519", "sign", "Derive", "."} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, text string) {
		if algorithm, err := ParseAlgorithm(text); err == nil && algorithm == "" {
			t.Errorf("%q is no algorithm", text)
		}
		if usage, err := ParseUsage(text); err == nil && usage == "" && text != "" {
			t.Errorf("%q is no usage", text)
		}
	})
}
