package key

import (
	"testing"

	"github.com/cardctl/cardctl/internal/problem"
)

// FuzzParseReference reads what may stand after --key, --algorithm and
// --usage. A reference is written as it is read.
func FuzzParseReference(f *testing.F) {
	for _, seed := range []string{"OPENPGP.3", "openpgp.4", "PIV.9a", "PKCS15.45", "pkcs15.4", "pkcs11:token=a;id=%45", ".", "rsa2048", "sign"} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, text string) {
		if ref, err := ParseReference(text); err == nil {
			again, err := ParseReference(ref.String())
			if err != nil || again != ref {
				t.Errorf("%q is %v, and that is %v: %v", text, ref, again, err)
			}
		} else if !problem.Is(err, problem.Usage) {
			t.Errorf("%q: %v", text, err)
		}
		if algorithm, err := ParseAlgorithm(text); err == nil && algorithm == "" {
			t.Errorf("%q is no algorithm", text)
		}
		if usage, err := ParseUsage(text); err == nil && usage == "" && text != "" {
			t.Errorf("%q is no usage", text)
		}
	})
}
