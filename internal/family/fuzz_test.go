package family

import (
	"testing"

	"github.com/cardctl/cardctl/internal/problem"
)

// FuzzParseReference reads what may stand after --key. A reference is written as
// it is read.
func FuzzParseReference(f *testing.F) {
	for _, seed := range []string{"OPENPGP.3", "openpgp.4", "PIV.9a", "PKCS15.45", "pkcs15.4", "pkcs11:token=a;id=%45", ".", "3", "OPENPGP"} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, text string) {
		ref, _, err := Parse(text)
		if err != nil {
			if !problem.Is(err, problem.Usage) {
				t.Errorf("%q: %v", text, err)
			}
			return
		}
		again, _, err := Parse(ref.String())
		if err != nil || again != ref {
			t.Errorf("%q is %v, and that is %v: %v", text, ref, again, err)
		}
	})
}
