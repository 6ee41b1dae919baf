package setup

import (
	"context"
	"encoding/asn1"
	"path/filepath"
	"slices"

	"github.com/cardctl/cardctl/internal/advice"
	"github.com/cardctl/cardctl/internal/cert"
	"github.com/cardctl/cardctl/internal/problem"
	"github.com/cardctl/cardctl/internal/runner"
	"github.com/cardctl/cardctl/internal/smoke"
)

// thunderbird has Thunderbird sign and decrypt mail with the keys of the card. They are
// on several tokens of OpenSC's module, so it gets all of them, and asks for each PIN.
func thunderbird() target {
	return target{
		name:    "thunderbird",
		needs:   []program{{names: []string{"thunderbird"}, pack: "thunderbird"}, {names: []string{"modutil"}, pack: "libnss3-tools"}},
		accepts: []Option{advice.System, advice.User, advice.Profile, advice.CA, advice.AllowTLS12, advice.Agent},
		loads:   true,
		plan:    planThunderbird,
		check:   checkThunderbird,
	}
}

func ofThunderbird() *mozilla {
	return &mozilla{
		name: "Thunderbird", homes: []string{".thunderbird"},
		policies: "/etc/thunderbird/policies/policies.json", packaged: "/usr/lib/thunderbird/distribution/policies.json",
	}
}

func planThunderbird(ctx context.Context, j *job) (plan, error) {
	if err := j.certified("Thunderbird"); err != nil {
		return plan{}, err
	}
	able, err := j.able(ctx, smoke.NSS)
	if err != nil {
		return plan{}, err
	}
	if able.TLS12 != "" {
		return plan{}, doesNotUse("Thunderbird", j.key.Ref, able.TLS12)
	}
	lower := able.TLS13 != "" && j.AllowTLS12
	p, err := ofThunderbird().plan(ctx, j, j.key.module, forServersAndMail, lower)
	if err != nil {
		return plan{}, err
	}
	p.notes = append(p.notes, j.agentNotes()...)
	p.notes = append(p.notes, "Choose the certificate for mail in the account settings, End-To-End Encryption.")
	if !forMail(j.key.certificate) {
		p.notes = append(p.notes, "The certificate is not for mail: it has no mail address, or other uses only. Thunderbird does not offer it there.")
	}
	switch {
	case lower:
		p.notes = append(p.notes, "TLS 1.3 is off for all servers.")
	case able.TLS13 != "":
		p.notes = append(p.notes, "Servers that ask for the certificate have to use TLS 1.2 with this key. Signed mail does not depend on it.")
	}
	return p, nil
}

// emailProtection is the extended key usage of mail (RFC 5280, 4.2.1.12).
const emailProtection = "1.3.6.1.5.5.7.3.4"

// forMail reports whether a certificate has a mail address, and may be used for mail.
func forMail(c *cert.Certificate) bool {
	addressed := slices.ContainsFunc(c.AltNames, func(n cert.GeneralName) bool { return n.Kind == cert.EmailName })
	allowed := slices.ContainsFunc(c.ExtKeyUsage, func(oid asn1.ObjectIdentifier) bool { return oid.String() == emailProtection })
	return addressed && (allowed || len(c.ExtKeyUsage) == 0)
}

// profileWithCard is a copy of the profile, or a fresh one to which Thunderbird applied
// the policies of the system.
func (j *job) profileWithCard(ctx context.Context, dir string) error {
	database := nss{Dir: dir, run: j.runProgram}
	if !j.System {
		from, err := ofThunderbird().profileOf(j)
		if err != nil {
			return err
		}
		return copyProfile(dir, from)
	}
	running, stop := context.WithCancel(ctx)
	defer stop()
	ended := make(chan error, 1)
	go func() {
		_, err := j.runProgram(running, runner.Program{Name: "thunderbird", Args: []string{"--headless", "--no-remote", "--profile", dir}})
		ended <- err
	}()
	err := until(ctx, func() bool {
		modules, err := database.modules(ctx)
		return err == nil && slices.ContainsFunc(modules, func(l nssListed) bool { return l.library == j.key.module }) || len(ended) > 0
	})
	stop()
	failed := <-ended
	modules, listing := database.modules(context.WithoutCancel(ctx))
	switch {
	case slices.ContainsFunc(modules, func(l nssListed) bool { return l.library == j.key.module }):
		return nil
	case err != nil:
		failed = err
	case listing != nil:
		failed = listing
	}
	return problem.Wrap(problem.Failed, failed, "Thunderbird does not load the module "+filepath.Base(j.key.module))
}
