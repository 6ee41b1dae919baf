package setup

import (
	"testing"

	"github.com/cardctl/cardctl/internal/problem"
	"github.com/cardctl/cardctl/internal/smoke"
)

// TestLowers limits a program to TLS 1.2 only if the key needs it, and it was allowed.
func TestLowers(t *testing.T) {
	for _, c := range []struct {
		able           smoke.Ability
		allowed, lower bool
		code           problem.Code
	}{
		{smoke.Ability{}, false, false, ""},
		{smoke.Ability{}, true, false, ""},
		{smoke.Ability{TLS12: "no"}, true, false, ""},
		{smoke.Ability{TLS13: "no PSS"}, false, false, problem.NotSupported},
		{smoke.Ability{TLS13: "no PSS"}, true, true, ""},
		{smoke.Ability{TLS12: "no", TLS13: "no"}, true, false, problem.NotSupported},
	} {
		lower, err := lowers("Firefox", "OPENPGP.3", c.able, c.allowed)
		if lower != c.lower || (err != nil) != (c.code != "") || err != nil && !problem.Is(err, c.code) {
			t.Errorf("%+v: %v, %v", c, lower, err)
		}
	}
}
