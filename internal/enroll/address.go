package enroll

import (
	"crypto/sha256"
	"encoding/hex"
	"net/url"
	"slices"
	"strings"

	"github.com/cardctl/cardctl/internal/advice"
	"github.com/cardctl/cardctl/internal/problem"
)

// Address is where an issuer is, as --issuer names it.
type Address struct {
	// Text is what was typed.
	Text string
	// Scheme is what comes before the first colon: est+https.
	Scheme string
	// URL is the rest of an address on a network, with the scheme http or https and
	// without user, fragment and query.
	URL url.URL
	// Path is a directory or a command, where the issuer is not on a network.
	Path string
	// User is the user part: a user name, a reference, a role, a provisioner.
	User string
	// Query are the parameters.
	Query url.Values
	// Fingerprint is ?fingerprint=, the SHA-256 of a certificate of a CA in DER, 32
	// bytes; nil for none.
	Fingerprint []byte
}

// kind is a kind of issuers.
type kind struct {
	scheme string
	// local is a path, not a URL.
	local bool
	// plain says that plain HTTP is spoken too, where the CA is pinned.
	plain bool
	// parameters are those of the query that it knows.
	parameters []string
	// open makes the issuer of an address.
	open func(Address) (Issuer, error)
}

// kinds are all that there are.
func kinds() []kind {
	return []kind{
		{scheme: "ca", local: true, parameters: []string{"profile"}, open: openDesk},
		{scheme: "command", local: true, open: openCommand},
		{scheme: "scep", plain: true, parameters: []string{scepIdentifier}, open: openSCEP},
		{scheme: "cmp", plain: true, open: openCMP},
		{scheme: "est", open: openEST},
		{scheme: "vault", parameters: []string{"namespace", "role_id"}, open: openVault},
		{scheme: "ejbca", parameters: []string{"profile", "entity", "ca"}, open: openEJBCA},
		{scheme: "step", open: openStep},
		{scheme: "acme", open: openACME},
	}
}

// schemes are the words that an address begins with.
func (k kind) schemes() []string {
	switch {
	case k.local:
		return []string{k.scheme}
	case k.plain:
		return []string{k.scheme + "+https", k.scheme + "+http"}
	}
	return []string{k.scheme + "+https"}
}

// Schemes are the words that addresses of issuers begin with.
func Schemes() []string {
	var all []string
	for _, k := range kinds() {
		all = append(all, k.schemes()...)
	}
	return all
}

// Open makes the issuer of an address. Nobody is asked yet; what is wrong with the
// address is a problem.Usage.
func Open(text string) (Issuer, error) {
	if text == "" {
		return nil, unusable("no issuer was named")
	}
	scheme, rest, _ := strings.Cut(text, ":")
	i := slices.IndexFunc(kinds(), func(k kind) bool { return slices.Contains(k.schemes(), strings.ToLower(scheme)) })
	if i < 0 {
		return nil, unusable("that is not the address of an issuer")
	}
	k := kinds()[i]
	a, err := k.parse(text, strings.ToLower(scheme), rest)
	if err != nil {
		return nil, err
	}
	return k.open(a)
}

func unusable(what string) *problem.Error {
	return problem.New(problem.Usage, "%s", what).
		Because("Issuers are %s.", strings.Join(Schemes(), ":, ")+":").
		Advise(advice.Repeat(advice.Fill(advice.Issuer)))
}

func (k kind) parse(text, scheme, rest string) (a Address, err error) {
	a = Address{Text: text, Scheme: scheme}
	query := ""
	if k.local {
		a.Path = rest
		if len(k.parameters) > 0 {
			a.Path, query, _ = strings.Cut(rest, "?")
		}
		if a.Path == "" {
			return a, unusable(scheme + ": names nothing")
		}
	} else {
		_, transport, _ := strings.Cut(scheme, "+")
		u, err := url.Parse(transport + ":" + rest)
		if err != nil || u.Host == "" || u.Opaque != "" || u.Fragment != "" {
			return a, unusable("that is not the address of an issuer")
		}
		if _, has := u.User.Password(); has {
			return a, problem.New(problem.Usage, "the address of the issuer has a password in it").
				Because("Others see the command line.").Advise(advice.Repeat(advice.Ask(issuerSecret)).Without(advice.Issuer))
		}
		a.User, query = u.User.Username(), u.RawQuery
		a.URL = url.URL{Scheme: u.Scheme, Host: u.Host, Path: strings.TrimSuffix(u.Path, "/")}
	}
	if a.Query, err = url.ParseQuery(query); err != nil {
		return a, unusable("the parameters of the issuer cannot be read")
	}
	return a, k.check(&a)
}

const (
	fingerprint  = "fingerprint"
	issuerSecret = "issuer-secret"
)

// check refuses parameters that the kind does not know, and reads the fingerprint.
func (k kind) check(a *Address) (err error) {
	known := k.parameters
	if !k.local {
		known = append(slices.Clone(known), fingerprint)
	}
	for name, values := range a.Query {
		switch {
		case !slices.Contains(known, name):
			return unusable("not a parameter of such an issuer: " + name)
		case len(values) != 1 || values[0] == "":
			return unusable("the parameter " + name + " of the issuer needs one value")
		}
	}
	if text := a.Query.Get(fingerprint); text != "" {
		a.Fingerprint, err = hex.DecodeString(strings.ReplaceAll(text, ":", ""))
		if err != nil || len(a.Fingerprint) != sha256.Size {
			return unusable("the fingerprint is not a SHA-256 in hexadecimal")
		}
	}
	return nil
}
