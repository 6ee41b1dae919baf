package setup

import (
	"context"
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/cardctl/cardctl/internal/cert"
	"github.com/cardctl/cardctl/internal/problem"
	"github.com/cardctl/cardctl/internal/runner"
)

const anyModule = "/usr/lib/opensc-pkcs11.so"

// TestPolicies adds to policies as they are found.
func TestPolicies(t *testing.T) {
	ca := &cert.Certificate{Raw: []byte("not parsed")}
	for name, c := range map[string]struct {
		before, want string
		lower        bool
		authorities  []*cert.Certificate
	}{
		"none": {"", `{"policies":{"SecurityDevices":{"Add":{"cardctl":"` + anyModule + `"}}}}`, false, nil},
		"modules as older versions have them": {
			`{"policies":{"SecurityDevices":{"theirs":"/x.so"}}}`,
			`{"policies":{"SecurityDevices":{"theirs":"/x.so","cardctl":"` + anyModule + `"}}}`, false, nil,
		},
		"modules to delete": {
			`{"policies":{"SecurityDevices":{"Delete":["theirs"]}}}`,
			`{"policies":{"SecurityDevices":{"Delete":["theirs"],"Add":{"cardctl":"` + anyModule + `"}}}}`, false, nil,
		},
		"a CA, and TLS 1.2": {
			`{"policies":{"Certificates":{"Install":["theirs.pem"]}}}`,
			`{"policies":{"Certificates":{"Install":["theirs.pem","ROOT/etc/firefox/policies/cardctl-` + thumbprint(ca) + `.pem"]},` +
				`"SecurityDevices":{"Add":{"cardctl":"` + anyModule + `"}},"SSLVersionMax":"tls1.2"}}`, true, []*cert.Certificate{ca},
		},
	} {
		t.Run(name, func(t *testing.T) {
			j := &job{Options: Options{System: true, Root: t.TempDir(), CA: c.authorities}}
			path := j.Root + "/etc/firefox/policies/policies.json"
			if c.before != "" {
				put(t, path, c.before)
			}
			for range 2 { // the second time it finds its own
				p, err := ofFirefox().plan(t.Context(), j, anyModule, forServers, c.lower)
				check(t, err)
				for _, e := range p.entries {
					written(t, e)
				}
				if len(p.lasting) == 0 {
					t.Error("nothing is said of what stays")
				}
			}
			if got, want := compact(t, get(t, path)), strings.ReplaceAll(c.want, "ROOT", j.Root); compact(t, want) != got {
				t.Errorf("written:\n%s\nnot:\n%s", got, want)
			}
		})
	}
}

func compact(t *testing.T, text string) string {
	t.Helper()
	var v any
	check(t, json.Unmarshal([]byte(text), &v))
	out, err := json.Marshal(v)
	check(t, err)
	return string(out)
}

// TestPackagedPolicies are not hidden: Firefox reads one file only.
func TestPackagedPolicies(t *testing.T) {
	j := &job{Options: Options{System: true, Root: t.TempDir()}}
	put(t, j.Root+ofFirefox().packaged, "{}")
	if _, err := ofFirefox().plan(t.Context(), j, anyModule, forServers, false); !problem.Is(err, problem.Refused) {
		t.Errorf("%v", err)
	}
	put(t, j.Root+ofFirefox().policies, "{}")
	if _, err := ofFirefox().plan(t.Context(), j, anyModule, forServers, false); err != nil {
		t.Errorf("%v", err)
	}
}

// TestProfiles finds the profile that is meant.
func TestProfiles(t *testing.T) {
	const ini = "[Install4F96D1932A9F858E]\nDefault=a.esr\nLocked=1\n\n[Profile1]\nName=default\nIsRelative=1\nPath=b.default\nDefault=1\n\n" +
		"[Profile0]\nName=default-esr\nIsRelative=1\nPath=a.esr\n[Profile2]\nName=gone\nIsRelative=1\nPath=gone\n"
	home := t.TempDir()
	j := &job{Options: Options{Home: home, Environ: []string{"XDG_CONFIG_HOME=" + home + "/xdg"}}}
	of := func() (string, error) { return ofFirefox().profileOf(j) }
	if _, err := of(); !problem.Is(err, problem.NotFound) {
		t.Errorf("without a profile: %v", err)
	}
	dir := filepath.Join(home, "xdg/mozilla/firefox")
	put(t, filepath.Join(dir, "profiles.ini"), ini)
	put(t, filepath.Join(dir, "b.default/times.json"), "")
	put(t, filepath.Join(dir, "a.esr/cert9.db"), "")
	if got, err := of(); err != nil || got != filepath.Join(dir, "a.esr") {
		t.Errorf("the one that was used: %s, %v", got, err)
	}
	put(t, filepath.Join(dir, "b.default/cert9.db"), "")
	if _, err := of(); !problem.Is(err, problem.NotFound) || !strings.Contains(err.(*problem.Error).Why, "b.default") {
		t.Errorf("two that were used: %v", err)
	}
	j.Profile = filepath.Join(dir, "b.default")
	if got, err := of(); err != nil || got != j.Profile {
		t.Errorf("the one that was named: %s, %v", got, err)
	}
	j.Profile = filepath.Join(dir, "profiles.ini")
	if _, err := of(); !problem.Is(err, problem.NotFound) {
		t.Errorf("a file: %v", err)
	}
	check(t, os.RemoveAll(dir))
	put(t, filepath.Join(home, ".mozilla/firefox/profiles.ini"), "[Profile0]\nIsRelative=0\nPath="+filepath.Join(home, "mine")+"\n")
	put(t, filepath.Join(home, "mine/times.json"), "")
	j.Profile = ""
	if got, err := of(); err != nil || got != filepath.Join(home, "mine") {
		t.Errorf("in the old place: %s, %v", got, err)
	}
}

// TestDoubles tells of modules that show the same cards a second time.
func TestDoubles(t *testing.T) {
	n := nss{Dir: t.TempDir(), Holder: holder{Program: "Firefox"}, run: func(context.Context, runner.Program) (string, error) {
		return "library=\"/usr/lib/opensc-pkcs11.so\" name=\"theirs\"\n\nlibrary=\"/usr/lib/other.so\" name=\"other\"\n", nil
	}}
	put(t, filepath.Join(n.Dir, "cert9.db"), "")
	for module, notes := range map[string]int{"/usr/lib/opensc-pkcs11.so": 0, "/usr/lib/onepin-opensc-pkcs11.so": 1, "/opt/opensc-pkcs11.so": 1, "/usr/lib/softhsm.so": 0} {
		if told, err := n.doubles(t.Context(), module); err != nil || len(told) != notes {
			t.Errorf("%s: %q, %v", module, told, err)
		}
	}
}
