package setup

import (
	"strings"
	"testing"

	"github.com/cardctl/cardctl/internal/cert"
	"github.com/cardctl/cardctl/internal/problem"
)

// forChromium is a job for a key with a certificate.
func forChromium(t *testing.T, urls ...string) *job {
	t.Helper()
	own, err := cert.Parse(clientIdentity(t).Certificate[0])
	check(t, err)
	return &job{Options: Options{System: true, Root: t.TempDir(), URLs: urls}, key: &subject{certificate: own}}
}

// TestPoliciesOfChromium are a file that only cardctl writes.
func TestPoliciesOfChromium(t *testing.T) {
	j := forChromium(t, "https://[*.]example.com")
	j.CA = []*cert.Certificate{{Raw: []byte("DER")}}
	put(t, j.Root+chromiumPolicies+"/theirs.json", `{"CACertificates":[]}`)
	put(t, j.Root+chromiumPolicies+"/broken.json", `{`)
	p, err := j.chromiumForAll(true)
	check(t, err)
	for _, e := range p.entries {
		written(t, e)
	}
	const want = `{"AutoSelectCertificateForUrls":["{\"pattern\":\"https://[*.]example.com\",\"filter\":{\"ISSUER\":{\"CN\":\"cardctl check\"}}}"],"CACertificates":["REVS"]}`
	if got := compact(t, get(t, j.Root+chromiumPolicies+"/cardctl.json")); got != want {
		t.Errorf("written:\n%s\nnot:\n%s", got, want)
	}
	if got := get(t, j.Root+chromiumOptions+"/cardctl"); !strings.Contains(got, chromiumTLS12) {
		t.Errorf("written: %s", got)
	}
	if again, err := j.chromiumForAll(true); err != nil || len(again.notes) != 2 || !strings.Contains(again.notes[0], "theirs.json") {
		t.Errorf("%q, %v", again.notes, err)
	}
}

// TestNothingForChromium refuses what would be written to no use.
func TestNothingForChromium(t *testing.T) {
	for name, urls := range map[string][]string{"nothing": nil, "an empty pattern": {""}, "a pattern with blanks": {"https://a b"}} {
		if _, err := forChromium(t, urls...).chromiumForAll(false); !problem.Is(err, problem.Usage) {
			t.Errorf("%s: %v", name, err)
		}
	}
}
