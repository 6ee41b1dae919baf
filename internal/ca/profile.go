package ca

import (
	"bytes"
	"context"
	"embed"
	"errors"
	"io"
	"path"
	"slices"
	"strings"

	"github.com/goccy/go-yaml"

	"github.com/cardctl/cardctl/internal/advice"
	"github.com/cardctl/cardctl/internal/csr"
	"github.com/cardctl/cardctl/internal/input"
	"github.com/cardctl/cardctl/internal/problem"
)

//go:embed profiles
var profiles embed.FS

// Profile is what certificates of one kind are like.
type Profile struct {
	// Name is that of the profile, or of its file.
	Name string `yaml:"-"`
	// Days is how long they are valid, unless something else is asked for.
	Days int `yaml:"days"`
	// CA makes them those of a CA, which PathLength others may follow; any number
	// without it.
	CA         bool `yaml:"ca"`
	PathLength *int `yaml:"pathLength"`
	// UPN says that they name a user principal.
	UPN bool `yaml:"upn"`
	// OCSPNoCheck says that nobody asks whether they are revoked (RFC 6960, 4.2.2.2.1).
	OCSPNoCheck bool `yaml:"ocspNoCheck"`
	// KeyUsage and ExtKeyUsage are by name; KeyUsageRSA and KeyUsageEC for such keys only.
	KeyUsage    []string `yaml:"keyUsage"`
	KeyUsageRSA []string `yaml:"keyUsageRSA"`
	KeyUsageEC  []string `yaml:"keyUsageEC"`
	ExtKeyUsage []string `yaml:"extKeyUsage"`
	// Copy is what comes from a request: subject, and kinds of alternative names.
	Copy []string `yaml:"copy"`
	// Policies are OIDs of certificate policies.
	Policies []string `yaml:"policies"`
}

// What a profile can copy.
const (
	copySubject = "subject"
	copyEmail   = "email"
	copyDNS     = "dns"
	copyURI     = "uri"
	copyIP      = "ip"
)

func copies() []string { return []string{copySubject, copyEmail, copyDNS, copyURI, copyIP} }

// ProfileNames are those that need no file.
func ProfileNames() []string {
	return []string{"client", "server", "mail", "sub", "code", "smartcard-logon", "ocsp"}
}

// maxProfile is the greatest length of a profile in bytes. The parser needs memory by the
// square of how deep a text is.
const maxProfile = 1 << 12

// ReadProfile is the profile of a name, or of a file in YAML.
func ReadProfile(ctx context.Context, name string) (Profile, error) {
	var text []byte
	var err error
	if slices.Contains(ProfileNames(), name) {
		text, err = profiles.ReadFile("profiles/" + name + ".yaml")
	} else {
		text, err = input.File(ctx, name, maxProfile)
	}
	if err != nil {
		return Profile{}, problem.Wrap(problem.NotFound, err, "there is no profile "+name).
			Because("The profiles are %s, and files.", strings.Join(ProfileNames(), ", ")).Advise(advice.Do(advice.Help))
	}
	p, err := parseProfile(text)
	p.Name = strings.TrimSuffix(path.Base(name), ".yaml")
	if err != nil {
		return Profile{}, problem.Wrap(problem.Mismatch, err, "the profile "+name+" cannot be used").Advise(advice.Run("cat", name))
	}
	return p, nil
}

func parseProfile(text []byte) (p Profile, err error) {
	if len(text) > maxProfile {
		return p, errors.New("it is too long")
	}
	decoder := yaml.NewDecoder(bytes.NewReader(text), yaml.DisallowUnknownField())
	err = decoder.Decode(&p)
	switch {
	case errors.Is(err, io.EOF):
		return p, errors.New("it is empty")
	case err != nil:
		return p, errors.New(strings.TrimSpace(yaml.FormatError(err, false, false)))
	case p.Days < 1:
		return p, errors.New("days is missing, or less than 1")
	case p.PathLength != nil && (!p.CA || *p.PathLength < 0):
		return p, errors.New("pathLength is for CAs, and not negative")
	case len(p.KeyUsage) == 0:
		return p, errors.New("keyUsage is missing")
	case decoder.Decode(&Profile{}) != io.EOF:
		return p, errors.New("it has more than one document")
	}
	if err := p.usagesAgree(); err != nil {
		return p, err
	}
	for _, word := range p.Copy {
		if !slices.Contains(copies(), word) {
			return p, errors.New("copy has " + word + "; it can have " + strings.Join(copies(), ", "))
		}
	}
	return p, nil
}

// usagesAgree refuses usages that RFC 5280, 4.2.1.3 and 4.2.1.9, does not allow together.
func (p *Profile) usagesAgree() error {
	all := slices.Concat(p.KeyUsage, p.KeyUsageRSA, p.KeyUsageEC)
	if _, err := csr.KeyUsage(all...); err != nil {
		return err
	}
	if len(p.ExtKeyUsage) > 0 {
		if _, err := csr.ExtKeyUsage(p.ExtKeyUsage...); err != nil {
			return err
		}
	}
	has := func(list []string, name string) bool {
		return slices.ContainsFunc(list, func(usage string) bool { return csr.SameUsage(name, usage) })
	}
	switch {
	case p.CA != has(p.KeyUsage, "keyCertSign"), !p.CA && has(all, "keyCertSign"):
		return errors.New("keyCertSign and ca: true go together")
	case has(p.KeyUsage, "keyEncipherment"), has(p.KeyUsage, "dataEncipherment"):
		return errors.New("only RSA keys encipher: write keyUsageRSA for that")
	}
	_, err := policies(p.Policies)
	return err
}

// copies reports whether something comes from a request.
func (p *Profile) copies(what string) bool { return slices.Contains(p.Copy, what) }
