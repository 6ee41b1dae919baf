package family_test

import (
	"strings"
	"testing"

	"github.com/cardctl/cardctl/internal/family"
	"github.com/cardctl/cardctl/internal/problem"
)

// FuzzParseReference reads what may stand after --key. A reference is written as it is read, and belongs to the family that read it;
// what is none is not repeated, for it may be a secret.
func FuzzParseReference(f *testing.F) {
	for _, family := range family.All() {
		if family.Example != "" {
			f.Add(family.Example)
		}
	}
	for _, seed := range []string{
		"OPENPGP.3", "openpgp.4", "PIV.9a", "PKCS15.45", "pkcs15.4", "pkcs11:token=a;id=%45", "pkcs11:token=a?pin-value=canary-736451",
		"canary-736451", "3", "OPENPGP", "OPENPGP.canary-736451", "PKCS15.canary-736451", "PIV.canary-736451", ".",
	} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, text string) {
		ref, of, err := family.Parse(text)
		if err == nil {
			again, same, err := family.Parse(ref.String())
			if err != nil || again != ref || same.Kind != of.Kind {
				t.Errorf("%q is %v, and that is %v: %v", text, ref, again, err)
			}
		} else if !problem.Is(err, problem.Usage) {
			t.Errorf("%q: %v", text, err)
		} else if strings.Contains(text, "canary-736451") && strings.Contains(err.Error(), "canary-736451") {
			t.Errorf("the error repeats what was typed: %v", err)
		}
	})
}
