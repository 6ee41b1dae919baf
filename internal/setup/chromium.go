package setup

import (
	"context"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/cardctl/cardctl/internal/advice"
	"github.com/cardctl/cardctl/internal/cert"
	"github.com/cardctl/cardctl/internal/problem"
	"github.com/cardctl/cardctl/internal/smoke"
)

// chromium has Chromium log in to sites with the key. It finds modules in the database of
// a person, and nowhere else; policies and options are for all users.
func chromium() target {
	return target{
		name:    "chromium",
		needs:   []program{{names: []string{"chromium"}, pack: "chromium"}, {names: []string{"modutil"}, pack: "libnss3-tools"}},
		accepts: []Option{advice.System, advice.User, advice.CA, advice.URL, advice.AllowTLS12, advice.Agent},
		loads:   true,
		plan:    planChromium,
		check:   checkChromium,
	}
}

// chromiumTLS12 is an option of Chromium. It has no policy for the version of TLS.
const chromiumTLS12 = "--ssl-version-max=" + "tls1.2"

func planChromium(ctx context.Context, j *job) (plan, error) {
	lower, err := j.forTLS(ctx, "Chromium", smoke.NSS)
	if err != nil {
		return plan{}, err
	}
	if j.System {
		return j.chromiumForAll(lower)
	}
	if len(j.URLs) > 0 {
		return plan{}, needsPolicy()
	}
	module, err := j.onePIN(ctx)
	if err != nil {
		return plan{}, err
	}
	p, err := j.chromiumDatabase().plan(ctx, module, j.CA, forServers)
	if err != nil {
		return plan{}, err
	}
	p.notes = append(p.notes, j.agentNotes()...)
	if lower {
		p.notes = append(p.notes, loweredTLS)
		p.next = append(p.next, "chromium "+chromiumTLS12)
	}
	return p, nil
}

func (j *job) chromiumDatabase() nss {
	return nss{
		Dir: filepath.Join(j.Home, ".pki/nssdb"), Holder: holder{"Chromium", filepath.Join(j.config(), "chromium/SingletonLock")},
		run: j.runProgram,
	}
}

// The places of Chromium in Debian.
const (
	chromiumPolicies = "/etc/chromium/policies/managed"
	chromiumOptions  = "/etc/chromium.d"
)

// The policies that are written.
const (
	selectCertificate = "AutoSelectCertificateForUrls"
	trustAuthorities  = "CACertificates"
)

// chromiumForAll trusts the CAs, sends the certificate to sites without a question, and
// limits Chromium to TLS 1.2 if lower.
func (j *job) chromiumForAll(lower bool) (plan, error) {
	var p plan
	policies := newObject()
	if len(j.CA) > 0 {
		policies.set(trustAuthorities, j.chromiumAuthorities())
	}
	if len(j.URLs) > 0 {
		sites, err := j.chromiumSites()
		if err != nil {
			return plan{}, err
		}
		policies.set(selectCertificate, sites)
	}
	if len(policies.names) > 0 {
		text, err := policies.print()
		if err != nil {
			return plan{}, err
		}
		p.entries = append(p.entries, &file{Path: j.Root + chromiumPolicies + "/cardctl.json", Mode: 0o644, Whole: &whole{string(text)}})
		p.notes = append(p.notes, j.samePolicies(policies.names)...)
	}
	if lower {
		const settings = "# Written by cardctl setup chromium.\nexport CHROMIUM_FLAGS=\"$CHROMIUM_FLAGS " + chromiumTLS12 + "\"\n"
		p.entries = append(p.entries, &file{Path: j.Root + chromiumOptions + "/cardctl", Mode: 0o644, Whole: &whole{settings}})
		p.notes = append(p.notes, loweredTLS)
	}
	if len(p.entries) == 0 {
		return plan{}, problem.New(problem.Usage, "there is nothing to write for all users of Chromium").
			Because("It finds modules in the database of each user.").Advise(advice.Repeat(advice.Fill(advice.URL)))
	}
	return p, nil
}

func (j *job) chromiumAuthorities() []any {
	var list []any
	for _, c := range j.CA {
		list = append(list, base64.StdEncoding.EncodeToString(c.Raw))
	}
	return list
}

// chromiumSites are the sites that get a certificate of the CA of the key's. Another
// certificate would go to them if there was no filter, and every user has an own key.
func (j *job) chromiumSites() ([]any, error) {
	filter := newObject()
	if name := commonName(j.key.certificate.Issuer); name != "" {
		issuer := newObject()
		issuer.set("CN", name)
		filter.set("ISSUER", issuer)
	}
	var list []any
	for _, pattern := range j.URLs {
		if pattern == "" || strings.ContainsAny(pattern, " \t\r\n") {
			return nil, problem.New(problem.Usage, "not a pattern of sites: %q", pattern).
				Because("Such as: https://[*.]example.com").Advise(advice.Repeat(advice.Set(advice.URL, "https://[*.]example.com")))
		}
		site := newObject()
		site.set("pattern", pattern)
		site.set("filter", filter)
		text, err := marshal(site)
		if err != nil {
			return nil, err
		}
		list = append(list, string(text))
	}
	return list, nil
}

// commonName is the first CN of a name, empty if there is none.
func commonName(name cert.Name) string {
	for _, rdn := range name {
		for _, a := range rdn {
			if a.Type.String() == "2.5.4.3" && a.IsText {
				return a.Value
			}
		}
	}
	return ""
}

// samePolicies tells of other files that set the same policies: Chromium uses only one.
func (j *job) samePolicies(names []string) (notes []string) {
	files, _ := filepath.Glob(j.Root + chromiumPolicies + "/*.json")
	for _, path := range files {
		var others map[string]json.RawMessage
		text, err := os.ReadFile(path)
		if err != nil || filepath.Base(path) == "cardctl.json" || json.Unmarshal(text, &others) != nil {
			continue
		}
		for _, name := range names {
			if _, has := others[name]; has {
				notes = append(notes, fmt.Sprintf("%s has the policy %s, too. Chromium uses one of the two.", path, name))
			}
		}
	}
	return slices.Compact(notes)
}

// checkChromium has NSS's own client log in to a server on loopback, with the database
// that Chromium uses.
func checkChromium(ctx context.Context, j *job) (string, error) {
	var options []string
	if j.AllowTLS12 {
		options = []string{"-V", "tls1.2:tls1.2"}
	}
	saw, err := j.clientOfNSS(ctx, j.chromiumDatabase(), options...)
	if err != nil {
		return "", err
	}
	return saw + ". Chromium uses the same database, and was not started", nil
}

func needsPolicy() error {
	return problem.New(problem.Usage, "Chromium chooses a certificate for sites by a policy").
		Because("Policies are for all users.").Advise(advice.Repeat(advice.Switch(advice.System)))
}
