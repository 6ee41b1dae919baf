package keygen

import (
	"testing"

	"github.com/cardctl/cardctl/internal/key"
	"github.com/cardctl/cardctl/internal/problem"
)

// A key that the card does not report, or not whether it is there, is overwritten by
// --replace unknown alone.
func TestUnknownKeyIsNotOverwritten(t *testing.T) {
	for _, occupant := range []*key.Occupant{{Unknown: true}, {Algorithm: key.P256}} {
		for replace, allowed := range map[string]bool{"": false, "unknown": true, "Unknown": true, "0123": false} {
			k := &fakeKey{occupant: occupant}
			_, err := GenerateOn(t.Context(), k, Options{Replace: replace})
			if allowed && err != nil || !allowed && !problem.Is(err, problem.Refused) || allowed != (len(k.did) > 0) {
				t.Errorf("%+v, replace %q: %v, did %v", occupant, replace, err, k.did)
			}
		}
	}
	known := &fakeKey{occupant: &key.Occupant{Fingerprint: "ABCD"}}
	if _, err := GenerateOn(t.Context(), known, Options{Replace: "unknown"}); !problem.Is(err, problem.Refused) {
		t.Error(err)
	}
	if _, err := GenerateOn(t.Context(), known, Options{Replace: "abcd", Spec: key.Spec{TouchPolicy: "always"}}); !problem.Is(err, problem.NotSupported) {
		t.Error(err)
	}
}
